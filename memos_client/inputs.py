"""What goes in: one model for each tool, which reads its parameters from whatever Dify sends."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails

from memos_client.errors import MemosError, MemosInputError
from memos_client.fields import (
    Instructions,
    Limit,
    MemoryIds,
    MessageText,
    PageNumber,
    PageSize,
    Query,
    Relevance,
    Separated,
    Switch,
    decoded,
    is_absent,
)
from memos_client.identity import Caller, ConversationId, UserId
from memos_client.kinds import SELECTIONS, Kind
from memos_client.labels import Conditions, ConditionsField, Labels, LabelsField
from memos_client.messages import Message

# By the whole type of a problem or, failing that, by what stands before its first "_".
_WORDS = {
    "missing": "needed",
    "string_too_long": "at most {max_length} characters",
    "too_long": "at most {max_length}",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
    "literal_error": "wants {expected}",
    "model_type": "wants an object with role and content",
    "list_type": "wants a JSON array",
    "dict_type": "wants a JSON object",
    "value_error": "{error}",
    "string": "wants text",
    "int": "wants a whole number",
    "float": "wants a number",
    "finite": "wants a number",
    "bool": "wants true or false",
    "datetime": "wants a time such as 2026-01-31 09:30:00",
}
_LONGEST_WORDS = 300


def _words(problem: ErrorDetails) -> str:
    kind = problem["type"]
    words = _WORDS.get(kind) or _WORDS.get(kind.partition("_")[0]) or problem["msg"]
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem["loc"])
    where = "".join(steps).lstrip(".")
    words = words.format(**problem.get("ctx", {}))
    # What is named may be of any length and on any number of lines.
    text = " ".join(f"{where}: {words}".removeprefix(": ").split())
    return f"{text[:_LONGEST_WORDS]}…" if len(text) > _LONGEST_WORDS else f"{text}."


class Input(BaseModel):
    """Values as Dify sends them, of which missing, null, "", white space, `[null]` and `[""]` mean absent."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    said: ClassVar[tuple[str, ...]] = ()
    """The fields that hold what a user or a model wrote; all others are a builder's."""

    user_id: UserId = Field(default="", validate_default=True)

    _problem: str = PrivateAttr("")
    _user_key: str = PrivateAttr("")

    @classmethod
    def parse(cls, values: Mapping[str, Any], caller: Caller) -> Self:
        """Read `values`.

        Where the run continues on errors, a problem with what was said is kept for `check`.

        Raises:
            MemosInputError: Names every field that is missing or malformed, never its value.
        """
        given = {name: value for name, value in values.items() if not is_absent(value)}
        try:
            request = cls.model_validate(dict.fromkeys(cls.said, "") | given, context=caller)
            problem = request.lacks
        except ValidationError as error:
            problems = error.errors(include_url=False)
            problem = " ".join(dict.fromkeys(map(_words, problems)))
            if not all(found["loc"] and found["loc"][0] in cls.said for found in problems):
                raise MemosInputError(problem) from None
            of_the_builder = {name: value for name, value in given.items() if name not in cls.said}
            request = cls.model_validate(of_the_builder, context=caller)
        if problem and not request.continues:
            raise MemosInputError(problem)
        request._problem = problem  # noqa: SLF001 - of this class
        request._user_key = caller.user_key(request.user_id)  # noqa: SLF001 - the same
        return request

    @property
    def lacks(self) -> str:
        """What is missing in what was said, in words; "" if nothing is."""
        return ""

    @property
    def continues(self) -> bool:
        """Whether the run goes on when MemOS fails."""
        return False

    @property
    def user_key(self) -> str:
        """The key by which an agent reaches this user's memory."""
        return self._user_key

    def check(self) -> None:
        """Raise what `parse` kept.

        Raises:
            MemosInputError: What was said can't be sent.
        """
        if self._problem:
            raise MemosInputError(self._problem)


