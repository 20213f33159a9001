"""Whatever Dify puts into a parameter: a result that Dify takes, or an error before anything is sent."""

import json
import reprlib
from collections import Counter
from typing import Any, get_args

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from memos_client.credentials import read_credentials
from memos_client.errors import MemosError, MemosInputError
from sandbox.plugin_process import REPOSITORY
from tests.properties.calls import KEY, USER, Api, Memos, Tool, check_words, outcome
from tests.properties.conftest import EXAMPLES
from tests.properties.values import integers, json_values, perhaps, scalars, some, texts

MIB = 1024 * 1024
USUAL = {"search_memory": {"query": "food"}, "add_memory": {"user_messages": "I eat no meat."}}
SAID = {"query", "user_messages", "ai_messages"}
TOOLS = list(USUAL)
APIS = list(get_args(Api.__value__))


class Unknown:
    """Stands for what the SDK makes of a file: an object of a class that this plugin does not know."""


def names(tool: Tool) -> list[str]:
    declared = yaml.safe_load((REPOSITORY / "tools" / f"{tool}.yaml").read_text())["parameters"]
    return [parameter["name"] for parameter in declared]


_anything = st.one_of(json_values, st.builds(Unknown))


def _or_its_text(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(values, values.map(json.dumps))


_identifiers = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=30)
_labels = ["food", "食物，旅行", "scene = chat", "level＝3", "agent_id=a", "a=", "=", "=b", "id=1"]  # noqa: RUF001
_days = ["created_after=7d", "created_before=2026-01-31", "created_after=99999d", "created_before=x"]
_objects = st.dictionaries(
    st.sampled_from(["tags", "scene", "a.b", ""]), scalars | st.lists(texts), max_size=3
)
_rules = st.dictionaries(texts, json_values, min_size=1, max_size=2)
_messages = some(
    role=perhaps(st.sampled_from(["user", "assistant", "system", "tool"])),
    content=perhaps(texts | st.lists(some(type=st.just("text"), text=texts), max_size=2)),
    chat_time=perhaps(st.datetimes(timezones=st.none() | st.timezones()).map(str) | integers),
    tool_calls=st.lists(st.fixed_dictionaries({"id": texts, "function": _objects}), max_size=2),
    tool_call_id=texts,
)


def _notation(parts: list[str]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(parts), max_size=3).map(", ".join)


_FITTING: dict[str, st.SearchStrategy[Any]] = {
    "messages": _or_its_text(st.lists(perhaps(_messages), max_size=3)),
    "user_id": _identifiers,
    "conversation_id": _identifiers,
    "labels": _notation(_labels) | _or_its_text(_objects),
    "filter": _notation(_labels + _days)
    | _or_its_text(st.builds(dict, **{"and": st.lists(_rules, max_size=2)})),
    "kinds": st.sampled_from(["facts", "facts_and_preferences", "all"]),
    "memory_limit_number": st.integers(1, 25) | st.sampled_from(["6", "6.0", 6.0]),
    "relativity": st.floats(0, 1),
    "async_mode": st.booleans() | st.sampled_from(["true", "false", "1", "0", 1, 0]),
    "on_error": st.sampled_from(["fail", "continue"]),
}


def _parameters(tool: Tool) -> st.SearchStrategy[dict[str, Any]]:
    """Some parameters that fit, of which none or a few are replaced by anything at all."""
    declared = st.sampled_from(names(tool))
    fitting = declared.flatmap(lambda name: st.tuples(st.just(name), _FITTING.get(name, texts)))
    odd = st.tuples(declared, _anything)
    return st.builds(
        lambda fitting, odd: USUAL[tool] | dict(fitting) | dict(odd),
        st.lists(fitting, max_size=4),
        st.lists(odd, max_size=2),
    )


def check(memos: Memos, tool: Tool, api: Api, parameters: dict[str, Any]) -> bool:
    """Call a tool on a healthy MemOS; tells whether it came to a result."""
    memos.sent.clear()
    memos.reply = None
    made = outcome(tool, parameters, api)
    if isinstance(made, MemosError):
        assert type(made) is MemosInputError
        assert memos.sent == []
        if parameters.get("on_error") == "continue":
            # A builder's mistake, and none of what was said: that never ends a chat that shall go on.
            rest = {name: value for name, value in parameters.items() if name not in SAID}
            assert isinstance(outcome(tool, USUAL[tool] | rest, api), MemosInputError)
        return False
    # Whose memory it is never changes on the way.
    given_user = parameters.get("user_id")
    user = given_user if isinstance(given_user, str) and given_user.strip() else USER
    assert made.variables["user_id"] == user
    if made.variables["error"]:
        assert parameters["on_error"] == "continue"
        assert memos.sent == []
        return False
    [sent] = memos.sent
    assert sent["user_id"] == user
    if api == "self_hosted":
        assert sent.get("readable_cube_ids", sent.get("writable_cube_ids")) == [user]
    for message in sent.get("messages", ()):
        assert (message.get("content") or "").strip() or message["tool_calls"]
        assert "\0" not in (message.get("content") or "")
    return True


