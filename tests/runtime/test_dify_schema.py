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
        message("text", text="é\u2028\0<b>"),
        message("link", text="https://memos.example"),
        message("json", json_object={}),
        message("json", json_object=[{"n": None, "f": -0.5, "even": 2**53 + 2}]),
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
        *(
            (malformed, "Dify knows no message like")
            for malformed in (
                message("markdown", text="x"),
                {"type": "text", "message": None},
                {"type": "log", "message": None},
                message("text", text=1),
                message("image", json_object={}),
                message("json", json_object="{}"),
                message("json"),
                variable(None, 1),
                message("variable", variable_name="v"),
            )
        ),
        *((variable(name, "x"), f"'{name}' is reserved") for name in ("text", "json", "files")),
        (variable("v", None), "variable v: null"),
        (variable("v", 1, stream=True), "variable v: only a string can be streamed"),
        (variable("v", ("x",)), "variable_value: tuple does not exist"),
        (variable("v", 2**53 + 1), "variable_value: 9007199254740993 loses digits"),
        (variable("v", 10**400), "loses digits"),
        (message("json", json_object={"a": [1, float("nan")]}), r"json_object\.a\[1\]: nan does not exist"),
        (message("text", text="\ud800"), "lone surrogate"),
    ],
)
def test_refuses(refused: dict[str, Any], reason: str) -> None:
    with pytest.raises(DifyRejects, match=reason):
        check_message(refused)


@pytest.mark.parametrize("letter", ["x", "é"])
def test_line_limit_counts_bytes(letter: str) -> None:
    frame = (
        '{"event":"session","session_id":"00000000-0000-0000-0000-000000000000","data":{"type":"stream","data":'
        '{"type":"text","message":{"text":""},"meta":null}}}\n'
    )
    longest = (LINE_LIMIT - len(frame)) // len(letter.encode())
    check_message(message("text", text=letter * longest))
    with pytest.raises(DifyRejects, match="over Dify's limit"):
        check_message(message("text", text=letter * (longest + 1)))
