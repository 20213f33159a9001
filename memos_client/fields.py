"""Field types: values as Dify sends them, read into what the plugin works with, or refused in words."""

import ast
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import from_json

from memos_client.texts import readable, unresolved, unresolved_inside

_LONGEST_PRINTED = 10_000
_SEPARATORS = re.compile("[,;\uff0c\uff1b\ufe50\ufe54\u3001\ufe51\uff64\u060c\u061b\n\r\v\f\x85\u2028\u2029]")


def is_absent(value: Any) -> bool:
    """Tell whether Dify says nothing with `value`: None, "", white space, `[null]`, `[""]` or `[]`."""
    if isinstance(value, list):
        return all(not isinstance(part, list) and is_absent(part) for part in value)
    return value is None or (isinstance(value, str) and not value.strip())


def present(**values: Any) -> dict[str, Any]:
    """Leave out what is absent."""
    return {name: value for name, value in values.items() if value not in (None, "", [], {})}


def decoded(value: Any) -> Any:
    """Read JSON text, also where Dify put it into a list of one; all else stays as it is.

    Raises:
        ValueError: The text is not valid JSON.
    """
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        value = value[0]
    if not isinstance(value, str):
        return value
    try:
        return from_json(readable(value), allow_inf_nan=False)
    except ValueError as error:
        raise ValueError(f"not valid JSON ({error})") from None


def no_value(variable: str) -> str:
    """Say that a Dify variable is unresolved."""
    return f"the variable {variable} has no value in this app"


def no_printed_python(text: str) -> str:
    """Refuse a list or an object that Dify wrote into a text.

    Raises:
        ValueError: The text is one.
    """
    # Dify prints a list or an object that is put into a text field as Python would.
    bare = text.strip()
    if bare[:1] in {"[", "{"} and len(bare) <= _LONGEST_PRINTED:
        try:
            from_json(bare)
        except ValueError:
            if _is_printed(bare):
                raise ValueError("wants text, and got a list or an object") from None
    return text


def _is_printed(text: str) -> bool:
    try:
        value = ast.literal_eval(text)
        return isinstance(value, list | dict) and repr(value) == text
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False


def _needed(text: str) -> str:
    # MemOS's own server answers an empty query with arbitrary memories (seen on MemoryOS 2.0.33).
    if is_absent(text):
        raise ValueError("needed")
    return text


def _resolved(text: str) -> str:
    if variable := unresolved(text):
        raise ValueError(no_value(variable))
    return text


def identifier(text: str) -> str:
    """Check what tells one from another; nothing is repaired, or two could become one.

    Raises:
        ValueError: Longer than 100 characters, or not a plain text with a value.
    """
    if len(text) > 100:  # noqa: PLR2004 - MemOS's limit, as the words say
        raise ValueError("at most 100 characters")
    if not text.isprintable():
        raise ValueError("no control or invisible characters")
    if text != text.strip():
        raise ValueError("no space at its start or end")
    if variable := unresolved_inside(text):
        raise ValueError(no_value(variable))
    if text[:1] in {"[", "{"}:
        raise ValueError("wants text, and got a list or an object")
    return text


def _no_switch(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("wants a number")  # noqa: TRY004 - pydantic collects ValueErrors only
    return value


def _separated(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        bare = no_printed_python(readable(value)).strip()
        value = decoded(bare) if bare[:1] in {"[", "{"} else pieces(bare)
    if not isinstance(value, list) or not all(isinstance(part, str | None) for part in value):
        raise ValueError("wants text separated by commas")
    parts = (valued(part or "") for part in value)
    return tuple(dict.fromkeys(part for part in parts if part))


def _memory_ids(value: Any) -> tuple[str, ...]:
    # What Dify makes of a variable that holds a list, in a field for text: "['m1', 'm2']".
    if isinstance(value, str) and len(value) <= _LONGEST_PRINTED and _is_printed(value.strip()):
        value = ast.literal_eval(value.strip())
    ids = tuple(identifier(memory_id) for memory_id in _separated(value))
    # The cloud has them in the path of its address, where dots alone mean another one.
    if not all(memory_id.strip(".") for memory_id in ids):
        raise ValueError("an id is more than dots")
    return ids


def pieces(text: str) -> list[str]:
    """Part a text at commas, semicolons and line ends of all scripts."""
    return [piece.strip() for piece in _SEPARATORS.split(text) if piece.strip()]


def valued(text: str) -> str:
    """Check that no variable without a value becomes one.

    Raises:
        ValueError: The text is or holds one.
    """
    text = readable(text).strip()
    if variable := unresolved_inside(text):
        raise ValueError(no_value(variable))
    return text


Text = Annotated[str, AfterValidator(readable)]
Instructions = Annotated[Text, AfterValidator(_resolved)]
Query = Annotated[Instructions, AfterValidator(_needed)]
MessageText = Annotated[Text, AfterValidator(no_printed_python)]
Separated = Annotated[tuple[str, ...], BeforeValidator(_separated)]
Count = Annotated[int, BeforeValidator(_no_switch)]
Limit = Annotated[Count, Field(ge=1, le=25)]
PageSize = Annotated[Count, Field(ge=1, le=50)]
PageNumber = Annotated[Count, Field(ge=1, le=10_000)]
MemoryIds = Annotated[tuple[str, ...], Field(max_length=20), BeforeValidator(_memory_ids)]
Relevance = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), BeforeValidator(_no_switch)]
Switch = bool
