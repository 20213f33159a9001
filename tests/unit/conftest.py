"""Fixtures of the tests that need neither Dify nor MemOS."""

import time
from collections.abc import Iterator

import pytest

import tests.unit.dify_first  # noqa: F401 - before anything that loads requests
from tests.unit.samples import BOTH, Deployment, FakeMemos, fake_memos


@pytest.fixture(params=BOTH, ids=lambda deployment: deployment.name)
def deployment(request: pytest.FixtureRequest) -> Deployment:
    """Each of the two kinds of MemOS in turn."""
    return request.param


@pytest.fixture(autouse=True)
def memos() -> Iterator[FakeMemos]:
    """Every server that a test reaches."""
    with fake_memos() as memos:
        yield memos


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the code meant to wait; it never really does."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses
