"""Whose memory it is: the one place that decides this, for every tool."""

import hmac
import re
import unicodedata
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Annotated
from uuid import uuid4

from pydantic import BeforeValidator, ValidationInfo

from memos_client.fields import identifier, is_absent, no_value
from memos_client.texts import unresolved, unresolved_inside

_SHORTEST_API_KEY = 16
_SIGNATURE_LENGTH = 22
_SIGNED = b"MemOS plugin for Dify, user key: "
# Stands for the key of a user other than the run's, where the API key is too short to sign one.
_UNSIGNED = "~"
_TOO_SHORT = f"User keys need an API key of {_SHORTEST_API_KEY} characters or more"

# What Dify calls callers that name nobody.
_NOBODY = "DEFAULT-USER"
# What programs write for a value that is missing, alone or as a part of an ID that was put together.
_MISSING = re.compile(
    r"(?:.*[-_:/|])?(?:undefined|null|None|NaN)(?:[-_:/|].*)?|(?i:undefined|null|none|\(null\))|nan"
)
_NIL = "00000000-0000-0000-0000-000000000000"
_TEMPLATE = re.compile(r"#.*#|%\w+%|.*%(?:\(\w+\))?[sd]")
_PLACEHOLDER = re.compile(
    r"<[^<>@\d]*>|\$(?:\w+\.)*(?:user|customer|uid|id)(?:[_-]?(?:id|name))?|[:@]?(?:your[ _-]?)?user[ _-]?id",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Caller:
    """Who calls, as Dify tells it. All methods raise ValueError with words that complete "name: …"."""

    user_id: str | None
    """The run's own user."""
    app_id: str | None
    """None or "" for a call that brings no app: Agent nodes, the new Agent, other plugins."""
    conversation_id: str | None
    api_key: str = field(repr=False)
    """Without its scheme and surrounding space."""

    def owner(self, given: object) -> str:
        """Whose memory a node works on: that of the given user or user key, else of the run's own user.

        A model may steer a call without an app: it reaches the run's own user and owners of keys only.
        """
        if is_absent(given):
            return self._own()
        text = _text(given)
        if text == _UNSIGNED:
            raise ValueError(_TOO_SHORT)
        signed_for = self._signed_for(text)
        user_id = _person(signed_for or text)
        if not (signed_for or self.app_id or user_id == self.user_id):
            raise ValueError(
                "agents reach the run's own user and owners of user keys only; leave it empty there"
            )
        return user_id

    def agents_owner(self, user_key: object) -> str:
        """Whose memory an agent's tool works on: that of the user key, else of the run's own user."""
        if is_absent(user_key):
            return self._own()
        text = _text(user_key)
        if "{{#" in text:
            raise ValueError("this agent fills in no variables; leave User Key empty in it")
        if text == _UNSIGNED:
            raise ValueError(_TOO_SHORT)
        if variable := unresolved(text):
            raise ValueError(no_value(variable))
        if signed_for := self._signed_for(text):
            return _person(signed_for)
        raise ValueError("not one that Search Memory made with these credentials")

    def user_key(self, user_id: str) -> str:
        """The key that gives agents this user's memory.

        With an API key too short to sign: "" for the run's own user; for another "~", which no tool takes.
        """
        if signature := self._signature(user_id):
            return f"{user_id}~{signature}"
        return "" if user_id == self.user_id else _UNSIGNED

    def conversation(self, given: object) -> str:
        """The given conversation, else the run's, else a fresh one of the form `dify-<uuid>`."""
        # A workflow app has no conversation, yet apps made for 0.0.4 hand its variable over.
        if is_absent(given) or (isinstance(given, str) and unresolved(given) == "sys.conversation_id"):
            given = self.conversation_id
        return f"dify-{uuid4()}" if is_absent(given) else identifier(_text(given))

    def require_app(self, what: str) -> None:
        """Refuse `what` in a call that brings no app, where a model may have asked for it."""
        if not self.app_id:
            raise ValueError(f"{what} is for workflow nodes; give agents Recall, Remember and Forget")

    def _own(self) -> str:
        if is_absent(self.user_id):
            raise ValueError("needed, since Dify names no user for this run")
        return _person(_text(self.user_id))

    def _signature(self, user_id: str) -> str:
        if len(self.api_key) < _SHORTEST_API_KEY:
            return ""  # a short key could be guessed from a signature
        signed = _SIGNED + user_id.encode(errors="surrogatepass")
        digest = hmac.digest(self.api_key.encode(), signed, "sha256")
        return urlsafe_b64encode(digest).decode()[:_SIGNATURE_LENGTH]

    def _signed_for(self, user_key: str) -> str:
        """The user that the key was made for; "" where it is no key of these credentials."""
        user_id, _, signature = user_key.rpartition("~")
        expected = self._signature(user_id).encode()
        given = signature.encode(errors="surrogatepass")
        return user_id if expected and hmac.compare_digest(given, expected) else ""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("wants text")  # noqa: TRY004 - pydantic collects ValueErrors only
    return value


def _person(user_id: str) -> str:
    """Refuse what can't be one person; nothing is repaired, or two persons could become one."""
    # Judged in its plain form, so that full-width braces and dots count, too; kept as it is.
    plain = unicodedata.normalize("NFKC", user_id)
    if "{" in plain or "}" in plain:
        raise ValueError(
            "holds braces, as a variable that Dify did not fill in; choose it from the field's list"
        )
    identifier(user_id)
    if _NOBODY in plain:
        raise ValueError(
            f"Dify calls everybody {_NOBODY} who comes without a user (webhooks, MCP clients, bots), "
            "and all of them would share one memory; give User ID a value that tells them apart"
        )
    if variable := unresolved_inside(plain):
        raise ValueError(no_value(variable))
    if _TEMPLATE.fullmatch(plain):
        raise ValueError("a template that nobody filled in; choose the variable from the field's list")
    if plain == _NIL or _MISSING.fullmatch(plain):
        raise ValueError("what programs write for a missing value, and no person")
    if _PLACEHOLDER.fullmatch(plain):
        raise ValueError("a placeholder, and no person; choose the variable from the field's list")
    return user_id


def _user_id(value: object, info: ValidationInfo[Caller]) -> str:
    return info.context.owner(value)


def _conversation_id(value: object, info: ValidationInfo[Caller]) -> str:
    return info.context.conversation(value)


# For models that are validated with a Caller as context, also where nothing is given (`validate_default`).
UserId = Annotated[str, BeforeValidator(_user_id)]
ConversationId = Annotated[str, BeforeValidator(_conversation_id)]
