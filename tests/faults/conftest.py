"""The plugin process with short time limits, the servers that break its calls, and what came of them."""

import contextlib
import importlib.metadata
import itertools
import json
import platform
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme

from sandbox.plugin_process import REPOSITORY, Invocation, PluginProcess
from tests.faults.faulty_server import Arrival, FaultyServer, healthy
from tests.faults.wire_faults import FAULTS, LIMITS, Fault

CANARY = "mpg-canary-5a17/c0+ffee=="
"""The key of all tests here; a URL writes it differently."""

API_ROOTS = {"cloud": "/api/openmem/v1", "self-hosted": "/product"}
TOOLS: dict[str, dict[str, Any]] = {
    "search_memory": {"query": "What does the user eat?"},
    "add_memory": {"user_messages": "I eat no meat."},
}
CALLS = [(tool, api) for tool in TOOLS for api in API_ROOTS]
REPORT = REPOSITORY / ".sandbox" / "reports" / "faults.md"

_HANGS = 20.0
"""Seconds after which a call counts as one that never ends: every limit is far below."""

_AT_ONCE = 40
_report_written = pytest.StashKey[Path]()


@dataclass
class Outcome:
    """What came of one fault in one call: of `tool` to the MemOS at `host`, and of the call behind it.

    `done` is None for a call that did not end. `bystanders` are calls to another server meanwhile.
    """

    host: str
    done: Invocation | None
    after: Invocation
    arrivals: list[Arrival] = field(default_factory=list)
    connections: int = 0
    poured: int = 0
    bystanders: list[Invocation] = field(default_factory=list)

    @property
    def sendings(self) -> int:
        """How often the call was sent: whole or, where nothing arrived whole, as a connection at least."""
        return len(self.arrivals) or self.connections


type Outcomes = Mapping[tuple[str, str, str], Outcome]
type Start = Callable[[Mapping[str, str]], AbstractContextManager[PluginProcess]]


def credentials(url: str, api: str, key: str = CANARY) -> dict[str, str]:
    """The credentials of a server at `url`."""
    return {"memos_url": url + API_ROOTS[api], "memos_api_key": f"Token {key}"}


def call(
    plugin: PluginProcess, tool: str, api: str, url: str, user: str = "user-1", **parameters: Any
) -> Invocation:
    """Call a tool with the least that it needs, and more `parameters`.

    Raises:
        TimeoutError: It does not end.
    """
    known = credentials(url, api)
    given = TOOLS[tool] | parameters
    return plugin.invoke(tool, given, known, user_id=user, app_id="app-1", timeout=_HANGS)


def together[T](*tasks: Callable[[], T]) -> list[T]:
    """Run all of them at once, and return their results in order.

    Raises:
        Exception: That of the first task that failed.
    """
    with ThreadPoolExecutor(len(tasks)) as threads:
        running = [threads.submit(task) for task in tasks]
    return [task.result() for task in running]


def traces(secret: str) -> set[bytes]:
    """The forms of a secret that nothing may show: plain, and as in a URL."""
    return {secret.encode(), quote(secret).encode(), quote(secret, safe="").encode()}


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    """A certificate authority, and the file by which the plugin trusts it."""
    authority = trustme.CA()
    bundle = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    return authority, bundle


@pytest.fixture(scope="session")
def certificates(authority: tuple[trustme.CA, Path]) -> dict[str, ssl.SSLContext]:
    """What a server can prove itself with, by name."""
    trusted, _ = authority
    past = datetime.now(UTC) - timedelta(days=9)
    issued = {
        "good": trusted.issue_cert("127.0.0.1", "memos.test"),
        "untrusted": trustme.CA().issue_cert("127.0.0.1"),
        "expired": trusted.issue_cert("127.0.0.1", not_before=past, not_after=past + timedelta(days=1)),
        "other host": trusted.issue_cert("memos.example"),
    }
    contexts = {name: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for name in issued}
    for name, certificate in issued.items():
        certificate.configure_cert(contexts[name])
    return contexts


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory, authority: tuple[trustme.CA, Path]) -> Start:
    """Starts a plugin with short time limits; in the end, nothing that it wrote may show the key."""
    netrc = tmp_path_factory.mktemp("home") / ".netrc"
    netrc.write_text("default login somebody password else")
    usual = {
        "LIMITS": json.dumps(LIMITS),
        "NETRC": str(netrc),
        "REQUESTS_CA_BUNDLE": str(authority[1]),
        "NO_PROXY": "*",
        "no_proxy": "*",
        "RES_OPTIONS": "timeout:1 attempts:1",
    }

    @contextlib.contextmanager
    def watched(environment: Mapping[str, str]) -> Iterator[PluginProcess]:
        main = "tests.faults.main_with_notes"
        with PluginProcess(main=main, environment=usual | environment) as process:
            yield process
        written = process.stdout + process.stderr
        assert not [form for form in traces(CANARY) if form in written]
        assert process.stray_lines == []

    return watched


@pytest.fixture(scope="session")
def plugin(start: Start) -> Iterator[PluginProcess]:
    """The one process that suffers most faults."""
    with start({}) as process:
        yield process


