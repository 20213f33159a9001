"""What models are sent and read; as a program, writes `sent.json` and `read.json` anew."""

import json
from pathlib import Path
from typing import Any

from sandbox.plugin_process import Invocation, PluginProcess
from sandbox.scripted_server import Answer
from tests.agents.dify_agents import AGENTS, FOR_AGENTS, LANGUAGES, sent
from tests.runtime.memos import FACT, Memos, call, memos

SENT = Path(__file__).with_name("sent.json")
READ = Path(__file__).with_name("read.json")

PARAMETER = {"recall": "query", "remember": "content", "forget": "memory"}
_HTML = {"Content-Type": "text/html"}
FAILURES = {
    "memos is down": Answer({"code": 50004, "message": "Memory service unavailable"}),
    "the key is wrong": Answer({"code": 40132, "message": "API key is invalid"}, status=401),
    "the quota is used up": Answer({"code": 40304, "message": "Quota exhausted"}),
    "the text is too long": Answer({"code": 40305, "message": "Too long"}),
    "the reply is not understood": Answer(b"<html>Welcome</html>", headers=_HTML),
}


def sent_to_models() -> dict[str, Any]:
    """By tool, and by the builder's language or "llm"."""
    return {tool: {language: sent(tool, language) for language in ("llm", *LANGUAGES)} for tool in FOR_AGENTS}


def read_by_models(plugin: PluginProcess, server: Memos) -> dict[str, dict[str, str]]:
    """By tool and case; for Search Memory, by the kind of agent that it was given to."""

    def read(tool: str, text: str = FACT, **more: Any) -> str:
        return _same(call(plugin, server, tool, {PARAMETER[tool]: text} | more))

    told: dict[str, dict[str, str]] = {}
    for tool in FOR_AGENTS:
        told[tool] = {}
        server.begin()
        told[tool]["one fact"] = read(tool)
        server.begin()
        server.kept.clear()
        told[tool]["none"] = read(tool)
        told[tool]["blank"] = read(tool, " ")
        told[tool]["a variable's name"] = read(tool, "1767225600001.text")
        told[tool]["a user key that does not fit"] = read(tool, user_key="victim")
        told[tool]["an agent without variables"] = read(tool, user_key="{{#search.user_key#}}")
        for name, failure in FAILURES.items():
            server.instead = failure
            told[tool][name] = read(tool)
    server.begin()
    told["remember"]["a question"] = read("remember", "Does the user eat meat?")
    told["forget"]["reads otherwise"] = read("forget", "The user eats fish.")
    done = call(plugin, server, "search_memory", {"query": FACT})
    told["search_memory"] = {agent.name: agent.read(done.messages) for agent in AGENTS}
    return told


def _same(done: Invocation) -> str:
    """What all four kinds of agent read, where that is the same."""
    assert done.error is None, done.error
    [text] = {agent.read(done.messages) for agent in AGENTS}
    return text


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def main() -> None:
    """Write both files."""
    write(SENT, sent_to_models())
    with PluginProcess() as plugin, memos("cloud") as server:
        write(READ, read_by_models(plugin, server))


if __name__ == "__main__":
    main()
