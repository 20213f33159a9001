"""Listing, deleting and correcting on MemOS's own server: only what is this user's, and proven."""

from typing import Any

import pytest

from sandbox.memos_server import MemosServer
from sandbox.plugin_process import Invocation, PluginProcess
from tests.runtime.person import Person, model, wait_for, wait_for_prompt


def listed(person: Person, **parameters: Any) -> Invocation:
    """A page of what is kept of a person."""
    done = person.call("list_memories", parameters)
    assert done.error is None, done.error
    return done


def everything(person: Person) -> dict[str, str]:
    """All memories of a person, from all pages: id -> text."""
    found: dict[str, str] = {}
    for page in range(1, 100):
        variables = listed(person, limit=7, page=page).variables
        ids = [memory["id"] for memory in variables["memories"]]
        assert len(set(ids)) == len(ids) == variables["count"]
        assert not found.keys() & set(ids)
        found |= {memory["id"]: memory["text"] for memory in variables["memories"]}
        if not variables["has_more"]:
            return found
        assert len(ids) == 7
    raise AssertionError("pages without end")


def deleted(person: Person, **parameters: Any) -> Invocation:
    """Delete memories of a person."""
    done = person.call("delete_memories", parameters)
    assert done.error is None, done.error
    return done


def wait_for_words(person: Person, words: str) -> None:
    """Wait until something of these words is kept."""
    wait_for(lambda: any(words in text for text in everything(person).values()), words)


@pytest.fixture
def ada(plugin: PluginProcess, memos_server: MemosServer) -> Person:
    person = Person(plugin, memos_server)
    person.say(" ".join(f"Box {number} holds {number} apples." for number in range(60)), async_mode=False)
    return person


@pytest.fixture
def bob(plugin: PluginProcess, memos_server: MemosServer) -> Person:
    person = Person(plugin, memos_server)
    person.say("I live in Lyon. My dog is called Rex. I prefer short answers.", async_mode=False)
    return person


def test_what_is_deleted_is_this_user_s_alone_and_gone(ada: Person, bob: Person) -> None:
    of_ada, of_bob = everything(ada), everything(bob)
    assert [len(of_ada), len(of_bob)] == [60, 3]

    lyon = next(name for name, text in of_bob.items() if "Lyon" in text)
    done = deleted(bob, memory_ids=lyon)
    assert done.variables == {"deleted_ids": [lyon], "count": 1, "user_id": bob.user_id}
    del of_bob[lyon]
    assert everything(bob) == of_bob
    assert {memory["id"] for memory in bob.memories()} == of_bob.keys()

    # This server itself deletes the memories of anybody.
    foreign = next(iter(of_ada))
    refused = bob.call("delete_memories", {"memory_ids": [*of_bob, foreign, lyon]})
    assert refused.error is not None
    assert refused.error.message == (
        f"memory_ids: no memory of this user: {foreign}, {lyon}. Nothing was deleted. "
        "MemOS replaces ids while it refines; list again."
    )
    assert [everything(bob), everything(ada)] == [of_bob, of_ada]

    # This server itself says that this failed.
    done = deleted(bob, delete_all=True)
    assert done.text.startswith("Deleted: all memories of this user.")
    assert done.variables == {"deleted_ids": [], "count": 0, "user_id": bob.user_id}
    assert [everything(bob), bob.memories()] == [{}, []]
    assert listed(bob).text == "No memories are kept here."
    assert everything(ada) == of_ada
    assert ada.recall("Box 7").variables["found"] is True


def test_nothing_to_delete_is_no_failure(plugin: PluginProcess, memos_server: MemosServer) -> None:
    nobody = Person(plugin, memos_server)
    assert everything(nobody) == {}
    assert deleted(nobody, delete_all=True).variables["count"] == 0


def test_what_is_still_being_processed_comes_back_as_the_text_says(
    plugin: PluginProcess, memos_server: MemosServer
) -> None:
    person = Person(plugin, memos_server)
    with model(memos_server, held=True):
        person.say("My dog is called Rex.")
        wait_for_prompt(memos_server, "Rex")
        done = deleted(person, delete_all=True)
    assert "still processing may be remembered all the same: list again in a minute." in done.text
    wait_for_words(person, "Rex")
    deleted(person, delete_all=True)
    assert everything(person) == {}


def test_feedback_is_taken_and_kept(bob: Person) -> None:
    done = bob.call("add_feedback", {"feedback": "I no longer live in Lyon, I live in Paris."})
    assert done.error is None, done.error
    assert done.variables == {"status": "running", "task_id": "", "memory_ids": [], "user_id": bob.user_id}
    wait_for_words(bob, "Paris")
