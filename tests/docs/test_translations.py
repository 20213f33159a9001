"""README says the same in all its languages: sections, tables, code, links and pictures."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import READMES, Page, read, spans

ENGLISH = read(READMES["en_US"])


@pytest.fixture(params=[language for language in READMES if language != "en_US"])
def page(request: pytest.FixtureRequest) -> Page:
    return read(READMES[request.param])


def targets(page: Page) -> list[str]:
    """Where the links of a page lead, whatever its folder and language."""
    anchors = [f"#{heading.anchor}" for heading in page.headings]
    found = [
        f"section {anchors.index(link)}" if link in anchors else _file(page, link)
        for link in page.links
        if not _is_readme(page, link)
    ]
    return sorted(found)


def _file(page: Page, link: str) -> str:
    return link if ":" in link else str((page.path.parent / link).resolve())


def _is_readme(page: Page, link: str) -> bool:
    return Path(_file(page, link)) in READMES.values()


def test_it_has_the_same_sections(page: Page) -> None:
    assert [heading.level for heading in page.headings] == [heading.level for heading in ENGLISH.headings]


def test_its_headings_are_translated(page: Page) -> None:
    alike = {heading.text for heading in page.headings} & {heading.text for heading in ENGLISH.headings}
    assert alike <= {"MemOS for Dify", "Chatflow"}


def test_its_tables_have_the_same_rows(page: Page) -> None:
    assert [(table.section, list(map(len, table.rows))) for table in page.tables] == [
        (table.section, list(map(len, table.rows))) for table in ENGLISH.tables
    ]


def test_its_tables_name_the_same_things(page: Page) -> None:
    for ours, theirs in zip(page.tables, ENGLISH.tables, strict=True):
        for our_row, their_row in zip(ours.rows, theirs.rows, strict=True):
            assert [spans(cell) for cell in our_row] == [spans(cell) for cell in their_row]


def test_it_names_the_same_things(page: Page) -> None:
    assert sorted(page.names) == sorted(ENGLISH.names)


def test_its_code_is_the_same_but_for_comments(page: Page) -> None:
    def commands(page: Page) -> list[str]:
        return [re.sub(r" *# .*", "", code) for code in page.code]

    assert commands(page) == commands(ENGLISH)


def test_its_links_lead_to_the_same_places(page: Page) -> None:
    assert targets(page) == targets(ENGLISH)


def test_each_page_links_to_the_other_languages() -> None:
    for path in READMES.values():
        page = read(path)
        found = {Path(_file(page, link)) for link in page.links if _is_readme(page, link)}
        assert found == set(READMES.values()) - {path}


def test_its_pictures_are_the_same_in_its_language(page: Page) -> None:
    language = page.path.stem.removeprefix("README_")
    assert [picture.replace(f"_{language}.svg", ".svg") for picture in page.pictures] == ENGLISH.pictures
    assert sum(picture.endswith(f"_{language}.svg") for picture in page.pictures) == len(page.pictures) - 1


def test_its_emphasis_is_closed(page: Page) -> None:
    """In Chinese and Japanese, "**" after a mark of punctuation and before a letter is shown as it is."""
    assert [text for _, text in page.prose if "**" in text] == []
    assert "**" not in "".join(cell for table in page.tables for row in table.rows for cell in row)


def test_its_paragraphs_are_not_broken_where_a_break_would_show(page: Page) -> None:
    text = re.sub(r"(?s)```.*?```", "", page.path.read_text())
    assert re.findall(r".*[\u3000-\u9fff\uff00-\uffef]\n *[^\n#|!`*\d\s-].*", text) == []
