"""MemOS's own server, a part of it broken: the plugin says what it can know, and recovers with that part.

MemoryOS 2.0.33 answers 200 to much that failed inside. No client can tell then; the tests say where.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from sandbox.memos_server import MemosServer, Part
from sandbox.plugin_process import CredentialsRefused, Invocation, PluginProcess
from tests.faults.conftest import CANARY, traces
from tests.runtime.person import model, wait_for_prompt

KNOWN = ("What city does the user live in?", "Lyon")
REFUSED = (
    "(connection refused). Check the MemOS URL, and that Dify can reach it. "
    "Here, localhost is the container that Dify's plugin daemon runs in."
)


@pytest.fixture(scope="module")
def server() -> Iterator[MemosServer]:
    """A MemOS of its own for these tests, which break it."""
    with MemosServer() as memos:
        yield memos


@pytest.fixture(scope="module")
def patient(server: MemosServer) -> Iterator[PluginProcess]:
    """The plugin with its own time limits; one user has been remembered through it."""
    with PluginProcess() as process:
        assert add(process, server, "I live in Lyon.", "known-user").error is None
        yield process
        written = process.stdout + process.stderr
    assert not [form for form in traces(CANARY) if form in written]


def credentials(server: MemosServer) -> dict[str, str]:
    return {"memos_url": server.url, "memos_api_key": CANARY}


def add(plugin: PluginProcess, server: MemosServer, text: str, user: str, **parameters: Any) -> Invocation:
    given = {"user_messages": text, "async_mode": False} | parameters
    return plugin.invoke("add_memory", given, credentials(server), user_id=user, timeout=200)


def search(plugin: PluginProcess, server: MemosServer, query: str, user: str) -> Invocation:
    # Right answers score below MemOS's own threshold with the sandbox's reranker.
    given = {"query": query, "relativity": 0.2}
    return plugin.invoke("search_memory", given, credentials(server), user_id=user, timeout=200)


@contextmanager
def stopped(server: MemosServer, part: Part) -> Iterator[None]:
    server.stop(part)
    try:
        yield
    finally:
        server.start(part)


def check_it_works(plugin: PluginProcess, server: MemosServer, text: str, query: str, answer: str) -> None:
    """What was known is found again, and something new is stored and found."""
    question, known = KNOWN
    assert known in search(plugin, server, question, "known-user").text
    added = add(plugin, server, text, f"user who said {text}")
    assert added.error is None
    assert added.variables["memory_ids"]
    assert answer in search(plugin, server, query, f"user who said {text}").text


@pytest.mark.parametrize("broken", ["answers rubbish", "is gone"])
def test_without_a_working_model_memos_stores_nothing_and_the_plugin_says_so(
    patient: PluginProcess, server: MemosServer, broken: str
) -> None:
    """Not to be seen: MemOS accepts asynchronous adds, and drops them; the plugin never says "stored".

    Where its embedder is gone, too, it answers every search with "nothing found", and so does the check of
    the credentials pass. An error for each empty search would be wrong far more often.
    """
    user = f"user whose model {broken}"
    with stopped(server, "model") if broken == "is gone" else model(server, mode="rubbish"):
        waited = add(patient, server, "I play chess.", user)
        accepted = add(patient, server, "I play go.", user, async_mode=True)
        found = search(patient, server, KNOWN[0], "known-user")
    assert waited.error is not None
    assert waited.error.error_type == "MemosServerError"
    assert "stored nothing" in waited.error.message
    assert waited.messages == []
    for done in (accepted, found):
        check_it_ended_in_words_of_its_own(done)
    assert "stored" not in accepted.text
    assert (KNOWN[1] in found.text) == (broken == "answers rubbish")
    check_it_works(patient, server, "I play poker.", "card game", "poker")


def test_a_model_that_fails_costs_the_refinement_only(patient: PluginProcess, server: MemosServer) -> None:
    """Not to be seen: MemOS keeps the words as they were said, unread; "stored" is true all the same."""
    with model(server, mode="error"):
        added = add(patient, server, "I have a cat called Tom.", "error-user")
    assert added.error is None
    assert added.variables["status"] == "completed"
    assert "Tom" in search(patient, server, "What is the cat's name?", "error-user").text


def test_without_its_database_memos_claims_to_work_and_the_plugin_survives(
    patient: PluginProcess, server: MemosServer
) -> None:
    """Not to be seen: MemOS answers an add with the id of a memory that exists nowhere.

    A search is answered with "nothing found". Both are reported in good faith; only MemOS can mend that.
    """
    with stopped(server, "postgres"):
        added = add(patient, server, "I sing.", "database-user")
        accepted = add(patient, server, "I dance.", "database-user", async_mode=True)
        found = search(patient, server, KNOWN[0], "known-user")
    for done in (added, accepted, found):
        check_it_ended_in_words_of_its_own(done)
    assert "stored" not in accepted.text
    assert KNOWN[1] not in found.text
    check_it_works(patient, server, "I paint.", "hobby", "paint")


def check_it_ended_in_words_of_its_own(done: Invocation) -> None:
    """A result or an error of MemOS's: what breaks inside MemOS must look like nothing else."""
    if done.error is None:
        assert done.variables
    else:
        assert done.error.error_type == "MemosServerError"


def test_a_restart_costs_the_calls_that_it_meets_and_no_other(
    patient: PluginProcess, server: MemosServer
) -> None:
    question, known = KNOWN
    with ThreadPoolExecutor(3) as threads:
        # Two connections are kept alive, and know nothing of the restart.
        kept = [threads.submit(search, patient, server, question, "known-user") for _ in range(2)]
        assert all(known in call.result().text for call in kept)
        with model(server, held=True):
            caught = threads.submit(add, patient, server, "I was interrupted.", "restart-user")
            wait_for_prompt(server, "I was interrupted.")
            with stopped(server, "memos"), PluginProcess() as other:
                interrupted = caught.result()
                down = (
                    search(other, server, question, "known-user"),
                    add(other, server, "I ski.", "restart-user"),
                )
                with pytest.raises(CredentialsRefused) as refused:
                    other.validate(credentials(server))
    assert interrupted.error is not None
    assert interrupted.error.error_type == "MemosConnectionError"
    assert (
        "(connection dropped). The messages may have been stored all the same." in interrupted.error.message
    )
    for done in down:
        assert done.error is not None
        assert done.error.error_type == "MemosConnectionError"
        assert done.error.message.endswith(REFUSED)
    assert str(refused.value).endswith(REFUSED)
    check_it_works(patient, server, "I swim.", "sport", "swim")
