"""The credentials: what is accepted, what is refused and in which words, and that the key stays hidden."""

from typing import Any

import pytest

from memos_client.client import MemosClient
from memos_client.dialects import CloudDialect, Dialect, SelfHostedDialect, dialect_for
from memos_client.errors import MemosInputError
from memos_client.models import Credentials
from tests.unit.samples import cases

CHINA = "https://memos.memtensor.cn/api/openmem/v1"
GLOBAL = "https://api.memt.ai/platform/api/openmem/v1"
OWN = "http://memos.example:8000"


def values(url: str, key: str | None = "Token mpg-test", deployment: str | None = None) -> dict[str, Any]:
    return {"memos_url": url, "memos_api_key": key, "deployment": deployment}


def dialect(*credentials: str | None) -> Dialect:
    return dialect_for(Credentials.parse(values(*credentials)))


def refusal(*credentials: str | None) -> str:
    with pytest.raises(MemosInputError) as caught:
        MemosClient(values(*credentials))
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        (CHINA, CloudDialect),
        (GLOBAL, CloudDialect),
        (f"{CHINA}/", CloudDialect),
        ("https://proxy.example/api/openmem/v1", CloudDialect),
        (OWN, SelfHostedDialect),
        (f"{OWN}/product", SelfHostedDialect),
        ("http://[::1]:8000", SelfHostedDialect),
        ("http://openmem", SelfHostedDialect),
        ("http://openmem/product", SelfHostedDialect),
    ],
)
def test_deployment_is_told_from_the_path(url: str, kind: type) -> None:
    assert {type(dialect(url, "mpg-test", deployment)) for deployment in (None, "", "auto")} == {kind}


@pytest.mark.parametrize(
    ("url", "deployment", "kind"),
    [
        ("https://proxy.example/memos", "cloud", CloudDialect),
        ("https://proxy.example/api/openmem/v1", "self_hosted", SelfHostedDialect),
    ],
)
def test_deployment_that_was_chosen_is_kept(url: str, deployment: str, kind: type) -> None:
    assert type(dialect(url, "mpg-test", deployment)) is kind


def test_deployment_that_does_not_exist_is_refused() -> None:
    assert refusal(OWN, "", "docker") == "deployment: wants 'auto', 'cloud' or 'self_hosted'."


@pytest.mark.parametrize(
    ("url", "base", "host"),
    [
        (f"  {CHINA}//\n", CHINA, "memos.memtensor.cn"),
        ("HTTPS://API.memt.AI/platform/api/openmem/v1", GLOBAL, "api.memt.ai"),
        (OWN, OWN, "memos.example:8000"),
        (f"{OWN}/", OWN, "memos.example:8000"),
        (f"{OWN}/product", OWN, "memos.example:8000"),
        (f" {OWN}/product/ ", OWN, "memos.example:8000"),
        ("https://Gateway.example/Memos/product", "https://gateway.example/Memos", "gateway.example"),
    ],
)
def test_url_is_tidied(url: str, base: str, host: str) -> None:
    assert (dialect(url).url, dialect(url).host) == (base, host)


NO_SCHEME = "wants an address that starts with https:// or http://"
NO_USER = "no user name or password in the address; the key has its own field"
NO_QUERY = "no ? and no # in the address"
NO_ADDRESS = "not a valid address"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "needed"),
        ("  ", "needed"),
        ("memos.example:8000", NO_SCHEME),
        ("ftp://memos.example", NO_SCHEME),
        ("https://user:mpg-test@memos.example", NO_USER),
        ("https://mpg-test@memos.memtensor.cn/api/openmem/v1", NO_USER),
        (f"{OWN}?key=mpg-test", NO_QUERY),
        (f"{OWN}#top", NO_QUERY),
        (f"{OWN}?", NO_QUERY),
        ("http://memos.memtensor.cn/api/openmem/v1", "the MemOS cloud wants https://"),
        ("http://API.memt.ai/platform/api/openmem/v1", "the MemOS cloud wants https://"),
        ("https://memos.memtensor.cn", f"the API address of this cloud is {CHINA}"),
        ("https://api.memt.ai/", f"the API address of this cloud is {GLOBAL}"),
        ("http://", NO_ADDRESS),
        ("http:///product", NO_ADDRESS),
        ("http://memos example", NO_ADDRESS),
        ("http://memos.example/a b", NO_ADDRESS),
        ("http://memos.example\\product", NO_ADDRESS),
        ("http://memos.example:port", NO_ADDRESS),
        ("http://memos.example:99999", NO_ADDRESS),
        ("http://[::1", NO_ADDRESS),
        ("http://memos.example/\x07", "no line ends and no control characters"),
        ("http://mémos.example", "only ASCII characters; write an international name in its xn-- form"),
        (f"http://memos.example/{'a' * 2000}", "at most 2000 characters"),
    ],
    ids=lambda value: value[:50],
)
def test_url_is_refused_with_advice(url: str, problem: str) -> None:
    assert refusal(url) == f"memos_url: {problem}."


