"""Whose memory: every shape of the mistake that makes one user of many, and the ways round the lock."""

import base64
import hashlib
import hmac
import re
import uuid
from typing import Any

import pytest

from memos_client.identity import Caller

KEY = "mpg-0123456789ab"
SHORT = KEY[:15]


def caller(user_id: str | None = "ada", app_id: str | None = "app", api_key: str = KEY) -> Caller:
    return Caller(user_id=user_id, app_id=app_id, conversation_id=None, api_key=api_key)


NODE, AGENT = caller(), caller(app_id=None)
BOBS_KEY = NODE.user_key("bob")


def refusal(function: Any, *given: Any) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are what each test asserts
        function(*given)
    return str(caught.value)


def no_value(variable: str) -> str:
    return f"the variable {variable} has no value in this app"


BRACES = "holds braces, as a variable that Dify did not fill in; choose it from the field's list"
LIST = "wants text, and got a list or an object"
NOBODY = (
    "Dify calls everybody DEFAULT-USER who comes without a user (webhooks, MCP clients, bots), "
    "and all of them would share one memory; give User ID a value that tells them apart"
)
TEMPLATE = "a template that nobody filled in; choose the variable from the field's list"
MISSING = "what programs write for a missing value, and no person"
PLACEHOLDER = "a placeholder, and no person; choose the variable from the field's list"
INVISIBLE = "no control or invisible characters"
SPACE = "no space at its start or end"

NO_PERSON = {
    BRACES: [
        *("{{user_id}}", "{{ user }}", "{sys.user_id}", "{#sys.user_id#}", "{{#sys.user_id}}", "{% user %}"),
        *("{{sys.user_id}}", "{{#sys.user_id#}}", "cust-{{user_id}}", "${user_id}", "#{user}", "{}", "user}"),
        *("{'id': 'ada'}", '{"id": "ada"}', "\uff5b\uff5buser_id\uff5d\uff5d", "\ufe5buser_id\ufe5c"),
        "{'value': '{{#sys.user_id#}}', 'type': <ToolInputType.MIXED: 'mixed'>}",
    ],
    LIST: ["[]", "['ada']", '["ada", "bob"]', "[object Object]", "[None]", "[ada]"],
    NOBODY: ["DEFAULT-USER", "wa-DEFAULT-USER", "DEFAULT-USER@acme", "\uff24EFAULT-USER"],
    # Which texts hold a variable without a value is in test_texts.py.
    no_value("sys.user_id"): ["sys.user_id", "#sys.user_id#", "cust-sys.user_id", "ada-sys\uff0euser_id"],
    no_value("1767225600009.customer_id"): ["1767225600009.customer_id", "crm 1767225600009.customer_id"],
    no_value("env.TENANT"): ["env.TENANT", "env.TENANT-7f3a", "ada@env.TENANT"],
    no_value("conversation.customer"): ["conversation.customer", "a@conversation.customer"],
    MISSING: [
        *("undefined", "null", "NULL", "Null", "None", "none", "nan", "NaN", "(null)"),
        *("cust-undefined", "cust_None", "cust:null", "acme/NaN", "undefined-7", "acme|None|7"),
        "00000000-0000-0000-0000-000000000000",
    ],
    TEMPLATE: ["#user#", "%s", "cust-%s", "cust-%d", "%(user)s", "cust-%(user)s", "%USERNAME%", "\uff05s"],
    PLACEHOLDER: [
        *("<user_id>", "<your-user-id>", "<USER ID>", "<>", "\uff1cuser_id\uff1e", "<\u7528\u6237ID>"),
        *("$user", "$user_id", "$userId", "$USER", "$uid", "$json.user", "\uff04user_id", ":user_id"),
        *("user_id", "userId", "USER_ID", "user-id", "your_user_id", "<nil>"),
    ],
    INVISIBLE: [
        *("\u202eada", "ada\ufeff", "a\xadda", "ada\u200b", "a\xa0da", "a\u3000da", "a\tda", "a\nda"),
        *("a\u2028da", "a\0da", "ada\r\n", "\tada", "ada\x1f", "ada\x7f", "ada\r\nX-User: bob", "ada\ud800"),
        "\U0001f469\u200d\U0001f467",
    ],
    SPACE: [" ada", "ada "],
    "at most 100 characters": ["a" * 101, "sys.user_id" * 10],
    "User keys need an API key of 16 characters or more": ["~"],
}
REFUSED = [(value, words) for words, values in NO_PERSON.items() for value in values]

