"""The credentials: what is accepted, what is refused and in which words, and that the key stays hidden."""

from typing import Any

import pytest

from memos_client.client import MemosClient
from memos_client.credentials import Credentials, read_credentials
from tests.unit.samples import Answer, FakeMemos, cases, failure

CHINA = "https://memos.memtensor.cn/api/openmem/v1"
GLOBAL = "https://api.memt.ai/platform/api/openmem/v1"
OWN = "http://memos.example:8000"


def values(url: str, key: str | None = "Token mpg-test", deployment: str | None = None) -> dict[str, Any]:
    return {"memos_url": url, "memos_api_key": key, "deployment": deployment}


def read(*given: str | None) -> Credentials:
    return read_credentials(values(*given))


def refusal(*credentials: str | None) -> str:
    return str(failure(MemosClient, values(*credentials)))


@pytest.mark.parametrize(
    ("url", "chosen", "deployment"),
    [
        (CHINA, "auto", "cloud"),
        (GLOBAL, None, "cloud"),
        (f"{CHINA}/", "", "cloud"),
        ("https://proxy.example/api/openmem/v1", "auto", "cloud"),
        ("https://proxy.example/memos", "cloud", "cloud"),
        ("https://proxy.example/api/openmem/v1", "self_hosted", "self_hosted"),
        (OWN, "auto", "self_hosted"),
        (f"{OWN}/product", "", "self_hosted"),
        ("http://[::1]:8000", None, "self_hosted"),
        ("http://openmem/product", "auto", "self_hosted"),
    ],
)
def test_deployment_is_the_chosen_one_or_told_from_the_path(
    url: str, chosen: str | None, deployment: str
) -> None:
    assert read(url, "mpg-test", chosen).deployment == deployment


@pytest.mark.parametrize(
    ("url", "host", "sent"),
    [
        (f"  {CHINA}//\n", "memos.memtensor.cn", f"{CHINA}/search/memory"),
        ("HTTPS://API.memt.AI/platform/api/openmem/v1", "api.memt.ai", f"{GLOBAL}/search/memory"),
        (OWN, "memos.example:8000", f"{OWN}/product/search"),
        (f"{OWN}/product", "memos.example:8000", f"{OWN}/product/search"),
        (f" {OWN}/product/ ", "memos.example:8000", f"{OWN}/product/search"),
        ("https://Proxy.example/Memos/", "proxy.example", "https://proxy.example/Memos/product/search"),
    ],
)
def test_url_is_tidied_and_may_end_in_the_own_server_s_path(
    memos: FakeMemos, url: str, host: str, sent: str
) -> None:
    memos.answers(Answer({"code": 0, "data": {"text_mem": []}}))
    MemosClient(values(url)).probe()
    assert memos.requests[0].url == sent
    assert read(url).host == host


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
        ("http://memos.example:0", NO_ADDRESS),
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
    assert str(failure(MemosClient, {})) == "memos_url: needed."


@pytest.mark.parametrize(
    "key",
    ["Token mpg-test", "mpg-test", " mpg-test\r\n", "\tToken  mpg-test \n", "token mpg-test"],
    ids=ascii,
)
def test_cloud_takes_its_key_however_it_was_pasted(key: str) -> None:
    for credentials in (read(CHINA, key), read(GLOBAL, key)):
        assert (credentials.authorization, credentials.key) == ("Token mpg-test", "mpg-test")


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
    assert read(OWN, key).authorization == sent


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


def test_every_problem_is_told_at_once() -> None:
    assert refusal("ftp://memos.example", "mpg-te\nst", "docker") == (
        f"memos_url: {NO_SCHEME}. memos_api_key: holds characters that no API key has; copy it again. "
        "deployment: wants one of auto, cloud, self_hosted."
    )


@pytest.mark.parametrize("url", [CHINA, OWN])
def test_key_is_in_no_repr(url: str) -> None:
    credentials = read(url)
    assert credentials.key == "mpg-test"
    shown = [credentials, MemosClient(values(url)), MemosClient(values(url))._dialect]
    assert not [text for thing in shown for text in (repr(thing), str(thing)) if "mpg-test" in text]
