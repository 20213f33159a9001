"""Whatever Dify puts into a parameter: a result that Dify takes, or an error before anything is sent."""

import json
import reprlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from memos_client.client import MemosClient
from memos_client.errors import MemosError, MemosInputError
from tests.properties.calls import KEY, USER, Api, Memos, Tool, outcome
from tests.properties.conftest import EXAMPLES
from tests.properties.values import files, integers, json_values, nested, perhaps, scalars, some, texts

TOOLS = Path(__file__).resolve().parents[2] / "tools"
MIB = 1024 * 1024


class Unknown:
    """Stands for what the SDK makes of a file: an object of a class that this plugin does not know."""


def names(tool: Tool) -> list[str]:
    declared = yaml.safe_load((TOOLS / f"{tool}.yaml").read_text())["parameters"]
    return [parameter["name"] for parameter in declared]


_anything = st.one_of(json_values, json_values, st.builds(Unknown))
_identifiers = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=100)
_switches = st.one_of(st.booleans(), st.sampled_from(["true", "false", "1", "0", 1, 0]))
_counts = st.one_of(st.integers(1, 25), st.sampled_from(["6", "6.0", 6.0]))
_labels = st.one_of(st.lists(_identifiers, max_size=2), st.lists(_identifiers, max_size=2).map(", ".join))
_days = st.one_of(st.dates().map(str), st.integers(0, 4000).map("{}d".format))
_conditions = st.dictionaries(texts, json_values, min_size=1, max_size=2)
_filters = st.fixed_dictionaries({"and": st.lists(_conditions, min_size=1, max_size=2)})
_labelled = st.one_of(texts, integers, st.floats(), st.lists(texts, max_size=2))
_info = st.dictionaries(texts, _labelled, max_size=3)
_turns = some(
    role=perhaps(st.sampled_from(["user", "assistant", "system", "tool"])),
    content=perhaps(texts),
    chat_time=perhaps(st.one_of(st.datetimes(timezones=st.none() | st.timezones()).map(str), integers)),
)
_messages = st.lists(perhaps(_turns), max_size=3)


def _or_its_text(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(values, values.map(json.dumps))


_FITTING: dict[str, st.SearchStrategy[Any]] = {
    "query": texts,
    "user_messages": texts,
    "ai_messages": texts,
    "messages": _or_its_text(_messages),
    "user_id": _identifiers,
    "conversation_id": _identifiers,
    "agent_id": _identifiers,
    "app_id": _identifiers,
    "tags": _labels,
    "knowledgebase_ids": _labels,
    "allow_knowledgebase_ids": _labels,
    "info": _or_its_text(_info),
    "filter": _or_its_text(_filters),
    "created_after": _days,
    "created_before": _days,
    "relativity": st.floats(0, 1),
    "max_context_chars": st.integers(0, 10_000),
} | dict.fromkeys(("async_mode", "allow_public", "json_output", "include_preference"), _switches)


def _parameters(tool: Tool) -> st.SearchStrategy[dict[str, Any]]:
    """Some parameters that fit, of which none or a few are replaced by anything at all."""
    declared = names(tool)
    usual = {"search_memory": {"query": "food"}, "add_memory": {"user_messages": "I eat no meat."}}[tool]
    fitting = st.sampled_from(declared).flatmap(
        lambda name: st.tuples(st.just(name), _FITTING.get(name, _counts | _switches))
    )
    odd = st.tuples(st.sampled_from(declared), _anything)
    return st.builds(
        lambda fitting, odd: usual | dict(fitting) | dict(odd),
        st.lists(fitting, max_size=4),
        st.lists(odd, max_size=2),
    )


def check(memos: Memos, tool: Tool, api: Api, parameters: dict[str, Any]) -> bool:
    """Call a tool on a healthy MemOS; tells whether it came to a result."""
    memos.requests.clear()
    memos.reply = None
    made = outcome(tool, parameters, memos.credentials(api))
    if isinstance(made, MemosError):
        assert isinstance(made, MemosInputError)
        assert memos.requests == []
        return False
    [request] = memos.requests
    sent = json.loads(request.body, parse_constant=pytest.fail)
    # Whose memory it is never changes on the way.
    given_user = parameters.get("user_id")
    user = given_user if isinstance(given_user, str) and given_user.strip() else USER
    assert (sent["user_id"], made.variables["user_id"]) == (user, user)
    if api == "self_hosted":
        assert sent.get("readable_cube_ids", sent.get("writable_cube_ids")) == [user]
    for message in sent.get("messages", ()):
        assert message["content"].strip()
        assert "\0" not in message["content"]
    return True


@pytest.mark.parametrize("tool", ["search_memory", "add_memory"])
def test_any_parameter_comes_to_a_result_or_an_error(memos: Memos, tool: Tool) -> None:
    came = Counter[bool]()

    @given(_parameters(tool), st.sampled_from(["cloud", "self_hosted"]))
    def call(parameters: dict[str, Any], api: Api) -> None:
        came[check(memos, tool, api, parameters)] += 1

    call()
    assert came.total() >= EXAMPLES
    assert min(came[True], came[False]) > EXAMPLES / 10, came


def _deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def _message(**values: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "x"} | values]}


