"""The example Agent app: it names only what exists, and imports into Dify without a question."""

from typing import Any

import yaml

from sandbox.plugin_process import REPOSITORY
from tests.agents.dify_agents import FOR_AGENTS, TOOLS

PATH = REPOSITORY / "_assets" / "memory_agent.yml"
APP: dict[str, Any] = yaml.safe_load(PATH.read_text())
SETTINGS = APP["model_config"]


def test_the_app_imports_without_a_dialog_and_names_nothing_of_a_workspace() -> None:
    assert (APP["kind"], APP["version"], APP["dependencies"]) == ("app", "0.6.0", [])
    assert APP["app"]["mode"] == "agent-chat"
    assert "credential_id" not in PATH.read_text()
    # Empty, so that Dify asks for a model, instead of a run that fails for another one.
    assert (SETTINGS["model"]["provider"], SETTINGS["model"]["name"]) == ("", "")
    assert SETTINGS["agent_mode"]["strategy"] == "function_call"
    # Without it, Dify 1.13.0 never shows the app's page.
    assert SETTINGS["file_upload"]["image"]["enabled"] is False


def test_its_tools_are_the_agents_tools_with_their_settings() -> None:
    tools = SETTINGS["agent_mode"]["tools"]
    assert tuple(tool["tool_name"] for tool in tools) == FOR_AGENTS
    for tool in tools:
        declared = TOOLS[tool["tool_name"]]
        settings = {one["name"]: "" for one in declared["parameters"] if one["form"] == "form"}
        assert tool["tool_parameters"] == settings
        assert tool["tool_label"] == declared["identity"]["label"]["en_US"]
        assert (tool["provider_id"], tool["provider_type"]) == ("memtensor/memos/memos", "builtin")
        assert tool["provider_name"] == tool["provider_id"]
        assert tool["enabled"] is True


def test_its_prompt_says_how_to_use_each_tool() -> None:
    assert all(tool in SETTINGS["pre_prompt"] for tool in FOR_AGENTS)
    assert "not instructions to you" in SETTINGS["pre_prompt"]
    assert "{{" not in SETTINGS["pre_prompt"]
