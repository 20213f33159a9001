"""The example apps, and one built for version 0.0.4, run in Dify's engine, whatever becomes of MemOS."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.chat_model import repeat_memories
from sandbox.dify_engine import DifyApp
from sandbox.plugin_process import PluginProcess
from sandbox.scripted_server import ScriptedServer
from tests.app.apps import (
    ALL,
    ASSISTANT,
    OF_0_0_4,
    SHIPPED,
    WORKFLOW,
    FakeMemos,
    answer,
    changed,
    run_code,
    say,
)

NODES = {
    ASSISTANT: ["Start", "Search Memory", "LLM", "Answer", "Add Memory"],
    WORKFLOW: ["Start", "Search Memory", "Found?", "Answer With Memory", "Answer", "Add Memory", "End"],
    OF_0_0_4: ["Start", "search memory", "read memory", "LLM", "Answer", "add memory", "read result"],
}
"""The nodes of each app that run when all is well."""
LLM = {ASSISTANT: "LLM", WORKFLOW: "Answer With Memory", OF_0_0_4: "LLM"}


@pytest.fixture
def load(app_plugin: PluginProcess, memos: FakeMemos) -> Callable[..., DifyApp]:
    """Imports an app into Dify, for the plugin and the MemOS of the test."""

    def load(path: Path, change: Callable[[dict[str, Any]], None] = lambda _: None) -> DifyApp:
        return DifyApp(
            changed(path.read_text(), change),
            app_plugin,
            memos.credentials,
            model=repeat_memories,
            run_code=run_code,
        )

    return load


@pytest.fixture
def nobody() -> dict[str, str]:
    """Credentials of a MemOS that is down."""
    with ScriptedServer() as server:
        pass
    return {"memos_url": f"{server.url}/api/openmem/v1", "memos_api_key": "Token mpg-test"}


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_what_is_said_once_is_in_the_next_prompt(
    path: Path, load: Callable[..., DifyApp], memos: FakeMemos
) -> None:
    app = load(path)
    told = say(app, "I eat no <meat>.", "ada")
    asked = say(app, "What do I eat?", "ada")

    assert [told.status, asked.status] == ["succeeded", "succeeded"]
    assert list(asked.nodes) == NODES[path]
    assert asked.conversation_id != told.conversation_id or path == WORKFLOW
    system = asked.nodes[LLM[path]].prompt[0]
    assert system["role"] == "system"
    assert "I eat no <meat>." in system["content"].replace("&lt;", "<").replace("&gt;", ">")
    assert asked.nodes[LLM[path]].prompt[-1] == {"role": "user", "content": "What do I eat?"}
    first, _ = memos.bodies(memos.dialect.add_path)
    assert [(message["role"], message["content"]) for message in first["messages"]] == [
        ("user", "I eat no <meat>."),
        ("assistant", answer(told)),
    ]


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_another_user_gets_nothing(path: Path, load: Callable[..., DifyApp], memos: FakeMemos) -> None:
    app = load(path)
    say(app, "I eat no meat.", "ada")
    asked = say(app, "What do I eat?", "bob")

    assert asked.status == "succeeded"
    assert "meat" not in str([node.prompt for node in asked.nodes.values()])
    assert len({body["user_id"] for body in memos.bodies(memos.dialect.search_path)}) == 2


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_answer_uses_the_memory(path: Path, load: Callable[..., DifyApp]) -> None:
    app = load(path)
    before = say(app, "What do I eat?", "ada")
    say(app, "I eat no meat.", "ada")
    after = say(app, "What do I eat?", "ada")

    assert answer(before) == "I don't know that yet."
    assert "I eat no meat." in answer(after)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_nothing_found_leaves_no_trace_in_the_prompt(path: Path, load: Callable[..., DifyApp]) -> None:
    asked = say(load(path), "What do I eat?", "ada")
    searched = asked.nodes["Search Memory"].outputs

    assert asked.status == "succeeded"
    assert (searched["memory_context"], searched["memories"]) == ("", [])
    assert (searched["count"], searched["found"]) == (0, False)
    [prompt] = [node.prompt for node in asked.nodes.values() if node.prompt]
    assert "</memories>" not in prompt[0]["content"]
    assert "memory_context" not in prompt[0]["content"]


def test_the_workflow_branches_on_found(load: Callable[..., DifyApp]) -> None:
    app = load(WORKFLOW)
    first = say(app, "I eat no meat.", "ada")
    second = say(app, "What do I eat?", "ada")

    assert "Answer Without Memory" in first.nodes
    assert "Answer With Memory" not in first.nodes
    assert "Answer With Memory" in second.nodes
    assert "Answer Without Memory" not in second.nodes
    assert first.outputs["memory_status"] == "running"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_memory_belongs_to_the_app_and_its_user(
    path: Path, load: Callable[..., DifyApp], memos: FakeMemos
) -> None:
    one, other = load(path), load(path)
    run = say(one, "I eat no meat.", "ada")
    say(other, "I eat no meat.", "ada")

    assert list(memos.said) == [one.user("ada"), other.user("ada")]
    assert run.nodes["Search Memory"].outputs["user_id"] == one.user("ada")
    assert run.nodes["Add Memory"].outputs["user_id"] == one.user("ada")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_memory_is_shared_across_apps_as_the_note_says(
    path: Path, load: Callable[..., DifyApp], memos: FakeMemos
) -> None:
    def share(node: dict[str, Any]) -> None:
        node["tool_configurations"]["user_id"] = {"type": "mixed", "value": "{{#sys.user_id#}}"}

    say(load(path, share), "I eat no meat.", "ada")
    asked = say(load(path, share), "What do I eat?", "ada")

    assert list(memos.said) == ["ada"]
    assert "I eat no meat." in answer(asked)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_messages_belong_to_the_conversation(
    path: Path, load: Callable[..., DifyApp], memos: FakeMemos
) -> None:
    app = load(path)
    run = say(app, "I eat no meat.", "ada")
    [added] = memos.bodies(memos.dialect.add_path)

    # A workflow app has no conversation, and MemOS's cloud wants one.
    expected = f"dify-{app.app_id}" if path == WORKFLOW else run.conversation_id
    assert added[memos.dialect.conversation] == expected


def test_the_assistant_gets_the_earlier_turns_of_its_conversation(load: Callable[..., DifyApp]) -> None:
    app = load(ASSISTANT)
    first = app.chat("I eat no meat.", user_id="ada")
    second = app.chat("What do I eat?", user_id="ada", conversation_id=first.conversation_id)

    assert [message["content"] for message in second.nodes["LLM"].prompt[1:]] == [
        "I eat no meat.",
        "Noted.",
        "What do I eat?",
    ]


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_with_memos_down_the_app_still_answers(
    path: Path, load: Callable[..., DifyApp], nobody: dict[str, str]
) -> None:
    app = load(path)
    app.credentials = nobody
    run = say(app, "What do I eat?", "ada")

    assert run.status == "partial-succeeded"
    assert answer(run) == {OF_0_0_4: "I can't remember just now."}.get(path, "I don't know that yet.")
    searched = run.nodes["search memory" if path == OF_0_0_4 else "Search Memory"]
    assert searched.status == "exception"
    host = nobody["memos_url"].split("/")[2]
    assert f"No answer from MemOS at {host} (connection refused)." in searched.error


def test_with_memos_down_the_assistant_has_the_default_of_each_variable(
    load: Callable[..., DifyApp], nobody: dict[str, str]
) -> None:
    app = load(ASSISTANT)
    searched = say(app, "What do I eat?", "ada").nodes["Search Memory"].outputs
    app.credentials = nobody
    failed = say(app, "What do I eat?", "ada").nodes["Search Memory"].outputs

    assert failed.keys() == searched.keys() - {"files"} | {"error_message", "error_type"}
    # True and 1 are equal, and so would be False and 0.
    assert repr(
        {name: failed[name] for name in ("memory_context", "memories", "count", "found", "user_id")}
    ) == ("{'memory_context': '', 'memories': [], 'count': 0, 'found': False, 'user_id': ''}")
    assert (failed["text"], failed["json"]) == ("", [])


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_an_error_inside_http_200_is_an_error(
    path: Path, load: Callable[..., DifyApp], memos: FakeMemos
) -> None:
    memos.refusing |= {memos.dialect.search_path, memos.dialect.add_path}
    run = say(load(path), "What do I eat?", "ada")

    assert run.status == "partial-succeeded"
    assert answer(run)
    searched = run.nodes["search memory" if path == OF_0_0_4 else "Search Memory"]
    assert searched.status == "exception"
    assert memos.dialect.error_words in searched.error


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_failed_add_is_shown_and_spoils_no_answer(
    path: Path, load: Callable[..., DifyApp], memos: FakeMemos
) -> None:
    app = load(path)
    say(app, "I eat no meat.", "ada")
    memos.refusing.add(memos.dialect.add_path)
    run = say(app, "What do I eat?", "ada")

    assert run.status == "partial-succeeded"
    assert "I eat no meat." in answer(run)
    assert run.nodes["Add Memory"].status == "exception"
    assert memos.dialect.error_words in run.nodes["Add Memory"].error
    assert len(memos.bodies(memos.dialect.add_path)) == 2, "nothing that may have been stored is sent again"


def test_a_failed_add_is_told_by_the_workflow(load: Callable[..., DifyApp], memos: FakeMemos) -> None:
    memos.refusing.add(memos.dialect.add_path)
    run = say(load(WORKFLOW), "What do I eat?", "ada")

    assert list(run.nodes)[-1] == "End (Not Remembered)"
    assert run.outputs.keys() == {"answer", "memory_error"}
    assert memos.dialect.error_words in run.outputs["memory_error"]


def test_a_conversation_goes_on_after_a_failed_add(load: Callable[..., DifyApp], memos: FakeMemos) -> None:
    app = load(ASSISTANT)
    memos.refusing.add(memos.dialect.add_path)
    first = app.chat("I eat no meat.", user_id="ada")
    memos.refusing.clear()
    second = app.chat("What do I eat?", user_id="ada", conversation_id=first.conversation_id)

    assert second.status == "succeeded"
    assert "I eat no meat." in [message["content"] for message in second.nodes["LLM"].prompt]


def test_an_app_of_0_0_4_reads_json_and_chooses_user_conversation_and_limit(
    load: Callable[..., DifyApp], memos: FakeMemos
) -> None:
    app = load(OF_0_0_4)
    told = say(app, "I eat no meat.", "ada")
    asked = say(app, "What do I eat?", "ada")

    assert asked.nodes["read memory"].outputs == {"memory": "I eat no meat."}
    assert told.nodes["read memory"].outputs == {"memory": ""}
    assert told.nodes["read result"].outputs == {"stored": "yes"}
    assert list(memos.said) == ["ada"]
    limits = {
        body.get("memory_limit_number", body.get("top_k")) for body in memos.bodies(memos.dialect.search_path)
    }
    assert limits == {4}


def test_an_app_of_an_old_dify_never_mixes_users(load: Callable[..., DifyApp], memos: FakeMemos) -> None:
    """In a node without tool_node_version, Dify resolves no variable of what has become a setting.

    Instead of a user's name, the plugin then gets the same text for every user: how the field was filled in.
    """
    app = load(OF_0_0_4, lambda node: node.pop("tool_node_version"))
    run = say(app, "I eat no meat.", "ada")

    assert "user_id: " in run.nodes["search memory"].error
    assert memos.server.requests == []
