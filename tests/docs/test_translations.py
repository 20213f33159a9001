"""README and the reference say the same in all languages: sections, tables, lists, code and links."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.docs.pages import READMES, REFERENCES, REPOSITORY, Page, read, spans

ON_GITHUB = "https://github.com/whipser030/dify-plugin-memos/blob/main/"


class Translation(NamedTuple):
    """A page, the same in English, and the language that it is translated into."""

    page: Page
    english: Page
    language: str


CASES = [(pages, language) for pages in (READMES, REFERENCES) for language in pages if language != "en_US"]


@pytest.fixture(params=CASES, ids=[pages[language].stem for pages, language in CASES])
def case(request: pytest.FixtureRequest) -> Translation:
    pages, language = request.param
    return Translation(read(pages[language]), read(pages["en_US"]), language)


def file(page: Page, link: str) -> Path | None:
    """The file of this repository that a link leads to."""
    if link.startswith(ON_GITHUB):
        return REPOSITORY / link.removeprefix(ON_GITHUB)
    return None if ":" in link else (page.path.parent / link).resolve()


def targets(page: Page, language: str) -> list[str]:
    """Where the links of a page lead, without those to the same page in other languages."""
    others = {*READMES.values()} if page.path in READMES.values() else {*REFERENCES.values()}
    english = {pages[language]: pages["en_US"] for pages in (READMES, REFERENCES)}
    files = {link: file(page, link) for link in page.links}
    return sorted(
        str(english.get(path, path) if path else link) for link, path in files.items() if path not in others
    )


def test_it_has_the_same_sections(case: Translation) -> None:
    assert [one.level for one in case.page.headings] == [one.level for one in case.english.headings]


def test_its_headings_are_translated(case: Translation) -> None:
    alike = {one.text for one in case.page.headings} & {one.text for one in case.english.headings}
    assert alike <= {"MemOS for Dify", "Chatflow"}


def test_its_tables_have_the_same_rows_and_name_the_same_things(case: Translation) -> None:
    def names(page: Page) -> list[list[list[list[str]]]]:
        return [[[sorted(spans(cell)) for cell in row] for row in table.rows] for table in page.tables]

    assert names(case.page) == names(case.english)
    assert [table.section for table in case.page.tables] == [table.section for table in case.english.tables]


def test_its_lists_have_the_same_items_and_name_the_same_things(case: Translation) -> None:
    def names(page: Page) -> list[tuple[int, list[str]]]:
        return [(section, sorted(spans(item))) for section, item in page.items]

    assert names(case.page) == names(case.english)
    assert sorted(case.page.names) == sorted(case.english.names)


def test_its_paragraphs_are_as_many(case: Translation) -> None:
    assert [section for section, _ in case.page.prose] == [section for section, _ in case.english.prose]


def test_its_code_is_the_same(case: Translation) -> None:
    assert case.page.code == case.english.code


def test_its_links_lead_to_the_same_places(case: Translation) -> None:
    assert targets(case.page, case.language) == targets(case.english, "en_US")


@pytest.mark.parametrize("pages", [READMES, REFERENCES], ids=["README", "reference"])
def test_each_page_links_to_the_other_languages(pages: Mapping[str, Path]) -> None:
    for path in pages.values():
        found = {file(read(path), link) for link in read(path).links}
        assert found & set(pages.values()) == set(pages.values()) - {path}


def test_its_pictures_are_the_same_in_its_language_where_there_are_such(case: Translation) -> None:
    ending = f"_{case.language}.png"
    translated = {f"./_assets/{path.name}" for path in (REPOSITORY / "_assets").glob(f"*{ending}")}
    assert [picture.replace(ending, ".png") for picture in case.page.pictures] == case.english.pictures
    assert not case.page.pictures or translated <= set(case.page.pictures)


def test_its_emphasis_is_closed(case: Translation) -> None:
    """In Chinese and Japanese, "**" after a mark of punctuation and before a letter is shown as it is."""
    shown = [text for _, text in case.page.prose]
    cells = [cell for table in case.page.tables for row in table.rows for cell in row]
    assert [text for text in (*shown, *cells) if "**" in text] == []
