"""Opens the envelope {"code", "message", "data"} that every reply of MemOS comes in."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pydantic_core import from_json

from memos_client.errors import MemosServerError, is_known, not_understood, refusal, shown

_SUCCESS = {None, 0, 200}
_SHORTEST_SECRET = 6
# Lists, objects and what they hold: a hundred memories have some thousands. Each takes about a hundred bytes
# of memory, several times over, and its part of a second in which nothing else runs.
_MOST_PARTS = 200_000
_LARGEST_EXACT = 2**53
# Every digit becomes a nine: a quick look whether there is any number as long as that one.
_DIGITS = bytes.maketrans(b"012345678", b"999999999")
_LONG_NUMBER = b"9" * len(str(_LARGEST_EXACT))


def content(host: str, status: int, body: bytes, secrets: Sequence[str]) -> Any:
    """Return the `data` of a reply that says yes.

    Both a body without an error code and an HTTP status of success are needed; a known code in the body wins
    over the HTTP status. How MemOS's cloud pairs the two is not documented.

    Args:
        host: Who answered.
        status: The HTTP status.
        body: The reply, decompressed.
        secrets: What must not be shown, should the server have put it into its message.

    Raises:
        MemosError: The reply says no, or is none of MemOS's; one of its kinds, see `memos_client.errors`.
    """
    reply = _parsed(body)
    envelope = reply if isinstance(reply, dict) else {}
    code, words = _code(envelope.get("code")), _without(secrets, _words(envelope))
    _check(host, status, code, words)
    if not isinstance(reply, dict):
        raise not_understood(host, _looks_of(body))
    data = envelope.get("data")
    if isinstance(data, dict) and (data.get("success") is False or data.get("status") == "failed"):
        reason = shown(words)
        because = f": {reason}" if reason not in {"", "ok"} else ""
        raise MemosServerError(f"MemOS at {host} answered that this failed{because}.")
    return _exact(data) if _LONG_NUMBER in body.translate(_DIGITS) else data


def _exact(value: Any) -> Any:
    """Write the integers that a double can't hold as text: Dify passes every number through one."""
    if isinstance(value, dict):
        return {name: _exact(content) for name, content in value.items()}
    if isinstance(value, list):
        return [_exact(content) for content in value]
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT:
        return str(value)
    return value


def _without(secrets: Sequence[str], words: str) -> str:
    if len(words) < _SHORTEST_SECRET:  # as "ok" is
        return words
    for secret in secrets:
        for form in _written_forms(secret):
            words = words.replace(form, "[API key]")
    return words


def _written_forms(secret: str) -> list[str]:
    """The secret as it is, as URLs and forms hold it, and as base64 does at any place of a longer text."""
    forms = [secret, quote(secret), quote(secret, safe="")]
    for before in range(3):
        # Of the characters, six bits each, only those that lie within the secret's own bytes.
        first, end = -(-8 * before // 6), 8 * (before + len(secret)) // 6
        encoded = b64encode(bytes(before) + secret.encode())[first:end].decode()
        forms += [encoded, encoded.replace("+", "-").replace("/", "_")]
    return [form for form in forms if len(form) >= _SHORTEST_SECRET]


def _check(host: str, status: int, code: int | None, words: str) -> None:
    """Raise what code and status say; never from a variable, which would keep the whole reply in memory."""
    success = 200 <= status < 300  # noqa: PLR2004 - HTTP's own numbers
    if success and code in _SUCCESS:
        return
    if code is not None and is_known(code):
        raise refusal(host, code, words)
    if is_known(status):
        raise refusal(host, status, words)
    what = f"code {code}: {shown(words)}".rstrip(": ") if success else f"HTTP {status}"
    raise not_understood(host, what)


def _parsed(body: bytes) -> Any:
    try:
        return None if _has_too_many_parts(body) else from_json(body, allow_inf_nan=False)
    except ValueError:
        return None


def _has_too_many_parts(body: bytes) -> bool:
    # Brackets and commas in texts count, too.
    return len(body) > _MOST_PARTS and sum(map(body.count, (b"[", b"{", b","))) > _MOST_PARTS


def _looks_of(body: bytes) -> str:
    start = body.lstrip()[:1]
    if not start:
        return "empty"
    if start == b"<":
        return "HTML"
    return "too large" if _has_too_many_parts(body) else "not a JSON object"


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