Selection = Literal["facts", "facts_and_preferences", "all"]


class ForgivingInput(Input):
    """The parameters of a tool whose run may go on without MemOS, and of whose kinds of memory some count."""

    on_error: Literal["fail", "continue"] = "fail"
    kinds: Selection = "facts_and_preferences"

    @property
    def wanted(self) -> tuple[Kind, ...]:
        """The kinds of memory to look for, to extract or to list."""
        return SELECTIONS[self.kinds]

    @property
    def continues(self) -> bool:
        """Whether the run goes on when MemOS fails."""
        return self.on_error == "continue"

    def result_or_error[Result](self, call: Callable[[Self], Result]) -> Result | MemosError:
        """What `call` makes of this request or, where the run goes on all the same, the error it ends with.

        Raises:
            MemosError: The run does not go on, or the builder has to mend it.
        """
        try:
            return call(self)
        except MemosError as error:
            if error.of_the_builder or not self.continues:
                raise
            return error


def _plain_without_app(conditions: Conditions, info: ValidationInfo[Caller]) -> Conditions:
    if conditions.raw:
        info.context.require_app("a raw filter")
    return conditions


def _none_without_app(names: tuple[str, ...], info: ValidationInfo[Caller]) -> tuple[str, ...]:
    if names:
        info.context.require_app("this field")
    return names


Filter = Annotated[ConditionsField, AfterValidator(_plain_without_app)]
KnowledgeBases = Annotated[Separated, AfterValidator(_none_without_app)]


class SearchRequest(ForgivingInput):
    """The parameters of the tool Search Memory."""

    said = ("query",)

    query: Query = ""
    memory_limit_number: Limit = 6
    filter: Filter = Conditions()
    relativity: Relevance | None = None
    knowledgebase_ids: KnowledgeBases = ()


class AddRequest(ForgivingInput):
    """The parameters of the tool Add Memory."""

    said = ("user_messages", "ai_messages")

    user_messages: MessageText = ""
    ai_messages: MessageText = ""
    conversation_id: ConversationId = Field(default="", validate_default=True)
    labels: LabelsField = Labels()
    extract_prompt: Instructions = ""
    async_mode: Switch = True
    messages: Annotated[list[Message], FailFast(), BeforeValidator(decoded)] = []

    @cached_property
    def turns(self) -> list[Message]:
        """The messages that say something."""
        given = self.messages or [
            Message(role="user", content=self.user_messages),
            Message(role="assistant", content=self.ai_messages),
        ]
        return [turn for turn in given if turn.says_something]

    @property
    def lacks(self) -> str:
        """What is missing in what was said, in words; "" if nothing is."""
        return "" if self.turns else "user_messages, ai_messages: at least one message with text is needed."

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.messages and (self.user_messages or self.ai_messages):
            raise ValueError("messages: give either messages, or user_messages and ai_messages")
        return self


class ListRequest(ForgivingInput):
    """The parameters of the tool List Memories."""

    kinds: Selection = "all"
    filter: Filter = Conditions()
    limit: PageSize = 20
    page: PageNumber = 1


class DeleteRequest(Input):
    """The parameters of the tool Delete Memories."""

    said = ("memory_ids",)

    memory_ids: MemoryIds = ()
    delete_all: Switch = False

    @property
    def lacks(self) -> str:
        """What is missing in what was said, in words; "" if nothing is."""
        given = self.memory_ids or self.delete_all
        return "" if given else "memory_ids: needed, or Delete All. What has no id can't be deleted singly."

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo[Caller]) -> Self:
        if self.delete_all:
            info.context.require_app("delete_all")
            if self.memory_ids:
                raise ValueError("delete_all: give either memory_ids or Delete All, not both")
        return self


class FeedbackRequest(Input):
    """The parameters of the tool Add Feedback."""

    said = ("feedback",)

    feedback: Query = ""
    conversation_id: ConversationId = Field(default="", validate_default=True)
