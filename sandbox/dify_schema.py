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
_FRAME = f'{{"event":"session","session_id":"{"0" * 36}","data":{{"type":"stream","data":}}}}\n'


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
    match message:
        case {"type": kind, "message": {"text": str()}} if kind in _TEXT_TYPES:
            pass
        case {"type": "json", "message": {"json_object": dict() | list()}}:
            pass
        case {
            "type": "variable",
            "message": {"variable_name": str(name), "variable_value": value} as content,
        }:
            _check_variable(name, value, stream=content.get("stream"))
        case {"type": kind, "message": dict()} if kind in _OPAQUE_TYPES:
            pass
        case _:
            raise DifyRejects(f"Dify knows no message like {repr(message)[:200]}")
    _check_value("message", message)
    _check_size(message)


def _check_variable(name: str, value: Any, *, stream: Any) -> None:
    if name in _RESERVED_NAMES:
        raise DifyRejects(f"variable_name: {name!r} is reserved")
    if value is None:
        raise DifyRejects(f"variable {name}: null is refused by Dify up to 1.11")
    if stream and not isinstance(value, str):
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
    size = len(_FRAME) + len(encoded)
    if size > LINE_LIMIT:
        raise DifyRejects(f"message: its line of {size} bytes is over Dify's limit of {LINE_LIMIT}")
