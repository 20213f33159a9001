"""Messages that Dify would refuse or change do not pass, all others do."""

from typing import Any

import pytest

from sandbox.dify_schema import LINE_LIMIT, DifyRejects, check_message


def message(kind: str, **content: Any) -> dict[str, Any]:
    return {"type": kind, "message": content, "meta": None}


def variable(name: Any, value: Any, *, stream: bool = False) -> dict[str, Any]:
    return message("variable", variable_name=name, variable_value=value, stream=stream)


@pytest.mark.parametrize(
    "accepted",
    [
        message("text", text=""),
        message("text", text="é\u2028\0<b>"),
        message("link", text="https://memos.example"),
        message("json", json_object={}),
        message("json", json_object=[{"n": None, "f": -0.5}]),
        message("json", json_object={"n": 2**53, "even": 2**53 + 2}),
        *(variable("v", value) for value in ("", 0, 1.5, False, [], [None], {"a": None})),
        variable("v", "part", stream=True),
        message("blob_chunk", id="1", sequence=0, total_length=0, blob="", end=True),
        message("log", label="l", status="start", data={}),
    ],
)
def test_accepts(accepted: dict[str, Any]) -> None:
    check_message(accepted)


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (message("markdown", text="x"), "type: 'markdown' is no type"),
        ({"type": "text", "message": None}, "message: an object is needed, not None"),
        (message("text", text=1), "text: a string is needed, not 1"),
        (message("text", json_object={}), "text: a string is needed, not None"),
        (message("image", text=None), "text: a string is needed"),
        (message("json", json_object="{}"), "json_object: an object or a list is needed, not '{}'"),
        (message("json", text="{}"), "json_object: an object or a list is needed, not None"),
        (variable(None, 1), "variable_name: a string is needed"),
        *(
            (variable(name, "x"), f"variable_name: '{name}' is reserved")
            for name in ("text", "json", "files")
        ),
        (variable("v", None), "variable v: null"),
        (variable("v", 1, stream=True), "variable v: only a string can be streamed"),
        (variable("v", b"x"), "variable_value: bytes does not exist"),
        (variable("v", ("x",)), "variable_value: tuple does not exist"),
        (variable("v", 2**53 + 1), "variable_value: 9007199254740993 loses digits"),
        (variable("v", 10**400), "loses digits"),
        (message("json", json_object={"a": [1, float("nan")]}), r"json_object\.a\[1\]: nan does not exist"),
        (message("json", json_object={"a": float("-inf")}), "-inf does not exist"),
        (message("text", text="\ud800"), "lone surrogate"),
    ],
)
def test_refuses(refused: dict[str, Any], reason: str) -> None:
    with pytest.raises(DifyRejects, match=reason):
        check_message(refused)


def test_line_limit_counts_bytes() -> None:
    frame = (
        '{"event":"session","session_id":"00000000-0000-0000-0000-000000000000","data":{"type":"stream","data":'
        '{"type":"text","message":{"text":"…"},"meta":null}}}\n'
    )
    room = LINE_LIMIT - len(frame.replace("…", ""))

    check_message(message("text", text="x" * room))
    check_message(message("text", text="é" * (room // 2)))
    for text in ("x" * (room + 1), "é" * (room // 2 + 1)):
        with pytest.raises(DifyRejects, match="over Dify's limit"):
            check_message(message("text", text=text))
