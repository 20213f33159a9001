"""The pictures are those that `python -m docs.pictures` draws from the files that Dify reads."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from docs.pictures import draw
from tests.docs.pages import REPOSITORY

DRAWN = draw()
WIDEST = 375
LARGEST = 10_000


@pytest.mark.parametrize("path", DRAWN, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_picture_is_up_to_date_small_and_as_wide_as_a_phone(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == DRAWN[path], "run: .venv/bin/python -m docs.pictures"
    root = ET.fromstring(DRAWN[path])  # noqa: S314 - drawn just now
    assert float(root.attrib["width"]) <= WIDEST
    assert root.attrib["viewBox"] == f"0 0 {root.attrib['width']} {root.attrib['height']}"
    assert root[0].text, "a title, for screen readers"
    assert len(DRAWN[path].encode()) < LARGEST


def test_there_is_no_other_picture() -> None:
    icons = {REPOSITORY / "_assets/icon.svg", REPOSITORY / "_assets/icon-dark.svg"}
    folders = (REPOSITORY / "_assets", REPOSITORY / "readme/_assets")
    assert {path for folder in folders for path in folder.glob("*.svg")} == DRAWN.keys() | icons


def test_the_workflow_shows_every_node_of_the_example_app() -> None:
    app = yaml.safe_load((REPOSITORY / "_assets/memory_assistant.yml").read_text())
    nodes = [node for node in app["workflow"]["graph"]["nodes"] if node["type"] == "custom"]
    titles = [node["data"]["title"] for node in sorted(nodes, key=lambda node: node["position"]["x"])]
    root = ET.fromstring(DRAWN[REPOSITORY / "_assets/memos_workflow.svg"])  # noqa: S314 - drawn just now
    shown = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert [text for text in shown if text in titles] == titles
    assert "Search Memory / memory_context" in shown
