"""What goes in: the credentials and the parameters of each tool, read from whatever Dify sends."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from uuid import uuid4

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, from_json

from memos_client.errors import MemosInputError
from memos_client.prompt import without_blocks

# The API addresses of MemOS's two clouds (memos-docs.openmem.net, "Quick start").
CLOUDS = {
    "memos.memtensor.cn": "https://memos.memtensor.cn/api/openmem/v1",
    "api.memt.ai": "https://api.memt.ai/platform/api/openmem/v1",
}

_LONGEST_URL = 2000
_LONGEST_KEY = 4000
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
# What Dify's engine writes where a variable has no value: its bare name (seen on graphon 0.8.0).
_UNRESOLVED = re.compile(r"(sys|env|conversation|\d{13,})\.\w+(\.\w+)*|\{\{#.*#\}\}")
# What Python prints of a list or an object, up to what JSON writes otherwise; and all of it.
_MARKS = r"[\[\]{}\s,:]|-?\d[\d.eE+-]*+"
_JSON_TEXT = r'"(?:[^"\\]|\\["\\/bfnrtu])*+"'
_PYTHON_TEXT = r"""'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+\""""
_PYTHON_WORDS = r"None\b|True\b|False\b|-?inf\b|nan\b"
_PRINTED = re.compile(rf"""[\[{{](?:{_MARKS}|{_JSON_TEXT})*+(?:['"]|{_PYTHON_WORDS}|<\w)""", re.DOTALL)
_PYTHON_VALUES = re.compile(
    rf"(?:{_MARKS}|[()]|{_PYTHON_TEXT}|{_PYTHON_WORDS}|<\w+\.\w+: '[^']*'>)*+", re.DOTALL
)
_DAYS_AGO = re.compile(r"(\d{1,5})d")
_SOURCES = {"user", "agent", "public", "knowledgebase"}

_WORDS = (
    {
        "missing": "needed",
        "string_type": "wants text",
        "string_too_long": "at most {max_length} characters",
        "greater_than_equal": "at least {ge}",
        "less_than_equal": "at most {le}",
        "literal_error": "wants {expected}",
        "dict_type": "wants a JSON object",
        "model_type": "wants an object with role and content",
        "list_type": "wants a JSON array",
        "value_error": "{error}",
    }
    | {
        f"{kind}_{problem}": words
        for kind, words in (
            ("int", "wants a whole number"),
            ("float", "wants a number"),
            ("bool", "wants true or false"),
            ("datetime", "wants a time such as 2026-01-31 09:30:00"),
        )
        for problem in (
            "type",
            "parsing",
            "from_float",
            "parsing_size",
            "from_date_parsing",
            "object_invalid",
        )
    }
    | {"finite_number": "wants a number"}
)


def _is_blank(value: Any) -> bool:
    if isinstance(value, list):
        return all(not isinstance(part, list) and _is_blank(part) for part in value)
    return value is None or (isinstance(value, str) and not value.strip())


def _words(error: ErrorDetails) -> str:
    words = _WORDS.get(error["type"], error["msg"]).format(**error.get("ctx", {}))
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error["loc"]).lstrip(".")
    return f"{where}: {words}." if where else f"{words}."


