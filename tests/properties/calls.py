"""One call of a tool as Dify would see it: its messages or its error, held against what Dify takes.

The tools themselves need `dify_plugin`, which these tests do without: `messages_of` yields what they do.
"""

import contextlib
import json
import signal
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from memos_client.client import MemosClient
from memos_client.connections import Patience
from memos_client.errors import MemosError
from memos_client.models import AddRequest, SearchRequest
from memos_client.results import AddResult, SearchResult
from sandbox.dify_schema import LINE_LIMIT, check_message
from sandbox.scripted_server import Answer, ScriptedServer
from tests.faults.faulty_server import good_reply

type Tool = Literal["search_memory", "add_memory"]
type Api = Literal["cloud", "self_hosted"]

USER = "the Dify user"
KEY = "mpg-canary-0ff1ce"
SECONDS_OF_A_HANG = 60
# Nothing is sent twice: these tests are not about repetitions, which would wait in between.
_ONCE = Patience(silence=30, ceiling=30, tries=1)
_PATHS = {"cloud": "/openmem/v1", "self_hosted": ""}


class Memos(ScriptedServer):
    """A MemOS that answers everything with `reply`, or as a healthy one while there is none."""

    def __init__(self) -> None:
        super().__init__(lambda request: self.reply or Answer(good_reply(request)))
        self.reply: Answer | None = None

    def credentials(self, api: Api) -> dict[str, str]:
        """What a user of this MemOS would type."""
        return {"memos_url": self.url + _PATHS[api], "memos_api_key": KEY}


type Outcome = SearchResult | AddResult | MemosError


def outcome(tool: Tool, parameters: Mapping[str, Any], credentials: Mapping[str, Any]) -> Outcome:
    """Call a tool and return what came of it, which Dify would take; any other exception is raised."""
    with _ending_hangs():
        try:
            result = _result(tool, parameters, credentials)
        except MemosError as error:
            _check_error(error)
            return error
    for message in messages_of(result):
        check_message(message)
    return result


def messages_of(result: SearchResult | AddResult) -> Iterator[dict[str, Any]]:
    """The messages that the tools yield of a result, as the SDK would write them."""
    yield {"type": "text", "message": {"text": result.text}}
    yield {"type": "json", "message": {"json_object": result.envelope}}
    for name, value in result.variables.items():
        yield {
            "type": "variable",
            "message": {"variable_name": name, "variable_value": value, "stream": False},
        }


def _result(
    tool: Tool, parameters: Mapping[str, Any], credentials: Mapping[str, Any]
) -> SearchResult | AddResult:
    if tool == "search_memory":
        request = SearchRequest.parse(parameters, user_id=USER)
        return MemosClient(credentials).search(request, _ONCE)
    return MemosClient(credentials).add(AddRequest.parse(parameters, user_id=USER, conversation_id="c1"))


def _check_error(error: MemosError) -> None:
    """Check the frame in which the SDK sends an error; its stack ends with the error's words once more."""
    words = {"error_type": type(error).__name__, "message": str(error)}
    stack = "".join(traceback.format_exception(error))
    frame = json.dumps(words | {"args": {"traceback": stack}}, ensure_ascii=False).encode()
    assert len(frame) < LINE_LIMIT - 1000, f"an error of {len(frame)} bytes: Dify would kill the plugin"
    assert KEY.encode() not in frame
    assert type(error) is not MemosError
    assert str(error)


class _Hang(BaseException):
    """Passes through all that the code under test may catch."""


@contextlib.contextmanager
def _ending_hangs() -> Iterator[None]:
    def end(*_: object) -> None:
        raise _Hang

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(SECONDS_OF_A_HANG)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
