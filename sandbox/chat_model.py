"""A small offline stand-in for the chat model that answers an app's LLM nodes."""

import re
from collections.abc import Callable, Mapping, Sequence

type ChatModel = Callable[[Sequence[Mapping[str, str]]], str]
"""Takes the messages of a prompt, `{"role": …, "content": …}`, and returns the answer."""

_BLOCK = re.compile(r"<memories>\n(.*?)\n</memories>", re.DOTALL)


def repeat_memories(messages: Sequence[Mapping[str, str]]) -> str:
    """Answer a question with all that the prompt's block of memories holds, so that each wrong one shows."""
    if not messages[-1]["content"].rstrip().endswith("?"):
        return "Noted."
    blocks = (_BLOCK.search(message["content"]) for message in messages if message["role"] == "system")
    lines = [line for block in blocks if block for line in block[1].splitlines() if line.startswith("- ")]
    return "\n".join(["This is what I know:", *lines]) if lines else "I don't know that yet."
