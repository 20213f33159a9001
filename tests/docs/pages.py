"""What the tests of the documents see of a page: headings, tables, lists, links, pictures, code and prose."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

LANGUAGES = ("en_US", "zh_Hans", "ja_JP", "pt_BR")
REPOSITORY = Path(__file__).resolve().parents[2]
READMES = {
    language: REPOSITORY / ("README.md" if language == "en_US" else f"readme/README_{language}.md")
    for language in LANGUAGES
}
REFERENCES = {
    language: REPOSITORY / f"docs/reference{'' if language == 'en_US' else f'_{language}'}.md"
    for language in LANGUAGES
}
FOR_PEOPLE = [
    *READMES.values(),
    *REFERENCES.values(),
    *(REPOSITORY / name for name in ("PRIVACY.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    REPOSITORY / ".github/pull_request_template.md",
]

type Row = tuple[str, ...]


class Heading(NamedTuple):
    """A heading: its level, 1 to 6, its text, and the anchor that GitHub gives it."""

    level: int
    text: str
    anchor: str


class Table(NamedTuple):
    """A table: its rows of cells as they stand in the source, the first being its head."""

    section: int
    rows: list[Row]


@dataclass(frozen=True)
class Page:
    """A page; sections are counted from 0, in the order of the headings.

    Items of lists stand as in the source, prose without its marks; names are pieces of code.
    """

    path: Path
    headings: list[Heading] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    items: list[tuple[int, str]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    prose: list[tuple[int, str]] = field(default_factory=list)

    @property
    def anchors(self) -> list[str]:
        return [heading.anchor for heading in self.headings]

    def table(self, section: int) -> list[Row]:
        """The rows, without the head, of the only table in a section."""
        [rows] = [table.rows for table in self.tables if table.section == section]
        return rows[1:]

    def items_of(self, section: int) -> list[str]:
        """The items of all lists in a section."""
        return [item for within, item in self.items if within == section]


@cache
def read(path: Path) -> Page:
    """Read a page of GitHub's Markdown."""
    page = Page(path)
    tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8"))
    for index, token in enumerate(tokens):
        current = len(page.headings) - 1
        match token.type:
            case "heading_open":
                text = _plain(tokens[index + 1])
                anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
                page.headings.append(Heading(int(token.tag[1]), text, anchor))
            case "fence":
                page.code.append(token.content)
            case "table_open":
                page.tables.append(Table(current, []))
            case "tr_open":
                page.tables[-1].rows.append(())
            case "inline":
                _read_inline(page, tokens[index - 1].type, token, current)
                if tokens[index - 2].type == "list_item_open":
                    page.items.append((current, token.content))
    return page


def section(anchor: str, pages: Mapping[str, Path] = READMES) -> int:
    """The number of a section of a page in all languages, by its English anchor."""
    return read(pages["en_US"]).anchors.index(anchor)


def spans(text: str) -> list[str]:
    """The pieces of code in a text."""
    return re.findall(r"`([^`]+)`", text)


def _read_inline(page: Page, inside: str, token: Token, current: int) -> None:
    children = token.children or []
    pictures = [str(child.attrs["src"]) for child in children if child.type == "image"]
    page.pictures.extend(pictures)
    page.links.extend(unquote(str(child.attrs["href"])) for child in children if child.type == "link_open")
    page.names.extend(child.content for child in children if child.type == "code_inline")
    if inside in {"td_open", "th_open"}:
        page.tables[-1].rows[-1] += (token.content,)
    elif inside != "heading_open" and not pictures:
        page.prose.append((current, _plain(token)))


def _plain(token: Token) -> str:
    parts = {"text": None, "code_inline": None, "softbreak": " "}
    return "".join(
        parts[child.type] or child.content for child in token.children or [] if child.type in parts
    )
