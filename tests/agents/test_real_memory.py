"""The agents' tools on MemOS's own server: remembered, recalled, forgotten; and nobody else's memory."""

from typing import Any

import pytest

from sandbox.memos_server import MemosServer
from sandbox.plugin_process import PluginProcess
from tests.agents.test_steering import DECLARED, LEAST, OF_MEMOS, all_tools
from tests.runtime.person import Person, model, wait_for, wait_for_prompt

BOSTON = "The user lives in Boston."


@pytest.fixture(scope="module")
def victim(plugin: PluginProcess, memos_server: MemosServer) -> Person:
    person = Person(plugin, memos_server)
    person.say("My PIN is 4711.", async_mode=False)
    return person


@pytest.fixture
def person(plugin: PluginProcess, memos_server: MemosServer) -> Person:
    return Person(plugin, memos_server)


def ask(person: Person, tool: str, text: str, **more: str) -> str:
    """Call one of the agents' tools as an Agent node does; return its answer."""
    parameter = {"recall": "query", "remember": "content", "forget": "memory"}[tool]
    done = person.call(tool, {parameter: text} | more, app_id=None)
    assert done.error is None, done.error
    assert [message["type"] for message in done.messages] == ["text"]
    return done.text


def test_what_is_remembered_is_recalled_until_it_is_forgotten(person: Person) -> None:
    assert ask(person, "recall", "home").startswith("Nothing is remembered about this.")
    for statement in (BOSTON, "The user's brother lives in Boston."):
        assert ask(person, "remember", statement) == "Remembered. It can be recalled in a moment."
    person.wait_for_refinement()
    shown = ask(person, "recall", "Who lives in Boston?").splitlines()
    [mine] = [row for row in shown if "user lives" in row]
    assert ask(person, "forget", "Boston").startswith("Not forgotten: no memory reads like that.")
    assert ask(person, "forget", mine).startswith("Forgotten: ")
    left = ask(person, "recall", "Who lives in Boston?")
    assert "brother" in left
    assert "user lives" not in left


def test_what_is_forgotten_while_it_is_processed_comes_back_as_the_answer_says(person: Person) -> None:
    with model(person.server, held=True):
        ask(person, "remember", BOSTON)
        wait_for_prompt(person.server, BOSTON)
        assert "Boston" in ask(person, "recall", "home")
        told = ask(person, "forget", BOSTON)
        assert told.startswith("Forgotten: ")
        assert "What the user said only just now may come back" in told
        assert "Boston" not in ask(person, "recall", "home")
    wait_for(person.memories, "Boston")
    [found] = person.memories()
    assert ask(person, "forget", found["text"]).startswith("Forgotten: ")
    assert ask(person, "recall", "home").startswith("Nothing is remembered about this.")


@all_tools
def test_steered_call_neither_shows_nor_changes_another_s_memory(
    person: Person, victim: Person, tool: str
) -> None:
    [kept] = victim.memories()
    names = {*OF_MEMOS, *(name for names in DECLARED.values() for name in names)} - LEAST[tool].keys()
    steered: list[dict[str, Any]] = [dict.fromkeys(LEAST[tool], kept[name]) for name in ("id", "text")]
    for value in (victim.user_id, [victim.user_id], f"{victim.user_id}~{'A' * 22}"):
        steered += [dict.fromkeys(names, value), {"user_id": value}, {"user_key": value}]
    for models in steered:
        done = person.call(tool, LEAST[tool] | models, app_id=None)
        assert "4711" not in f"{done.messages} {done.error}" or kept["text"] in models.values()
    assert [memory["id"] for memory in victim.memories()] == [kept["id"]]