PERSONS = [
    # To a careless comparison, several of these are one person.
    *("ada", "Ada", "ADA", "\uff41da", "\u0430da", "jos\xe9", "jose\u0301", "JOS\xc9", "\ufb01n", "fin"),
    *("\u0130", "i\u0307", "\u0131", "stra\xdfe", "strasse", "\u212bngstr\xf6m", "\xc5ngstr\xf6m"),
    *("a da", "a  da", "a+da", "a%20da", "ada%00", "0", "00", "-0", "1e0", "\u0661", "ada~bob", "ada~"),
    # Elsewhere, these would be a path, a query or a pattern.
    *("ada/", "ada/../bob", "./ada", "ada\\bob", "ada?x", "ada#x", "ada;bob", "ada,bob", "ada:bob", "$(id)"),
    *("`id`", "ada' OR '1'='1", "ada'--", 'ada", "user_id": "bob', "ada*", "ada%", "a_a", "~ada", "~~"),
    # People's names, and those of their accounts.
    *("ada@example.com", "o'brien", "alice.smith", "@ada", "<@U012AB3CD>", "<ada@example.com>", "$david"),
    *("+49 30 123456", "13812345678", "8613812345678.wang", "\u674e\u96f7", "\u4e01\u4e00 7", "2024.12"),
    *("user-1767225600001", "1767225600001", "user1", "user_id_7", "users/42", "auth0|64af", "wxid_7h3k"),
    *("arn:aws:iam::1:user/ada", "7f3a1c9e-5b0d-4e7a-9c55-0f6f2b1d8a10", "a" * 100, "\U0001f469\U0001f467"),
    *("https://example.com/users/1", "did:key:z6Mk", "00000000-0000-0000-0000-000000000001", "100%"),
    # Much like what stands for no value, but no such thing.
    *("nullisland", "Nan", "Nil Kaya", "None Such", "nonesuch", "undefinedness", "chris.null@example.com"),
    *("joe@infosys.com", "joe@sys.example.com", "sys.admin@example.com", "joe@env.gov"),
    *("true", "user", "anonymous", "guest", "memos_default", "default-user", "ada@env.example.org"),
]


@pytest.mark.parametrize(("user_id", "words"), REFUSED, ids=ascii)
def test_what_can_be_no_person_is_refused_and_says_why(user_id: str, words: str) -> None:
    assert refusal(NODE.owner, user_id) == words
    assert refusal(AGENT.owner, user_id) == words


@pytest.mark.parametrize(("user_id", "words"), [pair for pair in REFUSED if pair[0] != "~"], ids=ascii)
def test_run_of_nobody_is_refused_in_the_same_words(user_id: str, words: str) -> None:
    for app_id in ("app", None):
        nobody = caller(user_id=user_id, app_id=app_id)
        assert refusal(nobody.owner, None) == refusal(nobody.agents_owner, None) == words


@pytest.mark.parametrize("user_id", PERSONS, ids=ascii)
def test_person_is_taken_as_it_is(user_id: str) -> None:
    assert NODE.owner(user_id) == user_id
    assert caller(user_id=user_id).owner("") == user_id
    assert caller(user_id=user_id, app_id="").owner(user_id) == user_id
    assert AGENT.agents_owner(NODE.user_key(user_id)) == user_id


def test_no_two_persons_are_one() -> None:
    assert len(set(PERSONS)) == len(PERSONS)
    assert len({NODE.user_key(user_id).rpartition("~")[2] for user_id in PERSONS}) == len(PERSONS)


@pytest.mark.parametrize("user_id", [None, "", " "])
def test_run_without_a_user_is_refused(user_id: str | None) -> None:
    words = "needed, since Dify names no user for this run"
    assert refusal(caller(user_id).owner, None) == words
    assert refusal(caller(user_id).agents_owner, "") == words


