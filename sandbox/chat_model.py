"""What answers an app's LLM nodes: a real model with an API like OpenAI's, or a small offline stand-in."""

import os
import re
from collections.abc import Callable, Mapping, Sequence

import requests

type ChatModel = Callable[[Sequence[Mapping[str, str]]], str]
"""Takes the messages of a prompt, `{"role": …, "content": …}`, and returns the answer."""

_VARIABLES = ("MEMOS_MODEL_BASE_URL", "MEMOS_MODEL_NAME", "MEMOS_MODEL_API_KEY")
_TIMEOUT = 120.0
_BLOCK = re.compile(r"<memories>\n(.*?)\n</memories>", re.DOTALL)


def chat_model() -> ChatModel:
    """The model that MEMOS_MODEL_BASE_URL, MEMOS_MODEL_NAME and MEMOS_MODEL_API_KEY name, or the stand-in."""
    url, name, key = (os.environ.get(variable, "").strip() for variable in _VARIABLES)
    return RealModel(url, name, key) if url and name and key else repeat_memories


def repeat_memories(messages: Sequence[Mapping[str, str]]) -> str:
    """Answer a question with all that the prompt's block of memories holds, so that each wrong one shows."""
    if not messages[-1]["content"].rstrip().endswith("?"):
        return "Noted."
    blocks = (_BLOCK.search(message["content"]) for message in messages if message["role"] == "system")
    lines = [line for block in blocks if block for line in block[1].splitlines() if line.startswith("- ")]
    return "\n".join(["This is what I know:", *lines]) if lines else "I don't know that yet."


class RealModel:
    """A model behind an API like OpenAI's.

    Args:
        url: up to and without `/chat/completions`.
        name: of the model.
        key: sent as `Bearer`.
    """

    def __init__(self, url: str, name: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._name = name
        self._key = key

    def __call__(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Ask the model.

        Raises:
            requests.RequestException: it can't be reached, or refuses.
        """
        reply = requests.post(
            f"{self._url}/chat/completions",
            json={"model": self._name, "messages": list(messages)},
            headers={"Authorization": f"Bearer {self._key}"},
            timeout=_TIMEOUT,
        )
        reply.raise_for_status()
        return str(reply.json()["choices"][0]["message"]["content"])
