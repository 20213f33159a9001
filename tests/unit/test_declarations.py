"""What manifest and YAML promise: true to the code, in four languages, and as Dify's loader wants it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import yaml
from packaging.version import Version
from pydantic.fields import FieldInfo

from memos_client.models import AddRequest, Credentials, SearchRequest
from tests.unit.samples import cases

ROOT = Path(__file__).parents[2]
LANGUAGES = {"en_US", "zh_Hans", "ja_JP", "pt_BR"}
FILES = ["manifest.yaml", "provider/memos.yaml", "tools/search_memory.yaml", "tools/add_memory.yaml"]
DECLARED = {name: yaml.safe_load((ROOT / name).read_text()) for name in FILES}
MANIFEST, PROVIDER, SEARCH, ADD = DECLARED.values()
CREDENTIALS = PROVIDER["credentials_for_provider"]
MODELS = {"search_memory": (SEARCH, SearchRequest), "add_memory": (ADD, AddRequest)}
PARAMETERS = {
    f"{tool}-{parameter['name']}": (parameter, model.model_fields[parameter["name"]])
    for tool, (declared, model) in MODELS.items()
    for parameter in declared["parameters"]
}


def translated(value: Any, path: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Every text in several languages, with the path to it."""
    if isinstance(value, dict) and any(re.fullmatch("[a-z]{2}_[A-Za-z]+", str(name)) for name in value):
        yield path, value
    elif isinstance(value, dict | list):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from translated(part, f"{path}.{name}")


TEXTS = dict(text for name, declared in DECLARED.items() for text in translated(declared, f"{name}:"))


def bounds(field: FieldInfo) -> dict[str, float]:
    """The least and the largest value that the code accepts."""
    # Of an optional number, the bounds belong to what stands beside None.
    details = [*field.metadata, *(part for kind in get_args(field.annotation) for part in get_args(kind))]
    details += [inner for detail in details for inner in getattr(detail, "metadata", [])]
    found = [(word, getattr(detail, sign, None)) for word, sign in BOUNDS for detail in details]
    return {word: bound for word, bound in found if bound is not None}


BOUNDS = (("min", "ge"), ("max", "le"))


@cases("declared, model", MODELS)
def test_parameters_are_those_of_the_code(declared: dict[str, Any], model: Any) -> None:
    assert [parameter["name"] for parameter in declared["parameters"]] == list(model.model_fields)


@cases("parameter, field", PARAMETERS)
def test_default_and_bounds_are_those_of_the_code(parameter: dict[str, Any], field: FieldInfo) -> None:
    # The code needs a user; Dify names the one of the run.
    assert parameter["required"] is (field.is_required() and parameter["name"] != "user_id")
    plain = isinstance(field.default, bool | int)
    assert parameter.get("default") == (field.default if plain else None)
    assert {word: parameter[word] for word, _ in BOUNDS if word in parameter} == bounds(field)
    assert (parameter["type"] == "number") is bool(bounds(field))
    assert (parameter["type"] == "boolean") is isinstance(field.default, bool)


@cases("parameter, field", PARAMETERS)
def test_parameter_uses_what_every_dify_knows(parameter: dict[str, Any], field: FieldInfo) -> None:
    assert field
    allowed = {"name", "type", "required", "form", "default", "min", "max", "label", "human_description"}
    assert parameter.keys() - {"llm_description"} <= allowed
    assert {"label", "human_description"} <= parameter.keys()
    assert parameter["type"] in {"string", "number", "boolean", "array"}
    assert parameter["form"] in {"llm", "form"}
    assert bool(parameter.get("llm_description")) is (parameter["form"] == "llm")
    assert all(word[0].isupper() for word in parameter["label"]["en_US"].split())


def test_a_model_writes_only_what_was_said_and_what_to_look_for() -> None:
    written = {parameter["name"] for parameter, _ in PARAMETERS.values() if parameter["form"] == "llm"}
    assert written == {"query", "user_messages", "ai_messages"}


@cases("text", TEXTS)
def test_text_is_in_exactly_four_languages(text: dict[str, str]) -> None:
    assert text.keys() == LANGUAGES
    assert all(isinstance(words, str) and 1 <= len(words.strip()) < 1024 for words in text.values())


def test_everything_that_people_read_is_translated() -> None:
    for declared in (SEARCH, ADD):
        assert declared["identity"]["label"].keys() == declared["description"]["human"].keys() == LANGUAGES
        assert declared["description"]["llm"].strip()
    for credential in CREDENTIALS.values():
        assert {"label", "help", "url"} <= credential.keys()
        assert all(option["label"].keys() == LANGUAGES for option in credential.get("options", []))
    wanted = {"label", "human_description", "human", "description", "placeholder", "help"}
    assert {path.rpartition(".")[2] for path in TEXTS} == wanted


