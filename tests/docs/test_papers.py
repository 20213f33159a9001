"""What the other papers say of this repository is true: commands, files, versions."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import FOR_PEOPLE, READMES, REPOSITORY, read, spans

MAKEFILE = (REPOSITORY / "Makefile").read_text()
MANIFEST = yaml.safe_load((REPOSITORY / "manifest.yaml").read_text())
CONTRIBUTING = read(REPOSITORY / "CONTRIBUTING.md")
# Made by a command, or by the reader.
MADE = {".venv", ".sandbox/", ".env"}


@pytest.mark.parametrize("path", FOR_PEOPLE, ids=lambda path: path.name)
def test_each_make_target_that_a_page_names_exists(path: Path) -> None:
    text = path.read_text()
    named = set(re.findall(r"`make ([a-z]+)", text)) | set(re.findall(r"(?m)^make ([a-z]+)", text))
    assert named <= set(re.findall(r"(?m)^([a-z]+):.*##", MAKEFILE))


def test_the_house_is_as_described() -> None:
    described = [span for row in CONTRIBUTING.tables[0].rows[1:] for span in spans(row[0])]
    assert [path for path in described if not (REPOSITORY / path).exists()] == []
    folders = {f"tests/{path.parent.name}/" for path in (REPOSITORY / "tests").glob("*/test_*.py")}
    modules = {f"memos_client/{path.name}" for path in (REPOSITORY / "memos_client").glob("[a-z]*.py")}
    assert folders | modules <= set(described)


def test_each_file_that_contributing_names_exists() -> None:
    text = CONTRIBUTING.path.read_text()
    files = {
        span
        for span in spans(re.sub(r"(?s)```.*?```", "", text))
        if re.fullmatch(r"[\w./-]+\.\w+|[\w./-]+/", span)
    }
    assert {file for file in files - MADE if not list(REPOSITORY.glob(file)) and "/" in file} == set()


def test_each_command_that_contributing_names_exists() -> None:
    modules = re.findall(r"python -m ([\w.]+)", CONTRIBUTING.path.read_text())
    assert modules
    for module in modules:
        assert (REPOSITORY / module.replace(".", "/")).with_suffix(".py").exists(), module


def test_the_changelog_begins_with_the_version_of_the_manifest() -> None:
    versions = [heading.text for heading in read(REPOSITORY / "CHANGELOG.md").headings if heading.level == 2]
    assert re.fullmatch(rf"{re.escape(MANIFEST['version'])} - \d{{4}}-\d\d-\d\d", versions[0])
    assert versions[-1] == "0.0.4"


def test_the_english_page_has_no_character_of_another_script() -> None:
    text = READMES["en_US"].read_text()
    assert sorted(set(re.findall(r"[^\x00-\x7f]", text))) == ["…"]


def test_no_picture_comes_from_elsewhere() -> None:
    for path in FOR_PEOPLE:
        assert not [picture for picture in read(path).pictures if ":" in picture]
        assert "<img" not in path.read_text()


@pytest.mark.parametrize("path", READMES.values(), ids=lambda path: path.name)
def test_support_is_where_the_manifest_says(path: Path) -> None:
    text = path.read_text()
    assert f"{MANIFEST['repo']}/issues" in text
    assert MANIFEST["contact"] in text
    oldest = ".".join(MANIFEST["meta"]["minimum_dify_version"].split("."))
    assert oldest in text


def test_a_commit_runs_the_linters_of_make_test() -> None:
    config = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())
    [hook] = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert hook["entry"] == "make lint"
    assert re.search(r"(?m)^test: lint\b", MAKEFILE)


def test_the_forms_for_issues_are_complete() -> None:
    for path in (REPOSITORY / ".github/ISSUE_TEMPLATE").glob("*_*.yml"):
        form = yaml.safe_load(path.read_text())
        assert form["name"]
        assert form["description"]
        identifiers = [part["id"] for part in form["body"] if part["type"] != "markdown"]
        assert len(identifiers) == len(set(identifiers))
        assert all(part["attributes"]["label"] for part in form["body"] if part["type"] != "markdown")


def test_the_python_version_is_the_same_everywhere() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    version = MANIFEST["meta"]["runner"]["version"]
    assert settings["tool"]["mypy"]["python_version"] == version
    for path in (*READMES.values(), CONTRIBUTING.path):
        assert f"Python {version}" in path.read_text()