@pytest.mark.parametrize("api", ["cloud", "self_hosted"])
@pytest.mark.parametrize(
    "parameters",
    [
        _message(chat_time="0001-01-01T00:00:00+01:00"),
        _message(chat_time="9999-12-31T23:59:59-01:00"),
        _message(chat_time=-62135596800),
        _message(chat_time=10**400),
        _message(content="\ud800"),
        _message(content={"type": "text", "text": "x"}),
        {"messages": _deep(5000)},
        {"messages": "[" * 5000 + "]" * 5000},
        {"user_messages": _deep(5000)},
        {"user_messages": "[" * 5000 + "'x'" + "]" * 5000},
        {"info": {"\ud800": {}}},
        {"info": {"a": _deep(5000)}},
        {"info": {"a": 10**4000}},
        {"info": '{"a": ' + "9" * 4301 + "}"},
        {"tags": ["a", None, 1]},
        {"user_id": ["a", "b"]},
        {"user_id": "['a', 'b']"},
        {"conversation_id": 10**400},
    ],
    ids=reprlib.repr,
)
def test_odd_parameters_of_an_add_come_to_a_result_or_an_error(
    memos: Memos, api: Api, parameters: dict[str, Any]
) -> None:
    usual = {} if "messages" in parameters else {"user_messages": "x"}
    check(memos, "add_memory", api, usual | parameters)


@pytest.mark.parametrize("api", ["cloud", "self_hosted"])
@pytest.mark.parametrize(
    "parameters",
    [
        {"query": _deep(5000)},
        {"query": "\ud800"},
        {"filter": {"and": [{"a": _deep(5000)}]}},
        {"filter": {"and": [{"a": float("nan")}]}},
        {"filter": {"and": [{"\ud800": "\ud800"}]}},
        {"relativity": "nan"},
        {"relativity": 10**400},
        {"memory_limit_number": 10**4000},
        {"memory_limit_number": "9" * 5000},
        {"max_context_chars": 10**400},
        {"max_context_chars": 1e300},
        {"created_after": "99999d", "created_before": "0d"},
        {"created_after": "\u0667d"},
        {"created_before": "2026-01-31\0"},
    ],
    ids=reprlib.repr,
)
def test_odd_parameters_of_a_search_come_to_a_result_or_an_error(
    memos: Memos, api: Api, parameters: dict[str, Any]
) -> None:
    check(memos, "search_memory", api, {"query": "x"} | parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {"messages": [1] * 200_000},
        {"messages": json.dumps([{"role": "user", "content": 1}] * 200_000)},
        {"messages": [{"n" * 3 * MIB: 1, "role": "x"}]},
        {"messages": [{"role": "r" * 3 * MIB, "content": "x"}]},
        {"user_messages": "x", "info": {"n" * 3 * MIB: {}}},
        {"user_messages": "x", "info": json.dumps({"n" * 3 * MIB: {}})},
        {"user_messages": "x", "info": "{" + "'" * 3 * MIB},
        {"user_messages": "x", "user_id": "u" * 3 * MIB},
        {"user_messages": "x", "user_id": f"sys.{'u' * 90}"},
        {"user_messages": "x", "tags": "t" * 3 * MIB},
        {"user_messages": "x", "async_mode": "t" * 3 * MIB},
    ],
    ids=reprlib.repr,
)
def test_no_parameter_makes_an_error_that_dify_would_not_read(
    memos: Memos, parameters: dict[str, Any]
) -> None:
    check(memos, "add_memory", "cloud", parameters)


_urls = st.one_of(
    st.sampled_from(
        [
            "https://memos.memtensor.cn/api/openmem/v1",
            "http://127.0.0.1:1",
            "https://[::1]:8000/product",
            "http://[",
        ]
    ),
    st.builds("{}://{}:{}/{}".format, st.sampled_from(["http", "https", "ftp", ""]), texts, integers, texts),
)
_keys = st.one_of(texts, texts.map("Token mpg-{}".format), texts.map("Bearer {}".format))
_deployments = st.sampled_from(["auto", "cloud", "self_hosted"])
_credentials = some(
    memos_url=perhaps(_urls, json_values),
    memos_api_key=perhaps(_keys, json_values),
    deployment=perhaps(_deployments, json_values),
)


@given(_credentials)
@example({"memos_url": "http://x", "memos_api_key": f"{KEY}\r\nX: y"})
@example({"memos_url": f"http://{KEY}@x", "memos_api_key": ""})
@example({"memos_url": f"http://x/?{KEY}", "memos_api_key": [KEY]})
@example({"memos_url": "http://x:99999999999", "memos_api_key": 10**4000})
@example({"memos_url": "http://\u2100", "memos_api_key": "\ud800"})
def test_any_credential_makes_a_client_or_an_error_that_does_not_show_it(credentials: dict[str, Any]) -> None:
    try:
        words = repr(MemosClient(credentials))
    except MemosInputError as error:
        words = str(error)
    assert words.encode()
    assert KEY not in words


_lists = st.lists(scalars, min_size=1, max_size=3)


@given(st.one_of(nested, files, _lists, st.dictionaries(texts, scalars, max_size=2)), st.booleans())
@example({"'\x1f": 0}, True)
def test_an_object_or_a_list_is_never_stored_as_text(memos: Memos, value: Any, printed: bool) -> None:
    written = str(value) if printed else value
    try:
        json.loads(str(value))
    except ValueError:
        memos.requests.clear()
        memos.reply = None
        outcome("add_memory", {"user_messages": written}, memos.credentials("cloud"))
        assert memos.requests == []
