"""Dify's end of remote debugging: a plugin connects, introduces itself and serves calls over one socket.

The messages are those of `internal/core/debugging_runtime` of langgenius/dify-plugin-daemon.
"""

import base64
import json
import socket
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

TIMEOUT = 60.0
"""Seconds of silence after which the plugin is given up."""


@dataclass
class Introduction:
    """What a plugin tells of itself: its manifest, its tools as Dify shows them, and its `_assets`."""

    key: str = ""
    manifest: dict[str, Any] = field(default_factory=dict)
    tools: list[dict[str, Any]] = field(default_factory=list)
    assets: dict[str, bytes] = field(default_factory=dict)


class DebuggingServer:
    """A server for one plugin, for the time of a `with` block."""

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT)
        self._connection: socket.socket | None = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._connection:
            self._lines.close()
            self._connection.close()
        self._listener.close()

    @property
    def url(self) -> str:
        """Address and port, as Dify shows them: `127.0.0.1:34567`."""
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def meet(self) -> Introduction:
        """Wait for the plugin, and return what it tells of itself."""
        self._connection, _ = self._listener.accept()
        self._connection.settimeout(TIMEOUT)
        self._lines = self._connection.makefile("rb")
        introduction = Introduction()
        while True:
            match self._receive():
                case {"type": "handshake", "data": {"key": key}}:
                    introduction.key = key
                case {"type": "manifest_declaration", "data": manifest}:
                    introduction.manifest = manifest
                case {"type": "tool_declaration", "data": tools}:
                    introduction.tools = tools
                case {"type": "asset_chunk", "data": {"filename": name, "data": chunk}}:
                    introduction.assets[name] = introduction.assets.get(name, b"") + base64.b64decode(chunk)
                case {"type": "end"}:
                    return introduction
                case message:
                    raise AssertionError(f"no part of an introduction: {message}")

    def request(self, data: dict[str, Any]) -> list[dict[str, Any]]:
        """Send the request of one session, and return the session's frames up to its end."""
        frame = {"session_id": "session", "event": "request", "data": data}
        assert self._connection, "the plugin was not met"
        self._connection.sendall(json.dumps(frame).encode() + b"\n")
        frames = []
        while True:
            message = self._receive()
            if message["event"] == "session":
                if message["data"]["type"] == "end":
                    return frames
                frames.append(message["data"])

    def _receive(self) -> dict[str, Any]:
        for line in self._lines:
            if line.strip():
                return json.loads(line)
        raise ConnectionError("the plugin hung up")
