"""Listing what MemOS keeps: whole pages, nothing twice, nothing left out."""

import json
from typing import Any

import pytest

from memos_client.client import LIST_SECONDS
from memos_client.errors import MemosReplyError
from memos_client.inputs import ListRequest
from memos_client.kinds import PREFERENCE
from memos_client.memories import Page
from memos_client.outputs import of_list
from memos_client.transport import LARGEST_REPLY
from tests.unit.keeper import Keeper, Kept, facts, preferences
from tests.unit.samples import CALLER, CLOUD, SELF_HOSTED, Answer, Deployment, FakeMemos, cases, failure


def list_request(**values: Any) -> ListRequest:
    return ListRequest.parse(values, CALLER)


def listed(deployment: Deployment, **values: Any) -> Page:
    return deployment.client.list_memories(list_request(**values))


def ids(page: Page) -> list[str]:
    return [one.memory["id"] for one in page.found]


@pytest.mark.parametrize("tells_pages", [True, False])
@pytest.mark.parametrize("limit", [7, 20, 50])
@cases(
    "kept",
    {
        "nothing": [],
        "one": facts(1),
        "as many as a page": facts(20),
        "one more": facts(21),
        "a page of the server's": facts(50),
        "more of one kind": [*facts(101), *preferences(3)],
        "as many of each": [*preferences(50), *facts(50)],
    },
)
def test_pages_hold_everything_once_and_tell_whether_there_is_more(
    memos: FakeMemos, deployment: Deployment, kept: list[Kept], limit: int, tells_pages: bool
) -> None:
    memos.otherwise = Keeper(deployment, [*kept, *facts(3, "user-2", "x")], tells_pages)
    found: list[str] = []
    for page in range(1, 2 + len(kept) // limit):
        shown = listed(deployment, limit=limit, page=page)
        found += ids(shown)
        assert shown.has_more is (len(kept) > page * limit)
        assert len(shown.found) == limit or not shown.has_more
    assert sorted(found) == sorted(one.memory_id for one in kept)
    assert listed(deployment, limit=limit, page=page + 1) == Page([], has_more=False)


def test_kinds_are_those_that_were_asked_for(memos: FakeMemos, deployment: Deployment) -> None:
    memos.otherwise = Keeper(deployment, [*facts(2), *preferences(1)])
    assert sorted(ids(listed(deployment, kinds="facts"))) == ["f0", "f1"]
    assert sorted(ids(listed(deployment))) == ["f0", "f1", "p0"]


def test_equal_texts_stay_apart(memos: FakeMemos, deployment: Deployment) -> None:
    memos.otherwise = Keeper(deployment, [Kept(f"m{number}", "Said twice.") for number in range(2)])
    assert sorted(ids(listed(deployment))) == ["m0", "m1"]


def test_equal_texts_without_an_id_stay_apart_and_the_list_says_so(memos: FakeMemos) -> None:
    memos.otherwise = Keeper(CLOUD, [Kept("", "Short answers.", PREFERENCE)] * 2)
    page = listed(CLOUD)
    assert [one.memory for one in page.found] == [{"kind": "preference", "text": "Short answers."}] * 2
    text = of_list(list_request(), page).text
    assert text.splitlines()[1] == "2. Short answers. (preference, without an id: can't be deleted singly)"


def test_page_that_holds_nothing_current_is_not_the_last(memos: FakeMemos) -> None:
    """The cloud lists what is archived, too."""
    pages = [
        [{"id": f"a{number}", "memory_value": "Old.", "status": "archived"} for number in range(50)],
        [{"id": "m1", "memory_value": "New.", "status": "activated"}],
        [],
    ]
    memos.answers(*(CLOUD.says({"memory_detail_list": items}) for items in pages))
    assert ids(listed(CLOUD)) == ["m1"]


def test_server_that_repeats_its_only_page_is_asked_no_more_than_twice(memos: FakeMemos) -> None:
    memos.answers(*[CLOUD.says(CLOUD.found)] * 2)
    assert ids(listed(CLOUD)) == ["mem-1"]


def test_own_server_is_asked_once_and_what_it_calls_otherwise_is_shown(memos: FakeMemos) -> None:
    rows = [
        {"id": "m1", "memory": "A file.", "metadata": {"memory_type": "RawFileMemory"}},
        {"id": "m2", "memory": "No word of itself."},
    ]
    memos.answers(SELF_HOSTED.says({name: [{"memories": rows}] for name in ("text_mem", "pref_mem")}))
    page = listed(SELF_HOSTED)
    assert [(one.kind.name, one.memory["id"]) for one in page.found] == [("fact", "m1"), ("fact", "m2")]


def test_own_server_lists_up_to_16_mib_and_the_error_beyond_says_what_to_do(memos: FakeMemos) -> None:
    row = {"id": "m1", "memory": "x" * 2 * LARGEST_REPLY, "metadata": {"memory_type": "UserMemory"}}
    memos.answers(SELF_HOSTED.says({"text_mem": [{"memories": [row]}]}), Answer(b" " * (16 * 2**20 + 1)))
    assert ids(listed(SELF_HOSTED)) == ["m1"]
    error = failure(listed, SELF_HOSTED)
    assert type(error) is MemosReplyError
    assert str(error) == (
        "MemOS at memos.example:8000 sent a reply that is not understood (too large). It has more than "
        "16 MiB, and no more is read. Ask for fewer memories, or delete some on that server."
    )


@cases(
    "data",
    {"a list": [], "text": "none", "memories that are none": {"text_mem": [{}], "memory_detail_list": [7]}},
)
def test_listing_of_unknown_shape_is_not_understood(
    memos: FakeMemos, deployment: Deployment, data: Any
) -> None:
    memos.answers(deployment.says(data))
    assert type(failure(listed, deployment)) is MemosReplyError


def test_text_is_a_numbered_list_that_goes_on_over_pages(memos: FakeMemos, deployment: Deployment) -> None:
    memos.otherwise = Keeper(deployment, [Kept("m0", "Several\n lines."), *facts(2)])
    request = list_request(limit=1, page=2)
    output = of_list(request, deployment.client.list_memories(request))
    assert output.text.startswith("2. Fact ")
    assert output.text.endswith(")\n(more on page 3)")
    assert len(output.text.splitlines()) == 2
    assert output.json["data"]["memory_detail_list"][0]["memory_value"].startswith("Fact ")
    assert output.variables["has_more"] is True
    behind = list_request(page=9)
    assert of_list(behind, Page([], has_more=False)).text == "Page 9 is behind the last one."
    assert of_list(list_request(), Page([], has_more=False)).text == "No memories are kept here."


def test_listing_has_a_minute_and_ten_seconds_where_the_run_continues(
    memos: FakeMemos, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LIST_SECONDS == 60
    totals = []
    monkeypatch.setattr("memos_client.client.send", lambda *given, **_: totals.append(given[3]) or 1 / 0)
    for values in ({}, {"on_error": "continue"}):
        with pytest.raises(ZeroDivisionError):
            listed(deployment, **values)
    assert [round(limits.total) for limits in totals] == [60, 10]
    assert memos.tries == 0


def test_cloud_s_filter_goes_with_every_page(memos: FakeMemos) -> None:
    memos.otherwise = Keeper(CLOUD, facts(60))
    listed(CLOUD, filter="food", kinds="facts", limit=50, page=2)
    assert [request.json for request in memos.requests] == [
        {
            "user_id": "user-1",
            "page": page,
            "size": 50,
            "include_memory_view": ["detail_factual"],
            "filter": {"and": [{"tags": {"contains": "food"}}]},
        }
        for page in (1, 2)
    ]


def test_own_server_s_filter_is_checked_here(memos: FakeMemos) -> None:
    rows = [
        {"id": name, "memory": name, "metadata": {"memory_type": "UserMemory", "info": {"scene": scene}}}
        for name, scene in (("m1", "chat"), ("m2", "mail"))
    ]
    memos.answers(SELF_HOSTED.says({"text_mem": [{"memories": rows}]}))
    assert ids(listed(SELF_HOSTED, filter="scene=mail")) == ["m2"]
    assert json.dumps(memos.requests[0].json).count("scene") == 0
