"""Whatever MemOS, or what stands in its place, answers: a result that Dify takes, or a MemosError."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memos_client.errors import MemosError
from memos_client.kinds import COMMON_FIELDS, KINDS
from memos_client.transport import LARGEST_REPLY, Reply
from tests.properties.calls import Api, Memos, Tool, outcome
from tests.properties.conftest import EXAMPLES
from tests.properties.values import integers, json_values, perhaps, scalars, some, texts

PARAMETERS: dict[Tool, dict[str, Any]] = {
    "search_memory": {"query": "food", "kinds": "all"},
    "add_memory": {"user_messages": "I eat no meat."},
}
# A search whose conditions are looked at here, too.
CONDITIONS = {"query": "food", "filter": "food, scene=chat, created_after=7d"}

type Call = tuple[Tool, Api]

# What nearly is the `data` of a reply.
_details_of_an_item: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("create_time", "memory_time", "created_at"), st.datetimes().map(str) | integers | texts),
    **dict.fromkeys(("tags", "dify_tags"), st.lists(st.just("food") | scalars, max_size=2)),
    "relativity": st.floats(0, 1),
    "scene": st.just("chat"),
}


def _item(*names: str, **others: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    values = {name: perhaps(_details_of_an_item.get(name, texts), json_values) for name in names}
    return st.fixed_dictionaries({}, optional=values | others)


_info = _item("scene", "dify_tags")
_metadata = _item(
    *("memory_type", "key", "preference", "preference_type", "experience", "description", "procedure"),
    *("relativity", "created_at", "status", "tags"),
    info=perhaps(_info, json_values),
)
_bucket = some(memories=perhaps(st.lists(_item("id", "memory", metadata=perhaps(_metadata)), max_size=2)))
_lists = {kind.items: st.lists(_item(*COMMON_FIELDS, *kind.fields), max_size=2) for kind in KINDS}
_buckets = {kind.own.bucket: st.lists(_bucket, max_size=1) for kind in KINDS if kind.own}
_data: dict[Call, st.SearchStrategy[Any]] = {
    ("search_memory", "cloud"): some(**{name: perhaps(found, json_values) for name, found in _lists.items()}),
    ("search_memory", "self_hosted"): st.builds(
        lambda found, facts: found | {"text_mem": facts},
        some(**{name: perhaps(found, json_values) for name, found in _buckets.items()}),
        perhaps(_buckets["text_mem"]),
    ),
    ("add_memory", "cloud"): some(
        success=perhaps(st.booleans()),
        task_id=perhaps(texts, json_values),
        status=perhaps(st.sampled_from(["running", "completed", "failed"])),
    ),
    ("add_memory", "self_hosted"): st.lists(perhaps(_item("memory", "memory_id")), max_size=3),
}
CALLS = list(_data)

_codes = st.one_of(st.sampled_from([0, 200, "0", 40132, 40304, 50004, 422, 500]), integers, scalars)
_details = st.lists(some(loc=perhaps(st.lists(scalars, max_size=2)), msg=perhaps(texts)), max_size=2)
# Those below 200 are no replies: they announce one.
_statuses = st.one_of(st.sampled_from([200, 202, 204, 302, 401, 403, 407, 503]), st.integers(200, 999))
_places = st.sampled_from(["https://memos.example:8000/x", "//[", "/x", "http://[::1", "http://a:99999"])
_headers = some(Location=st.one_of(_places, texts), Server=st.sampled_from(["squid/5.7", "nginx"]))


def _written(value: Any, in_ascii: bool) -> bytes:
    return json.dumps(value, ensure_ascii=in_ascii).encode("utf-8", "surrogatepass")


def _cut(text: bytes, kept: float) -> bytes:
    return text[: round(len(text) * kept)]


def _replies(data: st.SearchStrategy[Any]) -> st.SearchStrategy[Reply]:
    """Replies whose envelope says yes, and others, which may be cut off."""
    yes = st.fixed_dictionaries({"code": st.sampled_from([0, 200]), "message": texts, "data": data})
    words = {"message": perhaps(texts, json_values), "detail": perhaps(_details, json_values)}
    odd = st.builds(_written, some(code=_codes, data=data, **words), st.booleans())
    return st.one_of(
        st.builds(Reply, st.just(200), st.just({}), st.builds(_written, yes, st.booleans())),
        st.builds(Reply, _statuses, _headers, st.one_of(odd, st.builds(_cut, odd, st.floats(0, 1)))),
    )


def check(memos: Memos, call: Call, reply: Reply) -> bool:
    """Play one reply; tells whether it became a result."""
    tool, api = call
    memos.sent.clear()
    memos.reply = reply
    made = outcome(tool, PARAMETERS[tool], api)
    assert len(memos.sent) == 1
    if tool == "search_memory":
        checked = outcome(tool, CONDITIONS, api)
        assert isinstance(checked, MemosError) or checked.variables["count"] <= 12
    # A chat that goes on gets the same words, where there are any, and else the same result.
    goes_on = outcome(tool, PARAMETERS[tool] | {"on_error": "continue"}, api)
    assert not isinstance(goes_on, MemosError)
    if isinstance(made, MemosError):
        assert goes_on.variables["error"] == goes_on.text == str(made)
        return False
    assert goes_on == made
    # What a success is, the contract says; a result of anything else would be a lie.
    assert 200 <= reply.status < 300
    if not reply.body.strip():
        assert (tool, made.variables["status"]) == ("add_memory", "running")
        return True
    envelope = json.loads(reply.body)
    assert envelope.get("code") is None or int(envelope["code"]) in {0, 200}
    data = envelope.get("data")
    assert not isinstance(data, dict) or (data.get("success") is not False and data.get("status") != "failed")
    assert data or tool == "search_memory" or data is None
    return True


@pytest.mark.parametrize("call", CALLS)
def test_any_reply_that_nearly_fits_becomes_a_result_or_an_error(memos: Memos, call: Call) -> None:
    became = Counter[bool]()

    @given(_replies(_data[call]))
    def play(reply: Reply) -> None:
        became[check(memos, call, reply)] += 1

    play()
    assert became.total() >= EXAMPLES
    assert min(became[True], became[False]) > EXAMPLES / 20, became


_any_json = st.builds(_written, json_values, st.booleans())


@given(st.sampled_from(CALLS), st.builds(Reply, _statuses, _headers, st.one_of(_any_json, st.binary())))
def test_anything_for_a_reply_becomes_a_result_or_an_error(memos: Memos, call: Call, reply: Reply) -> None:
    check(memos, call, reply)


def _long(start: str, part: str, end: str) -> bytes:
    """A reply, as long as one may be, that says the same over and over."""
    times = (LARGEST_REPLY - 1000) // len(part.encode())
    return f"{start}{part * times}{end}".replace(",]", "]").encode()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "body",
    [
        b'{"code": ' + b"9" * 4300 + b"}",
        b'{"code": "\xd9\xa3", "data": {"text_mem": []}}',
        b'{"code": 0, "code": 1, "data": {"text_mem": []}}',
        b'{"code": 0, "data": ' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"code": 0, "data": {"text_mem": [{"memories": [{"memory": "\\ud800"}]}]}}',
        b'{"code": 0, "data": {"text_mem": [], "x": -' + b"9" * 4300 + b"}}",
        _long('{"code": 77, "message": "', "x", '"}'),
        _long('{"code": 422, "detail": [', '{"loc": ["x"], "msg": "y"},', "]}"),
        _long('{"data": {"memory_detail_list": [{"memory_value": [', "1e15,", "]}]}}"),
        _long('{"data": {"text_mem": [{"memories": [{"memory": "', r"\"", '"}]}]}}'),
        _long('{"code": 0, "data": {"success": true, "task_id": "', r"\\", '"}}'),
        _long('{"code": 0, "data": [', '{"memory_id": "\U0001f331"},', "]}"),
    ],
    ids=lambda body: body[:50].decode(errors="replace"),
)
def test_odd_and_long_replies_become_a_result_or_an_error(memos: Memos, call: Call, body: bytes) -> None:
    check(memos, call, Reply(200, {}, body))
