"""What models are sent of the agents' tools, and what they read back, word for word."""

import json

import pytest

from sandbox.plugin_process import PluginProcess
from tests.agents.dify_agents import FOR_AGENTS, LANGUAGES, TOOLS
from tests.agents.snapshots import READ, SENT, read_by_models, sent_to_models
from tests.runtime.memos import KEY, Memos

LONGEST_DESCRIPTION = 1000
"""Above 1,024 characters, OpenAI refuses the whole request."""

all_tools = pytest.mark.parametrize("tool", FOR_AGENTS)


def test_models_are_sent_what_sent_json_says() -> None:
    """Where a change is meant, renew the file: `.venv/bin/python -m tests.agents.snapshots`."""
    assert sent_to_models() == json.loads(SENT.read_text())


def test_models_read_what_read_json_says_in_every_agent(plugin: PluginProcess, server: Memos) -> None:
    """Where a change is meant, renew the file: `.venv/bin/python -m tests.agents.snapshots`."""
    expected = json.loads(READ.read_text())
    told = read_by_models(plugin, server)
    compared = expected if server.kind == "cloud" else {tool: expected[tool] for tool in FOR_AGENTS}
    assert {tool: told[tool] for tool in compared} == compared
    words = json.dumps([told[tool] for tool in FOR_AGENTS])
    for secret in ("127.0.0.1", "http", KEY, "user-1", "victim", "m1", "Traceback", "openmem", "/product"):
        assert secret not in words


@all_tools
def test_tool_has_one_parameter_for_the_model_and_the_user_key(tool: str) -> None:
    declared = TOOLS[tool]
    assert "output_schema" not in declared
    [asked, key] = declared["parameters"]
    assert (asked["form"], asked["type"], asked["required"]) == ("llm", "string", True)
    assert (key["name"], key["form"], key["type"], key["required"]) == ("user_key", "form", "string", False)


@all_tools
@pytest.mark.parametrize("language", ["llm", *LANGUAGES])
def test_description_names_the_tools_as_they_are_called(tool: str, language: str) -> None:
    text = sent_to_models()[tool][language]["description"]
    assert len(text) <= LONGEST_DESCRIPTION
    assert tool in text
    labels = [TOOLS[other]["identity"]["label"].get(language, "") for other in FOR_AGENTS]
    assert not any(f" {label} " in text for label in labels if label)
    said = {name for name in FOR_AGENTS if name in text}
    assert said == {name for name in FOR_AGENTS if name in TOOLS[tool]["description"]["llm"]}


@all_tools
def test_description_is_the_same_for_the_builder_and_the_model(tool: str) -> None:
    description = TOOLS[tool]["description"]
    assert description["human"].keys() == set(LANGUAGES)
    assert description["human"]["en_US"] == description["llm"]
