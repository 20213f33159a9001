"""The messages of a conversation: read from what Dify sends, and cleaned of what nobody said."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    JsonValue,
    ValidationInfo,
    model_validator,
)

from memos_client.fields import MessageText, is_absent
from memos_client.memory_block import without_blocks
from memos_client.texts import readable, spoken


def _text_of(content: Any) -> Any:
    """The text parts of a content that is a list of parts, as OpenAI's API has it; any other as it is."""
    if not isinstance(content, list):
        return "" if content is None else content
    kinds = [part.get("type") if isinstance(part, Mapping) else type(part).__name__ for part in content]
    if others := sorted({readable(str(kind))[:30] for kind in kinds if kind != "text"}):
        raise ValueError(f"only text parts can be remembered, and this has: {', '.join(others)}")
    return "\n".join(str(part.get("text") or "") for part in content)


def _said(content: str, info: ValidationInfo) -> str:
    return spoken(without_blocks(content), info.data.get("role", ""))


class Message(BaseModel):
    """One message, with what MemOS stores of it: recalled memories and a model's thoughts are left out.

    Of a list of parts, `content` is the text parts. `chat_time` is the clock time as it was written, without
    its offset: MemOS reads it as the speaker's.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    role: Literal["user", "assistant", "system", "tool"]
    content: Annotated[MessageText, BeforeValidator(_text_of), AfterValidator(_said)] = ""
    chat_time: Annotated[datetime, AfterValidator(lambda time: time.replace(tzinfo=None))] | None = None
    tool_calls: list[JsonValue] = []
    tool_call_id: str = ""

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, message: Any) -> Any:
        if not isinstance(message, Mapping):
            return message
        present = {name: value for name, value in message.items() if not is_absent(value)}
        # Its absence is an error, for what was said may stand under another name; an empty one is none.
        if "content" not in message and "tool_calls" not in present:
            raise ValueError("content: needed, as text")
        return present

    @property
    def says_something(self) -> bool:
        """Whether anything is left to be remembered."""
        return bool(self.content or self.tool_calls)

    @property
    def body(self) -> dict[str, Any]:
        """The message as both of MemOS's APIs take it."""
        values = {
            "role": self.role,
            "content": self.content,
            "chat_time": self.chat_time and self.chat_time.isoformat(" ", "seconds"),
            "tool_calls": self.tool_calls,
            "tool_call_id": self.tool_call_id,
        }
        return {name: value for name, value in values.items() if value}
