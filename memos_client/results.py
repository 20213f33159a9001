"""What comes out: one shape of results for every MemOS, and what a tool yields of it."""

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from memos_client import prompt

Kind = Literal["fact", "preference", "tool", "skill"]
Item = Mapping[str, Any]


class Memory(NamedTuple):
    """One recalled memory; what MemOS did not say is empty or None."""

    id: str
    kind: Kind
    text: str
    title: str
    time: str
    """When it happened or, failing that, was stored: in UTC, such as "2026-01-04T12:30:00Z"."""
    relevance: float | None
    tags: list[str]
    mark: str
    """Whether a preference was stated ("explicit") or concluded ("implicit")."""

    @classmethod
    def read(cls, kind: Kind, item: Item) -> "Memory":
        """Read one item of the list that holds `kind`, in the shape of the cloud's reply to a search."""
        tags = item.get("tags")
        moment = _moment(item.get("memory_time")) or _moment(item.get("create_time"))
        return cls(
            id=_plain(item.get("id")),
            kind=kind,
            text=_TEXTS[kind](item),
            title=_TITLES[kind](item),
            time=f"{moment.isoformat(timespec='seconds')[:-6]}Z" if moment else "",
            relevance=_number(item.get("relativity")),
            tags=[tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else [],
            mark=_MARKS.get(_plain(item.get("preference_type")), "") if kind == "preference" else "",
        )

    @property
    def rank(self) -> float:
        """What memories are ordered by. One without a score was chosen all the same: it comes last."""
        return -math.inf if self.relevance is None else self.relevance

    @property
    def line(self) -> str:
        """The memory in a prompt block."""
        return prompt.line(self.text, self.time.partition("T")[0], self.mark)

    @property
    def variable(self) -> dict[str, Any]:
        """The memory in the tool's variable `memories`, absent values left out."""
        values = {
            "id": self.id,
            "kind": self.kind,
            "text": self.text,
            "title": self.title,
            "time": self.time,
            "relevance": self.relevance,
            "tags": self.tags,
        }
        return {name: value for name, value in values.items() if value or value == 0}


class SearchResult:
    """What a search found, most relevant first.

    Args:
        lists: The cloud's `data`: four lists of items, and whatever else the server sent.
        user_id: Whose memories these are.
        most_characters: Longest prompt block; 0 means no limit.
    """

    def __init__(self, lists: dict[str, Any], user_id: str, most_characters: int) -> None:
        self.envelope = {"code": 0, "message": "ok", "data": lists}
        """What apps built for version 0.0.4 read from the tool's `json`."""
        memories = [Memory.read(kind, item) for kind, name in LISTS.items() for item in lists[name]]
        memories = sorted((memory for memory in memories if memory.text), key=lambda m: m.rank, reverse=True)
        context = prompt.block(((memory.kind, memory.line) for memory in memories), most_characters)
        self.variables = {
            "memory_context": context,
            "memories": [memory.variable for memory in memories],
            "count": len(memories),
            "found": bool(memories),
            "user_id": user_id,
        }
        """The tool's output variables, by name."""
        self.text = context or _nothing(len(memories))
        """What an agent reads."""


class AddResult:
    """What became of an add.

    Args:
        variables: status ("completed" or "running"), task_id, memory_ids, message_count, user_id and
            conversation_id, the tool's output variables.
    """

    def __init__(self, variables: dict[str, Any]) -> None:
        self.variables = variables
        count = variables["message_count"]
        messages = "1 message" if count == 1 else f"{count} messages"
        state = "stored" if variables["status"] == "completed" else "accepted; MemOS is still processing"
        self.text = f"Memory of user {variables['user_id']}: {messages} {state}."
        """What an agent reads."""
        self.envelope = {
            "code": 0,
            "message": "ok",
            "data": {"success": True, "task_id": variables["task_id"], "status": variables["status"]},
        }
        """What apps built for version 0.0.4 read from the tool's `json`."""


LISTS: dict[Kind, str] = {
    "fact": "memory_detail_list",
    "preference": "preference_detail_list",
    "tool": "tool_memory_detail_list",
    "skill": "skill_detail_list",
}


_MARKS = {"explicit_preference": "explicit", "implicit_preference": "implicit"}


def _nothing(count: int) -> str:
    if count:
        return f"{count} found in memory, but none fits into max_context_chars."
    return "Nothing relevant was found in memory."


def _tool_text(item: Item) -> str:
    experience = _plain(item.get("experience"))
    value = _plain(item.get("tool_value"))
    return f"{value} Experience: {experience}".strip() if experience else value


def _skill_text(item: Item) -> str:
    skill = item.get("skill_value")
    if not isinstance(skill, dict):
        return _plain(skill)
    contents = {label: _plain(skill.get(label)) for label in ("procedure", "experience", "preference")}
    labelled = [f"{label.capitalize()}: {content}" for label, content in contents.items() if content]
    return " ".join([_plain(skill.get("description")), *labelled]).strip() or _plain(skill.get("name"))


def _skill_title(item: Item) -> str:
    skill = item.get("skill_value")
    return _plain(skill.get("name")) if isinstance(skill, dict) else ""


_TEXTS: dict[Kind, Callable[[Item], str]] = {
    "fact": lambda item: _plain(item.get("memory_value")),
    "preference": lambda item: _plain(item.get("preference")),
    "tool": _tool_text,
    "skill": _skill_text,
}
_TITLES: dict[Kind, Callable[[Item], str]] = {
    "fact": lambda item: _plain(item.get("memory_key")),
    "preference": lambda _: "",
    "tool": lambda _: "",
    "skill": _skill_title,
}


def _plain(value: Any) -> str:
    """Write any JSON value as text: a string as it is, a list of strings joined, null as ""."""
    if isinstance(value, str):
        return value.strip()
    if value is None or value in ([], {}):
        return ""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "; ".join(value)
    return json.dumps(value, ensure_ascii=False)


def _number(value: Any) -> float | None:
    # The cloud's specification types a skill's relativity as a string.
    if value is None or isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def epoch_milliseconds(value: Any) -> int | None:
    """Turn a time as MemOS writes it into the epoch milliseconds of the cloud's replies."""
    moment = _moment(value)
    return round(moment.timestamp() * 1000) if moment else None


def _moment(value: Any) -> datetime | None:
    """Read a time as MemOS writes it: epoch milliseconds, or ISO 8601 (without a zone: UTC)."""
    try:
        if isinstance(value, str) and not value.isdecimal():
            moment = datetime.fromisoformat(value)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        milliseconds = _number(value)
        return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
