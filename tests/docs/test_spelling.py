"""The English texts hold no misspelling that codespell knows."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.docs.pages import FOR_PEOPLE, READMES, REPOSITORY

PAGES = [path for path in FOR_PEOPLE if path == READMES["en_US"] or path not in READMES.values()]
CODE = [
    path
    for folder in ("memos_client", "provider", "tools", "sandbox", "docs")
    for path in (REPOSITORY / folder).rglob("*.py")
]
DECLARATIONS = ("manifest.yaml", "provider/memos.yaml", "tools/add_memory.yaml", "tools/search_memory.yaml")


def english(value: Any) -> Iterator[str]:
    """Every text that is English or for a model."""
    if isinstance(value, dict):
        for name, content in value.items():
            if name not in {"zh_Hans", "ja_JP", "pt_BR"}:
                yield from english(content)
    elif isinstance(value, list):
        for content in value:
            yield from english(content)
    elif isinstance(value, str):
        yield value


NOT_ENGLISH = "copie"
"""Words of the pictures in Portuguese."""


def misspelt(*paths: Path) -> str:
    command = [sys.executable, "-m", "codespell_lib", "--ignore-words-list", NOT_ENGLISH, *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - fixed


def test_pages_and_code_are_spelt_right() -> None:
    assert misspelt(*PAGES, *CODE) == ""


def test_the_texts_of_the_nodes_are_spelt_right(tmp_path: Path) -> None:
    for name in DECLARATIONS:
        texts = english(yaml.safe_load((REPOSITORY / name).read_text()))
        (tmp_path / name.replace("/", "-")).write_text("\n".join(texts))
    assert misspelt(tmp_path) == ""


def test_a_misspelling_is_found(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("This is teh page.")
    assert "teh ==> the" in misspelt(tmp_path)
