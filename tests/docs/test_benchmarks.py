"""The figures of README are those that `make bench` wrote last."""

import re

import pytest

from tests.docs.pages import READMES, REPOSITORY, read, section

BENCHMARKS = read(REPOSITORY / "docs" / "benchmarks.md")


def measured() -> list[list[str]]:
    """Of each link with TLS: its round trip, the plugin's and a fresh connection's ms, and both ratios."""
    calls = [heading.anchor for heading in BENCHMARKS.headings].index("calls")
    return [
        [
            row[0].removeprefix("TLS, ").removesuffix(" ms"),
            row[2].split()[0],
            row[4].split()[0],
            row[7],
            row[6],
        ]
        for row in BENCHMARKS.table(calls)
        if row[0].startswith("TLS") and row[1] == "1"
    ]


@pytest.mark.parametrize("language", READMES)
def test_the_table_of_readme_holds_what_was_measured(language: str) -> None:
    rows = read(READMES[language]).table(section("speed-and-scale"))
    told = [[re.sub(r"[^\d.]", "", cell.replace(",", ".")) for cell in row] for row in rows]
    assert told == measured()


@pytest.mark.parametrize("language", READMES)
def test_readme_says_when_and_with_which_versions(language: str) -> None:
    text = READMES[language].read_text()
    page = BENCHMARKS.path.read_text()
    facts = re.findall(
        r"measured this on ([\d-]+)|(Python [\d.]+\d|dify_plugin [\d.]+\d|urllib3 [\d.]+\d)", page
    )
    assert len(facts) == 4
    for fact in map("".join, facts):
        assert fact in text
