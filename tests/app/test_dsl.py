"""What the apps name exists, be it tool, parameter, variable, node or plugin; the example apps are tidy."""

import itertools
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.plugin_process import REPOSITORY
from tests.app.apps import ALL, ASSISTANT, SHIPPED, WORKFLOW, nodes

MANIFEST = yaml.safe_load((REPOSITORY / "manifest.yaml").read_text())
TOOLS = {
    tool["identity"]["name"]: tool
    for tool in (yaml.safe_load(path.read_text()) for path in (REPOSITORY / "tools").glob("*.yaml"))
}
PROVIDER = "memtensor/memos/memos"

REFERENCE = re.compile(r"\{\{#([^#]+)#\}\}")
IDENTIFIER = re.compile(
    r"^(?:([a-z0-9_-]{1,64})\/)?([a-z0-9_-]{1,255}):([0-9]{1,4})(\.[0-9]{1,4}){1,3}(-\w{1,16})?@[a-f0-9]{32,64}$"
)
"""Of a plugin in the Marketplace (langgenius/dify-plugin-daemon, `plugin_entities/identity.go`)."""
SYSTEM_VARIABLES = {
    "advanced-chat": {"query", "user_id", "conversation_id", "dialogue_count", "files", "app_id"},
    "workflow": {"user_id", "files", "app_id", "workflow_id", "workflow_run_id"},
}
DEFAULT_TYPES = {
    "string": "string",
    "integer": "number",
    # Dify's defaults know no boolean; a number's false stays what it is.
    "boolean": "number",
    "array": "array[object]",
}
"""JSON Schema's types, as the default values of a failed node call them."""

apps = pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
shipped = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)


@cache
def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def tool_nodes(path: Path) -> list[dict[str, Any]]:
    return [node for node in nodes(path.read_text()).values() if node["type"] == "tool"]


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for content in value.values() if isinstance(value, dict) else value:
            yield from strings(content)


def selectors(value: Any) -> Iterator[list[str]]:
    """All variables that the data of a node names: in texts, as selectors, and in fields of a tool."""
    for text in strings(value):
        yield from (reference.split(".") for reference in REFERENCE.findall(text))
    if isinstance(value, dict):
        for name, content in value.items():
            if name in {"value_selector", "variable_selector"} and content:
                yield content
            elif name == "variables" and content and isinstance(content[0], list):
                yield from content
            elif name == "value" and value.get("type") == "variable":
                yield content
            else:
                yield from selectors(content) if isinstance(content, dict | list) else ()
    elif isinstance(value, list):
        for content in value:
            yield from selectors(content) if isinstance(content, dict | list) else ()


def outputs(node: dict[str, Any]) -> set[str]:
    """What a node yields."""
    failure = {"error_message", "error_type"} if node.get("error_strategy") else set()
    match node["type"]:
        case "start":
            return {variable["variable"] for variable in node["variables"]}
        case "tool":
            declared = TOOLS[node["tool_name"]]["output_schema"]["properties"]
            return {"text", "json", "files", *declared} | failure
        case "llm":
            return {"text"} | failure
        case "code":
            return set(node["outputs"]) | failure
        case "variable-aggregator":
            return {"output"}
        case _:
            return set()


def before(path: Path, node_id: str) -> set[str]:
    """The nodes from which a way leads to this one."""
    edges = read(path)["workflow"]["graph"]["edges"]
    found: set[str] = set()
    waiting = [node_id]
    while waiting:
        target = waiting.pop()
        sources = {edge["source"] for edge in edges if edge["target"] == target} - found
        found |= sources
        waiting += sources
    return found


@apps
def test_every_tool_and_parameter_exists(path: Path) -> None:
    for node in tool_nodes(path):
        assert (node["provider_id"], node["provider_type"]) == (PROVIDER, "builtin")
        declared = {parameter["name"]: parameter for parameter in TOOLS[node["tool_name"]]["parameters"]}
        given = node["tool_parameters"].keys() | node["tool_configurations"].keys()
        assert given <= declared.keys()
        needed = {name for name, parameter in declared.items() if parameter.get("required")}
        assert needed <= given


@apps
def test_every_variable_exists_and_is_set_before(path: Path) -> None:
    app = read(path)
    all_nodes = nodes(path.read_text())
    seen = 0
    for node_id, node in all_nodes.items():
        for source, name, *_ in selectors(node):
            seen += 1
            if source == "sys":
                assert name in SYSTEM_VARIABLES[app["app"]["mode"]]
            else:
                assert name in outputs(all_nodes[source]), f"{node['title']}: {source}.{name}"
                assert source in before(path, node_id), f"{node['title']}: {source}.{name}"
    assert seen >= 6


@apps
def test_every_edge_joins_two_nodes_and_every_node_is_reached(path: Path) -> None:
    graph = read(path)["workflow"]["graph"]
    all_nodes = nodes(path.read_text())
    ids = [node["id"] for node in graph["nodes"]]
    assert len(set(ids)) == len(ids)
    edge_ids = [edge["id"] for edge in graph["edges"]]
    assert len(set(edge_ids)) == len(edge_ids)
    for edge in graph["edges"]:
        source = all_nodes[edge["source"]]
        handles = {"source"} | ({"fail-branch"} if source.get("error_strategy") == "fail-branch" else set())
        if source["type"] == "if-else":
            handles = {case["case_id"] for case in source["cases"]} | {"false"}
        assert edge["sourceHandle"] in handles
    targets = {edge["target"] for edge in graph["edges"]}
    assert all_nodes.keys() - targets == {
        node_id for node_id, node in all_nodes.items() if node["type"] == "start"
    }


