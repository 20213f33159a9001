"""What the tests of apps share: the plugin's process, and a MemOS for it."""

from collections.abc import Iterator
from importlib.metadata import version

import pytest

from sandbox.plugin_process import PluginProcess
from sandbox.scripted_server import ScriptedServer
from tests.app.apps import DIALECTS, Dialect, FakeMemos


def pytest_report_header() -> str:
    return f"graphon {version('graphon')}"


@pytest.fixture(scope="session")
def app_plugin() -> Iterator[PluginProcess]:
    """One process, as one serves all apps of a Dify installation."""
    with PluginProcess() as process:
        yield process
    assert process.stray_lines == []


@pytest.fixture(params=DIALECTS, ids=lambda dialect: dialect.name)
def memos(request: pytest.FixtureRequest) -> Iterator[FakeMemos]:
    """A MemOS that keeps what it is given; one of each dialect."""
    dialect: Dialect = request.param
    with ScriptedServer() as server:
        yield FakeMemos(server, dialect)
