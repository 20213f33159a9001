"""The package, and the two installations of it that every test of a running plugin uses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.package import REPOSITORY, collect
from sandbox.plugin_process import PluginProcess
from tests.package.contents import Package
from tests.package.installation import Installation, environment, lowest, unpack
from tests.runtime.conftest import KEY


@pytest.fixture(scope="session")
def package() -> Package:
    return Package(collect(REPOSITORY))


@pytest.fixture(scope="session", params=["newest", "lowest"])
def installation(
    package: Package, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    """The package with the newest versions of all that it needs, and with the lowest that it allows."""
    root = tmp_path_factory.mktemp(request.param) / "plugin"
    unpack(package.files, root)
    wanted = (root / "requirements.txt").read_text()
    return Installation(
        root, environment(request.param, wanted if request.param == "newest" else lowest(wanted))
    )


@pytest.fixture(scope="module")
def plugin(installation: Installation) -> Iterator[PluginProcess]:
    """The installed plugin, as Dify's daemon runs it on its own machine."""
    with PluginProcess(installation.root, python=installation.python) as process:
        yield process
    assert process.stray_lines == []
    assert KEY.encode() not in process.stdout + process.stderr


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "plugin.log"
