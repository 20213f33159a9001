"""What arrives at both APIs: paths, headers and exact bodies, and what one of them can't do."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from memos_client.client import MemosClient
from memos_client.errors import MemosInputError
from tests.unit.samples import (
    KEY,
    SELF_HOSTED,
    Deployment,
    FakeMemos,
    failure,
    of_each,
    search_request,
)

# By name: the parameters, and for each deployment the body that arrives or the words of a refusal.
REQUESTS = json.loads((Path(__file__).parent / "requests.json").read_text())
PROBE_USER = "dify-credentials-check"


def send(memos: FakeMemos, deployment: Deployment, name: str, parameters: dict[str, Any]) -> Any:
    """Send a request that is accepted, and return its body, without the name that an own server wants."""
    search = "search" in name.split()
    memos.answers(deployment.says(deployment.nothing if search else deployment.added))
    (deployment.search if search else deployment.add)(**parameters)
    [request] = memos.requests
    assert request.url == deployment.url + (deployment.search_path if search else deployment.add_path)
    if "task_id" in request.json:
        UUID(request.json.pop("task_id"))
    return request.json


@pytest.mark.parametrize("name", REQUESTS)
def test_exactly_this_body_arrives(memos: FakeMemos, deployment: Deployment, name: str) -> None:
    parameters, expected = REQUESTS[name]["parameters"], REQUESTS[name][deployment.name]
    if isinstance(expected, str):
        error = failure(send, memos, deployment, name, parameters)
        memos.planned.clear()
        assert (type(error), str(error)) == (MemosInputError, expected)
        assert error.refused
        assert error.of_the_builder
    else:
        assert send(memos, deployment, name, parameters) == expected


def test_own_server_gets_a_new_task_name_with_every_add(memos: FakeMemos) -> None:
    for _ in range(2):
        memos.answers(SELF_HOSTED.says(SELF_HOSTED.added))
        SELF_HOSTED.add()
    assert len({UUID(request.json["task_id"]) for request in memos.requests}) == 2


@of_each("cubes", {}, {"readable_cube_ids": [PROBE_USER]})
def test_probe_is_a_search_for_one_fact_of_nobody(
    memos: FakeMemos, deployment: Deployment, cubes: dict[str, Any]
) -> None:
    memos.answers(deployment.says(deployment.found))
    deployment.client.probe()
    [request] = memos.requests
    facts = REQUESTS["search for facts"][deployment.name]
    one_of_each = {name: 1 if value == 6 else value for name, value in facts.items()}
    assert request.url == deployment.url + deployment.search_path
    assert request.json == one_of_each | cubes | {"query": "hello", "user_id": PROBE_USER}


def test_headers_are_these_and_the_key_stands_nowhere_else(memos: FakeMemos, deployment: Deployment) -> None:
    memos.answers(deployment.says(deployment.added))
    deployment.add()
    [request] = memos.requests
    headers = dict(request.headers)
    assert int(headers.pop("Content-Length")) > 0
    assert headers == {
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "Authorization": f"Token {KEY}",
        "Content-Type": "application/json",
        "User-Agent": "dify-plugin-memos",
    }
    assert KEY not in request.url + str(request.json)


def test_own_server_without_a_key_gets_no_header_for_it(memos: FakeMemos) -> None:
    memos.answers(SELF_HOSTED.says(SELF_HOSTED.nothing))
    MemosClient({"memos_url": SELF_HOSTED.url}).search(search_request())
    assert "Authorization" not in memos.requests[0].headers