def test_missing_url_is_refused() -> None:
    with pytest.raises(MemosInputError, match=r"^memos_url: needed\.$"):
        MemosClient({})


@pytest.mark.parametrize(
    "key",
    ["Token mpg-test", "mpg-test", " mpg-test\r\n", "\tToken  mpg-test \n", "token mpg-test"],
    ids=ascii,
)
def test_cloud_takes_its_key_however_it_was_pasted(key: str) -> None:
    assert dialect(CHINA, key).authorization == dialect(GLOBAL, key).authorization == "Token mpg-test"


@pytest.mark.parametrize(
    "key", ["Bearer mpg-test", "krlk_0123", "Token krlk_0123", "Token", "mpg-", "Token Token mpg-test"]
)
def test_cloud_refuses_keys_of_another_form(key: str) -> None:
    copy = "copy the one of the form Token mpg-… from its console."
    assert refusal(CHINA, key) == f"memos_api_key: not a key of the MemOS cloud; {copy}"


@pytest.mark.parametrize("key", [None, "", " \n"], ids=ascii)
def test_cloud_needs_a_key(key: str | None) -> None:
    copy = "copy the one of the form Token mpg-… from its console."
    assert refusal(CHINA, key) == f"memos_api_key: the MemOS cloud needs a key; {copy}"


@pytest.mark.parametrize(
    ("key", "sent"),
    [
        (None, ""),
        (" \n", ""),
        (" secret-1\r\n", "Token secret-1"),
        ("mpg-test", "Token mpg-test"),
        ("Token secret-1", "Token secret-1"),
        ("Bearer secret-1", "Bearer secret-1"),
        ("bearer secret-1", "bearer secret-1"),
        ("ApiKey secret-1", "ApiKey secret-1"),
    ],
    ids=ascii,
)
def test_own_server_gets_the_key_in_the_scheme_that_was_typed(key: str | None, sent: str) -> None:
    assert dialect(OWN, key).authorization == sent


@pytest.mark.parametrize("url", [CHINA, OWN])
@cases(
    "key",
    {
        "line end": "Token mpg-te\nst",
        "line end after Token": "Token\nmpg-test",
        "NUL": "mpg-te\x00st",
        "DEL": "mpg-te\x7fst",
        "zero width": "mpg-test\u200b",
        "non-ASCII": "mpg-tést",
        "oversized": "mpg-" + "x" * 4000,
    },
)
def test_key_is_refused_without_being_shown(url: str, key: str) -> None:
    problem = "at most 4000" if len(key) > 4000 else "holds characters that no API key has; copy it again."
    assert refusal(url, key).removesuffix(" characters.") == f"memos_api_key: {problem}"


def test_both_problems_are_told_at_once() -> None:
    words = refusal("ftp://memos.example", "mpg-te\nst")
    assert "memos_url: " in words
    assert "memos_api_key: " in words


@pytest.mark.parametrize("url", [CHINA, OWN])
def test_key_is_in_no_repr(url: str) -> None:
    credentials = Credentials.parse(values(url))
    assert credentials.key == "Token mpg-test"
    shown = [credentials, dialect_for(credentials), MemosClient(values(url))]
    assert not [text for thing in shown for text in (repr(thing), str(thing)) if "mpg-test" in text]
    assert "mpg-test" not in credentials.model_dump_json()
