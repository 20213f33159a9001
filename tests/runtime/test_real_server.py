"""The plugin process on MemOS's own server: what is added is found again, by its user alone."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from sandbox.memos_server import MemosServer
from sandbox.plugin_process import CredentialsRefused, PluginProcess
from tests.runtime.memos import KEY
from tests.runtime.person import Person, unread


@pytest.fixture
def person(plugin: PluginProcess, memos_server: MemosServer) -> Person:
    return Person(plugin, memos_server)


def test_the_credentials_of_a_running_server_are_accepted(
    plugin: PluginProcess, memos_server: MemosServer
) -> None:
    plugin.validate({"memos_url": memos_server.url, "memos_api_key": KEY})
    with pytest.raises(CredentialsRefused, match="answered 404"):
        plugin.validate({"memos_url": f"{memos_server.url}/elsewhere"})


# What people type first, every field of both nodes being as it was.
@pytest.mark.parametrize(
    ("statement", "question", "answer"),
    [
        ("I live in Lyon and work as a nurse.", "Where do I live?", "Lyon"),
        ("My dog is called Rex.", "What is the name of my pet?", "Rex"),
        ("I'm allergic to peanuts.", "Can you suggest a snack for me?", "peanuts"),
        ("I prefer short answers.", "Explain photosynthesis.", "short answers"),
        ("Next week I fly to Oslo for a wedding.", "What should I pack?", "Oslo"),
        ("我住在杭州，是一名护士。", "我住在哪里？", "杭州"),  # noqa: RUF001 - Chinese
        ("我的狗叫旺财。", "我的宠物叫什么名字？", "旺财"),  # noqa: RUF001 - Chinese
        ("我对花生过敏。", "给我推荐点零食", "花生"),
        ("我喜欢简短的回答。", "请解释光合作用", "简短"),
        ("下周我去成都参加婚礼。", "我该带什么？", "成都"),  # noqa: RUF001 - Chinese
    ],
)
def test_what_a_first_user_says_is_found(person: Person, statement: str, question: str, answer: str) -> None:
    person.say(statement)
    person.wait_for_refinement()
    found = person.recall(question)
    assert answer in found.variables["memory_context"]
    assert answer in json.dumps(found.json[0]["data"], ensure_ascii=False)


def test_an_asynchronous_add_is_found_at_once(person: Person) -> None:
    with unread(person.server):
        added = person.say("My sister plays the cello.")
        assert (added.variables["status"], added.variables["memory_ids"]) == ("running", [])
        found = person.recall("Which instrument does my sister play?")
    assert "cello" in found.variables["memory_context"]


def test_a_minimum_relevance_leaves_out_what_is_about_something_else(person: Person) -> None:
    person.say("My dog is called Rex. The train to Ulm leaves at nine.", async_mode=False)
    question = "What is my dog called?"
    assert person.recall(question).variables["count"] == 2
    [found] = person.recall(question, relativity=0.4).variables["memories"]
    assert "Rex" in found["text"]
    assert found["relevance"] >= 0.4


def test_a_synchronous_add_names_the_memories_that_it_made(person: Person) -> None:
    added = person.say("My dog is called Rex. I prefer short answers.", async_mode=False)
    assert added.variables["status"] == "completed"
    found = person.memories()
    assert {memory["kind"] for memory in found} == {"fact", "preference"}
    assert sorted(memory["id"] for memory in found) == sorted(added.variables["memory_ids"])


# To a careless system, several of these are one person, or no person at all.
PEOPLE = [
    *("ingrid", "Ingrid", "\uff49ngrid", "\u0456ngrid", "in_rid", "ingrid%", "ingrid/../otto", "ingrid?x#y"),
    *("ingrid' OR '1'='1", 'ingrid", "user_id": "otto', "jos\xe9", "jose\u0301", "stra\xdfe", "strasse"),
    *("memos_default", "0", "\u674e\u96f7 \U0001f33f", "a" * 100, "a" * 99),
]


def test_people_whose_ids_look_alike_stay_apart(plugin: PluginProcess, memos_server: MemosServer) -> None:
    people = {
        f"number {1000 + number}": Person(plugin, memos_server, name) for number, name in enumerate(PEOPLE)
    }
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: people[number].say(f"Mine is {number}."), people))
        found = list(pool.map(lambda person: person.recall("number").variables, people.values()))
    for number, person, variables in zip(people, people.values(), found, strict=True):
        assert variables["user_id"] == person.user_id
        assert set(re.findall(r"number \d+", variables["memory_context"])) == {number}


def test_a_user_key_opens_the_same_memory_with_an_app_and_without(person: Person) -> None:
    person.say("My dog is called Rex.", async_mode=False)
    key = person.recall().variables["user_key"]
    agent = Person(person.plugin, person.server)
    for app_id, cat in (("app-2", "Tom"), (None, "Leo")):
        told = {"user_messages": f"My cat is called {cat}.", "user_id": key, "async_mode": False}
        assert agent.call("add_memory", told, app_id).variables["user_id"] == person.user_id
        found = agent.call("search_memory", {"query": "pets", "user_id": key}, app_id).variables
        assert found["user_id"] == person.user_id
        assert "Rex" in found["memory_context"]
        assert cat in person.recall("pets").variables["memory_context"]
    assert agent.recall("pets").variables["found"] is False


def test_a_call_without_an_app_neither_reads_nor_writes_the_memory_of_another(person: Person) -> None:
    person.say("My PIN is 4711.", async_mode=False)
    stored = person.memories()
    agent = Person(person.plugin, person.server)
    for tool, told in (
        ("search_memory", {"query": "PIN"}),
        ("add_memory", {"user_messages": "My PIN is 1234."}),
    ):
        done = agent.call(tool, told | {"user_id": person.user_id}, app_id=None)
        assert done.error is not None
        assert done.error.error_type == "MemosInputError"
        assert done.messages == []
    assert [person.memories(), agent.memories()] == [stored, []]


CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
CONVERSATION = [
    {"role": "user", "content": "How warm is it in Ulm?"},
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "3 degrees"},
    {"role": "assistant", "content": "<think>Is this person ill?</think>\n\nIt is 3 degrees in Ulm."},
]


def test_tool_calls_and_results_are_stored_and_thoughts_are_not(person: Person) -> None:
    with unread(person.server):
        person.say(messages=[turn | {"chat_time": "2026-01-31T00:30:00+08:00"} for turn in CONVERSATION])
        [memory] = person.memories()
    lines = memory["text"].splitlines()
    time = "[2026-01-31 00:30:00]: "  # the clock of who spoke, as it was written
    assert lines[0] == f"user: {time}How warm is it in Ulm?"
    assert lines[1].startswith(f"assistant: {time}[tool_calls]: ")
    assert '"name": "weather"' in lines[1]
    assert lines[2:] == [f"tool: {time}3 degrees", f"assistant: {time}It is 3 degrees in Ulm."]


def test_every_message_gets_a_time_also_beside_a_tool_call_without_text(person: Person) -> None:
    with unread(person.server):
        person.say(messages=CONVERSATION)
        [memory] = person.memories()
    lines = memory["text"].splitlines()
    assert len(lines) == len(CONVERSATION)
    assert all(re.match(r"\w+: \[\d\d:\d\d [AP]M on [^\]]+\]: ", line) for line in lines)


def test_what_was_recalled_is_not_stored_again_and_a_users_own_tags_are(person: Person) -> None:
    person.say("The train to Ulm leaves at nine.", async_mode=False)
    block = person.recall("train").variables["memory_context"]
    assert "leaves at nine" in block
    other = Person(person.plugin, person.server)
    with unread(person.server):
        other.say(f"{block}\nI wrote <memories>the tall tree</memories>.", ai_messages=f"Noted.\n{block}")
        [memory] = other.memories()
    said = re.sub(r"\[[^\]]*\]: ", "", memory["text"])
    assert said == "user: \nI wrote <memories>the tall tree</memories>.\nassistant: Noted."