class Input(BaseModel):
    """Values as Dify sends them, of which missing, null, "", white space, `[null]` and `[""]` mean absent."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    @classmethod
    def parse(cls, values: Mapping[str, Any], **defaults: Any) -> Self:
        """Read `values`, with `defaults` for what is absent.

        Raises:
            MemosInputError: Names every field that is missing or malformed, never its value.
        """
        given = {
            name: value
            for name, value in values.items()
            if not _is_blank(value) and not (name == "conversation_id" and _is_unresolved(value))
        }
        usual = {name: value for name, value in defaults.items() if not _is_blank(value)}
        try:
            return cls.model_validate(usual | given)
        except ValidationError as error:
            problems = dict.fromkeys(_words(problem) for problem in error.errors(include_url=False))
        raise MemosInputError(" ".join(problems))


def _decoded(value: Any) -> Any:
    # Dify wraps a text that it can't parse into a list of one.
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        value = value[0]
    if not isinstance(value, str):
        return value
    try:
        return from_json(_readable(value), allow_inf_nan=False)
    except ValueError as error:
        raise ValueError(f"not valid JSON ({error})") from None


def _not_printed_python(text: str) -> str:
    # Dify prints a list or an object that is put into a text field as Python would. In a node of an old app,
    # that can be the field's own definition, one for all users: {'value': '{{#sys.user_id#}}', 'type': <…>}.
    bare = text.strip()
    if bare[-1:] in {"]", "}"} and _PRINTED.match(bare) and _PYTHON_VALUES.fullmatch(bare):
        raise ValueError("wants text, and got a list or an object")
    return text


def _readable(text: str) -> str:
    # MemOS's own server answers 200 to a NUL character and stores nothing (seen on MemoryOS 2.0.33).
    return text.replace("\0", "").encode(errors="replace").decode()


def _needed(text: str) -> str:
    # MemOS's own server answers an empty query with arbitrary memories (seen on MemoryOS 2.0.33).
    if _is_blank(text):
        raise ValueError("needed")
    return text


def _identifier(text: str) -> str:
    # Nothing is repaired here: two different values must never become one user.
    if not text.isprintable():
        raise ValueError("no control or invisible characters")
    if text != text.strip():
        raise ValueError("no space at its start or end")
    return text


def _is_unresolved(value: Any) -> bool:
    return isinstance(value, str) and bool(_UNRESOLVED.fullmatch(value.strip()))


def _resolved(text: str) -> str:
    if _is_unresolved(text):
        raise ValueError(f"the variable {text.strip('{#}')} has no value in this app")
    return text


def _separated(value: Any) -> Any:
    if isinstance(value, str):
        value = _decoded(value) if value.strip().startswith("[") else _not_printed_python(value).split(",")
    if not isinstance(value, list) or not all(isinstance(part, str | None) for part in value):
        raise ValueError("wants text separated by commas")
    parts = (_readable(part or "").strip() for part in value)
    return tuple(dict.fromkeys(part for part in parts if part))


def _not_a_switch(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("wants a number")  # noqa: TRY004 - pydantic collects ValueErrors only
    return value


def _day(value: Any) -> date:
    wanted = "wants a date such as 2026-01-31, or days ago such as 7d"
    if not isinstance(value, str):
        raise ValueError(wanted)  # noqa: TRY004 - pydantic collects ValueErrors only
    value = value.strip()
    try:
        if ago := _DAYS_AGO.fullmatch(value):
            return datetime.now(UTC).date() - timedelta(days=int(ago[1]))
        return datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except (ValueError, OverflowError):
        raise ValueError(wanted) from None


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except OverflowError:
        raise ValueError("wants a time between the years 1 and 9999") from None


def _encodable(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        raise ValueError("holds a value that JSON does not have") from None
    return value


def _flat(value: dict[str, Any]) -> dict[str, Any]:
    return {_readable(name): _flat_value(content) for name, content in value.items()}


def _flat_value(content: Any) -> Any:
    if isinstance(content, list) and all(isinstance(part, str) for part in content):
        return [_readable(part) for part in content]
    if not isinstance(content, str | int | float):
        raise ValueError("each value wants text, a number or a list of texts")  # noqa: TRY004 - as above
    return _readable(content) if isinstance(content, str) else content


def _conditions(value: dict[str, Any]) -> dict[str, Any]:
    groups = list(value.values()) if value and value.keys() <= _SOURCES else [value]
    for group in groups:
        if not isinstance(group, dict) or len(group) != 1 or not group.keys() <= {"and", "or"}:
            raise ValueError('wants {"and": [...]} or {"or": [...]}, alone or for each source')
        [rules] = group.values()
        if not isinstance(rules, list) or not rules or not all(isinstance(r, dict) and r for r in rules):
            raise ValueError('"and" and "or" want a list of conditions such as {"tags": {"contains": "x"}}')
    return value


Text = Annotated[str, AfterValidator(_readable)]
StoredText = Annotated[Text, AfterValidator(_not_printed_python)]
Identifier = Annotated[
    str, Field(max_length=100), AfterValidator(_identifier), AfterValidator(_not_printed_python)
]
UserId = Annotated[Identifier, AfterValidator(_resolved)]
Separated = Annotated[tuple[str, ...], BeforeValidator(_separated)]
Count = Annotated[int, Field(ge=1, le=25), BeforeValidator(_not_a_switch)]
Day = Annotated[date, BeforeValidator(_day)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(_decoded), AfterValidator(_encodable)]


class Credentials(Input):
    """Where MemOS is, and the key that opens it. The key is in no repr and no error."""

    memos_url: str
    memos_api_key: SecretStr = SecretStr("")
    deployment: Literal["auto", "cloud", "self_hosted"] = "auto"

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = (("memos_url", _url_problem(self.memos_url)), ("memos_api_key", self._key_problem()))
        words = ". ".join(f"{name}: {problem}" for name, problem in problems if problem)
        if words:
            raise ValueError(words)
        return self

    def _key_problem(self) -> str:
        if len(self.key) > _LONGEST_KEY:
            return f"at most {_LONGEST_KEY} characters"
        if not self.key.isascii() or not self.key.isprintable():
            return "holds characters that no API key has; copy it again"
        return ""

    @cached_property
    def url(self) -> str:
        """The URL without surrounding space and trailing slashes; scheme and host in lower case."""
        parts = urlsplit(self.memos_url.strip())
        return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"

    @cached_property
    def host(self) -> str:
        """Host and, where one is given, port: how errors name this MemOS."""
        return urlsplit(self.url).netloc

    @property
    def path(self) -> str:
        """The path of the URL, without a slash at the end."""
        return urlsplit(self.url).path

    @property
    def key(self) -> str:
        """The key as pasted, without stray space and line ends around it; "" when there is none."""
        return self.memos_api_key.get_secret_value().strip()


def _url_problem(url: str) -> str:
    url = url.strip()
    if len(url) > _LONGEST_URL:  # before the standard library keeps it for the next time
        return f"at most {_LONGEST_URL} characters"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "not a valid address"
    host = (parts.hostname or "").lower()
    rightful = CLOUDS.get(host.rstrip("."))
    checks = (
        (not url.isascii(), "only ASCII characters; write an international name in its xn-- form"),
        (not url.isprintable(), "no line ends and no control characters"),
        (parts.scheme not in {"http", "https"}, "wants an address that starts with https:// or http://"),
        ("@" in parts.netloc, "no user name or password in the address; the key has its own field"),
        ("?" in url or "#" in url, "no ? and no # in the address"),
        (not _HOST.fullmatch(parts.netloc.lower().removesuffix(f":{port}")), "not a valid address"),
        (port == 0, "not a valid address"),
        (not _PATH.fullmatch(parts.path), "not a valid address"),
        (rightful and parts.scheme != "https", "the MemOS cloud wants https://"),
        (rightful and "/openmem/" not in f"{parts.path}/", f"the API address of this cloud is {rightful}"),
    )
    return next((words for wrong, words in checks if wrong), "")


class Message(Input):
    """One message of a conversation."""

    role: Literal["user", "assistant", "system", "tool"]
    content: StoredText = ""
    chat_time: Annotated[datetime, AfterValidator(_utc)] | None = None
    """In UTC, without a zone."""

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: content for name, content in value.items() if not _is_blank(content)}
        return value


class AddRequest(Input):
    """The parameters of the Add Memory tool."""

    user_messages: StoredText = ""
    ai_messages: StoredText = ""
    messages: Annotated[list[Message], FailFast(), BeforeValidator(_decoded)] = []
    user_id: UserId
    conversation_id: Identifier | None = None
    agent_id: Identifier | None = None
    app_id: Identifier | None = None
    tags: Separated = ()
    info: Annotated[JsonObject, AfterValidator(_flat)] = {}
    async_mode: bool = True
    allow_public: bool = False
    allow_knowledgebase_ids: Separated = ()

    @cached_property
    def turns(self) -> list[Message]:
        """The messages that have text, without the memories that were recalled into them."""
        said = self.messages or [
            Message(role="user", content=self.user_messages),
            Message(role="assistant", content=self.ai_messages),
        ]
        cleaned = (turn.model_copy(update={"content": without_blocks(turn.content)}) for turn in said)
        return [turn for turn in cleaned if not _is_blank(turn.content)]

    @cached_property
    def task_id(self) -> str:
        """A name for this piece of work, for the server that wants its client to choose one."""
        return str(uuid4())

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.messages and (self.user_messages or self.ai_messages):
            raise ValueError("messages: give either messages, or user_messages and ai_messages")
        if not self.turns:
            raise ValueError("user_messages, ai_messages: at least one message with text is needed")
        return self


class SearchRequest(Input):
    """The parameters of the Search Memory tool."""

    query: Annotated[Text, AfterValidator(_needed)]
    user_id: UserId
    memory_limit_number: Count = 6
    include_preference: bool = True
    preference_limit_number: Count = 6
    include_tool_memory: bool = False
    tool_memory_limit_number: Count = 6
    include_skill: bool = False
    skill_limit_number: Count = 6
    relativity: Annotated[
        float | None, Field(ge=0, le=1, allow_inf_nan=False), BeforeValidator(_not_a_switch)
    ] = None
    conversation_id: Identifier | None = None
    knowledgebase_ids: Separated = ()
    tags: Separated = ()
    agent_id: Identifier | None = None
    app_id: Identifier | None = None
    created_after: Day | None = None
    created_before: Day | None = None
    filter: Annotated[JsonObject, AfterValidator(_conditions)] | None = None
    max_context_chars: Annotated[int, Field(ge=0), BeforeValidator(_not_a_switch)] = 0
    json_output: bool = True

    @property
    def limits(self) -> dict[str, int]:
        """The most results of each kind; 0 for a kind that is switched off."""
        return {
            "fact": self.memory_limit_number,
            "preference": self.preference_limit_number * self.include_preference,
            "tool": self.tool_memory_limit_number * self.include_tool_memory,
            "skill": self.skill_limit_number * self.include_skill,
        }

    @model_validator(mode="after")
    def _check(self) -> Self:
        simple = (self.tags, self.agent_id, self.app_id, self.created_after, self.created_before)
        if self.filter and any(simple):
            raise ValueError(
                "filter: put tags, agent_id, app_id and dates into the filter, or leave it empty"
            )
        if self.created_after and self.created_before and self.created_after >= self.created_before:
            raise ValueError("created_after: wants a day before created_before")
        return self
