"""What the other papers say of this repository is true: commands, files, versions."""

import re
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import FOR_PEOPLE, READMES, REPOSITORY, read, spans
from tests.run import RUNS

MAKEFILE = (REPOSITORY / "Makefile").read_text()
MANIFEST = yaml.safe_load((REPOSITORY / "manifest.yaml").read_text())
CONTRIBUTING = read(REPOSITORY / "CONTRIBUTING.md")
# Made by a command, or by the reader.
MADE = {".venv", ".sandbox/", ".env"}


@pytest.mark.parametrize("path", FOR_PEOPLE, ids=lambda path: path.name)
def test_each_make_target_that_a_page_names_exists(path: Path) -> None:
    named = re.findall(r"(?m)(?:`|^)make ([a-z]+)", path.read_text())
    assert set(named) <= set(re.findall(r"(?m)^([a-z]+):.*##", MAKEFILE))


def test_the_house_is_as_described() -> None:
    described = [span for row in CONTRIBUTING.tables[0].rows[1:] for span in spans(row[0])]
    assert [path for path in described if not (REPOSITORY / path).exists()] == []
    folders = {f"tests/{path.parent.name}" for path in (REPOSITORY / "tests").glob("*/test_*.py")}
    modules = {f"memos_client/{path.name}" for path in (REPOSITORY / "memos_client").glob("[a-z]*.py")}
    assert {f"{folder}/" for folder in folders} | modules <= set(described)
    assert folders == {folder for _, run in RUNS for folder in run}


def test_each_file_and_command_that_contributing_names_exists() -> None:
    text = CONTRIBUTING.path.read_text()
    named = {name for name in CONTRIBUTING.names if re.fullmatch(r"[\w./*-]*/[\w./*-]*", name)}
    named |= {f"{module.replace('.', '/')}.py" for module in re.findall(r"python -m ([\w.]+)", text)}
    assert [name for name in named - MADE if not list(REPOSITORY.glob(name))] == []


def test_the_changelog_begins_with_the_version_of_the_manifest() -> None:
    versions = [heading.text for heading in read(REPOSITORY / "CHANGELOG.md").headings if heading.level == 2]
    assert re.fullmatch(rf"{re.escape(MANIFEST['version'])} - \d{{4}}-\d\d-\d\d", versions[0])
    assert versions[-1] == "0.0.4"


@pytest.mark.parametrize("path", READMES.values(), ids=lambda path: path.name)
def test_support_and_versions_are_those_of_the_manifest(path: Path) -> None:
    text = path.read_text()
    meta = MANIFEST["meta"]
    for fact in (f"{MANIFEST['repo']}/issues", MANIFEST["contact"], meta["minimum_dify_version"]):
        assert fact in text
    for page in (text, CONTRIBUTING.path.read_text()):
        assert f"Python {meta['runner']['version']}" in page
