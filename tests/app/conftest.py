"""What the tests of apps share: the plugin's process, and a MemOS for it."""

import json
from collections.abc import Iterator

import pytest
import yaml

from sandbox.plugin_process import PluginProcess
from sandbox.scripted_server import ScriptedServer
from tests.app.apps import FakeMemos

PATIENCE = 1.0


@pytest.fixture(scope="session", autouse=True)
def fast_yaml() -> Iterator[None]:
    """Reads apps with PyYAML's parser in C: the one in Python would take half of these tests' time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml, "SafeLoader", yaml.CSafeLoader)
        patch.setattr("yaml.dumper.SafeDumper", yaml.CSafeDumper)
        patch.setattr(yaml, "SafeDumper", yaml.CSafeDumper)
        yield


@pytest.fixture(scope="session")
def app_plugin() -> Iterator[PluginProcess]:
    """One process, as one serves all apps of a Dify installation."""
    with PluginProcess() as process:
        yield process
    assert process.stray_lines == []


@pytest.fixture(scope="session")
def impatient_plugin() -> Iterator[PluginProcess]:
    """One that waits not for 10 s but for `PATIENCE` where the app goes on without MemOS."""
    limits = json.dumps({"CONTINUE": [PATIENCE]})
    with PluginProcess(main="tests.main_with_limits", environment={"LIMITS": limits}) as process:
        yield process


@pytest.fixture
def memos() -> Iterator[FakeMemos]:
    """A MemOS that keeps what it is given."""
    with ScriptedServer() as server:
        yield FakeMemos(server)
