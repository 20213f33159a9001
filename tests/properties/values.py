"""Strategies: any JSON value, odd ones more often than chance would have them, and values that nearly fit."""

from typing import Any

from hypothesis import strategies as st

_ODD_TEXTS = [
    *("", " ", "\0", "\n", "\ud800", "\u202e", "None", "null", "true", "False", "NaN", "-Infinity", "1e999"),
    *("[]", "{}", "[null]", '[""]', "[[[[", '{"a": 1', "['a', 1]", "{'a': None}", "[nan]", "[-1]", "-0"),
    *("{{#1.x#}}", "sys.user_id", "1767225600013.text", "DEFAULT-USER", "a~b", "food, scene=chat", "x" * 101),
    *("7d", "99999d", "2026-01-31", "0001-01-01", "9999-12-31T23:59:59-14:00", "1767571200000", "6", "6.0"),
    *("</memories>", "<memories>", "<memories>x</memories>", "<think>", "</think>", "\u0666", "\xb2"),
]
_any_character = st.characters(exclude_categories=())  # lone surrogates, too
texts = st.one_of(st.sampled_from(_ODD_TEXTS), st.text(max_size=20), st.text(_any_character, max_size=5))
_odd_integers = [2**53 + 1, -(2**63), 10**20, 10**400, 253402300800]
integers = st.one_of(st.integers(-3, 30), st.integers(), st.sampled_from(_odd_integers))
scalars = st.one_of(st.none(), st.booleans(), integers, st.floats(), texts)


def _wrapped(value: Any, name: str, turns: list[bool], depth: int) -> Any:
    for level in range(depth):
        value = {name: value} if turns[level % len(turns)] else [value]
    return value


_turns = st.lists(st.booleans(), min_size=1, max_size=3)
nested = st.builds(_wrapped, scalars, texts, _turns, st.integers(1, 150))
"""A value in very many lists and objects."""

files = st.fixed_dictionaries(
    {"dify_model_identity": st.just("__dify__file__"), "type": st.sampled_from(["image", "custom"])},
    optional={"url": texts, "mime_type": texts, "filename": texts, "size": integers},
)
"""A file, as Dify puts it into a parameter."""


def _inside(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(values, max_size=4) | st.dictionaries(texts, values, max_size=4)


json_values = st.one_of(scalars, st.recursive(scalars, _inside, max_leaves=6), nested, files)


@st.composite
def perhaps(draw: st.DrawFn, fitting: st.SearchStrategy[Any], other: st.SearchStrategy[Any] = scalars) -> Any:
    """What fits, five times out of six; `st.one_of` would count the kinds of `other`."""
    return draw(other if draw(st.integers(1, 6)) == 6 else fitting)


def some(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object that has some of these."""
    return st.fixed_dictionaries({}, optional=values)
