"""What comes out: the text, the JSON and the variables that a tool yields."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from memos_client.errors import MemosError
from memos_client.inputs import AddRequest, DeleteRequest, FeedbackRequest, ListRequest, SearchRequest
from memos_client.memories import Added, Found, Page, lists
from memos_client.memory_block import block

_FAILED = -1
_NOTHING_FOUND = "Nothing relevant was found in memory."
_NOTHING_KEPT = "No memories are kept here."


class Output(NamedTuple):
    """One text message, one JSON message, and every variable of the tool's `output_schema`."""

    text: str
    json: dict[str, Any]
    variables: dict[str, Any]


def of_search(request: SearchRequest, result: Sequence[Found] | MemosError) -> Output:
    """What Search Memory yields of what was found or, in a run that goes on all the same, of an error."""
    error = result if isinstance(result, MemosError) else None
    found = [] if isinstance(result, MemosError) else result
    context = block(found)
    variables = {
        "memory_context": context,
        "memories": [one.memory for one in found],
        "count": len(found),
        "found": bool(found),
        "user_id": request.user_id,
        "user_key": request.user_key,
        "error": str(error or ""),
    }
    return Output(str(error or context or _NOTHING_FOUND), _envelope(lists(found), error), variables)


def of_add(request: AddRequest, result: Added | MemosError) -> Output:
    """What Add Memory yields of an add or, in a run that goes on all the same, of an error."""
    error = result if isinstance(result, MemosError) else None
    added = Added("failed") if isinstance(result, MemosError) else result
    count = 0 if error else len(request.turns)
    state = "stored" if added.status == "completed" else "accepted; MemOS is still processing"
    text = f"{count} {'message' if count == 1 else 'messages'} {state}."
    variables = {
        "status": added.status,
        "task_id": added.task_id,
        "memory_ids": list(added.memory_ids),
        "message_count": count,
        "user_id": request.user_id,
        "user_key": request.user_key,
        "conversation_id": request.conversation_id,
        "error": str(error or ""),
    }
    data = {"success": not error, "task_id": added.task_id, "status": added.status}
    return Output(str(error or text), _envelope(data, error), variables)


def of_list(request: ListRequest, result: Page | MemosError) -> Output:
    """What List Memories yields of a page or, in a run that goes on all the same, of an error."""
    error = result if isinstance(result, MemosError) else None
    found, has_more = ((), False) if isinstance(result, MemosError) else result
    first = (request.page - 1) * request.limit + 1
    text = "\n".join(_listed(number, one) for number, one in enumerate(found, first))
    if has_more:
        text += f"\n(more on page {request.page + 1})"
    nothing = _NOTHING_KEPT if request.page == 1 else f"Page {request.page} is behind the last one."
    variables = {
        "memories": [one.memory for one in found],
        "count": len(found),
        "has_more": has_more,
        "user_id": request.user_id,
        "user_key": request.user_key,
        "error": str(error or ""),
    }
    return Output(str(error or text or nothing), _envelope(lists(found), error), variables)


def of_delete(request: DeleteRequest) -> Output:
    """What Delete Memories yields when it is done; of Delete All, no ids are known."""
    ids = list(request.memory_ids)
    count = len(ids)
    some = "1 memory" if count == 1 else f"{count} memories"
    what = "all memories of this user" if request.delete_all else some
    text = f"Deleted: {what}. MemOS no longer has them; a search may show them for some seconds more."
    if request.delete_all:
        # Seen on MemoryOS 2.0.33.
        text += (
            " Messages that it is still processing may be remembered all the same: list again in a minute."
        )
    variables = {"deleted_ids": ids, "count": count, "user_id": request.user_id}
    return Output(text, _envelope({"success": True, "deleted_ids": ids}, None), variables)


def of_feedback(request: FeedbackRequest, added: Added) -> Output:
    """What Add Feedback yields."""
    text = "Feedback taken; MemOS corrects its memories in the background."
    variables = {
        "status": added.status,
        "task_id": added.task_id,
        "memory_ids": list(added.memory_ids),
        "user_id": request.user_id,
    }
    data = {"success": True, "task_id": added.task_id, "status": added.status}
    return Output(text, _envelope(data, None), variables)


def _listed(number: int, one: Found) -> str:
    """A memory in a list that a person reads: "1. The user eats no meat. (fact, 2026-01-04, id m1)"."""
    day, name = one.memory.get("time", "").partition("T")[0], one.memory.get("id")
    told = (one.kind.name, day, f"id {name}" if name else "without an id: can't be deleted singly")
    return f"{number}. {' '.join(one.memory['text'].split())} ({', '.join(filter(None, told))})"


def _envelope(data: dict[str, Any], error: MemosError | None) -> dict[str, Any]:
    """What apps of version 0.0.4 read: a reply in the shape of the cloud's."""
    return {"code": _FAILED if error else 0, "message": str(error or "ok"), "data": data}
