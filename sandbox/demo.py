"""Shows the plugin at work: an assistant is told something in one conversation, and knows it in the next.

`python -m sandbox.demo` takes each message through the example app, Dify's workflow engine, the plugin's
process and a MemOS server: MemOS's own, started here, or the one that MEMOS_URL and MEMOS_API_KEY name.
"""

import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from textwrap import indent
from typing import Any

from sandbox.chat_model import repeat_memories
from sandbox.dify_engine import DifyApp, Run
from sandbox.memos_server import MemosServer, SandboxError
from sandbox.plugin_process import REPOSITORY, CredentialsRefused, PluginDied, PluginProcess

APP = REPOSITORY / "_assets" / "memory_assistant.yml"
WRONG_URL = "http://127.0.0.1:9"

TOLD = ("I am a vegetarian.", "My dog Rex is three years old.")
QUESTION = "Is meat something I eat?"
KEYWORD = "vegetarian"
RIGHT_ANSWER = re.compile(rf"{KEYWORD}|^no\b", re.IGNORECASE)

PATIENCE = 180.0
"""Seconds that MemOS may take to read a conversation."""


class Miss(Exception):  # noqa: N818 - its text is the sentence that ends the demo
    """Something was not as promised; says what."""


def demo() -> None:
    """Run the demo, and print it.

    Raises:
        Miss: the plugin didn't do what it promises.
        SandboxError: the sandbox's own server doesn't start.
        PluginDied, TimeoutError: the plugin's process ended, or didn't answer.
    """
    heading("1. A MemOS server, and the plugin as Dify runs it")
    with memos() as credentials, PluginProcess() as plugin:
        heading("2. Credentials")
        show_validation(plugin, credentials)
        app = DifyApp(APP.read_text(), plugin, credentials)

        heading("3. A first conversation")
        if app.model is repeat_memories:
            print("(For the assistant's model answers a stand-in: it repeats all that its prompt recalls.)\n")
        conversation = None
        for message in TOLD:
            conversation = say(app, message, "first-user", conversation).conversation_id
        wait_until_known(app, "first-user")

        heading("4. A new conversation")
        run = say(app, QUESTION, "first-user")
        recalled = run.nodes["Search Memory"].outputs["memory_context"]
        print("\nWhat the plugin put into the assistant's prompt:")
        print(indent(recalled, "    "))
        if KEYWORD not in recalled or not RIGHT_ANSWER.search(run.answer):
            raise Miss("The assistant did not know what it was told in the first conversation.")

        heading("5. Another user of the same app")
        run = say(app, QUESTION, "second-user")
        if run.nodes["Search Memory"].outputs["found"] or KEYWORD in run.answer:
            raise Miss("The second user was shown a memory of the first.")

    heading("Shown")
    print(
        "A wrong address was refused, with the reason. What a user said in one conversation was recalled in\n"
        "another, for a question in other words, and the assistant knew it. Another user got nothing of it."
    )


@contextmanager
def memos() -> Iterator[dict[str, str]]:
    """The credentials of a MemOS server that runs."""
    if url := os.environ.get("MEMOS_URL", "").strip():
        print(f"MemOS: {url}, from MEMOS_URL.")
        yield {"memos_url": url, "memos_api_key": os.environ.get("MEMOS_API_KEY", "")}
    else:
        with MemosServer(report=print) as server:
            yield {"memos_url": server.url, "memos_api_key": ""}


def show_validation(plugin: PluginProcess, credentials: Mapping[str, Any]) -> None:
    """Let the plugin validate a wrong address, which it has to refuse, and the right one."""
    print(f"MemOS URL {WRONG_URL}:")
    try:
        plugin.validate({**credentials, "memos_url": WRONG_URL})
    except CredentialsRefused as refusal:
        print(f"    {refusal}")
    else:
        raise Miss(f"{WRONG_URL} was accepted.")
    print(f"MemOS URL {credentials['memos_url']}:")
    try:
        plugin.validate(credentials)
    except CredentialsRefused as refusal:
        raise Miss(f"These credentials were refused: {refusal}") from None
    print("    accepted")


def say(app: DifyApp, message: str, user_id: str, conversation_id: str | None = None) -> Run:
    """Send the app a message, and print it with the answer."""
    run = app.chat(message, user_id=user_id, conversation_id=conversation_id)
    print(f"{user_id}: {message}")
    print(f"assistant: {run.answer}")
    if problems := [f"{title}: {node.error}" for title, node in run.nodes.items() if node.error]:
        raise Miss("\n".join(problems))
    return run


def wait_until_known(app: DifyApp, user_id: str) -> None:
    """Wait until MemOS has read what was said: it does so in the background."""
    began = time.monotonic()
    while time.monotonic() < began + PATIENCE:
        found = app.plugin.invoke(
            "search_memory", {"query": QUESTION}, app.credentials, user_id=app.user(user_id)
        )
        if found.error:
            raise Miss(found.error.message)
        if KEYWORD in found.text:
            print(f"\nMemOS has read this after {time.monotonic() - began:.1f} s.")
            return
        time.sleep(0.5)
    raise Miss(f"MemOS had not read the first conversation after {PATIENCE:.0f} s.")


def heading(text: str) -> None:
    """Print a heading."""
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def main() -> int:
    """Run the demo; returns an exit code."""
    try:
        demo()
    except (Miss, SandboxError, PluginDied, TimeoutError) as problem:
        print(f"\nThe demo failed. {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
