"""What the tests of the documents see of a page: headings, tables, links, pictures, code and prose."""

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from docs.pictures import LANGUAGES

REPOSITORY = Path(__file__).resolve().parents[2]
READMES = {
    language: REPOSITORY / ("README.md" if language == "en_US" else f"readme/README_{language}.md")
    for language in LANGUAGES
}
FOR_PEOPLE = [
    *READMES.values(),
    *(REPOSITORY / name for name in ("PRIVACY.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    REPOSITORY / ".github/pull_request_template.md",
]

type Row = tuple[str, ...]


@dataclass(frozen=True)
class Heading:
    """A heading: its level, 1 to 6, its text, and the anchor that GitHub gives it."""

    level: int
    text: str
    anchor: str


@dataclass(frozen=True)
class Table:
    """A table: its rows of cells as they stand in the source, the first being its head."""

    section: int
    rows: list[Row]


@dataclass(frozen=True)
class Page:
    """A page; sections are counted from 0, in the order of the headings. Its names are its pieces of code."""

    path: Path
    headings: list[Heading] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    prose: list[tuple[int, str]] = field(default_factory=list)

    def table(self, section: int) -> list[Row]:
        """The rows, without the head, of the only table in a section."""
        [table] = [table for table in self.tables if table.section == section]
        return table.rows[1:]


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
                page.headings.append(Heading(int(token.tag[1]), text, _anchor(text)))
            case "fence":
                page.code.append(token.content)
            case "table_open":
                page.tables.append(Table(current, []))
            case "tr_open":
                page.tables[-1].rows.append(())
            case "inline":
                _read_inline(page, tokens[index - 1].type, token, current)
    return page


def section(anchor: str) -> int:
    """The number of a section of README, in all languages, by its English anchor."""
    return [heading.anchor for heading in read(READMES["en_US"]).headings].index(anchor)


def _read_inline(page: Page, inside: str, token: Token, current: int) -> None:
    children = token.children or []
    page.links.extend(unquote(str(child.attrs["href"])) for child in children if child.type == "link_open")
    page.names.extend(child.content for child in children if child.type == "code_inline")
    page.pictures.extend(str(child.attrs["src"]) for child in children if child.type == "image")
    if inside in {"td_open", "th_open"}:
        page.tables[-1].rows[-1] += (token.content,)
    elif inside != "heading_open" and not any(child.type == "image" for child in children):
        page.prose.append((current, _plain(token)))


def _plain(token: Token) -> str:
    parts = {"text": None, "code_inline": None, "softbreak": " "}
    return "".join(
        parts[child.type] or child.content for child in token.children or [] if child.type in parts
    )


def _anchor(text: str) -> str:
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def spans(text: str) -> list[str]:
    """The pieces of code in a text."""
    return re.findall(r"`([^`]+)`", text)
