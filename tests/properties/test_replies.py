"""Whatever MemOS, or what stands in its place, answers: a result that Dify takes, or a MemosError."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memos_client.client import LARGEST_REPLY
from memos_client.errors import MemosError
from sandbox.scripted_server import Answer
from tests.properties.calls import Api, Memos, Tool, outcome
from tests.properties.conftest import EXAMPLES
from tests.properties.values import integers, json_values, perhaps, scalars, some, texts

MIB = 1024 * 1024

PARAMETERS: dict[Tool, dict[str, Any]] = {
    "search_memory": {"query": "food", "include_tool_memory": True, "include_skill": True},
    "add_memory": {"user_messages": "I eat no meat."},
}

type Call = tuple[Tool, Api]

# What nearly is the `data` of a reply.
_times = st.one_of(integers, texts, st.floats(), st.datetimes().map(str))
_tags = perhaps(st.lists(scalars, max_size=2))
_ranks = perhaps(st.floats(0, 1))
_preference_types = perhaps(st.sampled_from(["explicit_preference", "implicit_preference"]))
_skills = some(name=texts, description=texts, procedure=texts, experience=st.lists(texts, max_size=2))


def _cloud_list(**texts_of_a_kind: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    item = some(id=perhaps(texts), relativity=_ranks, create_time=_times, tags=_tags, **texts_of_a_kind)
    return perhaps(st.lists(item, max_size=2), json_values)


def _self_hosted_list(**metadata_of_a_kind: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    metadata = some(relativity=_ranks, created_at=_times, tags=_tags, **metadata_of_a_kind)
    memory = some(id=perhaps(texts), memory=perhaps(texts, json_values), metadata=perhaps(metadata))
    bucket = some(cube_id=texts, memories=perhaps(st.lists(memory, max_size=2)))
    return perhaps(st.lists(bucket, max_size=1), json_values)


_data: dict[Call, st.SearchStrategy[Any]] = {
    ("search_memory", "cloud"): some(
        memory_detail_list=_cloud_list(memory_value=texts, memory_key=scalars, memory_time=_times),
        preference_detail_list=_cloud_list(preference=texts, preference_type=_preference_types),
        tool_memory_detail_list=_cloud_list(tool_value=perhaps(texts, json_values), experience=scalars),
        skill_detail_list=_cloud_list(skill_value=perhaps(_skills, json_values)),
        preference_note=scalars,
    ),
    ("search_memory", "self_hosted"): st.builds(
        lambda facts, others: {"text_mem": facts} | others,
        _self_hosted_list(key=scalars, session_id=scalars),
        some(
            pref_mem=_self_hosted_list(preference=perhaps(texts), preference_type=_preference_types),
            tool_mem=_self_hosted_list(experience=scalars),
            skill_mem=_self_hosted_list(name=scalars, description=scalars, procedure=json_values),
            pref_note=scalars,
        ),
    ),
    ("add_memory", "cloud"): some(
        success=perhaps(st.booleans()),
        task_id=perhaps(texts, json_values),
        status=perhaps(st.sampled_from(["running", "completed", "failed"])),
    ),
    ("add_memory", "self_hosted"): st.lists(
        perhaps(some(memory=texts, memory_id=perhaps(texts))), max_size=3
    ),
}


_codes = st.one_of(st.sampled_from([0, 200, "0", 40132, 40304, 50004, 422, 500]), integers, scalars)
_details = st.lists(some(loc=perhaps(st.lists(scalars, max_size=2)), msg=perhaps(texts)), max_size=2)
# Those below 200 are no replies: they announce one.
_statuses = st.one_of(st.sampled_from([200, 204, 401, 422, 429, 500, 503]), st.integers(200, 999))
_moments = ["0", "21600", "-1", "1e9", "9" * 400, "\xb2", "soon", "Wed, 01 Jan 0001 00:00:00 +1400"]
_waits = st.sampled_from(_moments)


def _written(value: Any, in_ascii: bool) -> bytes:
    return json.dumps(value, ensure_ascii=in_ascii).encode("utf-8", "surrogatepass")


def _cut(text: bytes, kept: float) -> bytes:
    return text[: round(len(text) * kept)]


def _replies(data: st.SearchStrategy[Any]) -> st.SearchStrategy[Answer]:
    """Replies whose envelope says yes, and others, which may be cut off."""
    yes = st.builds(
        lambda code, message, data: {"code": code, "message": message, "data": data},
        st.sampled_from([0, 200]),
        texts,
        data,
    )
    words = {"message": perhaps(texts, json_values), "detail": perhaps(_details, json_values)}
    odd = some(code=_codes, data=data, **words)
    bodies = st.builds(_written, odd, st.booleans())
    return st.one_of(
        st.builds(Answer, body=st.builds(_written, yes, st.booleans())),
        st.builds(
            Answer,
            body=st.one_of(bodies, bodies, st.builds(_cut, bodies, st.floats(0, 1))),
            status=_statuses,
            headers=some(**{"Retry-After": _waits}),
        ),
    )


def check(memos: Memos, call: Call, reply: Answer) -> bool:
    """Play one reply; tells whether it became a result."""
    tool, api = call
    memos.requests.clear()
    memos.reply = reply
    made = outcome(tool, PARAMETERS[tool], memos.credentials(api))
    assert len(memos.requests) == 1
    if isinstance(made, MemosError):
        return False
    # What a success is, the contract says; a result of anything else would be a lie.
    assert 200 <= reply.status < 300
    assert isinstance(reply.body, bytes)
    envelope = json.loads(reply.body)
    assert envelope.get("code") is None or int(envelope["code"]) in {0, 200}
    data = envelope["data"]
    assert isinstance(data, list) or (data.get("success") is not False and data.get("status") != "failed")
    assert data or tool == "search_memory"
    return True


@pytest.mark.parametrize("call", _data)
def test_any_reply_that_nearly_fits_becomes_a_result_or_an_error(memos: Memos, call: Call) -> None:
    became = Counter[bool]()

    @given(_replies(_data[call]))
    def play(reply: Answer) -> None:
        became[check(memos, call, reply)] += 1

    play()
    assert became.total() >= EXAMPLES
    assert min(became[True], became[False]) > EXAMPLES / 10, became


_SEARCHES: list[Call] = [("search_memory", "cloud"), ("search_memory", "self_hosted")]
_ADDS: list[Call] = [("add_memory", "cloud"), ("add_memory", "self_hosted")]


@given(
    st.sampled_from(_SEARCHES + _ADDS),
    st.builds(Answer, body=st.builds(_written, json_values, st.booleans()), status=_statuses),
)
def test_any_json_for_a_reply_becomes_a_result_or_an_error(memos: Memos, call: Call, reply: Answer) -> None:
    check(memos, call, reply)


@pytest.mark.parametrize("call", _SEARCHES + _ADDS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0",
        b'{"code": ' + b"9" * 4300 + b"}",
        b'{"code": "\xd9\xa3", "data": {"text_mem": []}}',
        b'{"code": 0, "code": 1, "data": {"text_mem": []}}',
        b'{"code": 422, "detail": [{"loc": [[]], "msg": {}}, 1]}',
        b'{"code": 0, "data": ' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"code": 0, "data": {"memory_detail_list": [NaN]}}',
        b'{"code": 0, "data": {"memory_detail_list": [{"memory_time": "0001-01-01T00:00:00+01:00"}]}}',
        b'{"code": 0, "data": {"text_mem": [{"memories": [{"memory": "\\ud800"}]}]}}',
        b'{"code": 0, "data": {"text_mem": [{"memories": [{"metadata": {"created_at": 1e300}}]}]}}',
        b'{"code": 0, "data": {"text_mem": [], "x": -' + b"9" * 4300 + b"}}",
        b'{"code": 0, "data": {"success": true, "task_id": {"a": [null, 1e15]}}}',
    ],
)
def test_odd_replies_become_a_result_or_an_error(memos: Memos, call: Call, body: bytes) -> None:
    check(memos, call, Answer(body))


def _of(start: str, part: str, end: str, size: int = LARGEST_REPLY - 1000) -> bytes:
    """A reply of so many bytes that says the same over and over."""
    return f"{start}{part * (size // len(part.encode()))}{end}".replace(",]", "]").encode()


@pytest.mark.parametrize("call", _SEARCHES + _ADDS)
@pytest.mark.parametrize(
    "body",
    [
        _of('{"code": 77, "message": "', "x", '"}'),
        _of('{"code": 0, "message": "', "x", '", "data": {"success": false}}'),
        _of('{"code": 0, "message": "', "x", '", "data": {"status": "failed"}}'),
        _of('{"code": 422, "detail": [', '{"loc": ["x"], "msg": "y"},', "]}"),
        _of('{"code": 0, "data": {"success": true, "task_id": "', r"\\", '"}}'),
        _of('{"code": 0, "data": {"success": true, "task_id": ["', "\U000e0001", '"]}}'),
        _of('{"code": 0, "data": {"success": true, "task_id": [', "1e15,", "]}}"),
        _of('{"code": 0, "data": [', '{"memory_id": "\U0001f331"},', "]}"),
        _of('{"code": 0, "data": {"memory_detail_list": [{"memory_value": "', "\U0001f331", '"}]}}'),
        _of('{"code": 0, "data": {"memory_detail_list": [{"memory_value": "', r"\"", '"}]}}'),
        _of('{"code": 0, "data": {"memory_detail_list": [{"memory_value": [', "1e15,", "]}]}}"),
        _of('{"code": 0, "data": {"memory_detail_list": [', "{},", "]}}"),
        _of('{"code": 0, "data": {"text_mem": [], "x": [', "1e15,", "]}}"),
        _of('{"code": 0, "data": {"text_mem": [], "x": [', "9007199254740993,", "]}}"),
        _of('{"code": 0, "data": {"text_mem": [{"memories": [{"memory": "', "x", '"}]}]}}'),
        _of('{"code": 0, "data": {"text_mem": [{"memories": [{"metadata": {"tags": ["', "x", '"]}}]}]}}'),
    ],
    ids=lambda body: body[:50].decode(),
)
def test_the_largest_replies_make_no_line_that_dify_would_not_read(
    memos: Memos, call: Call, body: bytes
) -> None:
    check(memos, call, Answer(body))
