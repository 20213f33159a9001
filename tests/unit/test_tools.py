"""Both tools as Dify calls them: one text, one JSON object and every variable, or an error."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from dify_plugin import Tool

from memos_client.errors import MemosInputError, MemosQuotaError
from tests.unit.samples import CALLER, CLOUD, FACT, SELF_HOSTED, Answer, Deployment, FakeMemos, failure
from tools.add_memory import AddMemory
from tools.search_memory import SearchMemory

TYPES = {"string": str, "integer": int, "boolean": bool, "array": list}
SCHEMAS = {
    kind: yaml.safe_load((Path(__file__).parents[2] / "tools" / f"{name}.yaml").read_text())["output_schema"]
    for kind, name in ((SearchMemory, "search_memory"), (AddMemory, "add_memory"))
}
SAID = {"query": "food", "user_messages": "Hello.", "ai_messages": "Welcome."}
USER = {"user_id": "user-1", "user_key": CALLER.user_key("user-1")}
both_tools = pytest.mark.parametrize("kind", [SearchMemory, AddMemory])


def tool(
    kind: type[Tool], deployment: Deployment, user: str | None = "user-1", app: str | None = "app-1"
) -> Tool:
    made = kind.from_credentials(deployment.credentials, user)
    made.session.conversation_id, made.session.app_id = "run-conversation", app
    return made


def invoke(tool: Tool, **parameters: Any) -> tuple[str, Any, dict[str, Any]]:
    """Return the text, the JSON object and the variables; these are those that the YAML declares."""
    messages = [json.loads(message.model_dump_json()) for message in tool.invoke(SAID | parameters)]
    declared = SCHEMAS[type(tool)]["properties"]
    assert [message["type"] for message in messages] == ["text", "json", *["variable"] * len(declared)]
    text, envelope, *rest = (message["message"] for message in messages)
    variables = {message["variable_name"]: message["variable_value"] for message in rest}
    types = {name: TYPES[schema["type"]] for name, schema in declared.items()}
    assert {name: type(value) for name, value in variables.items()} == types
    return text["text"], envelope["json_object"], variables


def test_search_tells_what_was_found(memos: FakeMemos, deployment: Deployment) -> None:
    memos.answers(deployment.says(deployment.found))
    text, envelope, variables = invoke(tool(SearchMemory, deployment))
    memory = {"id": "mem-1", "kind": "fact", "text": FACT}
    memory |= {"time": "2026-01-04T00:00:00Z", "relevance": 0.8124}
    told = {"memory_context": text, "memories": [memory], "count": 1, "found": True, "error": ""}
    assert text.endswith(f"<facts>\n- [2026-01-04] {FACT}\n</facts>\n</memories>")
    assert (envelope["code"], envelope["message"]) == (0, "ok")
    assert [item["memory_value"] for item in envelope["data"]["memory_detail_list"]] == [FACT]
    assert variables == told | USER
    assert memory.keys() <= SCHEMAS[SearchMemory]["properties"]["memories"]["items"]["properties"].keys()


def test_search_that_finds_nothing_has_no_context(memos: FakeMemos, deployment: Deployment) -> None:
    memos.answers(deployment.says(deployment.nothing))
    text, envelope, variables = invoke(tool(SearchMemory, deployment))
    lists = {"memory_detail_list": [], "preference_detail_list": []}
    assert text == "Nothing relevant was found in memory."
    assert envelope == {"code": 0, "message": "ok", "data": lists}
    assert variables == {"memory_context": "", "memories": [], "count": 0, "found": False, "error": ""} | USER


@pytest.mark.parametrize(
    ("values", "status", "count", "text"),
    [
        ({}, "running", 2, "2 messages accepted; MemOS is still processing."),
        ({"ai_messages": ""}, "running", 1, "1 message accepted; MemOS is still processing."),
        ({"async_mode": "false"}, "completed", 2, "2 messages stored."),
    ],
)
def test_add_tells_what_was_accepted(
    memos: FakeMemos, deployment: Deployment, values: dict[str, Any], status: str, count: int, text: str
) -> None:
    in_cloud = deployment is CLOUD
    memos.answers(deployment.says(CLOUD.added | {"status": status} if in_cloud else deployment.added))
    told, envelope, variables = invoke(tool(AddMemory, deployment), **values)
    data = {"success": True, "task_id": "task-1" if in_cloud else "", "status": status}
    assert (told, envelope) == (text, {"code": 0, "message": "ok", "data": data})
    assert variables == USER | {
        "status": status,
        "task_id": data["task_id"],
        "memory_ids": ["mem-1"] if status == "completed" and not in_cloud else [],
        "message_count": count,
        "conversation_id": "run-conversation",
        "error": "",
    }


NO_QUERY = "query: needed."
NO_MESSAGE = "user_messages, ai_messages: at least one message with text is needed."
QUOTA = "MemOS at {} answered 40304: No. Wait, or raise the quota of your MemOS account."


@pytest.mark.parametrize(
    ("kind", "refused", "words"),
    [
        (SearchMemory, True, QUOTA),
        (SearchMemory, False, NO_QUERY),
        (AddMemory, True, QUOTA),
        (AddMemory, False, NO_MESSAGE),
    ],
)
def test_run_that_continues_tells_the_error_and_nothing_else(
    memos: FakeMemos, deployment: Deployment, kind: type[Tool], refused: bool, words: str
) -> None:
    memos.answers(*[Answer({"code": 40304, "message": "No."})] * refused)
    said = SAID if refused else dict.fromkeys(SAID, "")
    text, envelope, variables = invoke(tool(kind, deployment), on_error="continue", **said)
    told = {"error": words.format(deployment.host)} | USER
    if kind is AddMemory:
        told |= {"status": "failed", "conversation_id": "run-conversation"}
    assert {name: value for name, value in variables.items() if value} == told
    assert text == envelope["message"] == told["error"]
    assert envelope["code"] == -1


@both_tools
def test_error_is_raised_before_anything_is_yielded(memos: FakeMemos, kind: type[Tool]) -> None:
    memos.answers(Answer({"code": 40304, "message": "No."}))
    messages = tool(kind, CLOUD).invoke(dict(SAID))
    assert type(failure(next, messages)) is MemosQuotaError


@both_tools
def test_memory_is_that_of_the_run_s_user_or_of_the_given_one(
    memos: FakeMemos, deployment: Deployment, kind: type[Tool]
) -> None:
    for given, user in (({}, "user-1"), ({"user_id": [None]}, "user-1"), ({"user_id": "user-2"}, "user-2")):
        memos.answers(deployment.says(deployment.found if kind is SearchMemory else deployment.added))
        _, _, variables = invoke(tool(kind, deployment), **given)
        assert memos.requests[-1].json["user_id"] == variables["user_id"] == user


@pytest.mark.parametrize(
    ("user", "app", "values", "words"),
    [
        (None, "app-1", {}, "user_id: needed, since Dify names no user for this run."),
        ("user-1", None, {"user_id": "user-2"}, "user_id: agents reach the run's own user "),
        ("user-1", "app-1", {"on_error": "continue", "user_id": "[]"}, "user_id: wants text"),
    ],
)
@both_tools
def test_builder_s_problem_is_raised_and_nothing_sent(
    memos: FakeMemos, kind: type[Tool], user: str | None, app: str | None, values: dict[str, Any], words: str
) -> None:
    error = failure(invoke, tool(kind, CLOUD, user, app), **values)
    assert type(error) is MemosInputError
    assert str(error).startswith(words)
    assert memos.tries == 0


@both_tools
def test_credentials_that_cannot_be_right_are_an_error_of_the_tool(kind: type[Tool]) -> None:
    made = kind.from_credentials({"memos_url": CLOUD.url, "memos_api_key": ""}, "user-1")
    assert str(failure(invoke, made, on_error="continue")).startswith("memos_api_key: ")


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (SearchMemory, "knowledgebase_ids", "kb-1"),
        (SearchMemory, "filter", {"user": {"and": [{"scene": "chat"}]}}),
        (SearchMemory, "filter", {"and": [{"scene of": "chat"}]}),
        (AddMemory, "kinds", "all"),
        (AddMemory, "extract_prompt", "Only health goals."),
    ],
)
def test_what_a_server_lacks_is_raised_though_the_run_continues(
    memos: FakeMemos, kind: type[Tool], field: str, value: Any
) -> None:
    error = failure(invoke, tool(kind, SELF_HOSTED), on_error="continue", **{field: value})
    assert str(error).startswith(f"{field}: ")
    assert memos.tries == 0
