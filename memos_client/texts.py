"""What in a text nobody said: Dify's variables without a value, a model's thoughts, its words for nothing."""

import re

# What Dify's engine writes where a variable has no value: its bare name (seen on graphon 0.8.0). A node's id
# is the time of its making in milliseconds, as are the names of many pictures.
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_PATH = rf"(?:\.(?!(?:jpe?g|png|gif|webp|heic|mp[34]|wav|pdf|docx?|xlsx?)\b){_NAME})+"
_TEMPLATE = r"\{\{#[^{}#]+#\}\}"
_ALONE = re.compile(
    rf"(?:sys|env|conversation)(?:\.{_NAME})+(?:-[A-Za-z0-9_-]*)?|(?:[A-Za-z0-9_-]*-)?1[0-9]{{12,}}{_PATH}",
    re.ASCII,
)
_IN_TEXT = re.compile(rf"{_TEMPLATE}|(?<![0-9])1[0-9]{{12,}}+{_PATH}", re.ASCII)
# For values that tell one from another. The addresses of infosys.com and env.gov are no variables.
_IN_VALUE = re.compile(
    rf"{_TEMPLATE}|1[0-9]{{12,30}}{_PATH}|conversation(?:\.{_NAME})+"
    r"|sys\.(?:(?:query|files|timestamp)(?![A-Za-z])|[a-z]+(?:_[a-z]+)+)"
    rf"|env\.(?=[A-Za-z0-9_]*[A-Z_]){_NAME}|(?<![A-Za-z0-9.@/])env\.{_NAME}",
    re.ASCII,
)
_LONGEST_VARIABLE = 400

_THOUGHT = re.compile(r"(?<!`)<(/?)(?:think(?:ing)?|thoughts?|reasoning)(?:\s[^<>]*)?>", re.IGNORECASE)
_NOTHING = re.compile(r"(?:none|null|n/a)[.!\u3002]?", re.IGNORECASE)


def readable(text: str) -> str:
    """Drop NUL characters and replace lone surrogates by "?"."""
    # MemOS's own server answers 200 to a NUL character and stores nothing (seen on MemoryOS 2.0.33).
    return text.replace("\0", "").encode(errors="replace").decode()


def unresolved(text: str) -> str:
    """The name of the first Dify variable without a value, where `text` is nothing but such; else ""."""
    bare = text.strip()
    name = bare.strip("{#}").strip()
    if len(name) <= _LONGEST_VARIABLE and _ALONE.fullmatch(name):
        return name
    found = _IN_TEXT.search(bare)
    return _name(found[0]) if found and not without_unresolved(bare).strip() else ""


def unresolved_inside(text: str) -> str:
    """The name of the first Dify variable without a value that `text` is or holds; else ""."""
    found = _IN_VALUE.search(text)
    return _name(found[0]) if found else unresolved(text)


def without_unresolved(text: str) -> str:
    """Take out of `text` what Dify wrote for the outputs of nodes that did not run."""
    return _IN_TEXT.sub("", text)


def spoken(text: str, role: str) -> str:
    """What of a message was said, "" for nothing: no thoughts, no variables without a value.

    Args:
        text: The message's text.
        role: user, assistant, system or tool. A tool's result is data, and only made readable.
    """
    text = readable(text)
    if role == "tool":
        return text
    said = _answer(text) if role == "assistant" else text
    left = without_unresolved(said)
    if not left.strip() or unresolved(said) or _NOTHING.fullmatch(left.strip()):
        return ""
    return text if left == text else left.strip()


def _name(variable: str) -> str:
    return variable.strip("{#}").strip()


def _answer(text: str) -> str:
    # Some models' templates open the thought themselves, so that only its end is in the text.
    end = opened = closed = 0
    thinking = False
    for tag in _THOUGHT.finditer(text):
        closing = bool(tag[1])
        outside = not thinking and bool(text[end : tag.start()].strip())
        if outside and (not closing or closed >= max(opened, 1)):
            break  # the answer has begun, and its tags are its own
        thinking = not closing
        if closing:
            closed, end = closed + 1, tag.end()
        else:
            opened += 1
    return "" if thinking else text[end:]
