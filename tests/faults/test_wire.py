"""Whatever happens on the wire, a call ends in time with the right error, and the next one works."""

import gzip
import re
import ssl
from functools import partial
from pathlib import Path

import pytest

from sandbox.plugin_process import CredentialsRefused, PluginProcess
from tests.faults.conftest import (
    API_ROOTS,
    CALLS,
    Outcome,
    Outcomes,
    Start,
    call,
    credentials,
    place,
    together,
)
from tests.faults.faulty_server import FaultyServer, healthy
from tests.faults.wire_faults import (
    FAULTS,
    GZIP,
    INPUT,
    KEY,
    LARGEST_REPLY,
    LATE,
    NO_ANSWER,
    QUOTA,
    SILENT,
    STORED,
    UNSIZED,
    Fault,
    drips,
    says,
    sends,
    waits,
)

SOCKETS_HOLD = 10 * 1024 * 1024
"""More bytes than the sockets of a connection hold (tcp_rmem and tcp_wmem of Linux)."""

CONTAINER = " Here, localhost is the container that Dify's plugin daemon runs in."
GREEDY = [fault for fault in FAULTS if fault.greedy]

by_case = pytest.mark.parametrize(
    ("fault", "tool", "api"),
    [
        pytest.param(fault, tool, api, id=f"{fault.name}-{tool}-{api}")
        for fault in FAULTS
        for tool, api in CALLS
    ],
)
by_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
by_greedy_fault = pytest.mark.parametrize("fault", GREEDY, ids=lambda fault: fault.name)


@by_case
def test_error_has_its_class_and_its_words(outcomes: Outcomes, fault: Fault, tool: str, api: str) -> None:
    outcome = outcomes[fault.name, tool, api]
    assert outcome.done, "the call did not end"
    error = outcome.done.error
    is_add = tool == "add_memory"
    if not fault.kind or (fault.accepted and is_add):
        assert error is None
        return
    assert error
    assert outcome.done.messages == []
    assert error.error_type == fault.kind, error.message
    doubt = STORED if is_add and may_be_stored(fault, error.message) else ""
    assert re.fullmatch(rf"{fact(fault, outcome)}{re.escape(doubt)} [A-Z].+\.", error.message)
    assert (STORED in error.message) == bool(doubt)
    assert error.message.endswith(CONTAINER) == (not fault.sent and "127.0.0.1" in outcome.host)


def may_be_stored(fault: Fault, message: str) -> bool:
    """Whether an error is no clear refusal."""
    refused = fault.kind in {INPUT, KEY, QUOTA} or re.search(r" answered 4\d\d: |HTTP 30\d\)", message)
    return fault.sent and not refused


def fact(fault: Fault, outcome: Outcome) -> str:
    """A pattern for the first sentence."""
    host = re.escape(outcome.host)
    if fault.kind == NO_ANSWER:
        return rf"No answer from MemOS at {host} \({re.escape(fault.fact) or '[^()]+'}\)\."
    words = fault.fact.replace("{localhost}", outcome.host.replace("127.0.0.1", "localhost"))
    return rf"MemOS at {host} {re.escape(words) or '[^.]+'}\."


@by_fault
def test_next_call_gets_its_own_reply(outcomes: Outcomes, fault: Fault) -> None:
    for tool, api in CALLS:
        after = outcomes[fault.name, tool, api].after
        assert after.error is None
        assert "- Only user-behind knows." in after.text.splitlines()


@by_greedy_fault
def test_endless_reply_is_read_to_its_limit_in_bytes_or_in_time(outcomes: Outcomes, fault: Fault) -> None:
    for tool, api in CALLS:
        outcome = outcomes[fault.name, tool, api]
        assert outcome.poured
        assert outcome.poured <= LARGEST_REPLY + SOCKETS_HOLD or fault.fact in {SILENT, LATE}


@by_greedy_fault
def test_server_that_never_pauses_keeps_no_other_call_waiting(outcomes: Outcomes, fault: Fault) -> None:
    flooded = [outcomes[fault.name, tool, api] for tool, api in CALLS]
    longest = max(outcome.done.seconds for outcome in flooded if outcome.done)
    bystanders = flooded[0].bystanders
    assert bystanders
    assert all(bystander.error is None for bystander in bystanders)
    if longest > 1:
        assert max(bystander.seconds for bystander in bystanders) < 0.8 * longest


def test_what_unpacks_to_256_mib_is_not_unpacked(start: Start) -> None:
    bomb = gzip.compress(bytes(256 * LARGEST_REPLY))
    headers = GZIP | {"Location": "https://memos.example/"}
    with (
        start({}) as plugin,
        FaultyServer(healthy) as good,
        FaultyServer(says(bomb, 200, headers)) as server,
        FaultyServer(says(bomb, 302, headers)) as redirect,
    ):
        call(plugin, "search_memory", "cloud", good.url)
        before = most_memory(plugin)
        errors = [call(plugin, *which, url).error for url in (server.url, redirect.url) for which in CALLS]
        assert most_memory(plugin) < before + 32 * LARGEST_REPLY
    assert None not in errors


def most_memory(plugin: PluginProcess) -> int:
    """Bytes of memory that the process has ever had at once."""
    status = Path(f"/proc/{plugin._process.pid}/status").read_text()
    [kib] = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kib) * 1024


def test_synchronous_add_waits_longer(plugin: PluginProcess) -> None:
    plays = {
        "silent for 5 s": sends(then=waits),
        "not complete within 5 s": drips(UNSIZED, b" " * 99),
    }

    def add(reason: str, api: str) -> None:
        with FaultyServer(plays[reason]) as server:
            done = call(plugin, "add_memory", api, server.url, async_mode=False)
        assert done.error
        assert f"({reason}).{STORED}" in done.error.message
        assert len(server.arrivals) == 1

    together(*(partial(add, reason, api) for reason in plays for api in API_ROOTS))


@pytest.mark.parametrize("name", ["connection refused", "silence", "endless body", "HTTP 401", "HTTP 503"])
def test_validation_tells_what_the_tools_tell_and_tries_once(
    plugin: PluginProcess, certificates: dict[str, ssl.SSLContext], name: str
) -> None:
    [fault] = [fault for fault in FAULTS if fault.name == name]

    def validate(api: str) -> None:
        with place(fault, certificates) as server, pytest.raises(CredentialsRefused) as refused:
            plugin.validate(credentials(server.url, api))
        error = refused.value.error
        assert error.error_type == "CredentialsValidateFailedError"
        assert server.host in error.message
        assert max(len(server.arrivals), server.connections) <= 1

    together(*(partial(validate, api) for api in API_ROOTS))
