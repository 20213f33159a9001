"""What comes out: the text, the JSON and the variables that a tool yields."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from memos_client.errors import MemosError
from memos_client.inputs import AddRequest, SearchRequest
from memos_client.memories import Added, Found, lists
from memos_client.memory_block import block

_FAILED = -1
_NOTHING_FOUND = "Nothing relevant was found in memory."


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


def _envelope(data: dict[str, Any], error: MemosError | None) -> dict[str, Any]:
    """What apps of version 0.0.4 read: a reply in the shape of the cloud's."""
    return {"code": _FAILED if error else 0, "message": str(error or "ok"), "data": data}
