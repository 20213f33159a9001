"""Runs a plugin as a process and calls its tool `search_memory`, with little work of its own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, cast

from bench.fake_memos import LAST_MEMORY
from sandbox.plugin_process import INHERITED, PROVIDER

KEY = "Token mpg-bench"
QUERY = "Where does the user like to eat?"

# All that is written at once fits into such a pipe, so that nobody has to write while another reads.
_PIPE_BYTES = 1 << 20
_FRAME = b'{"event":"session","session_id":"00000000","data":{"type":"'
_SESSION = slice(_FRAME.index(b"0"), _FRAME.rindex(b"0") + 1)


class PluginDriver:
    """A process of the plugin in `root`, which trusts `certificate` and has sent its first heartbeat."""

    def __init__(self, root: Path, certificate: Path) -> None:
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment |= {"INSTALL_METHOD": "local", "REQUESTS_CA_BUNDLE": str(certificate)}
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "main"],
            cwd=root,
            env=environment | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pipesize=_PIPE_BYTES,
        )
        while b'"event":"heartbeat"' not in self._read_line():
            pass
        self.start_seconds = time.perf_counter() - started

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def serve(self, url: str, at_once: int) -> float:
        """Search at a MemOS URL so many times at once, and return the seconds until all have ended.

        Raises:
            RuntimeError: A search failed or found nothing: none such is timed; or the process died.
        """
        data = {
            "user_id": "user-1",
            "type": "tool",
            "action": "invoke_tool",
            "provider": PROVIDER,
            "tool": "search_memory",
            "credentials": {"memos_url": url, "memos_api_key": KEY, "deployment": "auto"},
            "credential_type": "api-key",
            "tool_parameters": {"query": QUERY},
        }
        request = {"event": "request", "app_id": "app-1", "data": data}
        lines = [json.dumps(request | {"session_id": f"{number:08}"}) + "\n" for number in range(at_once)]
        written = "".join(lines).encode()
        frames = []
        ended = 0
        started = time.perf_counter()
        os.write(cast("IO[bytes]", self._process.stdin).fileno(), written)
        while ended < at_once:
            frames.append(self._read_line())
            ended += frames[-1].startswith(b"end", len(_FRAME))
        seconds = time.perf_counter() - started
        errors = [frame for frame in frames if frame.startswith(b"error", len(_FRAME))]
        found = {frame[_SESSION] for frame in frames if LAST_MEMORY.encode() in frame}
        if errors or len(found) < at_once:
            raise RuntimeError(f"{len(found)} of {at_once} calls found what they should: {errors[:1]}")
        return seconds

    def memory(self, name: str) -> float:
        """MiB of the process: `VmRSS`, which it holds, or `VmHWM`, the most that it ever held."""
        status = Path(f"/proc/{self._process.pid}/status").read_text().split()
        return int(status[status.index(f"{name}:") + 1]) / 1024

    def _read_line(self) -> bytes:
        line = cast("IO[bytes]", self._process.stdout).readline()
        if not line:
            raise RuntimeError("a plugin died")
        return line
