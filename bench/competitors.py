"""Who is measured: the plugin, two minimal plugins, and a bare client."""

import json
import shutil
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from io import BufferedRWPair
from pathlib import Path
from urllib.parse import urlsplit

from bench.fake_memos import LAST_MEMORY, RESPONSE
from bench.plugin_driver import KEY, QUERY
from sandbox.plugin_process import PROVIDER, REPOSITORY

PLUGIN = "plugin"
BARE = "bare client"
FRESH = "fresh connection"
EMPTY = "empty tool"

_CODE = """import requests
from dify_plugin import Tool, ToolProvider

class MinimalProvider(ToolProvider):
    def _validate_credentials(self, credentials):
        pass

class MinimalTool(Tool):
    def _invoke(self, tool_parameters):
"""
_TOOLS = {
    EMPTY: f"""
        yield self.create_text_message("{LAST_MEMORY}")
""",
    FRESH: """
        response = requests.post(
            self.runtime.credentials["memos_url"] + "/search/memory",
            json={"query": tool_parameters["query"], "user_id": self.runtime.user_id, "source": "Dify"},
            headers={"Authorization": self.runtime.credentials["memos_api_key"]},
            timeout=30,
        )
        response.raise_for_status()
        yield self.create_json_message(response.json())
""",
}


class BareClient:
    """Sockets that stay open, and nothing else: the limit of the wire. `certificate` is of who it trusts."""

    def __init__(self, certificate: Path) -> None:
        self._tls = ssl.create_default_context(cafile=certificate)
        self._connections: dict[str, list[BufferedRWPair]] = {}

    def serve(self, url: str, at_once: int) -> float:
        """Search as `PluginDriver` does; connections that are missing are opened before the clock starts."""
        body = json.dumps({"query": QUERY, "user_id": "user-1", "source": "Dify"})
        request = (
            f"POST {urlsplit(url).path}/search/memory HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n"
            f"Authorization: {KEY}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        connections = self._connections.setdefault(url, [])
        with ThreadPoolExecutor(at_once) as executor:
            connections += executor.map(self._connect, [url] * (at_once - len(connections)))
        started = time.perf_counter()
        for connection in connections[:at_once]:
            connection.write(request)
            connection.flush()
        for connection in connections[:at_once]:
            if connection.read(len(RESPONSE)) != RESPONSE:
                raise RuntimeError("the bare client got another answer than it should")
        return time.perf_counter() - started

    def _connect(self, url: str) -> BufferedRWPair:
        parts = urlsplit(url)
        connection = socket.create_connection((parts.hostname, parts.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if parts.scheme == "https":
            connection = self._tls.wrap_socket(connection, server_hostname=parts.hostname)
        return connection.makefile("rwb")


def write_plugin(name: str, root: Path) -> Path:
    """Write the minimal plugin of that name into a new folder `root`, and return it."""
    text = {"en_US": name}
    named = {"author": "memtensor", "label": text, "description": text, "icon": "icon.svg"}
    code = {"python": {"source": "minimal.py"}}
    provider = {"identity": {**named, "name": PROVIDER}, "tools": ["tool.yaml"], "extra": code}
    described = {"human": text, "llm": name}
    tool = {"identity": {**named, "name": "search_memory"}, "description": described, "extra": code}
    for folder in ("_assets", "provider"):
        (root / folder).mkdir(parents=True)
    for file in ("main.py", "manifest.yaml", "_assets/icon.svg", "_assets/icon-dark.svg"):
        shutil.copy(REPOSITORY / file, root / file)
    # JSON is YAML, too.
    (root / "provider" / "memos.yaml").write_text(json.dumps(provider))
    (root / "tool.yaml").write_text(json.dumps(tool))
    (root / "minimal.py").write_text(_CODE + _TOOLS[name])
    return root
