"""One process serves everybody: no user's call reaches another, and no two users are taken for one."""

import itertools
import json
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest

from sandbox.plugin_process import Invocation, PluginProcess
from tests.faults.conftest import API_ROOTS, CALLS, call, credentials, together, traces
from tests.faults.faulty_server import Arrival, FaultyServer, Play, Wire, good_reply, healthy, http
from tests.faults.wire_faults import LIMITS, NOT_IN_TIME

USERS = 200
SLOW = 40
KEYS = {"red": "mpg-red-0a1b2c3d4e", "blue": "mpg-blue-5f6a7b8c9d"}
ACCOUNTS = {f"Token {key}": account for account, key in KEYS.items()}

# What the plugin sends beside the key, and nothing else.
HEADERS = {
    "accept",
    "accept-encoding",
    "authorization",
    "content-length",
    "content-type",
    "host",
    "user-agent",
}


@pytest.fixture(scope="module")
def patient() -> Iterator[PluginProcess]:
    """The plugin with its own time limits, so that a slow machine adds no fault."""
    with PluginProcess() as process:
        yield process
    written = process.stdout + process.stderr
    assert not [form for key in KEYS.values() for form in traces(key) if form in written]


def whose(arrival: Arrival) -> str:
    """Everything that tells one call from another: the user, and the account of the key."""
    return f"{arrival.json['user_id']} of {ACCOUNTS[arrival.headers['Authorization']]}"


def about(arrival: Arrival) -> dict[str, str]:
    """Headers that a server might set for this call only."""
    cookie = f"session={whose(arrival).replace(' ', '-')}; Path=/; Max-Age=3600"
    return {"Set-Cookie": cookie, "X-User": whose(arrival), "ETag": f'"{whose(arrival)}"'}


def told(arrival: Arrival) -> bytes:
    """A good reply, for this call only."""
    reply = json.dumps(good_reply(arrival)).replace(arrival.json["user_id"], whose(arrival))
    return http(reply.encode(), headers=about(arrival))


def fail(wire: Wire, arrival: Arrival, elsewhere: str, kind: int) -> None:
    """Answer in one of many wrong ways, each of which says for whom it was."""
    headers, words = about(arrival), f"Refused to {whose(arrival)}"
    away = {"Location": f"{elsewhere}{arrival.path}?for={arrival.json['user_id']}"}
    match kind % 8:
        case 0:
            wire.send(http({"code": 40132, "message": words}, 401, headers))
        case 1:
            wire.send(http({"code": 50004, "message": words}, 200, headers))
        case 2:
            wire.send(http(f"<html>{words}</html>".encode(), 200, headers))
        case 3:
            wire.send(http(b"", 307, headers | away))
        case 4:
            wire.send(http({"code": 40304, "message": words}, 429, headers | {"Retry-After": "0"}))
        case 5:
            wire.send(told(arrival)[:-5])
            wire.close()
        case 6:
            wire.reset()
        case _:
            wire.send(http({"code": 422, "detail": [{"loc": ["user_id"], "msg": words}]}, 422, headers))


def everything(done: Invocation) -> str:
    error = done.error and [done.error.message, done.error.args]
    return json.dumps([done.messages, error], ensure_ascii=False)