def test_outputs_are_those_of_the_contract_and_of_no_reserved_name() -> None:
    kinds = [
        {
            name: output["type"] + (f"[{output['items']['type']}]" if "items" in output else "")
            for name, output in declared["output_schema"]["properties"].items()
            if output["description"]
        }
        for declared in (SEARCH, ADD)
    ]
    assert SEARCH["output_schema"]["type"] == ADD["output_schema"]["type"] == "object"
    assert not {"text", "json", "files"} & {*kinds[0], *kinds[1]}
    assert kinds == [
        {
            "memory_context": "string",
            "memories": "array[object]",
            "count": "integer",
            "found": "boolean",
            "user_id": "string",
        },
        {
            "status": "string",
            "task_id": "string",
            "memory_ids": "array[string]",
            "message_count": "integer",
            "user_id": "string",
            "conversation_id": "string",
        },
    ]


def test_credentials_are_those_of_the_code_and_still_fit_version_0_0_4() -> None:
    fields = Credentials.model_fields
    types = {name: (credential["type"], credential["required"]) for name, credential in CREDENTIALS.items()}
    assert types == {
        "memos_url": ("text-input", fields["memos_url"].is_required()),
        "memos_api_key": ("secret-input", fields["memos_api_key"].is_required()),
        "deployment": ("select", fields["deployment"].is_required()),
    }
    assert list(CREDENTIALS) == list(fields)
    assert CREDENTIALS["memos_url"]["default"] == "https://memos.memtensor.cn/api/openmem/v1"
    assert "default" not in CREDENTIALS["memos_api_key"]
    deployments = [option["value"] for option in CREDENTIALS["deployment"]["options"]]
    assert deployments == list(get_args(fields["deployment"].annotation))
    assert CREDENTIALS["deployment"]["default"] == fields["deployment"].default == "auto"


@cases("declared", DECLARED)
def test_files_that_are_named_exist(declared: dict[str, Any]) -> None:
    identity = declared.get("identity", declared)
    icons = [identity[name] for name in ("icon", "icon_dark") if name in identity]
    assert all("/" not in icon and (ROOT / "_assets" / icon).is_file() for icon in icons)
    sources = [declared["extra"]["python"]["source"]] if "extra" in declared else []
    sources += declared.get("tools", []) + declared.get("plugins", {}).get("tools", [])
    assert sources
    assert all((ROOT / source).is_file() for source in sources)


def test_names_fit_together() -> None:
    assert (MANIFEST["author"], MANIFEST["name"]) == ("memtensor", "memos")
    assert PROVIDER["identity"]["name"] == "memos"
    assert {declared["identity"]["author"] for declared in (PROVIDER, SEARCH, ADD)} == {"memtensor"}
    assert MANIFEST["plugins"] == {"tools": ["provider/memos.yaml"]}
    assert PROVIDER["tools"] == [f"tools/{declared['identity']['name']}.yaml" for declared in (SEARCH, ADD)]


def test_version_is_the_first_of_its_file_and_one_that_all_parsers_take() -> None:
    text = (ROOT / "manifest.yaml").read_text()
    assert re.findall(r"^\s*version\s*:.*$", text, re.MULTILINE)[0] == f"version: {MANIFEST['version']}"
    assert re.fullmatch(r"\d{1,4}(\.\d{1,4}){2}", MANIFEST["version"])
    assert Version(MANIFEST["version"]) > Version("0.0.4")
    assert {"author: memtensor", "name: memos"} <= set(text.splitlines())


def test_manifest_obeys_the_loader() -> None:
    meta, resource = MANIFEST["meta"], MANIFEST["resource"]
    assert MANIFEST["type"] == "plugin"
    assert resource["permission"] == {"tool": {"enabled": True}}
    assert resource["memory"] > 0
    assert (meta["version"], sorted(meta["arch"])) == ("0.0.1", ["amd64", "arm64"])
    assert meta["runner"] == {"language": "python", "version": "3.12", "entrypoint": "main"}
    # Lists as parameters need 1.9.0.
    assert re.fullmatch(r"\d+\.\d+\.\d+", meta["minimum_dify_version"])
    assert Version(meta["minimum_dify_version"]) >= Version("1.9.0")
    assert {*MANIFEST["tags"], *PROVIDER["identity"]["tags"]} <= {"utilities", "productivity"}
    assert datetime.fromisoformat(MANIFEST["created_at"]) <= datetime.now(UTC)


def test_manifest_obeys_the_marketplace() -> None:
    assert re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", MANIFEST["repo"])
    assert re.fullmatch(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", MANIFEST["contact"])
    assert MANIFEST["privacy"] == "PRIVACY.md"
    assert MANIFEST["network"] == {"domains": ["memos.memtensor.cn", "api.memt.ai"]}
