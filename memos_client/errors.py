"""Everything that can go wrong with MemOS, in words that are safe to show to a user and say what to do."""

from http import HTTPStatus
from typing import ClassVar


class MemosError(Exception):
    """A failure whose text may be shown to anyone: it names the host, never a path, a key or a stack.

    Args:
        fact: What happened, as whole sentences.
        advice: What to do about it; by default the advice of the class.
        refused: Whether the request certainly changed nothing; by default as is usual for the class.
        of_the_builder: Whether only the app's builder can mend it: no run goes on with it.
        code: MemOS's code or the HTTP status, where the error stands for one.
    """

    usual_advice: ClassVar[str] = ""
    usually_refused: ClassVar[bool] = False

    def __init__(
        self,
        fact: str,
        advice: str | None = None,
        *,
        refused: bool | None = None,
        of_the_builder: bool = False,
        code: int | None = None,
    ) -> None:
        self.fact = fact
        self.of_the_builder = of_the_builder
        self.code = code
        self.advice = self.usual_advice if advice is None else advice
        self.refused = self.usually_refused if refused is None else refused
        super().__init__(f"{self.fact} {self.advice}".rstrip())

    def adding(self, sentence: str, *, refused: bool = False) -> "MemosError":
        """The same error with another sentence between fact and advice, by default one of doubt."""
        return type(self)(f"{self.fact} {sentence}", self.advice, refused=refused, code=self.code)


class MemosInputError(MemosError):
    """A value is missing or malformed, or MemOS refused it; the fact itself says which and how."""

    usually_refused = True


class MemosConnectionError(MemosError):
    """No answer came from MemOS."""

    usual_advice = "Check the MemOS URL, and that Dify can reach it."


class MemosAuthenticationError(MemosError):
    """MemOS did not accept the API key."""

    usual_advice = (
        "Check the API key in this plugin's credentials; "
        "keys of another region or project are not valid here."
    )
    usually_refused = True


class MemosQuotaError(MemosError):
    """A limit of the MemOS account is reached."""

    usual_advice = "Wait, or raise the quota of your MemOS account."
    usually_refused = True


class MemosServerError(MemosError):
    """MemOS failed on its own side."""

    usual_advice = "Try again later."


class MemosReplyError(MemosError):
    """Something answered, but not as MemOS does."""

    usual_advice = "Check that the MemOS URL is an API address and that Deployment fits it."


_OTHER_VALUES = "Check the values given to this tool."
_LESS_TEXT = "Send less text in one call."
_GATEWAY_OR_KEY = (
    "Either the API key in this plugin's credentials is wrong, "
    "or a gateway in front of MemOS refuses Dify: check both."
)