@apps
def test_every_plugin_that_an_app_uses_is_a_dependency(path: Path) -> None:
    app = read(path)
    identifiers = [
        dependency["value"]["marketplace_plugin_unique_identifier"] for dependency in app["dependencies"]
    ]
    assert all(IDENTIFIER.fullmatch(identifier) for identifier in identifiers)
    providers = {node["provider_id"] for node in tool_nodes(path)}
    providers |= {
        node["model"]["provider"] for node in nodes(path.read_text()).values() if node["type"] == "llm"
    }
    assert {identifier.partition(":")[0] for identifier in identifiers} == {
        provider.rpartition("/")[0] for provider in providers
    }


@shipped
def test_the_app_needs_this_version_of_the_plugin(path: Path) -> None:
    identifier, _ = (
        dependency["value"]["marketplace_plugin_unique_identifier"]
        for dependency in read(path)["dependencies"]
    )
    assert identifier == f"{MANIFEST['author']}/{MANIFEST['name']}:{MANIFEST['version']}@{'0' * 64}"


@shipped
def test_the_app_is_one_that_every_supported_dify_imports(path: Path) -> None:
    app = read(path)
    assert (app["kind"], app["version"]) == ("app", "0.6.0")
    assert app["app"]["mode"] == {ASSISTANT: "advanced-chat", WORKFLOW: "workflow"}[path]
    types = {node["type"] for node in nodes(path.read_text()).values()}
    assert types <= {"start", "tool", "llm", "answer", "if-else", "variable-aggregator", "end"}
    # What belongs to the workspace of whoever exported an app is not in it.
    assert "credential_id" not in path.read_text()


@shipped
def test_the_fields_of_the_nodes_are_those_of_the_forms(path: Path) -> None:
    for node in tool_nodes(path):
        tool = TOOLS[node["tool_name"]]
        forms = {parameter["name"]: parameter for parameter in tool["parameters"]}
        assert node["tool_node_version"] == "2"
        assert node["title"] == node["tool_label"] == tool["identity"]["label"]["en_US"]
        assert node["tool_description"] == tool["description"]["human"]["en_US"]
        assert node["output_schema"] == tool["output_schema"]
        assert {forms[name]["form"] for name in node["tool_parameters"]} == {"llm"}
        # Each default stands in the node, as Dify writes it; what has none was left alone.
        defaults = {name: form["default"] for name, form in forms.items() if "default" in form}
        assert {
            name: field["value"] for name, field in node["tool_configurations"].items() if name != "user_id"
        } == defaults
        assert node["tool_configurations"]["user_id"] == {"type": "mixed", "value": ""}
        assert node["retry_config"]["retry_enabled"] is False


def test_a_failed_search_gives_the_assistant_a_default_for_every_variable() -> None:
    [search] = [node for node in tool_nodes(ASSISTANT) if node["tool_name"] == "search_memory"]
    declared = TOOLS["search_memory"]["output_schema"]["properties"]

    assert search["error_strategy"] == "default-value"
    assert {value["key"]: value["type"] for value in search["default_value"]} == {
        "text": "string",
        "json": "array[object]",
    } | {name: DEFAULT_TYPES[content["type"]] for name, content in declared.items()}


@shipped
def test_nothing_follows_a_failed_add_that_would_hide_it(path: Path) -> None:
    [add] = [node for node in tool_nodes(path) if node["tool_name"] == "add_memory"]
    assert add["error_strategy"] == "fail-branch"


def test_the_assistant_adds_after_it_has_answered() -> None:
    ways = {node["type"]: node_id for node_id, node in nodes(ASSISTANT.read_text()).items()}
    [add] = [i for i, node in nodes(ASSISTANT.read_text()).items() if node.get("tool_name") == "add_memory"]
    assert ways["answer"] in before(ASSISTANT, add)


@shipped
def test_prompts_say_how_to_treat_memories_and_end_with_them(path: Path) -> None:
    prompts = [
        node["prompt_template"][0]["text"]
        for node in nodes(path.read_text()).values()
        if node["type"] == "llm" and "memory_context" in str(node)
    ]
    assert len(prompts) == 1
    assert "<memories>" in prompts[0]
    assert prompts[0].endswith(".memory_context#}}")


@shipped
def test_notes_can_be_read(path: Path) -> None:
    notes = [node for node in read(path)["workflow"]["graph"]["nodes"] if node["type"] == "custom-note"]
    assert len(notes) == 4
    for note in notes:
        paragraphs = json.loads(note["data"]["text"])["root"]["children"]
        words = ["".join(part["text"] for part in paragraph["children"]) for paragraph in paragraphs]
        assert len(words) >= 2
        assert all(words)


@shipped
def test_nothing_lies_on_top_of_another(path: Path) -> None:
    graph = read(path)["workflow"]["graph"]
    assert all(node["position"] == node["positionAbsolute"] for node in graph["nodes"])
    boxes = [
        (node["position"]["x"], node["position"]["y"], node["width"], node["height"])
        for node in graph["nodes"]
    ]
    for (x1, y1, width1, height1), (x2, y2, width2, height2) in itertools.combinations(boxes, 2):
        apart = x1 + width1 <= x2 or x2 + width2 <= x1 or y1 + height1 <= y2 or y2 + height2 <= y1
        assert apart, ((x1, y1), (x2, y2))
    # What follows stands to the right.
    left = {node["id"]: node["position"]["x"] for node in graph["nodes"]}
    assert all(left[edge["source"]] < left[edge["target"]] for edge in graph["edges"])
