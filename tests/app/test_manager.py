"""The example app in which people see what is remembered of them, and have it deleted."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from sandbox.dify_engine import DifyApp, Run
from sandbox.memos_server import MemosServer
from sandbox.plugin_process import PluginProcess
from sandbox.scripted_server import Answer, Request, ScriptedServer
from tests.app.apps import MANAGER, FakeMemos, run_code

QUESTION = "What do you know about me?"
ROOT = "/api/openmem/v1"


def repeat_list(messages: Sequence[Mapping[str, str]]) -> str:
    """A model that tells the list as it is."""
    return messages[0]["content"].partition("The list:\n\n")[2]


class Kept:
    """A MemOS cloud that lists, shows and deletes what it keeps: id -> (user, text)."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.memories: dict[str, tuple[str, str]] = {}
        self.deletions: list[Any] = []
        self.is_down = False
        server.script(f"{ROOT}/get/memory", self._list)
        server.script(f"{ROOT}/delete/memory", self._delete)

    def keep(self, user_id: str, *texts: str) -> None:
        """Keep more memories of a user."""
        for text in texts:
            memory_id = f"m{len(self.memories)}"
            self.memories[memory_id] = (user_id, text)
            self.server.script(f"{ROOT}/get/memory/{memory_id}", lambda _, name=memory_id: self._one(name))

    def _one(self, memory_id: str) -> Answer:
        if memory_id not in self.memories:
            return Answer({"code": 40307, "message": "gone", "data": None})
        user_id, _ = self.memories[memory_id]
        return Answer({"code": 0, "data": {"id": memory_id, "user_id": user_id, "status": "activated"}})

    def _list(self, request: Request) -> Answer:
        if self.is_down:
            return Answer(b"", status=500)
        asked = request.json
        items = [
            {"id": memory_id, "memory_value": text}
            for memory_id, (user_id, text) in self.memories.items()
            if user_id == asked["user_id"]
        ]
        return Answer({"code": 0, "data": {"memory_detail_list": items, "pages": 1}})

    def _delete(self, request: Request) -> Answer:
        self.deletions.append(request.json)
        if not self.is_down:
            for memory_id in request.json["memory_ids"]:
                del self.memories[memory_id]
        return Answer({"code": 0, "data": {"success": True}})


@pytest.fixture
def kept(memos: FakeMemos) -> Kept:
    return Kept(memos.server)


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
def app(app_plugin: PluginProcess, memos: FakeMemos) -> DifyApp:
    return DifyApp(MANAGER.read_text(), app_plugin, memos.credentials, model=repeat_list, run_code=run_code)


@pytest.fixture
def ada(app: DifyApp, kept: Kept) -> Chat:
    kept.keep(app.user("ada"), "Eats no meat.", "Lives in Lyon.", "Has a dog.")
    kept.keep(app.user("bob"), "Has a secret.")
    return Chat(app, "ada")


def test_a_person_sees_the_list_and_has_a_memory_deleted_after_a_confirmation(ada: Chat, kept: Kept) -> None:
    assert "2. Lives in Lyon." in ada.say(QUESTION).answer
    asked = ada.say("2")
    assert "2. Lives in Lyon." in asked.answer
    assert "Send the same number again" in asked.answer
    assert kept.deletions == []

    done = ada.say(" 2. ")
    assert done.answer == "Deleted, and proven gone:\n\n2. Lives in Lyon."
    assert kept.deletions == [{"memory_ids": ["m1"]}]
    after = ada.say(QUESTION).answer
    assert "Lyon" not in after
    assert "2. Has a dog." in after


def test_several_go_together_in_any_separators(ada: Chat, kept: Kept) -> None:
    ada.say(QUESTION)
    assert "1. Eats no meat.\n3. Has a dog." in ada.say("3、1").answer
    ada.say("1, 3")
    assert kept.deletions == [{"memory_ids": ["m0", "m2"]}]


@pytest.mark.parametrize("between", ["No!", QUESTION, "3"])
def test_anything_else_in_between_leaves_all_as_it_is(ada: Chat, kept: Kept, between: str) -> None:
    ada.say(QUESTION)
    ada.say("2")
    ada.say(between)
    ada.say("2")
    assert kept.deletions == []


@pytest.mark.parametrize(
    "message", ["m3", '["m3"]', "4", "0", "-1", "1, 4", "yes", "delete all", "9" * 5000, "²", ", ,"]
)
def test_whatever_is_typed_reaches_nobody_else_s(ada: Chat, app: DifyApp, kept: Kept, message: str) -> None:
    before = dict(kept.memories)
    ada.say(QUESTION)
    for _ in range(3):
        assert "secret" not in ada.say(message).answer
    assert (kept.deletions, kept.memories) == ([], before)
    # A number means nothing to whom nothing was shown.
    bob = Chat(app, "bob")
    bob.say("1")
    bob.say("1")
    assert kept.deletions == []


def test_what_is_not_proven_deleted_is_not_called_so(ada: Chat, kept: Kept) -> None:
    ada.say(QUESTION)
    ada.say("2")
    kept.is_down = True
    assert ada.say("2").answer.startswith("It is not certain whether this was deleted.")
    ada.say("2")
    assert len(kept.deletions) == 1


def test_a_memos_that_is_down_is_told_to_the_model(ada: Chat, kept: Kept) -> None:
    kept.is_down = True
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
