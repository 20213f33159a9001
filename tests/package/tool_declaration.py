"""Writes `tool_declaration.json` anew: the tools, as the lowest SDK allowed tells Dify of them."""

import json
import tempfile
from pathlib import Path

from sandbox.package import REPOSITORY, collect
from tests.package.debugging_server import DebuggingServer, Introduction
from tests.package.installation import Installation, environment, lowest, unpack

GOLDEN = Path(__file__).with_suffix(".json")
KEY = "debugging-key"


def introduction(installation: Installation, log: Path) -> Introduction:
    """Start the plugin for remote debugging, and return what it tells of itself."""
    with DebuggingServer() as server, installation.running(log, remote(server)):
        return server.meet()


def remote(server: DebuggingServer) -> dict[str, str]:
    """The environment of a plugin that is to connect to `server`."""
    return {"INSTALL_METHOD": "remote", "REMOTE_INSTALL_URL": server.url, "REMOTE_INSTALL_KEY": KEY}


def main() -> None:
    """Write the file."""
    files = collect(REPOSITORY)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "plugin"
        unpack(files, root)
        python = environment("lowest", lowest(files["requirements.txt"].decode()))
        told = introduction(Installation(root, python), Path(scratch) / "log")
    GOLDEN.write_text(json.dumps(told.tools, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
