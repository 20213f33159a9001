"""The example apps, README's chatflow as the editor makes it and an app of 0.0.4, run in Dify's engine."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.chat_model import ChatModel, repeat_memories
from sandbox.dify_engine import DifyApp
from sandbox.memos_server import MemosServer
from sandbox.plugin_process import PluginProcess
from sandbox.scripted_server import Answer
from tests.app.apps import (
    ASSISTANT,
    CHINESE_ASSISTANT,
    OF_0_0_4,
    WORKFLOW,
    FakeMemos,
    answer,
    as_made_by_hand,
    changed,
    node_of,
    prompt,
    run_code,
    say,
)
from tests.app.conftest import PATIENCE

SHIPPED = {
    "assistant": ASSISTANT.read_text(),
    "assistant in Chinese": CHINESE_ASSISTANT.read_text(),
    "workflow": WORKFLOW.read_text(),
}
BY_HAND = {"assistant by hand": changed(SHIPPED["assistant"], as_made_by_hand)}
APPS = SHIPPED | BY_HAND | {"0.0.4": OF_0_0_4.read_text()}

as_chatflow = pytest.mark.parametrize("name", ["assistant", "assistant by hand"])
in_both_modes = pytest.mark.parametrize("name", ["assistant", "assistant by hand", "workflow"])

KNOWN = "I eat no meat."
QUESTION = "What do I eat?"
NOTHING_KNOWN = "I don't know that yet."

SILENCE = Answer(delay=60)
WRONG_KEY = Answer({"code": 40132, "message": "API Key is invalid or expired", "data": None})
TOO_LONG = Answer({"code": 40305, "message": "input exceeds the token limit", "data": None})

type Load = Callable[..., DifyApp]


@pytest.fixture
def load(app_plugin: PluginProcess, memos: FakeMemos) -> Load:
    """Imports an app into Dify, for the plugin and the MemOS of the test."""

    def load(dsl: str, plugin: PluginProcess = app_plugin, model: ChatModel = repeat_memories) -> DifyApp:
        return DifyApp(dsl, plugin, memos.credentials, model=model, run_code=run_code)

    return load


@pytest.mark.parametrize("name", APPS)
def test_what_a_user_said_once_is_in_the_next_prompt_of_that_user_alone(
    name: str, load: Load, memos: FakeMemos
) -> None:
    app = load(APPS[name])
    told = say(app, "I eat no <meat>.", "ada")
    asked = say(app, QUESTION, "ada")
    other = say(app, QUESTION, "bob")

    assert [told.status, asked.status, other.status] == ["succeeded"] * 3
    assert asked.conversation_id != told.conversation_id or name == "workflow"
    system, *said = prompt(asked)
    assert system["role"] == "system"
    assert "I eat no <meat>." in system["content"].replace("&lt;", "<").replace("&gt;", ">")
    assert said == [{"role": "user", "content": QUESTION}]
    assert "meat" not in str(prompt(other))
    [first, *_] = memos.adds
    assert [(message["role"], message["content"]) for message in first["messages"]] == [
        ("user", "I eat no <meat>."),
        ("assistant", "Noted."),
    ]


@pytest.mark.parametrize("name", SHIPPED | BY_HAND)
def test_the_answer_uses_the_memory_and_nothing_found_leaves_no_trace(name: str, load: Load) -> None:
    app = load(APPS[name])
    before = say(app, QUESTION, "ada")
    say(app, KNOWN, "ada")
    after = say(app, QUESTION, "ada")

    searched = node_of(before, "search_memory").outputs
    assert (searched["memory_context"], searched["found"], searched["error"]) == ("", False, "")
    assert "</memories>" not in prompt(before)[0]["content"]
    assert "memory_context" not in prompt(before)[0]["content"]
    assert answer(before) == NOTHING_KNOWN
    assert KNOWN in answer(after)


def test_the_workflow_branches_on_found(load: Load) -> None:
    app = load(SHIPPED["workflow"])
    runs = [say(app, KNOWN, "ada"), say(app, QUESTION, "ada")]

    branches = {"Answer With Memory", "Answer Without Memory"}
    taken = [branches & run.nodes.keys() for run in runs]
    assert taken == [{"Answer Without Memory"}, {"Answer With Memory"}]
    assert runs[0].outputs == {"answer": "Noted.", "search_error": "", "add_error": ""}


def test_the_assistant_gets_the_earlier_turns_of_its_conversation(load: Load) -> None:
    app = load(SHIPPED["assistant"])
    first = app.chat(KNOWN, user_id="ada")
    second = app.chat(QUESTION, user_id="ada", conversation_id=first.conversation_id)

    assert [message["content"] for message in prompt(second)[1:]] == [KNOWN, "Noted.", QUESTION]


def test_memory_belongs_to_the_app_and_its_user_or_is_shared_as_the_note_says(
    load: Load, memos: FakeMemos
) -> None:
    def share(node: dict[str, Any]) -> None:
        if node["type"] == "tool":
            node["tool_configurations"]["user_id"] = {"type": "mixed", "value": "{{#sys.user_id#}}"}

    one, other = load(SHIPPED["assistant"]), load(SHIPPED["assistant"])
    for app in (one, other, *(load(changed(SHIPPED[name], share)) for name in ("assistant", "workflow"))):
        say(app, KNOWN, "ada")

    assert list(memos.said) == [one.user("ada"), other.user("ada"), "ada"]
    assert len(memos.said["ada"]) == 2


@pytest.mark.parametrize("name", APPS)
def test_messages_belong_to_the_conversation(name: str, load: Load, memos: FakeMemos) -> None:
    app = load(APPS[name])
    runs = [say(app, KNOWN, "ada"), say(app, KNOWN, "ada")]
    sent = [body["conversation_id"] for body in memos.adds]

    assert len(set(sent)) == 2
    if name == "workflow":  # which has no conversation, and MemOS's cloud wants one
        assert all(re.fullmatch(r"dify-[0-9a-f-]{36}", one) for one in sent)
    else:
        assert sent == [run.conversation_id for run in runs]


@as_chatflow
def test_what_a_model_thought_is_not_stored(name: str, load: Load, memos: FakeMemos) -> None:
    run = say(load(APPS[name], model=lambda _: "<think>A secret.</think>\n\nNoted!"), KNOWN, "ada")

    assert run.status == "succeeded"
    [added] = memos.adds
    assert added["messages"][1]["content"] == "Noted!"


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        ("is down", "No answer from MemOS at 127.0.0.1:9 (connection refused)."),
        ("is silent", f"(silent for {PATIENCE:g} s)."),
        ("knows another key", "Check the API key in this plugin's credentials"),
    ],
)
@in_both_modes
def test_the_app_answers_although_memos(
    name: str, trouble: str, error: str, load: Load, memos: FakeMemos, impatient_plugin: PluginProcess
) -> None:
    app = load(APPS[name], impatient_plugin)
    memos.said[app.user("ada")] = [KNOWN]
    if trouble == "is down":
        app.credentials = memos.credentials | {"memos_url": "http://127.0.0.1:9/api/openmem/v1"}
    else:
        failure = SILENCE if trouble == "is silent" else WRONG_KEY
        memos.instead = {memos.SEARCH: failure, memos.ADD: failure}
    run = say(app, QUESTION, "ada")

    assert (run.status, answer(run)) == ("succeeded", NOTHING_KNOWN)
    searched, added = (node_of(run, tool).outputs for tool in ("search_memory", "add_memory"))
    assert (searched["memory_context"], searched["memories"], searched["found"]) == ("", [], False)
    assert error in searched["error"]
    assert (added["status"], added["message_count"]) == ("failed", 0)
    assert error.removesuffix(".") in added["error"]
    assert searched["user_id"] == added["user_id"] == app.user("ada")
    if name == "workflow":
        assert run.outputs["search_error"] == searched["error"]
        assert run.outputs["add_error"] == added["error"]


@in_both_modes
def test_a_failed_add_spoils_no_answer_and_is_sent_once(name: str, load: Load, memos: FakeMemos) -> None:
    app = load(APPS[name])
    memos.said[app.user("ada")] = [KNOWN]
    memos.instead = {memos.ADD: Answer(b"<html>", status=502)}
    run = say(app, QUESTION, "ada")

    assert run.status == "succeeded"
    assert KNOWN in answer(run)
    assert "may have been stored all the same" in node_of(run, "add_memory").outputs["error"]
    assert len(memos.adds) == 1


@as_chatflow
def test_the_chat_answers_a_message_of_images_only(name: str, load: Load, memos: FakeMemos) -> None:
    run = say(load(APPS[name]), "", "ada")

    assert (run.status, run.answer) == ("succeeded", "Noted.")
    assert node_of(run, "search_memory").outputs["error"] == "query: needed."
    assert memos.searches == []


@in_both_modes
@pytest.mark.parametrize("too_long", [False, True], ids=["taken", "refused"])
def test_the_app_answers_a_message_of_500000_characters(
    name: str, too_long: bool, load: Load, memos: FakeMemos
) -> None:
    if too_long:
        memos.instead = {memos.SEARCH: TOO_LONG, memos.ADD: TOO_LONG}
    message = f"{'word ' * 99_999}why?"
    run = say(load(APPS[name]), message, "ada")

    assert (run.status, answer(run)) == ("succeeded", NOTHING_KNOWN)
    for tool in ("search_memory", "add_memory"):
        assert ("Send less text in one call." in node_of(run, tool).outputs["error"]) is too_long
    assert {body["query"] for body in memos.searches} == {message}


@pytest.mark.parametrize("is_down", [False, True], ids=["up", "down"])
def test_error_handling_by_default_value_needs_text_in_the_prompt(
    is_down: bool, load: Load, memos: FakeMemos
) -> None:
    def with_default_value(node: dict[str, Any]) -> None:
        as_made_by_hand(node)
        if node["type"] == "llm":
            node["prompt_template"][0]["text"] = "Known of the user:\n\n{{#1767225600002.text#}}"
        elif node.get("tool_name") == "search_memory":
            node["tool_configurations"]["on_error"]["value"] = "fail"
            node["error_strategy"] = "default-value"
            # All that the editor offers.
            node["default_value"] = [
                {"key": "text", "type": "string", "value": ""},
                {"key": "json", "type": "array[object]", "value": "[]"},
            ]

    app = load(changed(SHIPPED["assistant"], with_default_value))
    memos.said[app.user("ada")] = [KNOWN]
    if is_down:
        app.credentials = {"memos_url": "http://127.0.0.1:9"}
    run = say(app, QUESTION, "ada")

    assert run.status == ("partial-succeeded" if is_down else "succeeded")
    assert (KNOWN in run.answer) is not is_down
    if is_down:
        assert prompt(run)[0]["content"] == "Known of the user:\n\n"


def test_an_app_of_0_0_4_reads_json_and_chooses_user_conversation_and_limit(
    load: Load, memos: FakeMemos
) -> None:
    app = load(APPS["0.0.4"])
    runs = [say(app, message, "ada") for message in (KNOWN, "I live in Lyon.", QUESTION)]

    recalled = [run.nodes["read memory"].outputs["memory"] for run in runs]
    assert recalled == ["", KNOWN, f"{KNOWN}; I live in Lyon."]
    assert runs[0].nodes["read result"].outputs == {"stored": "yes"}
    assert list(memos.said) == ["ada"]
    assert {body["memory_limit_number"] for body in memos.searches} == {4}


def test_an_app_of_0_0_4_takes_its_fail_branch_when_memos_fails(load: Load, memos: FakeMemos) -> None:
    memos.instead = {memos.SEARCH: WRONG_KEY}
    run = say(load(APPS["0.0.4"]), QUESTION, "ada")

    assert (run.status, run.answer) == ("partial-succeeded", "I can't remember just now.")
    assert "MemosAuthenticationError" in node_of(run, "search_memory").error


def test_an_app_of_an_old_dify_never_mixes_users(load: Load, memos: FakeMemos) -> None:
    """In a node without tool_node_version, Dify resolves no variable of what has become a setting.

    Instead of a user's name, the plugin then gets the same text for every user: how the field was filled in.
    """
    run = say(load(changed(APPS["0.0.4"], lambda node: node.pop("tool_node_version", None))), KNOWN, "ada")

    assert "user_id: " in node_of(run, "search_memory").error
    assert memos.server.requests == []


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_app_remembers_on_a_real_memos(
    name: str, app_plugin: PluginProcess, memos_server: MemosServer
) -> None:
    app = DifyApp(SHIPPED[name], app_plugin, {"memos_url": memos_server.url}, model=repeat_memories)
    told = say(app, "I am a vegetarian.", "ada")
    assert node_of(told, "add_memory").outputs["error"] == ""

    # Each question begins a conversation. MemOS reads what was said in the background.
    give_up = time.monotonic() + 120
    while "vegetarian" not in (known := answer(say(app, "Do I eat meat?", "ada"))):
        assert time.monotonic() < give_up, known
        time.sleep(0.5)
    assert answer(say(app, "Do I eat meat?", "bob")) == NOTHING_KNOWN
