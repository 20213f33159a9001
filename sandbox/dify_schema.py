"""What Dify checks on each message of a tool, and the plugin SDK does not."""

import json
import math
from collections.abc import Mapping
from typing import Any

LINE_LIMIT = 5 * 1024 * 1024
"""Bytes of the line, line end included, that Dify's daemon still reads (PLUGIN_STDIO_MAX_BUFFER_SIZE)."""

_TEXT_TYPES = {"text", "link", "image", "image_link", "binary_link"}
_OPAQUE_TYPES = {"blob", "blob_chunk", "file", "log", "retriever_resources"}
_RESERVED_NAMES = {"text", "json", "files"}
_FRAME = '{"event":"session","session_id":"","data":{"type":"stream","data":}}\n'
_SESSION_ID_LENGTH = 36


class DifyRejects(Exception):  # noqa: N818 - the name is the sentence that a failed test shows
    """Dify would refuse, change or lose this message; its text says why."""


def check_message(message: Mapping[str, Any]) -> None:
    """Check one tool message, `{"type": …, "message": {…}, "meta": …}`, as the SDK writes it to stdout.

    Sources: `ToolInvokeMessage` in Dify's `api/core/tools/entities/tool_entities.py`; the daemon's
    `map[string]any`, in which each number is a float64; its limit for a line. Dify up to 1.11 refuses a
    variable that is null, so it is refused here. What blobs, files, logs and retriever resources hold is not
    looked into, but for numbers and size.

    Raises:
        DifyRejects: Dify would not take the message as it is.
    """
    kind = message.get("type")
    content = message.get("message")
    if kind not in _TEXT_TYPES | _OPAQUE_TYPES | {"json", "variable"}:
        raise DifyRejects(f"type: {kind!r} is no type of message")
    if not isinstance(content, Mapping):
        raise DifyRejects(f"message: an object is needed, not {content!r}")
    if kind in _TEXT_TYPES and not isinstance(content.get("text"), str):
        raise DifyRejects(f"text: a string is needed, not {content.get('text')!r}")
    if kind == "json" and not isinstance(content.get("json_object"), dict | list):
        raise DifyRejects(f"json_object: an object or a list is needed, not {content.get('json_object')!r}")
    if kind == "variable":
        _check_variable(content)
    _check_value("message", message)
    _check_size(message)


def _check_variable(content: Mapping[str, Any]) -> None:
    name = content.get("variable_name")
    value = content.get("variable_value")
    if not isinstance(name, str):
        raise DifyRejects(f"variable_name: a string is needed, not {name!r}")
    if name in _RESERVED_NAMES:
        raise DifyRejects(f"variable_name: {name!r} is reserved")
    if value is None:
        raise DifyRejects(f"variable {name}: null is refused by Dify up to 1.11")
    if content.get("stream") and not isinstance(value, str):
        raise DifyRejects(f"variable {name}: only a string can be streamed, not {value!r}")


def _check_value(place: str, value: Any) -> None:
    match value:
        case None | bool() | str():
            pass
        case int() if not _survives_float64(value):
            raise DifyRejects(f"{place}: {value} loses digits, Dify's daemon reads numbers as float64")
        case float() if not math.isfinite(value):
            raise DifyRejects(f"{place}: {value} does not exist in JSON")
        case int() | float():
            pass
        case dict():
            for key, item in value.items():
                _check_value(f"{place}.{key}", item)
        case list():
            for index, item in enumerate(value):
                _check_value(f"{place}[{index}]", item)
        case _:
            raise DifyRejects(f"{place}: {type(value).__name__} does not exist in JSON")


def _survives_float64(number: int) -> bool:
    try:
        return int(float(number)) == number
    except OverflowError:
        return False


def _check_size(message: Mapping[str, Any]) -> None:
    try:
        encoded = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise DifyRejects(f"message: a lone surrogate can't be sent ({error})") from None
    size = len(_FRAME) + _SESSION_ID_LENGTH + len(encoded)
    if size > LINE_LIMIT:
        raise DifyRejects(f"message: its line of {size} bytes is over Dify's limit of {LINE_LIMIT}")
