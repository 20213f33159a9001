"""The plugin process, and a MemOS of either kind for it."""

from collections.abc import Iterator

import pytest

from tests.agents.memos import ROOTS, Memos, memos
from tests.runtime.conftest import plugin

__all__ = ["plugin"]


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
