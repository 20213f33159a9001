"""Labels and conditions on MemOS's own server: what meets a condition is found, and nothing else is."""

from datetime import UTC, datetime, timedelta
from urllib.request import Request, urlopen

import pytest

from sandbox.memos_server import MemosServer
from sandbox.plugin_process import PluginProcess
from sandbox.scripted_server import Answer, ScriptedServer
from sandbox.scripted_server import Request as Arrival
from tests.runtime.memos import KEY
from tests.runtime.person import Person, unread

CHINESE = "食物，旅行；scene=chat、agent_id=bot-1\napp_id=shop; level＝3"  # noqa: RUF001 - as its keyboards have it
# What someone says, a fact and a preference each, and under which labels.
SAID = {
    "The cat is called Tom. I really like fish.": CHINESE,
    "The bus to Ulm leaves at nine. I really like onions.": "travel, scene=mail, agent_id=bot-2",
    "The house has a red roof. I really like music.": "",
}
# Words by which to know what was said under which scene.
CHAT, MAIL, NONE = {"Tom", "fish"}, {"bus", "onions"}, {"roof", "music"}
ALL = CHAT | MAIL | NONE
IN_TWO_DAYS = datetime.now(UTC).date() + timedelta(days=2)


@pytest.fixture(scope="module", params=[False, True], ids=["synchronous", "asynchronous"])
def person(request: pytest.FixtureRequest, plugin: PluginProcess, memos_server: MemosServer) -> Person:
    """Someone who said all of that; what was added asynchronously is refined."""
    person = Person(plugin, memos_server)
    for words, labels in SAID.items():
        person.say(words, labels=labels, async_mode=request.param)
    person.wait_for_refinement()
    return person


CONDITIONS = {
    "": ALL,
    "食物": CHAT,
    "旅行、食物": CHAT,
    "scene = chat": CHAT,
    "scene＝mail，travel": MAIL,  # noqa: RUF001 - as above
    "agent_id=bot-1, app_id=shop": CHAT,
    "level=3": CHAT,
    "created_after=1d": ALL,
    f"created_before={IN_TWO_DAYS}": ALL,
    f"scene=mail, created_after=1d, created_before={IN_TWO_DAYS}": MAIL,
    "食": set(),
    "chat": set(),
    "scene=食物": set(),
    "scene=CHAT": set(),
    "Scene=chat": set(),
    "level=03": set(),
    "食物, scene=mail": set(),
    "agent_id=bot-1, bot=1": set(),
    "scene=chat, created_before=1d": set(),
    f"created_after={IN_TWO_DAYS}": set(),
}


@pytest.mark.parametrize("condition", CONDITIONS, ids=ascii)
def test_what_meets_the_conditions_is_found_and_nothing_else(person: Person, condition: str) -> None:
    found = person.recall("How is the weather?", filter=condition).variables
    expected = CONDITIONS[condition]
    assert {word for word in ALL if word in found["memory_context"]} == expected
    assert {memory["kind"] for memory in found["memories"]} == ({"fact", "preference"} if expected else set())


def test_tags_are_shown_with_a_fact(person: Person) -> None:
    [fact] = [memory for memory in person.memories() if "Tom" in memory["text"]]
    assert fact["tags"] == ["食物", "旅行"]


def test_labels_are_there_before_an_asynchronous_add_is_refined(
    plugin: PluginProcess, memos_server: MemosServer
) -> None:
    person = Person(plugin, memos_server)
    with unread(memos_server):
        person.say("The cat is called Tom.", labels="pets, scene=chat")
        assert person.recall(filter="pets, scene=chat").variables["found"]
        assert not person.recall(filter="pets, scene=mail").variables["found"]


def test_a_match_is_found_that_is_the_least_relevant_of_many(
    plugin: PluginProcess, memos_server: MemosServer
) -> None:
    person = Person(plugin, memos_server)
    for train in ("Ulm", "Lyon", "Oslo", "Turin"):
        person.say(f"I took the train to {train}.", async_mode=False)
    person.say("Peanuts make me ill.", labels="health", async_mode=False)
    [found] = person.recall("train", memory_limit_number=1).variables["memories"]
    assert "train" in found["text"]
    [found] = person.recall("train", memory_limit_number=1, filter="health").variables["memories"]
    assert "Peanuts" in found["text"]


def test_what_was_said_under_several_labels_is_found_under_each(
    plugin: PluginProcess, memos_server: MemosServer
) -> None:
    person = Person(plugin, memos_server)
    scenes = ("chat", "mail", "phone")
    for scene in scenes:
        person.say("My name is Anna. I prefer short answers.", labels=f"scene={scene}", async_mode=False)
    for scene in scenes:
        found = person.recall("name", filter=f"scene={scene}").variables
        assert (found["count"], "Anna" in found["memory_context"]) == (2, True)
    assert person.recall("name", filter="created_after=1d").variables["count"] == 2  # equal ones once


def test_under_conditions_what_the_user_said_is_not_crowded_out_by_what_the_assistant_said(
    plugin: PluginProcess, memos_server: MemosServer
) -> None:
    person = Person(plugin, memos_server)
    for thing in ("Bread is warm", "Paper is thin", "Trains are late", "Books are long"):
        person.say(ai_messages=f"{thing}.", labels="app_id=shop", async_mode=False)
    person.say("My name is Anna.", labels="app_id=shop", async_mode=False)
    found = person.recall("What is my name?", filter="app_id=shop", memory_limit_number=2)
    assert "Anna" in found.variables["memory_context"]


def test_a_raw_filter_is_passed_on_and_ignored_by_a_server_on_postgresql(
    plugin: PluginProcess, memos_server: MemosServer
) -> None:
    """As README says, which is why plain conditions are checked by the plugin."""

    def forward(arrival: Arrival) -> Answer:
        request = Request(  # noqa: S310 - the sandbox's own
            memos_server.url + arrival.path, arrival.body, {"Content-Type": "application/json"}
        )
        with urlopen(request) as reply:  # noqa: S310 - the same
            return Answer(reply.read())

    person = Person(plugin, memos_server)
    person.say("The cat is called Tom.", labels="scene=chat", async_mode=False)
    raw = {"and": [{"scene": "nowhere"}]}
    with ScriptedServer(forward) as between:
        done = plugin.invoke(
            "search_memory",
            {"query": "cat", "filter": raw},
            {"memos_url": between.url, "memos_api_key": KEY},
            user_id=person.user_id,
            app_id="app-1",
        )
        assert between.requests[0].json["filter"] == raw
    assert "Tom" in done.variables["memory_context"]
