"""Where MemOS is, which of its two APIs answers there, and the key that opens it."""

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from memos_client.errors import MemosInputError
from memos_client.fields import is_absent

# The API addresses of MemOS's two clouds (memos-docs.openmem.net, "Quick start").
CLOUDS = {
    "memos.memtensor.cn": "https://memos.memtensor.cn/api/openmem/v1",
    "api.memt.ai": "https://api.memt.ai/platform/api/openmem/v1",
}
DEPLOYMENTS = ("auto", "cloud", "self_hosted")

_LONGEST_URL = 2000
_LONGEST_KEY = 4000
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
_CLOUD_KEY = re.compile(r"mpg-\S+", re.IGNORECASE)
_SCHEME_AND_KEY = re.compile(r"(?P<scheme>[A-Za-z][\w-]*)\s+(?P<key>\S.*)")


class Credentials(NamedTuple):
    """Credentials that can be right: the key shows in no repr.

    Args:
        deployment: Whose API answers at `url`.
        url: Scheme and host in lower case, no slash at the end.
        scheme: What stands before the key in the header, such as "Token".
        key: The API key without its scheme and surrounding space; "" where there is none.
    """

    deployment: Literal["cloud", "self_hosted"]
    url: str
    scheme: str
    key: str

    def __repr__(self) -> str:
        return f"Credentials({self.deployment!r}, {self.host!r})"

    @property
    def host(self) -> str:
        """Host and, where one is given, port: how errors name this MemOS."""
        return urlsplit(self.url).netloc

    @property
    def authorization(self) -> str:
        """The header that carries the key, or ""."""
        return f"{self.scheme} {self.key}" if self.key else ""


def read_credentials(given: Mapping[str, Any]) -> Credentials:
    """Read `memos_url`, `memos_api_key` and `deployment` as Dify keeps them.

    Raises:
        MemosInputError: They can't be right: names each that is wrong, never its value.
    """
    url, key, deployment = (_text(given.get(name)) for name in ("memos_url", "memos_api_key", "deployment"))
    deployment = deployment or "auto"
    problems = {
        "memos_url": _url_problem(url),
        "memos_api_key": _key_problem(key),
        "deployment": "" if deployment in DEPLOYMENTS else f"wants one of {', '.join(DEPLOYMENTS)}",
    }
    if words := " ".join(f"{name}: {problem}." for name, problem in problems.items() if problem):
        raise MemosInputError(words)
    parts = urlsplit(url)
    url = f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"
    found = _SCHEME_AND_KEY.fullmatch(key)
    scheme, key = (found["scheme"], found["key"]) if found else ("Token", key)
    in_cloud = deployment == "cloud" or (deployment == "auto" and "/openmem/" in f"{parts.path}/")
    if not in_cloud:
        return Credentials("self_hosted", url, scheme, key)
    if not _CLOUD_KEY.fullmatch(key) or scheme.lower() != "token":
        problem = "not a key of the MemOS cloud" if key else "the MemOS cloud needs a key"
        raise MemosInputError(
            f"memos_api_key: {problem}; copy the one of the form Token mpg-… from its console."
        )
    return Credentials("cloud", url, "Token", key)


def _text(value: Any) -> str:
    return "" if is_absent(value) else str(value).strip()


def _key_problem(key: str) -> str:
    if len(key) > _LONGEST_KEY:
        return f"at most {_LONGEST_KEY} characters"
    if not key.isascii() or not key.isprintable():
        return "holds characters that no API key has; copy it again"
    return ""


def _url_problem(url: str) -> str:
    if not url:
        return "needed"
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
