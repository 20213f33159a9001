"""What a reply says of itself: its data, or the error that it stands for."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic_core import from_json

from memos_client.errors import (
    MemosError,
    MemosReplyError,
    MemosServerError,
    bad_reply,
    class_of,
    error_of_code,
    forbidden_page,
    one_line,
    proxy_refusal,
)
from memos_client.transport import Reply

_SUCCESS = {None, 0, 200}
_SHORTEST_KEY = 6
_LARGEST_EXACT = 2**53
# Proxies that write their own pages into what they refuse, by what they call themselves in the header Server.
_PROXIES = ("squid", "tinyproxy", "privoxy", "zscaler", "bluecoat", "mcafee web gateway")


def unwrap(host: str, reply: Reply, key: str, *, accepts_nothing: bool = False) -> Any:
    """Return the `data` of a reply that says yes.

    Both a body without an error code and an HTTP status of success are needed; a known code in the body wins
    over the HTTP status. How MemOS's cloud pairs the two is not documented.

    Args:
        host: Who answered.
        reply: What came.
        key: The API key, which is not shown, should the server have put it into its message.
        accepts_nothing: Whether 202 or 204 without a body says yes; the data is None then, and only then.

    Raises:
        MemosError: The reply says no, or is none of MemOS's; one of its kinds, see `memos_client.errors`.
    """
    if accepts_nothing and reply.status in {202, 204} and not reply.body.strip():
        return None
    parsed = _parsed(reply.body)
    envelope = parsed if isinstance(parsed, dict) else {}
    code, words = _code(envelope.get("code")), _words(envelope)
    if len(key) >= _SHORTEST_KEY:
        words = words.replace(key, "[API key]")
    success = 200 <= reply.status < 300  # noqa: PLR2004 - HTTP's own numbers
    if not success or code not in _SUCCESS:
        raise _refusal(host, reply, code, words, key)
    if not isinstance(parsed, dict):
        raise bad_reply(host, _looks_of(reply.body))
    data = envelope.get("data")
    if data is None and accepts_nothing:
        raise bad_reply(host, "no data")
    if isinstance(data, dict) and (data.get("success") is False or data.get("status") == "failed"):
        reason = one_line(words)
        because = f": {reason}" if reason not in {"", "ok"} else ""
        raise MemosServerError(f"MemOS at {host} answered that this failed{because}.")
    return _exact(data)


def _refusal(host: str, reply: Reply, code: int | None, words: str, key: str) -> MemosError:
    status, page = reply.status, _looks_of(reply.body) == "HTML"
    if code and class_of(code):
        return error_of_code(host, code, words)
    if _is_of_a_proxy(reply) or (status == 403 and page and not key):  # noqa: PLR2004 - HTTP's own number
        return proxy_refusal(host, status)
    if status == 403 and page:  # noqa: PLR2004 - the same
        return forbidden_page(host)
    if 300 <= status < 400:  # noqa: PLR2004 - the same
        return _redirect(host, reply, key)
    if class_of(status):
        return error_of_code(host, status, words)
    what = f"HTTP {status}" if code in _SUCCESS else f"code {code}: {one_line(words)}".rstrip(": ")
    return bad_reply(host, what)


def _is_of_a_proxy(reply: Reply) -> bool:
    server = reply.headers.get("Server", "").lower()
    named = "X-Squid-Error" in reply.headers or server.startswith(_PROXIES)
    return reply.status == 407 or (reply.status in {403, 503} and named)  # noqa: PLR2004 - HTTP's own numbers


def _redirect(host: str, reply: Reply, key: str) -> MemosReplyError:
    """A redirect, which is never followed: where it points to, without path and parameters."""
    try:
        there = urlsplit(reply.headers.get("Location", ""))
        origin = f"{there.scheme}://{there.hostname}{f':{there.port}' if there.port else ''}"
    except ValueError:
        there, origin = urlsplit(""), ""
    if there.scheme not in {"http", "https"} or not there.hostname or (key and key.lower() in origin):
        return bad_reply(host, f"HTTP {reply.status}", refused=True)
    return MemosReplyError(
        f"MemOS at {host} redirects to {one_line(origin)} (HTTP {reply.status}).",
        "Put the address that MemOS itself answers at into MemOS URL.",
        refused=True,
    )


def _parsed(body: bytes) -> Any:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        return None


def _exact(value: Any) -> Any:
    """Write the integers that a double can't hold as text: Dify passes every number through one."""
    if isinstance(value, dict):
        return {name: _exact(content) for name, content in value.items()}
    if isinstance(value, list):
        return [_exact(content) for content in value]
    return str(value) if isinstance(value, int) and abs(value) > _LARGEST_EXACT else value


def _looks_of(body: bytes) -> str:
    start = body.lstrip()[:1]
    if not start:
        return "empty"
    return "HTML" if start == b"<" else "not a JSON object"


def _code(value: Any) -> int | None:
    """Read the code; -1 stands for what is no number."""
    if isinstance(value, str) and value.isdecimal():
        return int(value[:9])
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    return -1


def _words(envelope: Mapping[str, Any]) -> str:
    """The server's own words; where it refused parameters, their names and why."""
    detail = envelope.get("detail")
    if isinstance(detail, list):
        problems = [problem for problem in detail if isinstance(problem, dict) and problem.get("msg")]
        if parts := [f"{_last(problem.get('loc'))}: {problem['msg']}" for problem in problems]:
            return "; ".join(dict.fromkeys(parts))
    words = envelope.get("message") or detail
    return words if isinstance(words, str) else ""


def _last(location: Any) -> Any:
    return location[-1] if isinstance(location, list) and location else "request"
