"""A stand-in for MemOS, which the tests of the benchmarks ask."""

from collections.abc import Iterator

import pytest

from sandbox.bench.helper import Helper
from sandbox.bench.links import Link


@pytest.fixture(scope="session")
def link() -> Iterator[Link]:
    """The plain way to a stand-in."""
    with Helper("sandbox.bench.stand_in") as helper:
        yield Link(helper.port, None)