@pytest.mark.parametrize("tool", TOOLS)
def test_any_parameter_comes_to_a_result_or_an_error(memos: Memos, tool: Tool) -> None:
    came = Counter[bool]()

    @given(_parameters(tool), st.sampled_from(APIS))
    def call(parameters: dict[str, Any], api: Api) -> None:
        came[check(memos, tool, api, parameters)] += 1

    call()
    assert came.total() >= EXAMPLES
    assert min(came[True], came[False]) > EXAMPLES / 20, came


def _deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def _message(**values: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "x"} | values], "user_messages": ""}


ODD: list[tuple[Tool, dict[str, Any]]] = [
    ("add_memory", _message(chat_time="0001-01-01T00:00:00+01:00")),
    ("add_memory", _message(chat_time=10**400)),
    ("add_memory", _message(content=[{"type": "\ud800\n"}])),
    ("add_memory", _message(content=[{"type": "text", "text": "\ud800"}])),
    ("add_memory", _message(role="assistant", tool_calls=[_deep(5000)])),
    ("add_memory", _message(role="assistant", tool_calls=[{"x": float("nan")}])),
    ("add_memory", _message(role="tool", tool_call_id="\ud800")),
    ("add_memory", {"messages": _deep(5000)}),
    ("add_memory", {"messages": [1] * 200_000}),
    ("add_memory", {"messages": [{"n" * 3 * MIB: 1, "role": "r" * 3 * MIB}]}),
    ("add_memory", {"user_messages": "[" * 5000 + "'x'" + "]" * 5000}),
    ("add_memory", {"labels": {"\ud800": {}}}),
    ("add_memory", {"labels": {"a": 10**4000}}),
    ("add_memory", {"labels": '{"a": ' + "9" * 4301 + "}"}),
    ("add_memory", {"labels": f"{'n' * 3 * MIB}="}),
    ("add_memory", {"labels": "{" + "'" * 3 * MIB}),
    ("add_memory", {"user_id": "u" * 3 * MIB}),
    ("search_memory", {"query": "q" * 3 * MIB}),
    ("search_memory", {"filter": {"and": [{"a": _deep(5000)}]}}),
    ("search_memory", {"filter": {"and": [{"\ud800": float("nan")}]}}),
    ("search_memory", {"filter": "created_after=99999d, created_before=0d"}),
    ("search_memory", {"filter": f"{'n' * 3 * MIB}=1, {'n' * 3 * MIB}=1"}),
    ("search_memory", {"relativity": 10**400}),
    ("search_memory", {"memory_limit_number": "9" * 5000}),
]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("tool", "parameters"), ODD, ids=reprlib.repr)
def test_odd_parameters_come_to_a_result_or_an_error(
    memos: Memos, tool: Tool, api: Api, parameters: dict[str, Any]
) -> None:
    check(memos, tool, api, USUAL[tool] | parameters)


_hosts = st.sampled_from(
    [
        "https://memos.memtensor.cn/api/openmem/v1",
        "http://127.0.0.1:1",
        "https://[::1]:8000/product",
        "http://[",
    ]
)
_schemes = st.sampled_from(["http", "https", "ftp", ""])
_urls = st.one_of(_hosts, st.builds("{}://{}:{}/{}".format, _schemes, texts, integers, texts))
_keys = st.one_of(texts, texts.map("Token mpg-{}".format), texts.map("Bearer {}".format))
_deployments = st.sampled_from(["auto", "cloud", "self_hosted"])


@given(
    some(
        memos_url=perhaps(_urls, json_values),
        memos_api_key=perhaps(_keys, json_values),
        deployment=perhaps(_deployments, json_values),
    )
)
@example({"memos_url": "http://x", "memos_api_key": f"{KEY}\r\nX: y"})
@example({"memos_url": f"http://{KEY}@x", "memos_api_key": ""})
@example({"memos_url": f"http://x/?{KEY}", "memos_api_key": [KEY]})
@example({"memos_url": "http://x:99999999999", "memos_api_key": 10**4000})
@example({"memos_url": "http://\u2100", "memos_api_key": "\ud800"})
def test_any_credentials_are_read_or_refused_and_never_shown(credentials: dict[str, Any]) -> None:
    try:
        words = repr(read_credentials(credentials))
    except MemosInputError as error:
        check_words(error)
        words = ""
    assert KEY not in words
