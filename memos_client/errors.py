"""Everything that can go wrong with MemOS, in words that are safe to show to a user and say what to do."""

from http import HTTPStatus
from typing import ClassVar


class MemosError(Exception):
    """A failure whose text may be shown to anyone: it names the host, never a path, a key or a stack.

    Args:
        fact: What happened, as whole sentences.
        advice: What to do about it; by default the advice of the class.
    """

    advice: ClassVar[str] = ""

    def __init__(self, fact: str, advice: str | None = None) -> None:
        super().__init__(f"{fact} {self.advice if advice is None else advice}".rstrip())


class MemosInputError(MemosError):
    """A value is missing or malformed, or MemOS refused it; the fact itself says which and how."""


class MemosConnectionError(MemosError):
    """No answer came from MemOS."""

    advice = "Check the MemOS URL, and that Dify can reach it."


class MemosAuthenticationError(MemosError):
    """MemOS did not accept the API key."""

    advice = (
        "Check the API key in this plugin's credentials; "
        "keys of another region or project are not valid here."
    )


class MemosQuotaError(MemosError):
    """A limit of the MemOS account is reached."""

    advice = "Wait, or raise the quota of your MemOS account."


class MemosServerError(MemosError):
    """MemOS failed on its own side."""

    advice = "Try again later."


class MemosReplyError(MemosError):
    """Something answered, but not as MemOS does."""

    advice = "Check that the MemOS URL is an API address and that Deployment fits it."


_OTHER_VALUES = "Check the values given to this tool."
_LESS_TEXT = "Send less text in one call, or raise the quota of your MemOS account."

# MemOS's published error codes (memos-docs.openmem.net, "Error codes"): class, words and, rarely, advice.
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
    40013: (MemosInputError, "The messages are too long in all"),
    40020: (MemosInputError, "Invalid project ID"),
    40100: (MemosAuthenticationError, "API key authentication required"),
    40103: (MemosAuthenticationError, "No access to the project"),
    40130: (MemosAuthenticationError, "API key authentication required"),
    40132: (MemosAuthenticationError, "API key is invalid or expired"),
    40300: (MemosQuotaError, "API call limit exceeded"),
    40301: (MemosQuotaError, "Request token limit exceeded"),
    40302: (MemosQuotaError, "Response token limit exceeded"),
    40303: (MemosQuotaError, "The conversation is too long", _LESS_TEXT),
    40304: (MemosQuotaError, "API call quota of the account exhausted"),
    40305: (MemosQuotaError, "The input exceeds the token limit of one request", _LESS_TEXT),
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
}

_FAMILIES: tuple[tuple[range, type[MemosError]], ...] = (
    (range(40000, 40100), MemosInputError),
    (range(40100, 40200), MemosAuthenticationError),
    (range(40300, 40400), MemosQuotaError),
    (range(50000, 60000), MemosServerError),
    # What follows are HTTP statuses, which MemOS's own server also repeats as its code.
    (range(401, 402), MemosAuthenticationError),
    (range(403, 404), MemosAuthenticationError),
    (range(404, 406), MemosReplyError),
    (range(429, 430), MemosQuotaError),
    (range(400, 500), MemosInputError),
    (range(500, 600), MemosServerError),
)
_LONGEST_WORDS = 300


def is_known(code: int) -> bool:
    """Tell whether `code` says by itself what went wrong: a MemOS code, or an HTTP status of an error."""
    return any(code in family for family, _ in _FAMILIES)


def refusal(host: str, code: int, words: str) -> MemosError:
    """Build the error for an answer that says no.

    Args:
        host: Who answered.
        code: MemOS's code or, where there is none, the HTTP status.
        words: The server's message. Empty ones, and those whose placeholders MemOS left unfilled
            ("Invalid request parameters{0}"), give way to the words of the code.
    """
    kind, usual_words, *special_advice = CODES.get(code) or (_class_of(code), _reason_phrase(code))
    words = shown(words) or usual_words
    answer = f"{code}: {words}" if words else str(code)
    advice = special_advice[0] if special_advice else kind.advice or _OTHER_VALUES
    return kind(f"MemOS at {host} answered {answer}.", advice)


def shown(words: str) -> str:
    """Make a server's words fit for a message: one line, not too long, "" where they say nothing."""
    words = " ".join(words.split()).rstrip(".")
    if "{0}" in words:
        return ""
    return words if len(words) <= _LONGEST_WORDS else words[:_LONGEST_WORDS].rstrip() + "…"


def not_understood(host: str, what: str, doubt: str = "") -> MemosReplyError:
    """Build the error for a reply that does not fit.

    Args:
        host: Who answered.
        what: The shortest description of the reply.
        doubt: A sentence more, with the space before it.
    """
    return MemosReplyError(f"MemOS at {host} sent a reply that is not understood ({what}).{doubt}")


def no_room(host: str, doubt: str = "") -> MemosReplyError:
    """Build the error for a reply that does not fit beside all others; `doubt` as in `not_understood`."""
    fact = f"MemOS at {host} sent a reply for which other replies leave no room at the moment."
    return MemosReplyError(f"{fact}{doubt}", "Try again later, or ask for fewer results.")


def _class_of(code: int) -> type[MemosError]:
    return next((kind for family, kind in _FAMILIES if code in family), MemosReplyError)


def _reason_phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus else ""
