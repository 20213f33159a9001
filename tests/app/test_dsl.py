"""What the apps name exists: tools, parameters and variables; the example apps import without a question."""

import itertools
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.app.apps import (
    ASSISTANT,
    CHINESE_ASSISTANT,
    MANAGER,
    OF_0_0_4,
    SHIPPED,
    TOOLS,
    WORKFLOW,
    settings,
)

REFERENCE = re.compile(r"\{\{#([^#]+)#\}\}")
SYSTEM_VARIABLES = {
    "advanced-chat": {"query", "user_id", "conversation_id", "dialogue_count", "files", "app_id"},
    "workflow": {"user_id", "files", "app_id", "workflow_id", "workflow_run_id"},
}
CONTINUE = {"type": "constant", "value": "continue"}
MOST_ROWS = 8
"""On the card of a node whose panel was opened: beyond that, cards become towers."""

apps = pytest.mark.parametrize("path", [*SHIPPED, OF_0_0_4], ids=lambda path: path.stem)
shipped = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
remembering = pytest.mark.parametrize(
    "path", [path for path in SHIPPED if path != MANAGER], ids=lambda path: path.stem
)


@cache
def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def graph(path: Path, part: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read(path)["workflow"]["graph"][part]
    return found


def nodes(path: Path, kind: str = "") -> dict[str, dict[str, Any]]:
    """The data of an app's nodes (of one kind), by their id; without notes."""
    shown = {node["id"]: node["data"] for node in graph(path, "nodes") if node["type"] == "custom"}
    return {node_id: node for node_id, node in shown.items() if kind in {"", node["type"]}}


def references(value: Any) -> Iterator[list[str]]:
    """All variables that the data of a node names: in texts, and as lists of a node's id and a name."""
    match value:
        case str():
            yield from (reference.split(".") for reference in REFERENCE.findall(value))
        case [str(source), str(), *_] if source in {"sys", "conversation"} or source.isdecimal():
            yield value
        case dict() | list():
            for content in value.values() if isinstance(value, dict) else value:
                yield from references(content)


def outputs(node: dict[str, Any]) -> set[str]:
    """What a node yields."""
    failure = {"error_message", "error_type"} if node.get("error_strategy") else set()
    match node["type"]:
        case "start":
            return {variable["variable"] for variable in node["variables"]}
        case "tool":
            declared = TOOLS[node["tool_name"]]["output_schema"]["properties"]
            return {"text", "json", "files", *declared} | failure
        case "code":
            return set(node["outputs"]) | failure
        case kind:
            return {"llm": {"text"} | failure, "variable-aggregator": {"output"}}.get(kind, set())


def before(path: Path, node_id: str) -> set[str]:
    """The nodes from which a way leads to this one."""
    sources = {edge["source"] for edge in graph(path, "edges") if edge["target"] == node_id}
    return sources.union(*(before(path, source) for source in sources))


@apps
def test_every_tool_and_parameter_is_declared_and_the_required_ones_are_given(path: Path) -> None:
    for node in nodes(path, "tool").values():
        assert (node["provider_id"], node["provider_type"]) == ("memtensor/memos/memos", "builtin")
        declared = {parameter["name"]: parameter for parameter in TOOLS[node["tool_name"]]["parameters"]}
        given = node["tool_parameters"].keys() | node["tool_configurations"].keys()
        needed = {name for name, parameter in declared.items() if parameter.get("required")}
        assert needed <= given <= declared.keys()


@apps
def test_every_variable_is_declared_and_set_before(path: Path) -> None:
    all_nodes = nodes(path)
    named = [(node_id, *found[:2]) for node_id, node in all_nodes.items() for found in references(node)]
    assert len(named) >= 6
    for node_id, source, name in named:
        if source == "sys":
            assert name in SYSTEM_VARIABLES[read(path)["app"]["mode"]]
        elif source == "conversation":
            kept = read(path)["workflow"]["conversation_variables"]
            assert name in {variable["name"] for variable in kept}
        else:
            assert name in outputs(all_nodes[source]), f"{source}.{name}"
            assert source in before(path, node_id), f"{source}.{name}"


@shipped
def test_the_app_imports_without_a_dialog_and_names_nothing_of_a_workspace(path: Path) -> None:
    app = read(path)
    assert (app["kind"], app["version"], app["dependencies"]) == ("app", "0.6.0", [])
    assert app["app"]["mode"] == ("workflow" if path == WORKFLOW else "advanced-chat")
    assert "credential_id" not in path.read_text()
    for model in nodes(path, "llm").values():
        # Empty, so that Dify's checklist asks for a model, instead of a run that fails for another one.
        assert (model["model"]["provider"], model["model"]["name"]) == ("", "")
        assert model["reasoning_format"] == "separated"


@shipped
def test_the_nodes_of_the_tools_are_small_and_go_on_without_memos(path: Path) -> None:
    language = "zh_Hans" if path == CHINESE_ASSISTANT else "en_US"
    for node in nodes(path, "tool").values():
        assert node["tool_node_version"] == "2"
        assert node["title"] == node["tool_label"] == TOOLS[node["tool_name"]]["identity"]["label"][language]
        assert {field["type"] for field in node["tool_parameters"].values()} <= {"mixed"}
        assert node["retry_config"]["retry_enabled"] is False
        limit = {"limit": {"type": "constant", "value": 50}} if node["tool_name"] == "list_memories" else {}
        if node["tool_name"] == "delete_memories":  # which never goes on by itself
            assert (node["tool_configurations"], node["error_strategy"]) == ({}, "fail-branch")
        else:
            assert node["tool_configurations"] == limit | {"on_error": CONTINUE}
            assert "error_strategy" not in node


@pytest.mark.parametrize("tool", TOOLS)
def test_a_node_whose_panel_was_opened_is_no_tower(tool: str) -> None:
    assert 1 <= len(settings(tool)) <= MOST_ROWS


@remembering
def test_the_prompt_says_how_to_treat_memories_and_ends_with_them(path: Path) -> None:
    [prompt] = [
        node["prompt_template"][0]["text"]
        for node in nodes(path, "llm").values()
        if "memory_context" in str(node)
    ]
    assert "<memories>" in prompt
    assert prompt.endswith(".memory_context#}}")


@pytest.mark.parametrize("path", [ASSISTANT, CHINESE_ASSISTANT], ids=lambda path: path.stem)
def test_the_assistant_adds_after_it_has_answered(path: Path) -> None:
    [add] = [i for i, node in nodes(path, "tool").items() if node["tool_name"] == "add_memory"]
    assert nodes(path, "answer").keys() <= before(path, add)


def test_the_chinese_assistant_differs_in_its_words_only() -> None:
    def without_words(value: Any) -> Any:
        match value:
            case dict():
                return {name: without_words(content) for name, content in value.items()}
            case list():
                return [without_words(content) for content in value]
            case str():
                return REFERENCE.findall(value) if re.search(r"[A-Z一-鿿]", value) else value
        return value

    chinese, english = read(CHINESE_ASSISTANT), read(ASSISTANT)
    assert without_words(chinese) == without_words(english)
    assert not re.search(r"[A-Za-z]{3,} [a-z]{3,}", CHINESE_ASSISTANT.read_text().replace("\\n", " "))


@shipped
def test_notes_can_be_read(path: Path) -> None:
    notes = [node["data"] for node in graph(path, "nodes") if node["type"] == "custom-note"]
    assert len(notes) == 4
    for note in notes:
        paragraphs = json.loads(note["text"])["root"]["children"]
        words = ["".join(part["text"] for part in paragraph["children"]) for paragraph in paragraphs]
        assert len(words) >= 2
        assert all(words)


@shipped
def test_nothing_lies_on_top_of_another_and_what_follows_stands_to_the_right(path: Path) -> None:
    boxes = [
        (node["position"]["x"], node["position"]["y"], node["width"], node["height"])
        for node in graph(path, "nodes")
    ]
    for (x1, y1, width1, height1), (x2, y2, width2, height2) in itertools.combinations(boxes, 2):
        apart = x1 + width1 <= x2 or x2 + width2 <= x1 or y1 + height1 <= y2 or y2 + height2 <= y1
        assert apart, ((x1, y1), (x2, y2))
    left = {node["id"]: node["position"]["x"] for node in graph(path, "nodes")}
    assert all(left[edge["source"]] < left[edge["target"]] for edge in graph(path, "edges"))
