"""Plain conditions on an own server: checked on what it found, whatever its database."""

import json
from typing import Any

import pytest

from memos_client.kinds import Item
from tests.unit.samples import REPLIES, SELF_HOSTED, FakeMemos, cases

RECORDED = json.loads((REPLIES / "self_hosted/search_facts_and_preference.json").read_text())
METADATA = RECORDED["json"]["data"]["text_mem"][0]["memories"][0]["metadata"]
LABELS = {"scene": "chat", "agent_id": "agent-1", "floor": 7, "on": True, "grade": 0.5}
TAGS = {"custom_tags": ["food", "home"], "dify_tags": ["food", "home"]}
CREATED = {"tags": ["diet"], "created_at": "2026-01-31T23:30:00-02:00"}
# PostgreSQL keeps the labels in info, Neo4j among the metadata.
SHAPES = {
    "PostgreSQL": METADATA | CREATED | {"info": LABELS | TAGS},
    "Neo4j": METADATA | CREATED | {"info": None} | LABELS | TAGS,
}


def meets(memos: FakeMemos, metadata: Item, conditions: str) -> bool:
    memory = {"id": "mem-1", "memory": "The user eats no meat.", "metadata": metadata}
    memos.answers(SELF_HOSTED.says({"text_mem": [{"cube_id": "user-1", "memories": [memory]}]}))
    return bool(SELF_HOSTED.search(filter=conditions))


@cases("metadata", SHAPES)
@pytest.mark.parametrize(
    ("conditions", "met"),
    [
        ("food", True),
        ("food, home", True),
        ("diet", True),
        ("diet, food", True),
        ("Food", False),
        ("food, sport", False),
        ("scene=chat", True),
        ("scene=mail", False),
        ("scene=chat, agent_id=agent-1", True),
        ("scene=chat, agent_id=agent-2", False),
        ("app_id=app-1", False),
        ("floor=7", True),
        ("on=true", True),
        ("on=false", False),
        ("grade=0.5", True),
        ("food, scene=chat, created_after=2026-02-01", True),
        # It was the first of February in UTC.
        ("created_after=2026-02-01", True),
        ("created_after=2026-02-02", False),
        ("created_before=2026-02-02", True),
        ("created_before=2026-02-01", False),
        ("created_after=2026-02-01, created_before=2026-02-02", True),
    ],
)
def test_conditions_mean_the_same_on_every_database(
    memos: FakeMemos, metadata: Item, conditions: str, met: bool
) -> None:
    assert meets(memos, metadata, conditions) is met


@cases(
    "metadata, conditions, met",
    {
        "midnight is after": ({"created_at": "2026-02-01T00:00:00"}, "created_after=2026-02-01", True),
        "midnight is not before": (
            {"created_at": "2026-02-01T00:00:00Z"},
            "created_before=2026-02-01",
            False,
        ),
        "no date": ({}, "created_after=2026-02-01", False),
        "no date either way": ({}, "created_before=2026-02-01", False),
        "unreadable date": ({"created_at": "some day"}, "created_before=2026-02-01", False),
        "no metadata": (None, "food", False),
        "tags in both": ({"tags": ["food"], "info": {"tags": ["home"]}}, "food, home", True),
        "null": ({"info": {"scene": None}}, "scene=None", False),
        "tags that are no list": ({"tags": "food", "info": {"dify_tags": {"food": 1}}}, "food", False),
        "info goes before metadata": ({"scene": "mail", "info": {"scene": "chat"}}, "scene=chat", True),
    },
)
def test_memories_of_other_shapes_are_checked_with_care(
    memos: FakeMemos, metadata: Any, conditions: str, met: bool
) -> None:
    assert meets(memos, metadata, conditions) is met


def test_conditions_are_checked_for_every_kind_and_before_the_limit(memos: FakeMemos) -> None:
    def bucket(text: str) -> list[Any]:
        marked = {"id": "m", "memory": f"{text}, marked", "metadata": {"tags": ["food"], "relativity": 0.1}}
        others = [
            {"id": "x", "memory": f"{text} {number}", "metadata": {"relativity": 0.9}} for number in range(50)
        ]
        return [{"cube_id": "user-1", "memories": [*others, marked]}]

    memos.answers(SELF_HOSTED.says({"text_mem": bucket("fact"), "pref_mem": bucket("preference")}))
    found = SELF_HOSTED.search(filter="food", memory_limit_number=1)
    assert [one.memory["text"] for one in found] == ["fact, marked", "preference, marked"]


def test_raw_filter_is_the_server_s_affair(memos: FakeMemos) -> None:
    memos.answers(SELF_HOSTED.says(SELF_HOSTED.found))
    assert SELF_HOSTED.search(filter={"and": [{"scene": "mail"}]})
