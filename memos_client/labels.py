"""What memories are labelled with, and the conditions that labels have to fulfil: `food, scene=chat`."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

from pydantic import PlainValidator

from memos_client.fields import decoded, identifier, is_absent, no_printed_python, no_value, pieces, valued
from memos_client.texts import readable, unresolved, unresolved_inside

# A name with a dot breaks two of the databases of MemOS's own server.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_JOIN = re.compile("[=\uff1d\ufe66]")
_DAYS_AGO = re.compile(r"(\d{1,5})d")
_DAYS = ("created_after", "created_before")
_MEMOS_FIELDS = ("agent_id", "app_id")
# Written alone they lack a value, and are no tags.
_NAMES = {*_DAYS, *_MEMOS_FIELDS, "user_id"}
_SOURCES = {"user", "agent", "public", "knowledgebase"}
# MemoryOS 2.0.33 drops these names of info without a word (memos/api/handlers/add_handler.py), or means
# something of its own by them; the last line has what a filter and this plugin mean by theirs.
_RESERVED = {
    *("background", "confidence", "covered_history", "created_at", "custom_tags", "dialog_id", "embedding"),
    *("evolve_to", "file_ids", "history", "id", "info", "internal_info", "is_fast", "key", "mem_cube_id"),
    *("memory", "memory_type", "merged_from", "metadata", "original_text", "preference", "preference_type"),
    *("relativity", "score", "session_id", "source", "source_doc_id", "sources", "status", "tags", "type"),
    *("updated_at", "usage", "user_id", "user_name", "version", "visibility", "working_binding"),
    *("and", "or", "create_time", "update_time", "related_id", "dify_tags"),
}


@dataclass(frozen=True)
class Labels:
    """What memories are stored with, to be filtered by later."""

    tags: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    """By name; `agent_id` and `app_id` are MemOS's own fields."""


@dataclass(frozen=True)
class Conditions:
    """What a memory must fulfil to be found: all of it, or else a raw MemOS filter."""

    tags: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    """By name; `agent_id` and `app_id` are MemOS's own fields."""
    created_after: date | None = None
    created_before: date | None = None
    """Days in UTC."""
    raw: dict[str, Any] | None = None

    @property
    def are_plain(self) -> bool:
        """Whether there are any, and all are of the plugin's own notation."""
        return any((self.tags, self.values, self.created_after, self.created_before))

    def hold(self, tags: set[str], values: Mapping[str, str], created: datetime | None) -> bool:
        """Whether a memory with these labels meets plain conditions; without a date, none of those."""
        after, before = self.created_after, self.created_before
        return (
            tags.issuperset(self.tags)
            and all(values.get(name) == value for name, value in self.values.items())
            and (not after or (created is not None and created >= _midnight(after)))
            and (not before or (created is not None and created < _midnight(before)))
        )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _labels(value: Any) -> Labels:
    tags, values = _named(value)
    if day := next((name for name in _DAYS if name in values), None):
        raise ValueError(f"{day} is a condition, not a label")
    return Labels(tags, values)


def _conditions(value: Any) -> Conditions:
    text = readable(value).strip() if isinstance(value, str) else ""
    if isinstance(value, dict) or (text.startswith("{") and not unresolved(text)):
        raw = decoded(no_printed_python(text) or value)
        return Conditions(raw=_raw(raw)) if raw else Conditions()
    tags, values = _named(value)
    after, before = (_day(name, values.pop(name)) if name in values else None for name in _DAYS)
    if after and before and after >= before:
        raise ValueError("created_after wants a day before created_before")
    return Conditions(tags, values, after, before)


def _named(value: Any) -> tuple[tuple[str, ...], dict[str, str]]:
    """Read labels or conditions into tags and named values."""
    tags: list[str] = []
    values: dict[str, str] = {}
    for name, content in _pairs(value):
        if name == "tags":
            tags += pieces(content) if isinstance(content, str) else _texts(content)
        elif name in values:
            raise ValueError(f"{name} is given twice")
        else:
            values[name] = _checked(name, content)
    return tuple(dict.fromkeys(valued(tag) for tag in tags)), values


def _pairs(value: Any) -> Iterable[tuple[str, Any]]:
    """Names and what they are given, from the notation or from JSON; tags as a list under their own name."""
    if isinstance(value, str):
        if variable := unresolved(value):
            raise ValueError(no_value(variable))
        text = no_printed_python(readable(value)).strip()
        if text[:1] not in {"[", "{"}:
            return [_pair(piece) for piece in pieces(text)]
        decoded(text)
        value = json.loads(text, object_pairs_hook=tuple)  # keeps a name that stands twice
    if isinstance(value, dict):
        return value.items()
    return value if isinstance(value, tuple) else [("tags", value)]


def _pair(piece: str) -> tuple[str, Any]:
    name, *content = (part.strip() for part in _JOIN.split(piece, maxsplit=1))
    if name == "tags" or (content and _JOIN.match(content[0])):
        raise ValueError("a tag is a word alone, and one = joins a name and its value")
    return (name, content[0]) if content else (name, "") if name in _NAMES else ("tags", [name])


def _texts(values: Any) -> list[str]:
    if not isinstance(values, list | None):
        raise ValueError("wants tags and labels such as food, scene=chat")  # noqa: TRY004 - as above
    return [_text_of(value) for value in values or () if not is_absent(value)]


def _checked(name: str, content: Any) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("a name is made of a-z, A-Z, 0-9 and _, and starts with no digit")
    if name == "user_id":
        raise ValueError("user_id has a field of its own")
    if name in _RESERVED:
        raise ValueError(f"{name} is a name that MemOS keeps for itself")
    text = valued(_text_of(content))
    if not text:
        raise ValueError(f"{name} has no value")
    return identifier(text) if name in _MEMOS_FIELDS else text


def _text_of(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, bool | int | float):
        raise ValueError("each value wants text, a number, true or false")  # noqa: TRY004 - as above
    try:
        return json.dumps(content, allow_nan=False)
    except ValueError:
        raise ValueError("holds a number that JSON does not have") from None


def _day(name: str, text: str) -> date:
    try:
        if ago := _DAYS_AGO.fullmatch(text):
            return datetime.now(UTC).date() - timedelta(days=int(ago[1]))
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except (ValueError, OverflowError):
        raise ValueError(f"{name} wants a date such as 2026-01-31, or days ago such as 7d") from None


def _raw(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        raise ValueError("holds a value that JSON does not have") from None
    groups = list(value.values()) if value.keys() <= _SOURCES else [value]
    for group in groups:
        if not isinstance(group, dict) or len(group) != 1 or not group.keys() <= {"and", "or"}:
            raise ValueError('wants {"and": [...]} or {"or": [...]}, alone or for each source')
        [rules] = group.values()
        if not isinstance(rules, list) or not rules or not all(isinstance(r, dict) and r for r in rules):
            raise ValueError('"and" and "or" want a list of conditions such as {"tags": {"contains": "x"}}')
    left: list[Any] = [value]
    while left:
        part = left.pop()
        if isinstance(part, str) and (variable := unresolved_inside(part)):
            raise ValueError(no_value(variable))
        left += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return value


LabelsField = Annotated[Labels, PlainValidator(_labels)]
ConditionsField = Annotated[Conditions, PlainValidator(_conditions)]
