"""The figures of README are those that `make bench` wrote last."""

import re

import pytest

from tests.docs.pages import READMES, REPOSITORY, read, section

BENCHMARKS = read(REPOSITORY / "docs" / "benchmarks.md")


def measured() -> list[list[str]]:
    """Of each link with TLS: its round trip, the plugin's and a fresh connection's ms, and both ratios."""
    sections = [heading.anchor for heading in BENCHMARKS.headings]
    rows = BENCHMARKS.table(sections.index("one-caller"))
    return [
        [
            row[0].removeprefix("TLS, ").removesuffix(" ms"),
            row[1].split()[0],
            row[3].split()[0],
            row[7],
            row[6],
        ]
        for row in rows
        if row[0].startswith("TLS")
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
    [day] = re.findall(r"`make bench` measured this and wrote this page on (\S+);", page)
    versions = dict(re.findall(r"(?m)^\| (Python|dify_plugin|urllib3) \| ([\d.]+)", page))
    assert len(versions) == 3
    for fact in (day, *(f"{name} {version}" for name, version in versions.items())):
        assert fact in text
