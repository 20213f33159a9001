"""What drives the plugin processes measures what it says, and never takes a failure for a measurement."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.bench.pipes import Broken, Call, PluginUnderTest, serve_at_once
from sandbox.bench.plugins import TOOL, write_plugin

type Serve = Callable[[PluginUnderTest, Call], None]

SLEEPS = """
    time.sleep(tool_parameters["seconds"])
    yield self.create_text_message("one")
    yield self.create_variable_message("two", "x" * tool_parameters.get("length", 1))
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PluginUnderTest]:
    with PluginUnderTest(
        write_plugin(tmp_path_factory.mktemp("plugins") / "sleeps", SLEEPS, "time")
    ) as process:
        yield process


def sleep(seconds: float, length: int = 1, messages: int = 2) -> Call:
    return Call(TOOL, {"seconds": seconds, "length": length}, {}, messages)


def test_messages_are_those_of_the_tool(plugin: PluginUnderTest) -> None:
    text, variable = plugin.ask(sleep(0))
    assert text["message"] == {"text": "one"}
    assert variable["message"]["variable_name"] == "two"


def test_calls_one_by_one_take_as_long_as_the_tool(plugin: PluginUnderTest) -> None:
    run = plugin.serve_one_by_one([sleep(0.2), sleep(0), sleep(0.1)])
    assert len(run.seconds) == 3
    assert run.seconds[0] >= 0.2
    assert run.seconds[1] < 0.1 <= run.seconds[2]
    assert run.wall >= sum(run.seconds)


def test_calls_at_once_run_together(plugin: PluginUnderTest) -> None:
    [run] = serve_at_once([plugin], [sleep(0.3)] * 40, 40)
    assert len(run.seconds) == 40
    assert min(run.seconds) >= 0.3
    assert max(run.seconds) <= run.wall < 40 * 0.3


def test_no_more_run_at_once_than_there_are_callers(plugin: PluginUnderTest) -> None:
    [run] = serve_at_once([plugin], [sleep(0.1)] * 8, 2)
    assert len(run.seconds) == 8
    assert run.wall >= 4 * 0.1


def test_processes_work_side_by_side(plugin: PluginUnderTest) -> None:
    with PluginUnderTest(plugin.root) as other:
        runs = serve_at_once([plugin, other], [sleep(0.1)] * 4, 1)
    assert [len(run.seconds) for run in runs] == [4, 4]
    assert all(4 * 0.1 <= run.wall < 8 * 0.1 for run in runs)


def test_long_messages_and_full_pipes_block_nobody(plugin: PluginUnderTest) -> None:
    calls = [Call(TOOL, {"seconds": 0, "length": 200_000, "padding": "x" * 20_000}, {}, 2)] * 60
    [run] = serve_at_once([plugin], calls, 60)
    assert len(run.seconds) == 60
    assert plugin.serve_one_by_one(calls[:2]).seconds


def one_by_one(plugin: PluginUnderTest, call: Call) -> None:
    plugin.serve_one_by_one([call])


def at_once(plugin: PluginUnderTest, call: Call) -> None:
    serve_at_once([plugin], [call, call], 2)


@pytest.mark.parametrize("serve", [one_by_one, at_once])
@pytest.mark.parametrize(
    "call",
    [sleep(0, messages=1), sleep(0, messages=3), Call(TOOL, {}, {}, 2)],
    ids=["too many", "too few", "an error"],
)
def test_failure_is_no_measurement(plugin: PluginUnderTest, call: Call, serve: Serve) -> None:
    with pytest.raises(Broken, match=r"tool sent \d messages, then: "):
        serve(plugin, call)
    assert plugin.serve_one_by_one([sleep(0)]).seconds
    [run] = serve_at_once([plugin], [sleep(0)] * 2, 2)
    assert len(run.seconds) == 2


@pytest.mark.parametrize("serve", [one_by_one, at_once])
def test_death_is_no_measurement(tmp_path: Path, serve: Serve) -> None:
    dies = "\n    os._exit(1)\n    yield"
    with PluginUnderTest(write_plugin(tmp_path / "dies", dies, "os")) as plugin, pytest.raises(Broken):
        serve(plugin, Call(TOOL, {}, {}, 1))


def test_plugin_that_does_not_start_is_told(tmp_path: Path) -> None:
    folder = write_plugin(tmp_path / "broken", SLEEPS, "no_such_module")
    with pytest.raises(Broken, match="did not start"), PluginUnderTest(folder):
        pass


def test_memory_and_processor_time_are_those_of_the_process(plugin: PluginUnderTest) -> None:
    assert 10 < plugin.resident <= plugin.most_resident
    before = plugin.processor_seconds
    started = time.monotonic()
    plugin.serve_one_by_one([sleep(0)] * 300)
    assert 0 < plugin.processor_seconds - before <= 2 * (time.monotonic() - started)
