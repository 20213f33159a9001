"""Whose memory it is: a user ID is taken as it is or refused, and a user key opens what it was made for."""

from collections.abc import Callable
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from memos_client.fields import is_absent
from memos_client.identity import Caller
from tests.properties.calls import KEY
from tests.properties.values import json_values, texts

OWN = "the Dify user"
_plain = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=30)
_names = st.one_of(_plain, texts, st.builds("{}~{}".format, _plain, _plain))
_api_keys = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=16, max_size=20)

AGENT, NODE = (Caller(OWN, app_id, "c1", KEY) for app_id in (None, "app-1"))


def taken(read: Callable[[Any], str], value: Any) -> str | None:
    """What `read` makes of a value; None where it is refused, in words that show no key."""
    try:
        return read(value)
    except ValueError as error:
        words = str(error)
    assert words
    assert KEY not in words
    return None


@given(st.one_of(_names, json_values))
@example("['alice', 'bob']")
@example("alice ")
def test_an_id_is_taken_as_it_is_or_refused(value: Any) -> None:
    absent = is_absent(value)
    assert taken(NODE.owner, value) in (OWN if absent else value, None)
    assert taken(AGENT.owner, value) == (OWN if absent or value == OWN else None)
    assert taken(Caller(value, "app-1", "c1", KEY).owner, None) in (value, None)
    assert taken(NODE.conversation, value) in ("c1" if absent else value, None)


@given(_names, _names, _api_keys, _api_keys)
@example("a~b", "a", KEY, f"{KEY}x")
def test_a_user_key_opens_the_memory_of_its_user_and_of_nobody_else(
    user: str, other_user: str, api_key: str, other_api_key: str
) -> None:
    assume(taken(NODE.owner, user) == user != other_user and api_key != other_api_key)
    node, agent = (Caller(OWN, app_id, "c1", api_key) for app_id in ("app-1", None))
    stranger = Caller(OWN, None, "c1", other_api_key)
    key = node.user_key(user)
    others = f"{other_user}~{key.removeprefix(f'{user}~')}"
    assert node.owner(key) == agent.owner(key) == agent.agents_owner(key) == user
    for refused in (
        taken(agent.owner, others),
        taken(agent.agents_owner, others),
        taken(stranger.owner, key),
        taken(stranger.agents_owner, key),
    ):
        assert refused is None


@given(_names, st.integers(0, 200), st.integers(0, 2), st.characters())
def test_a_user_key_that_was_changed_opens_nothing(user: str, place: int, removed: int, put: str) -> None:
    assume(taken(NODE.owner, user) == user)
    key = AGENT.user_key(user)
    place %= len(key) + 1
    changed = f"{key[:place]}{put}{key[place + removed :]}"
    assume(changed != key)
    assert taken(AGENT.owner, changed) is None
    assert taken(AGENT.agents_owner, changed) is None