@pytest.mark.parametrize("absent", [None, "", " \n", [], [None], [""]], ids=repr)
def test_nothing_given_means_the_run_s_own_user(absent: Any) -> None:
    assert NODE.owner(absent) == AGENT.owner(absent) == "ada"
    assert NODE.agents_owner(absent) == AGENT.agents_owner(absent) == "ada"


@pytest.mark.parametrize(
    "value", [7, 0, True, ["ada"], ["ada", "bob"], {"id": "ada"}, {}, b"ada", [[]]], ids=repr
)
def test_what_is_no_text_is_nobody(value: Any) -> None:
    assert refusal(NODE.owner, value) == "wants text"
    assert refusal(AGENT.agents_owner, value) == "wants text"


STEERED = "agents reach the run's own user and owners of user keys only; leave it empty there"


@pytest.mark.parametrize("app_id", [None, ""])
def test_call_without_an_app_reaches_its_own_user_only(app_id: str | None) -> None:
    steered = caller(app_id=app_id)
    assert steered.owner("ada") == "ada"
    reversed_signature = BOBS_KEY.rpartition("~")[2][::-1]
    for other in ("bob", "Ada", "ada2", f"{BOBS_KEY}x", "ada~bob", f"bob~{reversed_signature}"):
        assert refusal(steered.owner, other) == STEERED


def test_user_key_is_the_user_id_and_its_signature() -> None:
    message = b"MemOS plugin for Dify, user key: " + "李雷".encode()
    digest = hmac.new(KEY.encode(), message, hashlib.sha256).digest()
    assert NODE.user_key("李雷") == f"李雷~{base64.urlsafe_b64encode(digest)[:22].decode()}"
    assert re.fullmatch(r"bob~[A-Za-z0-9_-]{22}", BOBS_KEY)


@pytest.mark.parametrize("made_for", ["ada", "bob", "b~b", "李雷", "u" * 100, "~", "ada@example.com"])
def test_user_key_means_its_owner_with_an_app_or_without(made_for: str) -> None:
    key = NODE.user_key(made_for)
    if made_for == "~":
        made_for = NODE.owner(key)
    for one in (NODE, AGENT, caller("someone else"), caller("someone else", app_id="another app")):
        assert one.owner(key) == one.agents_owner(key) == made_for


NO_KEYS = {
    "a user ID": "bob",
    "the run's own user": "ada",
    "cut": BOBS_KEY[:-1],
    "extended": f"{BOBS_KEY}A",
    "space after": f"{BOBS_KEY} ",
    "line end after": f"{BOBS_KEY}\n",
    "space before": f" {BOBS_KEY}",
    "NUL": f"{BOBS_KEY}\0",
    "another's signature": f"ada~{BOBS_KEY.rpartition('~')[2]}",
    "case of the ID": BOBS_KEY.capitalize(),
    "case of the signature": BOBS_KEY.swapcase(),
    "another API key's": caller(api_key=KEY[::-1]).user_key("bob"),
    "an empty API key's": "bob~" + base64.urlsafe_b64encode(hmac.digest(b"", b"bob", "sha256")).decode()[:22],
    "the signature alone": BOBS_KEY.rpartition("~")[2],
    "the signature of nobody": NODE.user_key("")[1:],
    "nobody's key": NODE.user_key(""),
    "no signature": "bob~",
    "a key of a key's end": f"{BOBS_KEY}~{BOBS_KEY.rpartition('~')[2]}",
    "not ASCII": "bob~" + "\xe9" * 22,
    "lone surrogate": "bob~\ud800",
    "full-width": f"bob\uff5e{BOBS_KEY.rpartition('~')[2]}",
    "100 characters": "k" * 100,
    "a million characters": "k" * 1_000_000,
    "padding": f"{BOBS_KEY}=",
}


@pytest.mark.parametrize("key", NO_KEYS.values(), ids=NO_KEYS)
def test_agent_is_refused_with_what_is_no_user_key(key: str) -> None:
    for one in (NODE, AGENT):
        assert refusal(one.agents_owner, key) == "not one that Search Memory made with these credentials"
    assert refusal(AGENT.owner, key) if key != "ada" else AGENT.owner(key) == "ada"


