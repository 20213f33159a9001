"""The package, and the installation of it that every test of a running plugin uses."""

from collections.abc import Iterator

import pytest

from sandbox.package import REPOSITORY, collect
from sandbox.plugin_process import PluginProcess
from tests.package.contents import Package
from tests.package.installation import Installation, install
from tests.runtime.conftest import scripted, server
from tests.runtime.memos import KEY

__all__ = ["scripted", "server"]


@pytest.fixture(scope="session")
def package() -> Package:
    return Package(collect(REPOSITORY))


@pytest.fixture(scope="session")
def installation(package: Package, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The installed package; the tests of the repository run with the newest versions that are allowed."""
    return install(package.files, tmp_path_factory.mktemp("installation") / "plugin")


@pytest.fixture(scope="module")
def plugin(installation: Installation) -> Iterator[PluginProcess]:
    """The installed plugin, as Dify's daemon runs it on its own machine."""
    with PluginProcess(installation.root, python=installation.python) as process:
        yield process
    assert process.stray_lines == []
    assert KEY.encode() not in process.stdout + process.stderr