@dataclass(frozen=True)
class Person:
    """One of the users; the number says which key, tool and API are theirs, and whether their calls fail."""

    number: int

    @property
    def name(self) -> str:
        return f"user-{self.number}"

    @property
    def account(self) -> str:
        return list(KEYS)[self.number % 2]

    @property
    def kind(self) -> tuple[str, str]:
        return CALLS[self.number // 2 % 4]

    @property
    def fails(self) -> bool:
        return self.number // 8 % 2 == 1

    @classmethod
    def of(cls, arrival: Arrival) -> "Person":
        return cls(int(arrival.json["user_id"].removeprefix("user-")))

    def call(self, plugin: PluginProcess, url: str) -> Invocation:
        tool, api = self.kind
        parameters = {"query": f"Who is {self.name}?", "user_messages": f"I am {self.name}."}
        known = credentials(url, api, KEYS[self.account])
        return plugin.invoke(tool, parameters, known, user_id=self.name, timeout=300)

    def check_seen(self, done: Invocation) -> None:
        """What Dify got is of this person and their account."""
        seen = everything(done)
        assert (done.error is not None) == self.fails, seen
        assert set(re.findall(r"user-\d+", seen)) <= {self.name}
        assert set(re.findall(r" of (red|blue)", seen)) <= {self.account}
        if not self.fails and self.kind[0] == "search_memory":
            assert f"Only {self.name} of {self.account} knows." in done.text

    def check_sent(self, arrival: Arrival) -> None:
        """What MemOS got is of this person and their account."""
        assert ACCOUNTS[arrival.headers["Authorization"]] == self.account
        assert {name.lower() for name in arrival.headers} == HEADERS
        assert set(re.findall(rb"user-\d+", arrival.body)) == {self.name.encode()}


def test_nothing_crosses_between_200_users_half_of_whom_fail(patient: PluginProcess) -> None:
    def play(wire: Wire) -> None:
        arrival = wire.request()
        person = Person.of(arrival)
        wire.wait(person.number % 7 * 0.02)
        if person.fails:
            fail(wire, arrival, elsewhere.url, person.number // 16)
        else:
            wire.send(told(arrival))

    people = [Person(number) for number in range(USERS)]
    with FaultyServer(healthy) as elsewhere, FaultyServer(play) as server:
        for _ in range(3):
            calls = together(*(partial(person.call, patient, server.url) for person in people))
            for person, done in zip(people, calls, strict=True):
                person.check_seen(done)
        assert elsewhere.connections == 0
    carried = defaultdict(set)
    for arrival in server.arrivals:
        Person.of(arrival).check_sent(arrival)
        carried[arrival.connection].add(Person.of(arrival).account)
    # Otherwise nothing was shared, and nothing was shown.
    assert set(KEYS) in carried.values()


def twice(wire: Wire) -> None:
    """Answer a request, and with it another that nobody made."""
    arrival = wire.request()
    wire.send(http(good_reply(arrival)) + of_somebody_else(arrival))


def twice_with_a_pause(wire: Wire) -> None:
    arrival = wire.request()
    wire.send(http(good_reply(arrival)))
    wire.send(of_somebody_else(arrival), pause=0.05)


def more_than_announced(wire: Wire) -> None:
    arrival = wire.request()
    reply = json.dumps(good_reply(arrival)).encode()
    wire.send(http(reply + of_somebody_else(arrival), headers={"Content-Length": len(reply)}))


def bodies_where_none_may_be(wire: Wire) -> None:
    wire.send(http(of_somebody_else(wire.request()), status=204))


def of_somebody_else(arrival: Arrival) -> bytes:
    return http(json.dumps(good_reply(arrival)).replace(arrival.json["user_id"], "somebody else").encode())


@pytest.mark.parametrize("play", [twice, twice_with_a_pause, more_than_announced, bodies_where_none_may_be])
@pytest.mark.parametrize("api", API_ROOTS)
def test_what_a_connection_still_holds_reaches_nobody(patient: PluginProcess, api: str, play: Play) -> None:
    with FaultyServer(play) as server:
        for number in range(5):
            done = call(patient, "search_memory", api, server.url, user=f"user-{number}")
            assert "somebody else" not in everything(done)
            if done.error is None:
                assert f"Only user-{number} knows." in done.text
            time.sleep(0.1)  # in which the rest comes, too


def test_a_silent_name_server_holds_up_nobody_else(plugin: PluginProcess) -> None:
    """The plugin of this test has short time limits; names that begin with "slow." are looked up in vain."""
    with ThreadPoolExecutor(SLOW) as threads, FaultyServer(healthy) as quick:
        url = quick.url.replace("127.0.0.1", "localhost")
        waiting = [
            threads.submit(call, plugin, tool, api, "http://slow.memos.invalid")
            for tool, api in itertools.islice(itertools.cycle(CALLS), SLOW)
        ]
        time.sleep(LIMITS["SEARCH"].connect / 2)
        done = [call(plugin, tool, api, url, user="user-1") for tool, api in CALLS]
        errors = [other.result().error for other in waiting]
    assert [answer.error for answer in done] == [None] * len(CALLS)
    for error in errors:
        assert error is not None
        assert NOT_IN_TIME in error.message


@pytest.mark.parametrize("api", API_ROOTS)
def test_a_reply_that_comes_too_late_reaches_nobody(plugin: PluginProcess, api: str) -> None:
    """The plugin of this test has short time limits."""
    late = LIMITS["SEARCH"].total + 0.3

    def play(wire: Wire) -> None:
        arrival = wire.request()
        wire.wait(late if arrival.json["user_id"] == "slow user" else 0)
        wire.send(http(good_reply(arrival)))

    with FaultyServer(play) as server:
        slow = call(plugin, "search_memory", api, server.url, user="slow user")
        assert slow.error is not None
        assert slow.error.error_type == "MemosConnectionError"
        for number in range(10):
            done = call(plugin, "search_memory", api, server.url, user=f"user-{number}")
            assert f"Only user-{number} knows." in done.text
            time.sleep(0.05)  # in which the late reply comes, too


# Each list is one person to a careless system: by case, Unicode form or white space, or by what a parser, a
# shell or a database would make of it.
LOOKALIKES = [
    ["alice", "Alice", "ALICE", "\uff41lice", "\u0430lice", "\u202ealice", "ali\xadce", "alice\u200b"],
    ["jos\xe9", "jose\u0301", "JOS\xc9", "jose", "\ufb01n", "fin", "\u212bngstr\xf6m", "\xc5ngstr\xf6m"],
    ["stra\xdfe", "strasse", "\u0130", "i\u0307", "i", "\u0131", "a" * 100, "a" * 101],
    ["al ice", "al  ice", "al\xa0ice", "al\u3000ice", "al\tice", "al\nice", "al\u2028ice", "al\0ice"],
    ["alice", " alice", "alice ", "alice\n", "alice\r\n", "alice\0", "alice%00", "alice\x1f", "alice\ufeff"],
    ["alice/", "alice/../bob", "./alice", "alice\\bob", "alice?x", "alice#x", "alice;bob", "alice,bob"],
    ["alice' OR '1'='1", "alice'--", 'alice", "user_id": "bob', "alice\r\nX-User: bob", "alice*", "al_ce"],
    ['["alice"]', '["alice", "bob"]', "['alice']", '{"$ne": null}', "[alice]", "$(id)", "`id`", "al+ice"],
    ["0", "00", "0.0", "-0", "1e0", "1", "\u0661", "null", "None", "true", "undefined", "memos_default"],
    [
        "bob",
        "sys.user_id",
        "{{#sys.user_id#}}",
        "env.user",
        "\U0001f469\u200d\U0001f467",
        "\U0001f469\U0001f467",
    ],
]


@pytest.mark.parametrize("users", LOOKALIKES, ids=lambda users: ascii(users[0]))
@pytest.mark.parametrize("chosen", [True, False], ids=["by the app", "by Dify"])
def test_no_two_users_are_taken_for_one(patient: PluginProcess, users: list[str], chosen: bool) -> None:
    with FaultyServer(healthy) as server:
        for tool, api in CALLS:
            accepted = []
            for user in users:
                server.arrivals.clear()
                if chosen:
                    done = call(patient, tool, api, server.url, user="the Dify user", user_id=user)
                else:
                    done = call(patient, tool, api, server.url, user=user)
                if done.error:
                    assert done.error.error_type == "MemosInputError"
                    assert "user_id" in done.error.message
                    assert server.arrivals == []
                    continue
                [arrival] = server.arrivals
                assert arrival.json["user_id"] == user
                assert done.variables["user_id"] == user
                # The cube is what keeps users apart on MemOS's own server.
                for cubes in ("readable_cube_ids", "writable_cube_ids"):
                    assert arrival.json.get(cubes, [user]) == [user]
                assert arrival.body.count(json.dumps(user).encode()) == (1 if api == "cloud" else 2)
                accepted.append(user)
            assert accepted