@pytest.mark.parametrize("key", ["{{#search.user_key#}}", "{{#1767225600013.user_key#}}", "x{{#a.b#}}"])
def test_agent_that_fills_in_no_variables_is_told_so(key: str) -> None:
    assert refusal(AGENT.agents_owner, key) == "this agent fills in no variables; leave User Key empty in it"


def test_key_of_a_search_that_did_not_run_is_named() -> None:
    assert refusal(AGENT.agents_owner, "1767225600013.user_key") == no_value("1767225600013.user_key")


@pytest.mark.parametrize(
    "user_id", ["DEFAULT-USER", "undefined", "{{user_id}}", "sys.user_id", "a" * 101, " ada"]
)
def test_owner_of_a_user_key_is_checked_like_anybody(user_id: str) -> None:
    key = NODE.user_key(user_id)
    words = refusal(NODE.owner, user_id)
    assert refusal(NODE.owner, key) == words
    assert refusal(AGENT.owner, key) == words
    assert refusal(AGENT.agents_owner, key) == words


@pytest.mark.parametrize("api_key", ["", "x", SHORT])
def test_short_api_key_signs_nothing_and_verifies_nothing(api_key: str) -> None:
    node, agent = caller(api_key=api_key), caller(app_id=None, api_key=api_key)
    words = "User keys need an API key of 16 characters or more"
    assert node.user_key("ada") == ""
    assert agent.agents_owner(node.user_key("ada")) == "ada"
    assert node.user_key("bob") == "~"
    assert refusal(agent.agents_owner, "~") == refusal(node.owner, "~") == words
    digest = hmac.digest(api_key.encode(), b"MemOS plugin for Dify, user key: bob", "sha256")
    made_up = f"bob~{base64.urlsafe_b64encode(digest).decode()[:22]}"
    for key in (made_up, BOBS_KEY, "bob~"):
        assert refusal(agent.agents_owner, key) == "not one that Search Memory made with these credentials"
        assert refusal(agent.owner, key) == STEERED
        assert node.owner(key) == key


@pytest.mark.parametrize(
    "absent", [None, "", " ", [None], "sys.conversation_id", "{{#sys.conversation_id#}}"], ids=repr
)
def test_conversation_is_the_run_s_or_a_fresh_one(absent: Any) -> None:
    assert Caller("ada", "app", "chat-1", KEY).conversation(absent) == "chat-1"
    for run in (None, "", " "):
        one, another = (Caller("ada", "app", run, KEY).conversation(absent) for _ in range(2))
        assert one.startswith("dify-")
        assert uuid.UUID(one.removeprefix("dify-")).version == 4
        assert one != another


@pytest.mark.parametrize("given", ["order-7", "c" * 100, "李雷 7", "ada~bob", "None"])
def test_given_conversation_is_taken_as_it_is(given: str) -> None:
    assert Caller("ada", "app", "chat-1", KEY).conversation(given) == given


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("c" * 101, "at most 100 characters"),
        ("c\nd", INVISIBLE),
        (" c", SPACE),
        ("['c']", LIST),
        ("sys.user_id", no_value("sys.user_id")),
        ("{{#sys.dialogue_count#}}", no_value("sys.dialogue_count")),
        ("order-1767225600013.id", no_value("1767225600013.id")),
        (7, "wants text"),
    ],
    ids=ascii,
)
def test_given_conversation_is_refused_rather_than_repaired(given: Any, words: str) -> None:
    assert refusal(Caller("ada", "app", "chat-1", KEY).conversation, given) == words


def test_what_an_agent_must_not_steer_needs_an_app() -> None:
    NODE.require_app("delete_all")
    for app_id in (None, ""):
        words = "delete_all is for workflow nodes; give agents Recall, Remember and Forget"
        assert refusal(caller(app_id=app_id).require_app, "delete_all") == words


def test_api_key_is_in_no_repr() -> None:
    assert KEY not in repr(NODE)
