"""The example app in which people see what is remembered of them, and have it deleted."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import pytest

from sandbox.dify_engine import DifyApp, Run
from sandbox.memos_server import MemosServer
from sandbox.plugin_process import PluginProcess
from sandbox.scripted_server import Answer
from tests.app.apps import MANAGER, run_code
from tests.runtime.memos import Memos
from tests.runtime.memos import memos as scripted

QUESTION = "What do you know about me?"
DELETE = "/api/openmem/v1/delete/memory"


def repeat_list(messages: Sequence[Mapping[str, str]]) -> str:
    """A model that tells the list as it is."""
    return messages[0]["content"].partition("The list:\n\n")[2]


@pytest.fixture
def memos() -> Iterator[Memos]:
    """A MemOS cloud."""
    with scripted("cloud") as memos:
        yield memos


def deletions(memos: Memos) -> list[Any]:
    """The bodies of all deletions."""
    return [body for path, body in memos.requests if path == DELETE]


class Chat:
    """A conversation of one person with the app."""

    def __init__(self, app: DifyApp, user: str) -> None:
        self._app, self._user = app, user
        self._conversation: str | None = None

    def say(self, message: str) -> Run:
        """Send a message."""
        run = self._app.chat(message, user_id=self._user, conversation_id=self._conversation)
        self._conversation = run.conversation_id
        assert run.status in {"succeeded", "partial-succeeded"}, run.error
        return run


@pytest.fixture
def app(app_plugin: PluginProcess, memos: Memos) -> DifyApp:
    return DifyApp(MANAGER.read_text(), app_plugin, memos.credentials, model=repeat_list, run_code=run_code)


@pytest.fixture
def ada(app: DifyApp, memos: Memos) -> Chat:
    memos.kept = {
        app.user("ada"): {"m0": "Eats no meat.", "m1": "Lives in Lyon.", "m2": "Has a dog."},
        app.user("bob"): {"m3": "Has a secret."},
    }
    return Chat(app, "ada")


def test_a_person_sees_the_list_and_has_a_memory_deleted_once_confirmed(ada: Chat, memos: Memos) -> None:
    assert "2. Lives in Lyon." in ada.say(QUESTION).answer
    asked = ada.say("2")
    assert "2. Lives in Lyon." in asked.answer
    assert "Send the same number or numbers again" in asked.answer
    assert deletions(memos) == []

    done = ada.say(" 2. ")
    assert done.answer == "Deleted, and proven gone:\n\n2. Lives in Lyon."
    assert deletions(memos) == [{"memory_ids": ["m1"]}]
    after = ada.say(QUESTION).answer
    assert "Lyon" not in after
    assert "2. Has a dog." in after


def test_several_go_together_in_any_separators(ada: Chat, memos: Memos) -> None:
    ada.say(QUESTION)
    assert "1. Eats no meat.\n3. Has a dog." in ada.say("3、1").answer
    ada.say("1, 3")
    assert deletions(memos) == [{"memory_ids": ["m0", "m2"]}]


@pytest.mark.parametrize("between", ["No!", QUESTION, "3"])
def test_anything_else_in_between_leaves_all_as_it_is(ada: Chat, memos: Memos, between: str) -> None:
    ada.say(QUESTION)
    ada.say("2")
    ada.say(between)
    ada.say("2")
    assert deletions(memos) == []


@pytest.mark.parametrize(
    "message", ["m3", '["m3"]', "4", "0", "-1", "1, 4", "yes", "delete all", "9" * 5000, "²", ", ,"]
)
def test_whatever_is_typed_reaches_nobody_else_s(ada: Chat, app: DifyApp, memos: Memos, message: str) -> None:
    before = deepcopy(memos.kept)
    ada.say(QUESTION)
    for _ in range(3):
        assert "secret" not in ada.say(message).answer
    assert (deletions(memos), memos.kept) == ([], before)
    # A number means nothing to whom nothing was shown.
    bob = Chat(app, "bob")
    bob.say("1")
    bob.say("1")
    assert deletions(memos) == []


def test_what_is_not_proven_deleted_is_not_called_so(ada: Chat, memos: Memos) -> None:
    ada.say(QUESTION)
    ada.say("2")
    memos.server.script(DELETE, Answer({"code": 0, "data": {"success": True}}))  # and deletes nothing
    assert ada.say("2").answer.startswith("It is not certain whether this was deleted.")
    ada.say("2")
    assert len(deletions(memos)) == 1


def test_a_memos_that_is_down_is_told_to_the_model(ada: Chat, memos: Memos) -> None:
    memos.instead = Answer(status=500)
    assert "answered 500" in ada.say(QUESTION).answer


def test_no_model_is_asked_before_anything_is_deleted(ada: Chat) -> None:
    ada.say(QUESTION)
    for _ in range(2):
        run = ada.say("1")
        assert not [node for node in run.nodes.values() if node.prompt]


def test_the_app_lists_and_deletes_on_a_real_memos(
    app_plugin: PluginProcess, memos_server: MemosServer
) -> None:
    known = {"memos_url": memos_server.url}
    app = DifyApp(MANAGER.read_text(), app_plugin, known, model=repeat_list, run_code=run_code)
    told = {"user_messages": "I live in Lyon. My dog is called Rex.", "async_mode": False}
    added = app_plugin.invoke("add_memory", told, known, user_id=app.user("ada"), app_id=app.app_id)
    assert added.error is None
    ada = Chat(app, "ada")
    assert "Rex" in ada.say(QUESTION).answer
    chosen = "1" if "1. The user said: I live in Lyon." in ada.say(QUESTION).answer else "2"
    ada.say(chosen)
    assert "Lyon" in ada.say(chosen).answer
    left = ada.say(QUESTION).answer
    assert "Rex" in left
    assert "Lyon" not in left
