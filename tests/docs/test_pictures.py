"""The pictures are those that `python -m docs.pictures` draws from the files that Dify reads."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from docs.pictures import LANGUAGES, draw
from tests.docs.pages import REPOSITORY

DRAWN = draw()
WIDEST = 375
LARGEST = 10_000


@pytest.fixture(params=DRAWN, ids=lambda path: str(path.relative_to(REPOSITORY)))
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_a_picture_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == DRAWN[path], "run: .venv/bin/python -m docs.pictures"


def test_there_is_no_other_picture() -> None:
    icons = {REPOSITORY / "_assets/icon.svg", REPOSITORY / "_assets/icon-dark.svg"}
    folders = (REPOSITORY / "_assets", REPOSITORY / "readme/_assets")
    assert {path for folder in folders for path in folder.glob("*.svg")} == DRAWN.keys() | icons


def test_a_picture_is_small_and_as_wide_as_a_phone(path: Path) -> None:
    root = ET.fromstring(DRAWN[path])  # noqa: S314 - drawn just now
    assert float(root.attrib["width"]) <= WIDEST
    assert root.attrib["viewBox"] == f"0 0 {root.attrib['width']} {root.attrib['height']}"
    assert len(DRAWN[path].encode()) < LARGEST


def test_a_picture_brings_its_own_ground(path: Path) -> None:
    root = ET.fromstring(DRAWN[path])  # noqa: S314 - drawn just now
    title, card = list(root)[:2]
    assert title.text
    assert card.attrib["fill"].startswith("#")
    assert float(card.attrib["height"]) == pytest.approx(float(root.attrib["height"]) - 1)


def texts(name: str) -> list[str | None]:
    root = ET.fromstring(DRAWN[REPOSITORY / "_assets" / name])  # noqa: S314 - drawn just now
    return [element.text for element in root.iter() if element.tag.endswith("text")]


def test_the_workflow_shows_every_node_of_the_example_app() -> None:
    app = yaml.safe_load((REPOSITORY / "_assets/memory_assistant.yml").read_text())
    nodes = [node for node in app["workflow"]["graph"]["nodes"] if node["type"] == "custom"]
    from_left_to_right = sorted(nodes, key=lambda node: node["position"]["x"])
    shown = texts("memos_workflow.svg")
    titles = [node["data"]["title"] for node in from_left_to_right]
    assert [text for text in shown if text in titles] == titles
    assert "Search Memory / memory_context" in shown


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("tool", ["search_memory", "add_memory"])
def test_a_panel_shows_every_field_in_its_language(tool: str, language: str) -> None:
    declared = yaml.safe_load((REPOSITORY / f"tools/{tool}.yaml").read_text())
    shown = texts(f"{tool}.svg" if language == "en_US" else f"{tool}_{language}.svg")
    labels = [field["label"][language] for field in declared["parameters"]]
    assert [text.removesuffix(" *") for text in shown if text and text.removesuffix(" *") in labels] == labels
    assert set(declared["output_schema"]["properties"]) <= set(shown)
