"""The plugin process on MemOS's own server: what is added is found again, by its user alone."""

import pytest

from sandbox.memos_server import MemosServer
from sandbox.plugin_process import CredentialsRefused, Invocation, PluginProcess
from tests.runtime.conftest import KEY

# How MemOS's server scores depends on its reranker; the sandbox's, a plain cosine, scores right answers below
# the server's own threshold.
LEAST_RELEVANCE = 0.2


def known(server: MemosServer) -> dict[str, str]:
    return {"memos_url": server.url, "memos_api_key": KEY}


def add(plugin: PluginProcess, server: MemosServer, text: str, user: str, **parameters: object) -> Invocation:
    return plugin.invoke(
        "add_memory",
        {"user_messages": text, "async_mode": False} | parameters,
        known(server),
        user_id=user,
        conversation_id="c1",
    )


def search(plugin: PluginProcess, server: MemosServer, query: str, user: str) -> Invocation:
    parameters = {"query": query, "relativity": LEAST_RELEVANCE}
    return plugin.invoke("search_memory", parameters, known(server), user_id=user)


def test_the_credentials_of_a_running_server_are_accepted(
    plugin: PluginProcess, memos_server: MemosServer
) -> None:
    plugin.validate(known(memos_server))
    with pytest.raises(CredentialsRefused, match="answered 404"):
        plugin.validate({"memos_url": f"{memos_server.url}/elsewhere"})


def test_what_one_user_said_is_found_in_other_words_by_that_user_only(
    plugin: PluginProcess, memos_server: MemosServer
) -> None:
    added = add(plugin, memos_server, "I live in Lyon. My dog is called Rex.", "real-user-1")
    assert added.error is None
    assert added.variables["status"] == "completed"
    assert added.variables["memory_ids"]
    found = search(plugin, memos_server, "What is the name of the user's pet?", "real-user-1")
    assert found.error is None
    assert "Rex" in found.variables["memory_context"]
    assert found.json[0]["data"]["memory_detail_list"][0]["memory_value"]
    other = search(plugin, memos_server, "What is the name of the user's pet?", "real-user-2")
    assert other.error is None
    assert other.variables["memory_context"] == ""
    assert other.variables["found"] is False


def test_users_that_differ_in_case_only_are_two_users(
    plugin: PluginProcess, memos_server: MemosServer
) -> None:
    assert add(plugin, memos_server, "My favourite colour is green.", "real-USER-3").error is None
    assert search(plugin, memos_server, "favourite colour", "real-USER-3").variables["found"] is True
    assert search(plugin, memos_server, "favourite colour", "real-user-3").variables["found"] is False


def test_an_asynchronous_add_is_found_at_once(plugin: PluginProcess, memos_server: MemosServer) -> None:
    added = add(plugin, memos_server, "My sister plays the cello.", "real-user-4", async_mode=True)
    assert added.error is None
    assert (added.variables["status"], added.variables["memory_ids"]) == ("running", [])
    found = search(plugin, memos_server, "Which instrument does the user's sister play?", "real-user-4")
    assert "cello" in found.variables["memory_context"]


def test_several_messages_labels_and_metadata_are_taken(
    plugin: PluginProcess, memos_server: MemosServer
) -> None:
    messages = [
        {"role": "user", "content": "I am allergic to peanuts.", "chat_time": "2026-01-31 09:30:00"},
        {"role": "assistant", "content": "I will keep that in mind."},
    ]
    added = plugin.invoke(
        "add_memory",
        {"messages": messages, "tags": "health, food", "info": '{"scene": "chat"}', "async_mode": False},
        known(memos_server),
        user_id="real-user-5",
    )
    assert added.error is None
    assert added.variables["message_count"] == 2
    assert "peanuts" in search(plugin, memos_server, "allergy", "real-user-5").variables["memory_context"]
