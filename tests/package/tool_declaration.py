"""What the plugin tells Dify of itself; as a program, writes `tool_declaration.json`, its tools, anew.

It tells that by remote debugging, with the messages of `internal/core/debugging_runtime` of
langgenius/dify-plugin-daemon.
"""

import base64
import json
import socket
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.package import REPOSITORY, collect
from tests.package.installation import Installation, install

GOLDEN = Path(__file__).with_suffix(".json")
KEY = "debugging-key"
TIMEOUT = 60.0
"""Seconds of silence after which the plugin is given up."""


@dataclass
class Introduction:
    """What a plugin tells: Dify's key, its manifest, its tools as Dify shows them, and its `_assets`."""

    key: str = ""
    manifest: dict[str, Any] = field(default_factory=dict)
    tools: list[dict[str, Any]] = field(default_factory=list)
    assets: dict[str, bytes] = field(default_factory=dict)


def introduction(installation: Installation, log: Path) -> Introduction:
    """Start the plugin for remote debugging, and return what it tells of itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(TIMEOUT)
        url = "{}:{}".format(*server.getsockname())
        remote = {"INSTALL_METHOD": "remote", "REMOTE_INSTALL_URL": url, "REMOTE_INSTALL_KEY": KEY}
        with installation.running(log, remote):
            connection, _ = server.accept()
            connection.settimeout(TIMEOUT)
            with connection, connection.makefile("rb") as lines:
                return _read(filter(bytes.strip, lines))


def _read(lines: Iterable[bytes]) -> Introduction:
    told = Introduction()
    for line in lines:
        match json.loads(line):
            case {"type": "handshake", "data": {"key": key}}:
                told.key = key
            case {"type": "manifest_declaration", "data": manifest}:
                told.manifest = manifest
            case {"type": "tool_declaration", "data": tools}:
                told.tools = tools
            case {"type": "asset_chunk", "data": {"filename": name, "data": chunk}}:
                told.assets[name] = told.assets.get(name, b"") + base64.b64decode(chunk)
            case {"type": "end"}:
                return told
            case message:
                raise AssertionError(f"no part of an introduction: {message}")
    raise AssertionError("the plugin hung up")


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as scratch:
        installation = install(collect(REPOSITORY), Path(scratch) / "plugin")
        told = introduction(installation, Path(scratch) / "log")
    GOLDEN.write_text(json.dumps(told.tools, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
