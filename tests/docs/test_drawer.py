"""README reads well in the drawer of 545 pixels where Dify shows it."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import READMES, read

LONGEST = 15_000
"""Characters of README in English; the reference has the rest."""


@pytest.fixture(params=READMES.values(), ids=lambda path: path.name)
def path(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_no_line_ends_inside_a_paragraph(path: Path) -> None:
    text = re.sub(r"(?s)```.*?```", "", path.read_text())
    assert re.findall(r"(?m)^(?!#|!|- |\d\. ).+\n(?!\n|- |\d\. ).+", text) == []


def test_there_are_no_tables_and_no_markup(path: Path) -> None:
    assert read(path).tables == []
    assert "<" not in re.sub(r"`[^`]*`", "", path.read_text())


def test_every_link_is_one_that_dify_follows(path: Path) -> None:
    assert [link for link in read(path).links if not link.startswith("https://") or "#" in link] == []


def test_it_is_short() -> None:
    assert len(READMES["en_US"].read_text()) < LONGEST