@pytest.fixture(scope="session")
def outcomes(
    plugin: PluginProcess, certificates: dict[str, ssl.SSLContext], pytestconfig: pytest.Config
) -> Outcomes:
    """What came of every fault, for both tools and both dialects; many run at once, greedy ones do not."""
    with FaultyServer(healthy) as bystander, ThreadPoolExecutor(_AT_ONCE) as threads:

        def suffer(case: tuple[Fault, str, str]) -> Outcome:
            return _suffer(plugin, certificates, bystander.url, *case)

        cases = [(fault, *which) for fault in FAULTS if not fault.greedy for which in CALLS]
        found = dict(zip(cases, threads.map(suffer, cases), strict=True))
        for fault in (fault for fault in FAULTS if fault.greedy):
            running = {(fault, *which): threads.submit(suffer, (fault, *which)) for which in CALLS}
            bystanders = []
            while not all(outcome.done() for outcome in running.values()):
                bystanders.append(call(plugin, "search_memory", "cloud", bystander.url))
            found |= {case: outcome.result() for case, outcome in running.items()}
            for case in running:
                found[case].bystanders = bystanders
    outcomes = {(fault.name, *which): found[fault, *which] for fault in FAULTS for which in CALLS}
    _write_report(outcomes)
    pytestconfig.stash[_report_written] = REPORT
    return outcomes


def _suffer(
    plugin: PluginProcess,
    certificates: dict[str, ssl.SSLContext],
    good_url: str,
    fault: Fault,
    tool: str,
    api: str,
) -> Outcome:
    """Have a fault happen to one call, and make another behind it: to the same server, if it can answer."""
    with place(fault, certificates) as server:
        try:
            done = call(plugin, tool, api, server.url)
        except TimeoutError:
            done = None
        arrivals, connections, poured = list(server.arrivals), server.connections, server.poured
        server.play = healthy
        answers = callable(fault.play) and not fault.scheme and fault.certificate in {"", "good"}
        url = server.url if answers else good_url
        after = call(plugin, "search_memory", api, url, user="user-behind")
    return Outcome(server.host, done, after, arrivals, connections, poured)


@contextlib.contextmanager
def place(fault: Fault, certificates: dict[str, ssl.SSLContext]) -> Iterator[FaultyServer]:
    """The server at which a fault happens."""
    tls = certificates[fault.certificate] if fault.certificate else None
    server = FaultyServer(fault.play if callable(fault.play) else healthy, tls, fault.scheme)
    with contextlib.ExitStack() as ending:
        match fault.play:
            case "refuses":
                ending.callback(server.server_close)
            case "is unknown" | "is looked up in vain":
                ending.callback(server.server_close)
                manner = "slow." if fault.play == "is looked up in vain" else ""
                server.host = f"{manner}memos-{server.server_address[1]}.invalid"
                server.url = f"http://{server.host}"
            case "accepts nothing":
                ending.callback(server.server_close)
                server.socket.listen(0)
                for _ in range(8):  # more than the queue takes
                    waiting = ending.enter_context(socket.socket())
                    waiting.setblocking(False)
                    waiting.connect_ex(server.server_address)
            case _:
                ending.enter_context(server)
        yield server


def _write_report(outcomes: Outcomes) -> None:
    packages = ("dify_plugin", "gevent", "urllib3", "requests", "pydantic")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    limits = LIMITS["SEARCH"]
    lines = [
        "# Faults on the wire",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; Python {platform.python_version()}, {versions}.",
        "",
        f"Limits of the plugin in this run: {limits.connect:g} s to connect, {limits.total:g} s for a call.",
        "HOST stands for the server's address; seconds and times sent are the most of a row's calls.",
        "",
        "| fault | calls | class | message | seconds | sent |",
        "|---|---|---|---|---|---|",
    ]
    for name, of_fault in itertools.groupby(outcomes.items(), lambda item: item[0][0]):
        rows: dict[tuple[str, str], list[tuple[str, Outcome]]] = {}
        for (_, tool, api), outcome in of_fault:
            rows.setdefault(_words(outcome), []).append((f"{tool.partition('_')[0]} {api}", outcome))
        for (kind, message), calls in rows.items():
            which = ", ".join(call for call, _ in calls) if len(rows) > 1 else "all"
            seconds = max(outcome.done.seconds if outcome.done else _HANGS for _, outcome in calls)
            sent = max(outcome.sendings for _, outcome in calls)
            lines.append(f"| {name} | {which} | {kind} | {message} | {seconds:.2f} | {sent} |")
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text("\n".join([*lines, ""]))


def _words(outcome: Outcome) -> tuple[str, str]:
    if outcome.done is None:
        return "", "never ends"
    if outcome.done.error is None:
        return "", "done"
    message = outcome.done.error.message.replace(outcome.host, "HOST").replace("|", "\\|")
    return outcome.done.error.error_type, re.sub(r"localhost:\d+", "ELSEWHERE", message)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say where the table of faults is."""
    if report := config.stash.get(_report_written, None):
        terminalreporter.write_line(f"Table of faults: {report.relative_to(REPOSITORY)}")
