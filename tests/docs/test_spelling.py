"""The English texts hold no misspelling that codespell knows."""

import subprocess
import sys
from pathlib import Path

from tests.docs.pages import FOR_PEOPLE, READMES, REFERENCES, REPOSITORY

TRANSLATED = r"^\s*(zh_Hans|ja_JP|pt_BR): .*"


def misspelt(*paths: Path) -> str:
    command = [sys.executable, "-m", "codespell_lib", "--ignore-regex", TRANSLATED, *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - fixed


def test_pages_code_and_the_texts_of_the_nodes_are_spelt_right() -> None:
    translated = {
        pages[language] for pages in (READMES, REFERENCES) for language in pages if language != "en_US"
    }
    pages = [path for path in FOR_PEOPLE if path not in translated]
    code = [REPOSITORY / folder for folder in ("memos_client", "provider", "tools", "sandbox")]
    assert misspelt(*pages, *code, REPOSITORY / "manifest.yaml") == ""


def test_a_misspelling_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.yaml"
    page.write_text("en_US: This is teh text.\npt_BR: This is teh text.\n")
    assert misspelt(page).count("teh ==> the") == 1
