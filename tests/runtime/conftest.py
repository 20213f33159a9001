"""The plugin process that Dify would run, watched for everything it writes, and a MemOS of either kind."""

import base64
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from sandbox.plugin_process import PluginProcess
from tests.runtime.memos import KEY, ROOTS, Memos, memos


@pytest.fixture(scope="module")
def plugin() -> Iterator[PluginProcess]:
    """One process for all tests of a module; in the end, its output must not hold the key in any form."""
    with PluginProcess() as process:
        yield process
    written = process.stdout + process.stderr
    for form in (KEY.encode(), base64.b64encode(KEY.encode()), quote(KEY).encode()):
        assert form not in written
    assert process.stray_lines == []


@pytest.fixture(scope="module", params=ROOTS)
def scripted(request: pytest.FixtureRequest) -> Iterator[Memos]:
    """Each kind of MemOS, for all tests of a module."""
    with memos(request.param) as server:
        yield server


@pytest.fixture
def server(scripted: Memos) -> Memos:
    """That MemOS as it was at first."""
    scripted.begin()
    return scripted
