"""What was found: in order, without duplicates, and as the variable `memories` shows it; what was stored."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from memos_client.fields import present
from memos_client.kinds import COMMON_FIELDS, PREFERENCE, Item, Kind, plain, title

Lists = Mapping[Kind, Sequence[Item]]
"""What a server found of each kind that it was asked for."""

# What MemOS calls memories that are no longer recalled.
_GONE = {"archived", "deleted"}
_MARKS = {"explicit_preference": "explicit", "implicit_preference": "implicit"}


class Found(NamedTuple):
    """A memory that was found: its kind, the server's item, and that as the variable `memories` shows it."""

    kind: Kind
    item: Item
    memory: dict[str, Any]

    @property
    def mark(self) -> str:
        """Whether a preference was stated ("explicit") or concluded ("implicit"); else ""."""
        return _MARKS.get(plain(self.item.get("preference_type")), "") if self.kind is PREFERENCE else ""


class Added(NamedTuple):
    """What became of an add, and what the reply names of task and memories."""

    status: Literal["completed", "running", "failed"]
    task_id: str = ""
    memory_ids: Sequence[str] = ()


class Lookup(NamedTuple):
    """A request by which to see which memories there are; without a body, it is a GET."""

    path: str
    body: Mapping[str, Any] | None = None


class Page(NamedTuple):
    """A page of a listing, and whether another follows."""

    found: Sequence[Found]
    has_more: bool


def current(lists: Lists) -> list[Found]:
    """The memories of all lists that MemOS calls neither archived nor deleted, in their order."""
    read = (Found(kind, item, memory(kind, item)) for kind, items in lists.items() for item in items)
    return [one for one in read if one.memory["text"] and plain(one.item.get("status")) not in _GONE]


def found(lists: Lists, limit: int) -> list[Found]:
    """The current memories of all lists, most relevant first: equal texts once, `limit` of each kind."""
    # What has no score was chosen all the same: it comes last.
    ordered = sorted(current(lists), key=lambda one: one.memory.get("relevance", -math.inf), reverse=True)
    chosen: dict[Kind, dict[str, Found]] = {}
    for one in ordered:
        alike = chosen.setdefault(one.kind, {})
        if len(alike) < limit:
            alike.setdefault(one.memory["text"], one)
    return [one for one in ordered if chosen[one.kind].get(one.memory["text"]) is one]


def memory(kind: Kind, item: Item) -> dict[str, Any]:
    """An item as the variable `memories` shows it, absent values left out.

    Returns:
        `id`, `kind`, `text`, `title`, `time` (when it happened or, failing that, was stored: in UTC, such as
        "2026-01-04T12:30:00Z"), `relevance` (four decimals) and `tags`.
    """
    tags = item.get("tags")
    times = (moment(item.get(name)) for name in ("memory_time", "create_time", "created_at"))
    time = next(filter(None, times), None)
    relevance = _number(item.get("relativity"))
    values = {
        "id": plain(item.get("id")),
        "kind": kind.name,
        "text": kind.text(item),
        "title": title(kind, item),
        "time": f"{time.isoformat(timespec='seconds')[:-6]}Z" if time else "",
        "relevance": None if relevance is None else round(relevance, 4),
        "tags": [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else [],
    }
    return {name: value for name, value in values.items() if value or value == 0 or name == "text"}


def lists(found: Iterable[Found]) -> dict[str, Any]:
    """The memories in the lists of the cloud's reply, with the documented fields and no others."""
    lists: dict[str, list[Item]] = {"memory_detail_list": [], "preference_detail_list": []}
    for kind, item, memory in found:
        documented = {name: item[name] for name in (*COMMON_FIELDS, *kind.fields) if name in item}
        documented["relativity"] = memory.get("relevance")
        lists.setdefault(kind.items, []).append(present(**documented))
    return lists


def moment(value: Any) -> datetime | None:
    """Read a time as MemOS writes it: epoch milliseconds, or ISO 8601 (without a zone: UTC)."""
    try:
        if isinstance(value, str) and not value.isdecimal():
            time = datetime.fromisoformat(value)
            return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
        milliseconds = _number(value)
        return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _number(value: Any) -> float | None:
    # The cloud's specification types a skill's relativity as a string.
    if value is None or isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
