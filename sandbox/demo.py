"""Shows the plugin at work: an assistant is told something in one conversation, and knows it in the next.

`python -m sandbox.demo` takes each message through the example app, Dify's workflow engine, the plugin's
process and a MemOS server: MemOS's own, started here, or the one that MEMOS_URL and MEMOS_API_KEY name.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from textwrap import indent
from typing import Any

from sandbox.dify_engine import DifyApp, Run
from sandbox.memos_server import MemosServer, SandboxError
from sandbox.plugin_process import REPOSITORY, CredentialsRefused, PluginDied, PluginProcess

APP = REPOSITORY / "_assets" / "memory_assistant.yml"
WRONG_URL = "http://127.0.0.1:9"

TOLD = ("I am a vegetarian.", "My dog Rex is three years old.")
QUESTION = "Is meat something I eat?"
ANSWER = "vegetarian"

READ_TIMEOUT = 180.0
"""Seconds that MemOS may take to read a conversation."""


class DemoError(Exception):
    """The plugin didn't do what it promises; says what."""


def demo() -> None:
    """Run the demo, and print it; `main` knows what it raises."""
    heading("1. A MemOS server, and the plugin as Dify runs it")
    with memos() as credentials, PluginProcess() as plugin:
        heading("2. Credentials")
        validate(plugin, credentials)
        app = DifyApp(APP.read_text(), plugin, credentials)

        heading("3. A first conversation")
        print("(For the assistant's model answers a stand-in: it repeats all that its prompt recalls.)\n")
        conversation = None
        for message in TOLD:
            conversation = say(app, message, "first-user", conversation).conversation_id
        wait_until_known(app, "first-user")

        heading("4. A new conversation")
        run = say(app, QUESTION, "first-user")
        recalled = run.nodes["Search Memory"].outputs["memory_context"]
        print(f"\nWhat the plugin put into the assistant's prompt:\n{indent(recalled, '    ')}")
        if ANSWER not in recalled or ANSWER not in run.answer:
            raise DemoError("The assistant did not know what it was told in the first conversation.")

        heading("5. Another user of the same app")
        run = say(app, QUESTION, "second-user")
        if run.nodes["Search Memory"].outputs["found"] or ANSWER in run.answer:
            raise DemoError("The second user was shown a memory of the first.")

    heading("Shown")
    print("What a user said in one conversation was known in another; another user got nothing of it.")


@contextmanager
def memos() -> Iterator[dict[str, str]]:
    """The credentials of a MemOS server that runs."""
    if url := os.environ.get("MEMOS_URL", "").strip():
        print(f"MemOS: {url}, from MEMOS_URL.")
        yield {"memos_url": url, "memos_api_key": os.environ.get("MEMOS_API_KEY", "")}
    else:
        with MemosServer() as server:
            yield {"memos_url": server.url, "memos_api_key": ""}


def validate(plugin: PluginProcess, credentials: Mapping[str, Any]) -> None:
    """Let the plugin validate a wrong address, which it has to refuse, and the right one."""
    print(f"MemOS URL {WRONG_URL}:")
    try:
        plugin.validate({**credentials, "memos_url": WRONG_URL})
    except CredentialsRefused as refusal:
        print(f"    {refusal}")
    else:
        raise DemoError(f"{WRONG_URL} was accepted.")
    print(f"MemOS URL {credentials['memos_url']}:")
    try:
        plugin.validate(credentials)
    except CredentialsRefused as refusal:
        raise DemoError(f"These credentials were refused: {refusal}") from None
    print("    accepted")


def say(app: DifyApp, message: str, user_id: str, conversation_id: str | None = None) -> Run:
    """Send the app a message, and print it with the answer."""
    run = app.chat(message, user_id=user_id, conversation_id=conversation_id)
    print(f"{user_id}: {message}\nassistant: {run.answer}")
    if problems := [f"{title}: {node.error}" for title, node in run.nodes.items() if node.error]:
        raise DemoError("\n".join(problems))
    return run


def wait_until_known(app: DifyApp, user_id: str) -> None:
    """Wait until MemOS has read what was said: it does so in the background."""
    began = time.monotonic()
    while time.monotonic() < began + READ_TIMEOUT:
        found = app.plugin.invoke(
            "search_memory", {"query": QUESTION}, app.credentials, user_id=app.user(user_id)
        )
        if found.error:
            raise DemoError(found.error.message)
        if ANSWER in found.text:
            print(f"\nMemOS has read this after {time.monotonic() - began:.1f} s.")
            return
        time.sleep(0.5)
    raise DemoError(f"MemOS had not read the first conversation after {READ_TIMEOUT:.0f} s.")


def heading(text: str) -> None:
    """Print a heading."""
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def main() -> int:
    """Run the demo; returns an exit code."""
    try:
        demo()
    except (DemoError, SandboxError, PluginDied, TimeoutError) as problem:
        print(f"\nThe demo failed. {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
