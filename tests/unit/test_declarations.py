"""What the YAML files promise: true to the code and the contract, in four languages."""

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic.fields import FieldInfo

from memos_client.credentials import DEPLOYMENTS
from memos_client.inputs import AddRequest, DeleteRequest, FeedbackRequest, ListRequest, SearchRequest
from tests.unit.samples import cases

ROOT = Path(__file__).parents[2]
LANGUAGES = {"en_US", "zh_Hans", "ja_JP", "pt_BR"}
MODELS = {
    "search_memory": SearchRequest,
    "add_memory": AddRequest,
    "list_memories": ListRequest,
    "delete_memories": DeleteRequest,
    "add_feedback": FeedbackRequest,
}
"""The tools for nodes; those for agents are in tests/agents."""
PROVIDER = yaml.safe_load((ROOT / "provider/memos.yaml").read_text())
TOOLS = {tool: yaml.safe_load((ROOT / "tools" / f"{tool}.yaml").read_text()) for tool in MODELS}
CREDENTIALS = PROVIDER["credentials_for_provider"]
PARAMETERS = {
    f"{tool}-{parameter['name']}": (parameter, model.model_fields[parameter["name"]])
    for tool, model in MODELS.items()
    for parameter in TOOLS[tool]["parameters"]
}
# In the order of the node's panel; all others are of type string and what Dify calls settings.
PANELS = {
    "search_memory": "query user_id memory_limit_number kinds filter relativity knowledgebase_ids on_error",
    "add_memory": """user_messages ai_messages user_id conversation_id labels kinds extract_prompt async_mode
        on_error messages""",
    "list_memories": "user_id kinds filter limit page on_error",
    "delete_memories": "memory_ids user_id delete_all",
    "add_feedback": "feedback user_id conversation_id",
}
INPUT_VARIABLES = {"query", "user_messages", "ai_messages", "memory_ids", "feedback"}
REQUIRED = {"query", "feedback"}
TYPES = {
    **dict.fromkeys(("memory_limit_number", "relativity", "limit", "page"), "number"),
    **dict.fromkeys(("kinds", "on_error"), "select"),
    **dict.fromkeys(("async_mode", "delete_all"), "boolean"),
    "messages": "array",
}
OUTPUTS = {
    "search_memory": """memory_context:string memories:array[object] count:integer found:boolean
        user_id:string user_key:string error:string""",
    "add_memory": """status:string task_id:string memory_ids:array[string] message_count:integer
        user_id:string user_key:string conversation_id:string error:string""",
    "list_memories": """memories:array[object] count:integer has_more:boolean user_id:string user_key:string
        error:string""",
    "delete_memories": "deleted_ids:array[string] count:integer user_id:string",
    "add_feedback": "status:string task_id:string memory_ids:array[string] user_id:string",
}


def bounds(field: FieldInfo) -> dict[str, float]:
    """The least and the largest value that the code accepts."""
    # Of an optional number, the bounds belong to what stands beside None.
    details = [*field.metadata, *(part for kind in get_args(field.annotation) for part in get_args(kind))]
    details += [inner for detail in details for inner in getattr(detail, "metadata", [])]
    signs = (("min", "ge"), ("max", "le"))
    found = [(word, getattr(detail, sign, None)) for word, sign in signs for detail in details]
    return {word: bound for word, bound in found if bound is not None}


@cases("tool", TOOLS)
def test_parameters_are_those_of_the_contract_in_its_order(tool: Any) -> None:
    parameters = tool["parameters"]
    assert [parameter["name"] for parameter in parameters] == PANELS[tool["identity"]["name"]].split()
    assert sum(parameter["form"] == "form" for parameter in parameters) <= 8


@cases("parameter, field", PARAMETERS)
def test_parameter_is_declared_as_the_code_reads_it(parameter: dict[str, Any], field: FieldInfo) -> None:
    name, kind = parameter["name"], parameter["type"]
    assert kind == TYPES.get(name, "string")
    assert parameter["form"] == ("llm" if name in INPUT_VARIABLES else "form")
    assert parameter["required"] is (name in REQUIRED)
    told = isinstance(field.default, bool | int) or kind == "select"
    assert parameter.get("default") == (field.default if told else None)
    assert {word: parameter[word] for word in ("min", "max") if word in parameter} == bounds(field)
    options = [option["value"] for option in parameter.get("options", [])]
    assert options == (list(get_args(field.annotation)) if kind == "select" else [])
    known = {"name", "type", "required", "form", "default", "min", "max", "options", "label"}
    known |= {"llm_description"} if name in INPUT_VARIABLES else set()
    assert parameter.keys() - known == {"human_description"}


@cases("tool", TOOLS)
def test_labels_fit_into_the_node(tool: Any) -> None:
    options = [option for parameter in tool["parameters"] for option in parameter.get("options", [])]
    for label in (part["label"] for part in (tool["identity"], *tool["parameters"], *options)):
        assert max(len(label["en_US"]), len(label["pt_BR"])) <= 28
        assert max(len(label["zh_Hans"]), len(label["ja_JP"])) <= 12


@cases("tool", TOOLS)
def test_outputs_are_those_of_the_contract(tool: Any) -> None:
    schema = tool["output_schema"]
    assert schema["type"] == "object"
    assert OUTPUTS[tool["identity"]["name"]].split() == [
        f"{name}:{output['type']}" + (f"[{output['items']['type']}]" if "items" in output else "")
        for name, output in schema["properties"].items()
        if output["description"]
    ]
    assert not {"text", "json", "files"} & schema["properties"].keys()  # Dify keeps these for itself


def test_credentials_still_fit_version_0_0_4() -> None:
    forms = {name: (one["type"], one["required"], one.get("default")) for name, one in CREDENTIALS.items()}
    assert forms == {
        "memos_url": ("text-input", True, "https://memos.memtensor.cn/api/openmem/v1"),
        "memos_api_key": ("secret-input", False, None),
        "deployment": ("select", False, "auto"),
    }
    assert [option["value"] for option in CREDENTIALS["deployment"]["options"]] == list(DEPLOYMENTS)


@pytest.mark.parametrize("name", CREDENTIALS)
def test_help_of_a_credential_is_a_link_or_absent(name: str) -> None:
    # Dify shows a help as the text of its link, and not at all without one.
    assert ("help" in CREDENTIALS[name]) == ("url" in CREDENTIALS[name])
    assert CREDENTIALS[name].get("url", "https://").startswith("https://")
