"""Fixtures of the tests that need neither Dify nor MemOS."""

import ssl
import time
from collections.abc import Iterator

import pytest

import tests.unit.dify_first  # noqa: F401 - before anything that loads requests
from tests.unit.samples import BOTH, Deployment, Memos


@pytest.fixture(params=BOTH, ids=lambda deployment: deployment.name)
def deployment(request: pytest.FixtureRequest) -> Deployment:
    """Each of the two kinds of MemOS in turn."""
    return request.param


@pytest.fixture(autouse=True)
def memos(monkeypatch: pytest.MonkeyPatch) -> Iterator[Memos]:
    """A MemOS that plays a script to its end; nothing reaches the network."""
    memos = Memos()
    monkeypatch.setattr("memos_client.connections.getaddrinfo", lambda *_: [])
    monkeypatch.setattr("urllib3.util.connection.create_connection", memos.connect)
    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", memos.secure)
    yield memos
    assert not memos.script, "MemOS was asked less often than the test says"


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the code meant to wait; it never really does."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


@pytest.fixture(scope="session", autouse=True)
def _no_proxy_and_no_bundle_of_this_machine() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "*")
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            patch.delenv(name, raising=False)
        yield
