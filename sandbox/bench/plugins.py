"""Writes the small plugins that the real one is measured beside; each has one tool, and nothing else."""

import json
import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.plugin_process import PROVIDER, REPOSITORY

EMPTY = """
    yield self.create_text_message("ok")
"""
"""Does nothing: what a call costs in the SDK alone."""

SAME_MESSAGES = """
    for message in MESSAGES[tool_parameters["counts"]]:
        match message["type"], message["message"]:
            case "text", content:
                yield self.create_text_message(content["text"])
            case "json", content:
                yield self.create_json_message(content["json_object"])
            case "variable", content:
                yield self.create_variable_message(content["variable_name"], content["variable_value"])
"""
"""Sends what Search Memory sends, without a search: what such messages cost in the SDK alone."""

FRESH_CONNECTION = """
    credentials = self.runtime.credentials
    response = requests.post(
        credentials["memos_url"] + "/search/memory",
        json={"query": tool_parameters["query"], "user_id": self.runtime.user_id, "source": "Dify"},
        headers={"Authorization": credentials["memos_api_key"]},
        timeout=30,
    )
    response.raise_for_status()
    yield self.create_json_message(response.json())
"""
"""Opens a connection for each call, as plugins usually do."""

TOOL = "tool"

_TOOL_CODE = '''\
"""The tool."""

{imports}
from dify_plugin import Tool

MESSAGES = {messages!r}


class OnlyTool(Tool):
    def _invoke(self, tool_parameters):
{body}
'''
_PROVIDER_CODE = '''\
"""The provider."""

from dify_plugin import ToolProvider


class OnlyProvider(ToolProvider):
    def _validate_credentials(self, credentials):
        pass
'''


def write_plugin(folder: Path, body: str, *imports: str, messages: Mapping[str, Any] | None = None) -> Path:
    """Write a plugin.

    Args:
        folder: Where; it is made.
        body: What its tool does: one of the texts above.
        imports: The modules that this needs.
        messages: What it finds in `MESSAGES`.

    Returns:
        The folder.
    """
    named = {"author": "memtensor", "name": PROVIDER, "label": _words(PROVIDER)}
    manifest = {
        **named,
        "version": "1.0.0",
        "type": "plugin",
        "description": _words("To compare with."),
        "icon": "icon.svg",
        "created_at": "2026-01-01T00:00:00Z",
        "resource": {"memory": 268435456, "permission": {"tool": {"enabled": True}}},
        "plugins": {"tools": ["provider/provider.yaml"]},
        "meta": {
            "version": "0.0.1",
            "arch": ["amd64", "arm64"],
            "runner": {"language": "python", "version": "3.12", "entrypoint": "main"},
        },
    }
    provider = {
        "identity": {**named, "description": _words("To compare with."), "icon": "icon.svg"},
        "tools": ["tools/tool.yaml"],
        "extra": {"python": {"source": "provider/provider.py"}},
    }
    tool = {
        "identity": {**named, "name": TOOL},
        "description": {"human": _words("To compare with."), "llm": "To compare with."},
        "parameters": [],
        "extra": {"python": {"source": "tools/tool.py"}},
    }
    for name in ("_assets", "provider", "tools"):
        (folder / name).mkdir(parents=True)
    # JSON is YAML, too.
    (folder / "manifest.yaml").write_text(json.dumps(manifest))
    (folder / "provider" / "provider.yaml").write_text(json.dumps(provider))
    (folder / "provider" / "provider.py").write_text(_PROVIDER_CODE)
    (folder / "tools" / "tool.yaml").write_text(json.dumps(tool))
    (folder / "tools" / "tool.py").write_text(
        _TOOL_CODE.format(
            imports="".join(f"import {name}\n" for name in imports),
            messages=messages or {},
            body=textwrap.indent(textwrap.dedent(body).strip(), " " * 8),
        )
    )
    shutil.copy(REPOSITORY / "main.py", folder)
    shutil.copy(REPOSITORY / "_assets" / "icon.svg", folder / "_assets")
    return folder


def _words(words: str) -> dict[str, str]:
    return {"en_US": words}
