"""One call of a tool as Dify would see it: its messages or its error, held against what Dify takes.

The tools themselves need `dify_plugin`, which these tests do without: `_run` does what they do.
"""

import json
import traceback
from collections.abc import Mapping
from typing import Any, Literal

import pytest

from memos_client.client import MemosClient
from memos_client.errors import MemosError
from memos_client.identity import Caller
from memos_client.inputs import AddRequest, SearchRequest
from memos_client.outputs import Output, of_add, of_search
from memos_client.transport import Limits, Reply
from sandbox.dify_schema import LINE_LIMIT, check_message

type Tool = Literal["search_memory", "add_memory"]
type Api = Literal["cloud", "self_hosted"]

USER = "the Dify user"
KEY = "mpg-canary-0ff1ce-5a17"
CREDENTIALS = {
    "cloud": {"memos_url": "https://memos.memtensor.cn/api/openmem/v1", "memos_api_key": KEY},
    "self_hosted": {"memos_url": "http://memos.example", "memos_api_key": KEY},
}
_HEALTHY: dict[str, Any] = {
    "/search/memory": {"code": 0, "data": {"memory_detail_list": [{"memory_value": "x"}]}},
    "/add/message": {"code": 0, "data": {"success": True, "status": "running"}},
    "/product/search": {"code": 200, "data": {"text_mem": [{"memories": [{"memory": "x"}]}]}},
    "/product/add": {"code": 200, "data": [{"memory_id": "m1"}]},
}


class Memos:
    """A MemOS that answers everything with `reply`, or as a healthy one while there is none."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.reply: Reply | None = None

    def post(self, url: str, _: Mapping[str, str], data: bytes, __: Limits, *, repeatable: bool) -> Reply:
        """Stand in for the function of `memos_client.transport`."""
        del repeatable
        self.sent.append(json.loads(data, parse_constant=pytest.fail))
        healthy = next(reply for path, reply in _HEALTHY.items() if url.endswith(path))
        return self.reply or Reply(200, {}, json.dumps(healthy).encode())


def outcome(tool: Tool, parameters: Mapping[str, Any], api: Api) -> Output | MemosError:
    """Call a tool, and return what came of it, which Dify would take; any other exception is raised."""
    try:
        output = _run(tool, parameters, api)
    except MemosError as error:
        check_words(error)
        return error
    check_message({"type": "text", "message": {"text": output.text}})
    check_message({"type": "json", "message": {"json_object": output.json}})
    for name, value in output.variables.items():
        content = {"variable_name": name, "variable_value": value, "stream": False}
        check_message({"type": "variable", "message": content})
    return output


def _run(tool: Tool, parameters: Mapping[str, Any], api: Api) -> Output:
    client = MemosClient(CREDENTIALS[api])
    caller = Caller(USER, "app-1", "c1", client.api_key)
    if tool == "search_memory":
        search = SearchRequest.parse(parameters, caller)
        return of_search(search, search.result_or_error(client.search))
    add = AddRequest.parse(parameters, caller)
    return of_add(add, add.result_or_error(client.add))


def check_words(error: MemosError) -> None:
    """One line that shows no key, in a frame that Dify would read: its stack has the words once more."""
    assert type(error) in MemosError.__subclasses__()
    assert len(str(error).splitlines()) == 1
    words = {"error_type": type(error).__name__, "message": str(error)}
    stack = "".join(traceback.format_exception(error))
    frame = json.dumps(words | {"args": {"traceback": stack}}, ensure_ascii=False).encode()
    assert KEY.encode() not in frame
    assert len(frame) < LINE_LIMIT - 1000, f"an error of {len(frame)} bytes: Dify would kill the plugin"