# MemOS's published error codes (memos-docs.openmem.net, "Error codes") and the HTTP statuses that MemOS's own
# server repeats as its code: class, words and, rarely, advice.
CODES: dict[int, tuple[type[MemosError], str] | tuple[type[MemosError], str, str]] = {
    40000: (MemosInputError, "Invalid request parameters"),
    40001: (MemosInputError, "Requested data does not exist"),
    40002: (MemosInputError, "Required parameter is empty"),
    40003: (MemosInputError, "Parameter is empty"),
    40006: (MemosInputError, "Unsupported type"),
    40007: (MemosInputError, "Unsupported file type"),
    40008: (MemosInputError, "Invalid Base64 content"),
    40009: (MemosInputError, "Invalid Base64 format"),
    40010: (MemosInputError, "User ID is too long (more than 100 characters)"),
    40011: (MemosInputError, "Conversation ID is too long (more than 100 characters)"),
    40012: (MemosInputError, "relativity is invalid"),
    40013: (MemosInputError, "The messages are too long in all", _LESS_TEXT),
    40020: (MemosInputError, "Invalid project ID"),
    40100: (MemosAuthenticationError, "API key authentication required"),
    40103: (MemosAuthenticationError, "No access to the project"),
    40130: (MemosAuthenticationError, "API key authentication required"),
    40132: (MemosAuthenticationError, "API key is invalid or expired"),
    40300: (MemosQuotaError, "API call limit exceeded"),
    40301: (MemosQuotaError, "Request token limit exceeded"),
    40302: (MemosQuotaError, "Response token limit exceeded"),
    40303: (MemosInputError, "The conversation is too long", _LESS_TEXT),
    40304: (MemosQuotaError, "API call quota of the account exhausted"),
    40305: (MemosInputError, "The input exceeds the token limit of one request", _LESS_TEXT),
    40306: (MemosInputError, "Not allowed to delete this memory"),
    40307: (MemosInputError, "The memory to delete does not exist"),
    40308: (MemosInputError, "The user of the memory to delete does not exist"),
    40309: (MemosQuotaError, "Token limit of the time window exceeded"),
    50000: (MemosServerError, "Internal error"),
    50002: (MemosServerError, "Operation failed"),
    50004: (MemosServerError, "Memory service temporarily unavailable"),
    50005: (MemosServerError, "Search service temporarily unavailable"),
    50103: (MemosServerError, "Too many files (more than 20)", _OTHER_VALUES),
    50104: (MemosServerError, "A file is too large (more than 100 MB)", _OTHER_VALUES),
    50105: (MemosServerError, "The files are too large in all (more than 300 MB)", _OTHER_VALUES),
    50107: (MemosServerError, "Unsupported file format", _OTHER_VALUES),
    50120: (MemosServerError, "Knowledge base does not exist", _OTHER_VALUES),
    50123: (MemosServerError, "Knowledge base is not associated with this project", _OTHER_VALUES),
    50131: (MemosServerError, "Task does not exist", _OTHER_VALUES),
    50143: (MemosServerError, "Failed to add the memory"),
    50144: (MemosServerError, "Failed to add the message"),
    50145: (MemosServerError, "Failed to save the feedback"),
    401: (MemosAuthenticationError, "Unauthorized"),
    403: (MemosAuthenticationError, "Forbidden"),
    404: (MemosReplyError, "Not Found"),
    405: (MemosReplyError, "Method Not Allowed"),
    413: (MemosInputError, "The messages are too long", _LESS_TEXT),
    429: (MemosQuotaError, "Too Many Requests"),
}
# What the hundreds of a code that the table leaves out say or, failing that, its first digit.
_FAMILIES: dict[int, type[MemosError]] = {
    401: MemosAuthenticationError,
    403: MemosQuotaError,
    4: MemosInputError,
    5: MemosServerError,
}
_LONGEST_WORDS = 300


def class_of(code: int) -> type[MemosError] | None:
    """The class of an error code or HTTP status of an error; None for one that says nothing by itself."""
    if code in CODES:
        return CODES[code][0]
    return _FAMILIES.get(code // 100) or _FAMILIES.get(code // 10_000)


def error_of_code(host: str, code: int, words: str) -> MemosError:
    """Build the error for an answer that says no.

    Args:
        host: Who answered.
        code: MemOS's code or, where there is none, the HTTP status.
        words: The server's message. Empty ones, and those whose placeholders MemOS left unfilled
            ("Invalid request parameters{0}"), give way to the words of the code.
    """
    kind, usual_words, *own_advice = CODES.get(code) or (class_of(code) or MemosReplyError, _phrase(code))
    words = one_line(words) or usual_words
    answer = f"{code}: {words}" if words else str(code)
    advice = own_advice[0] if own_advice else kind.usual_advice or _OTHER_VALUES
    refused = code // 100 == 4 or kind.usually_refused  # noqa: PLR2004 - HTTP's own number
    return kind(f"MemOS at {host} answered {answer}.", advice, refused=refused, code=code)


def bad_reply(host: str, what: str, advice: str | None = None, *, refused: bool = False) -> MemosReplyError:
    """Build the error for a reply that does not fit; `what` is the shortest description of it."""
    fact = f"MemOS at {host} sent a reply that is not understood ({what})."
    return MemosReplyError(fact, advice, refused=refused)


def forbidden_page(host: str) -> MemosError:
    """Build the error for a 403 that is a web page: MemOS writes JSON, so it may be a gateway's."""
    return MemosAuthenticationError(f"MemOS at {host} answered 403 with a web page.", _GATEWAY_OR_KEY)


def proxy_refusal(host: str, status: int) -> MemosError:
    """Build the error for an answer that a proxy gave instead of MemOS."""
    words = f"A proxy on the way to MemOS at {host} refused the request ({status} {_phrase(status)})."
    advice = "Check the proxy that Dify's plugin daemon is set to use; the API key was not looked at."
    return MemosConnectionError(words, advice, refused=True)


def one_line(words: str) -> str:
    """Make a server's words fit for a message: one line, not too long, "" where they say nothing."""
    words = " ".join(words.split()).rstrip(".")
    if "{0}" in words:
        return ""
    return words if len(words) <= _LONGEST_WORDS else words[:_LONGEST_WORDS].rstrip() + "…"


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus else ""
