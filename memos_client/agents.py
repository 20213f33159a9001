"""What agents' tools do and answer: one text for a model, whatever happens, without host, key or ID."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from html import unescape
from typing import Any, NamedTuple

from memos_client.client import MemosClient
from memos_client.errors import (
    MemosAuthenticationError,
    MemosConnectionError,
    MemosError,
    MemosInputError,
    MemosQuotaError,
    MemosReplyError,
    MemosServerError,
)
from memos_client.fields import is_absent
from memos_client.identity import Caller
from memos_client.inputs import AddRequest, SearchRequest
from memos_client.memory_block import block, line
from memos_client.texts import unresolved

_FOR_THE_BUILDER = "This app's builder has to mend that, not the user."
_FAILURES: dict[type[MemosError], str] = {
    MemosConnectionError: "Memory can't be reached right now.",
    MemosServerError: "Memory does not work right now.",
    MemosQuotaError: "Memory has reached its limit for now.",
    MemosAuthenticationError: f"Memory refuses this app's API key. {_FOR_THE_BUILDER}",
    MemosReplyError: f"Memory gave no answer that can be understood. {_FOR_THE_BUILDER}",
    MemosInputError: "Memory did not take this text; a shorter and simpler one may do.",
}
_NOT_SET_UP = f"Memory is not set up: its credentials can't be right. {_FOR_THE_BUILDER}"
_NO_USER = f"No memory can be used here. {{}}: {{}}. {_FOR_THE_BUILDER}"
_NO_TEXT = "{}: give one short text in the user's language."

_NOTHING = (
    "Nothing is remembered about this. If you have not yet tried other words, try once; "
    "else go on without it."
)
_REMEMBERED = "Remembered. It can be recalled in a moment."
_NO_STATEMENT = (
    "Not remembered: a question is no fact. Give one statement that says whom or what it is about."
)
_MAY_BE_REMEMBERED = (
    "It may have been remembered all the same: don't send it again, "
    "and say so only if the user asked you to remember it."
)
_FORGOTTEN = (
    'Forgotten: "{}" Recall may show it for some seconds more. What the user said only just now may come '
    "back, since it is still being processed: then recall it and forget it once more."
)
_NONE_ALIKE = "Not forgotten: no memory reads like that. Give the text of one as it is shown here:"
_NOTHING_ALIKE = "Not forgotten: nothing like that is remembered."
_NO_ID = (
    "Not forgotten: MemOS keeps this without an id, so it can't be forgotten one by one. Tell the user so."
)
_NOT_ALLOWED = "Not forgotten: MemOS does not let this be deleted. Tell the user so."
_BEING_WRITTEN = (
    "Not forgotten: memory is being written just now. Recall it once more, then forget what it shows."
)
_MAY_BE_FORGOTTEN = "It is not certain whether it was forgotten: tell the user so, and recall it later."

_QUESTION_MARKS = ("?", "\uff1f", "\u061f", "\u037e", "\ufe56")
# What the block writes around a text: its dash, its day, its mark.
_AROUND = re.compile(r"\A(?:- ?)?(?:\[\d{4}-\d\d-\d\d\] ?)?| ?\((?:explicit|implicit)\)\Z")
# How an own server writes what it has not yet refined (seen on MemoryOS 2.0.33).
_SPEAKER = re.compile(r"^(?:user|assistant|system|tool): \[[^\]\n]*\]: ", re.MULTILINE)


class Task(NamedTuple):
    """What a tool is for.

    Args:
        parameter: Its one parameter that a model fills.
        do: Does it with the text that a model gave, and says in words what came of it.
        failed: What then is known and to be done if that raised an error.
    """

    parameter: str
    do: Callable[[MemosClient, Caller, str], str]
    failed: str


def answer(task: Task, given: Mapping[str, Any], credentials: Mapping[str, Any], user_id: str | None) -> str:
    """Do what a tool is for, and say what came of it: nothing is raised for what MemOS or a model did.

    Args:
        task: What the tool is for.
        given: The parameters as Dify sends them, of which only the task's and `user_key` are read.
        credentials: As Dify keeps them.
        user_id: The run's own user.
    """
    try:
        client = MemosClient(credentials)
    except MemosInputError:
        return f"{_NOT_SET_UP} {task.failed}"
    caller = Caller(user_id, app_id=None, conversation_id=None, api_key=client.api_key)
    user_key = given.get("user_key")
    try:
        caller = replace(caller, user_id=caller.agents_owner(user_key))
    except ValueError as problem:
        name = "User" if is_absent(user_key) else "User Key"
        return f"{_NO_USER.format(name, problem)} {task.failed}"
    text = given.get(task.parameter)
    if not isinstance(text, str) or is_absent(text) or unresolved(text):
        return _NO_TEXT.format(task.parameter)
    try:
        return task.do(client, caller, text)
    except MemosError as error:
        return f"{_FAILURES[type(error)]} {task.failed}"


def _recall(client: MemosClient, caller: Caller, query: str) -> str:
    """Show what is remembered about `query`, as a block."""
    request = SearchRequest.parse({"query": query, "on_error": "continue"}, caller)
    return block(client.search(request)) or _NOTHING


def _remember(client: MemosClient, caller: Caller, content: str) -> str:
    """Have a statement remembered, as said by the user in a conversation of its own."""
    if content.rstrip().endswith(_QUESTION_MARKS):
        return _NO_STATEMENT
    request = AddRequest.parse({"user_messages": content, "on_error": "continue"}, caller)
    try:
        client.add(request)
    except MemosError as error:
        if error.refused:
            raise
        return f"{_FAILURES[type(error)]} {_MAY_BE_REMEMBERED}"
    return _REMEMBERED


def _forget(client: MemosClient, caller: Caller, memory: str) -> str:
    """Delete what is remembered of the user and reads like `memory`, and nothing else."""
    given = {"query": memory, "memory_limit_number": 3, "on_error": "continue"}
    request = SearchRequest.parse(given, caller)
    for _ in range(2):
        alike = [one for one in client.candidates(request) if _reads_like(one.memory["text"], memory)]
        if not alike:
            nearest = block(client.search(request)[:3])
            return f"{_NONE_ALIKE}\n{nearest}" if nearest else _NOTHING_ALIKE
        if not all("id" in one.memory for one in alike):
            return _NO_ID
        try:
            client.delete(request.user_id, [one.memory["id"] for one in alike])
        except MemosInputError as error:
            if error.code is not None:
                return _NOT_ALLOWED
            continue  # MemOS has refined them meanwhile, and given them other ids
        except MemosError as error:
            if error.refused:
                raise
            return f"{_FAILURES[type(error)]} {_MAY_BE_FORGOTTEN}"
        return _FORGOTTEN.format(line(alike[0].memory["text"]).removeprefix("- "))
    return _BEING_WRITTEN


RECALL = Task("query", _recall, "Go on without it, and say so only if the user asks.")
REMEMBER = Task(
    "content", _remember, "Nothing was remembered; say so only if the user asked you to remember it."
)
FORGET = Task("memory", _forget, "Nothing was forgotten: tell the user so.")


def _reads_like(text: str, shown: str) -> bool:
    """Whether a memory's text is what a model was shown, or took of it."""
    told = {_plain(text)}
    if len(speakers := _SPEAKER.findall(text)) == 1:
        told.add(_plain(text.removeprefix(speakers[0])))
    bare = _AROUND.sub("", " ".join(shown.split()))
    return not told.isdisjoint({_plain(shown), _plain(bare)} - {""})


def _plain(text: str) -> str:
    """A text without what differs when it is written again: escapes, white space, case, a final stop."""
    text = unescape(line(text).removeprefix("- ")).casefold()
    return " ".join(unicodedata.normalize("NFC", text).split()).rstrip(".\u3002 ")
