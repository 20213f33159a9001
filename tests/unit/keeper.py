"""A MemOS that keeps memories of several users: it lists, shows and deletes them as both servers do."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from memos_client.kinds import FACT, KINDS, PREFERENCE, Kind
from tests.unit.samples import CLOUD, Answer, Deployment, Received


@dataclass(frozen=True)
class Kept:
    """A memory; without an id, as the cloud has some preferences."""

    memory_id: str
    text: str
    kind: Kind = FACT
    user_id: str = "user-1"


def facts(count: int, user_id: str = "user-1", prefix: str = "f") -> list[Kept]:
    """So many facts with ids of their own."""
    return [Kept(f"{prefix}{number}", f"Fact {number}.", user_id=user_id) for number in range(count)]


def preferences(count: int) -> list[Kept]:
    """So many preferences with ids of their own."""
    return [Kept(f"p{number}", f"Preference {number}.", PREFERENCE) for number in range(count)]


@dataclass
class Keeper:
    """Answers the requests of a listing, a lookup and a deletion from what it keeps.

    Of a deletion, `stays` is what it does not delete, and `replies` what it says instead of success.
    """

    deployment: Deployment
    kept: list[Kept]
    tells_pages: bool = True
    stays: set[str] = field(default_factory=set)
    replies: Answer | None = None

    def __call__(self, received: Received) -> Answer:
        """Answer a request."""
        path = received.url.removeprefix(self.deployment.url)
        if "delete" in path:
            return self.replies or self._delete(received.json)
        if self.deployment is CLOUD:
            return self._page(received.json) if received.json else self._one(path.rpartition("/")[2])
        return self._all(received.json)

    def of(self, user_id: str) -> list[str]:
        """The ids of what is kept of a user."""
        return [one.memory_id for one in self.kept if one.user_id == user_id]

    def _delete(self, body: dict[str, Any]) -> Answer:
        self.kept = [
            one
            for one in self.kept
            if one.memory_id in self.stays
            or (
                one.memory_id not in body["memory_ids"]
                if "memory_ids" in body
                else one.user_id != body["user_id"]
            )
        ]
        return self.deployment.says({"success": True} if self.deployment is CLOUD else {"status": "success"})

    def _page(self, body: dict[str, Any]) -> Answer:
        start, size = (body["page"] - 1) * body["size"], body["size"]
        mine = [one for one in self.kept if one.user_id == body["user_id"]]
        families = {kind: [one for one in mine if one.kind is kind] for kind in KINDS}
        data: dict[str, Any] = {
            kind.items: [_item(one) for one in family[start : start + size]] or None
            for kind, family in families.items()
            if kind.view in body["include_memory_view"]
        }
        total = max(len(family) for family in families.values())
        if self.tells_pages:
            data |= {"total": total, "size": size, "current": body["page"], "pages": -(-total // size)}
        return self.deployment.says(data)

    def _one(self, name: str) -> Answer:
        found = [one for one in self.kept if one.memory_id == unquote(name)]
        if not found:
            return Answer({"code": 40307, "message": "memory does not exist", "data": None})
        [one] = found
        told = {"id": one.memory_id, "content": one.text, "status": "activated", "user_id": one.user_id}
        return self.deployment.says(told)

    def _all(self, body: dict[str, Any]) -> Answer:
        """As PostgreSQL does: everything, in every family."""
        rows = [_row(one) for one in reversed(self.kept) if one.user_id == body["mem_cube_id"]]
        buckets = [{"cube_id": body["mem_cube_id"], "memories": rows}]
        return self.deployment.says(dict.fromkeys(("text_mem", "pref_mem", "tool_mem", "skill_mem"), buckets))


def _item(one: Kept) -> dict[str, Any]:
    text = {"preference": one.text} if one.kind is PREFERENCE else {"memory_value": one.text}
    return text | ({"id": one.memory_id} if one.memory_id else {})


def _row(one: Kept) -> dict[str, Any]:
    metadata = {"memory_type": "PreferenceMemory" if one.kind is PREFERENCE else "UserMemory"}
    return {"id": one.memory_id, "memory": one.text, "metadata": metadata}
