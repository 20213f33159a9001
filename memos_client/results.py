"""What comes out: one shape of results for every MemOS, and what a tool yields of it."""

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from memos_client import prompt

Kind = Literal["fact", "preference", "tool", "skill"]
Item = Mapping[str, Any]

_LARGEST_EXACT = 2**53
_MILLISECONDS_FROM = 1e11  # as seconds, that is the year 5138


class Memory(BaseModel):
    """One recalled memory; what MemOS did not say is absent."""

    model_config = ConfigDict(frozen=True)

    id: str | None = None
    kind: Kind
    text: str
    title: str | None = None
    time: str | None = None
    """When it happened or, failing that, was stored: ISO 8601 in UTC, to the second."""
    relevance: float | None = None
    tags: list[str] | None = None

    @classmethod
    def read(cls, kind: Kind, item: Item) -> "Memory":
        """Read one item of the list that holds `kind`, in the shape of the cloud's reply to a search."""
        tags = item.get("tags")
        when = _moment(item.get("memory_time")) or _moment(item.get("create_time"))
        return cls(
            id=_plain(item.get("id")) or None,
            kind=kind,
            text=_TEXTS[kind](item),
            title=_TITLES[kind](item) or None,
            time=when and when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            relevance=_number(item.get("relativity")),
            tags=[tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else None,
        )


class SearchResult:
    """What a search found, most relevant first.

    Args:
        lists: The cloud's `data`: four lists of items, and whatever else the server sent.
        user_id: Whose memories these are.
        most_characters: Longest prompt block; 0 means no limit.
    """

    def __init__(self, lists: dict[str, Any], user_id: str, most_characters: int) -> None:
        self.envelope = {"code": 0, "message": "ok", "data": _exact(lists)}
        """What apps built for version 0.0.4 read from the tool's `json`."""
        found = [
            (Memory.read(kind, item), _mark(item)) for kind, name in LISTS.items() for item in lists[name]
        ]
        found = [(memory, mark) for memory, mark in found if memory.text]
        found.sort(key=lambda pair: _rank(pair[0]), reverse=True)
        context = prompt.block(
            ((memory.kind, prompt.line(memory.text, _moment(memory.time), mark)) for memory, mark in found),
            most_characters,
        )
        self.variables = {
            "memory_context": context,
            "memories": [memory.model_dump(exclude_none=True) for memory, _ in found],
            "count": len(found),
            "found": bool(found),
            "user_id": user_id,
        }
        """The tool's output variables, by name."""
        self.text = context or _nothing(len(found))
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


def _nothing(count: int) -> str:
    if count:
        return f"{count} found in memory, but none fits into max_context_chars."
    return "Nothing relevant was found in memory."


def _rank(memory: Memory) -> float:
    # An item without a score was chosen by the server all the same: it follows those with one.
    return -math.inf if memory.relevance is None else memory.relevance


def _mark(item: Item) -> str | None:
    kind = _plain(item.get("preference_type"))
    return {"explicit_preference": "explicit", "implicit_preference": "implicit"}.get(kind)


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


def _exact(value: Any) -> Any:
    """Write the integers that a double can't hold as text: Dify passes every number through one."""
    if isinstance(value, dict):
        return {name: _exact(content) for name, content in value.items()}
    if isinstance(value, list):
        return [_exact(content) for content in value]
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT:
        return str(value)
    return value


def _number(value: Any) -> float | None:
    # The cloud's specification types a skill's relativity as a string.
    if isinstance(value, bool) or not isinstance(value, int | float | str):
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
    """Read a time as MemOS writes it: epoch milliseconds or seconds, or ISO 8601 (without a zone: UTC)."""
    number = _number(value)
    try:
        if number is not None:
            return datetime.fromtimestamp(number / 1000 if number > _MILLISECONDS_FROM else number, UTC)
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return moment and (moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError, OSError):
        return None
