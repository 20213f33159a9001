"""What all tests share: one real MemOS server, started when the first test asks for it."""

from collections.abc import Iterator

import pytest

from sandbox.memos_server import MemosServer


@pytest.fixture(scope="session")
def memos_server() -> Iterator[MemosServer]:
    """MemOS's own server, with a database that begins empty; its users are shared by all tests of a run."""
    with MemosServer() as server:
        yield server
