"""The figures of README are those that `make bench` wrote last."""

import re

import pytest

from tests.docs.pages import READMES, REPOSITORY, read, section

BENCHMARKS = read(REPOSITORY / "docs" / "benchmarks.md")
ROUND_TRIP = "50"


@pytest.mark.parametrize("language", READMES)
def test_readme_tells_what_was_measured(language: str) -> None:
    rows = BENCHMARKS.table(BENCHMARKS.anchors.index("calls"))
    [row] = [row for row in rows if row[:2] == (f"TLS, {ROUND_TRIP} ms", "1")]
    measured = [ROUND_TRIP, row[2].split()[0], row[6], row[7]]
    page = read(READMES[language])
    [told] = [text for number, text in page.prose if number == section("speed")]
    assert re.findall(r"\d+(?:[.,]\d+)?", told.replace(",", ".")) == measured
