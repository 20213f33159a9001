"""What Dify's daemon, SDK and API check when they package, install and start a plugin.

A rule takes a package and yields its violations. Sources: langgenius/dify-plugin-daemon
(`pkg/entities/plugin_entities`, `pkg/plugin_packager`) and dify-plugin 0.10.2.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from packaging.version import Version

from sandbox.package import checksum, missing
from tests.package.contents import Package

LANGUAGES = {"en_US", "zh_Hans", "ja_JP", "pt_BR"}

# Those that the daemon and the SDK both know.
TAGS = {
    *("search", "image", "videos", "weather", "finance", "design", "travel", "social", "news", "medical"),
    *("productivity", "education", "business", "entertainment", "utilities", "other"),
}
CREDENTIAL_TYPES = {
    *("secret-input", "text-input", "select", "boolean", "app-selector", "model-selector", "array[tools]"),
}
# Type of a parameter -> the first Dify that has it.
PARAMETER_TYPES = {
    **dict.fromkeys(("string", "number", "boolean", "select", "secret-input", "file", "files"), "1.0.0"),
    **dict.fromkeys(("app-selector", "model-selector", "any"), "1.0.0"),
    "dynamic-select": "1.5.1",
    "array": "1.9.0",
    "object": "1.9.0",
    "checkbox": "1.10.0",
    "date": "1.17.0",
    "date-range": "1.17.0",
}
_LONGEST_PATH = 128
_LONGEST_TEXT = 1023
_LARGEST_ICON = 10_000


def the_package_is_complete(package: Package) -> Iterator[str]:
    for path in missing(package.files):
        yield f"{path} is not in the package"


def only_requirements_txt_lists_dependencies(package: Package) -> Iterator[str]:
    # Dify installs from pyproject.toml, if there is one, and from uv.lock before all else.
    for path in ("pyproject.toml", "uv.lock", "setup.py", "setup.cfg"):
        if path in package.files:
            yield f"{path} is in the package"


def the_name_and_version_are_of_the_form_dify_wants(package: Package) -> Iterator[str]:
    manifest = package.manifest
    author, name, version = (manifest.get(key) for key in ("author", "name", "version"))
    if manifest.get("type") != "plugin":
        yield f"type: {manifest.get('type')}"
    if not re.fullmatch(r"[a-z0-9_-]{1,64}", str(author)) or _is_uuid(str(author)):
        yield f"author: {author}"
    if not re.fullmatch(r"[a-z0-9_-]{1,128}", str(name)):
        yield f"name: {name}"
    if not isinstance(version, str) or not re.fullmatch(r"\d{1,4}(\.\d{1,4}){2}", version):
        yield f"version: {version}"
    identifier = f"{author}/{name}:{version}@{checksum(package.files)}"
    if not re.fullmatch(
        r"([a-z0-9_-]{1,64}/)?[a-z0-9_-]{1,255}:\d{1,4}(\.\d{1,4}){1,3}(-\w{1,16})?@[a-f0-9]{32,64}",
        identifier,
    ):
        yield f"identifier: {identifier}"


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def the_first_lines_of_the_manifest_can_be_read_without_a_yaml_parser(package: Package) -> Iterator[str]:
    # The Marketplace and the documented release workflow take the first line that matches.
    text = package.files["manifest.yaml"].decode()
    for key in ("version", "author", "name"):
        first = re.search(rf"^\s*{key}\s*:.*$", text, re.MULTILINE)
        if not first or first[0].strip("\n") != f"{key}: {package.manifest[key]}":
            yield f"{key}: first seen as {first and first[0]!r}"


def the_manifest_describes_its_runner(package: Package) -> Iterator[str]:
    meta = package.manifest.get("meta", {})
    if meta.get("version") != "0.0.1":
        yield f"meta.version, the version of the manifest's own form: {meta.get('version')}"
    if sorted(meta.get("arch", [])) != ["amd64", "arm64"]:
        yield f"meta.arch: {meta.get('arch')}"
    if meta.get("runner") != {"language": "python", "version": "3.12", "entrypoint": "main"}:
        yield f"meta.runner: {meta.get('runner')}"
    least = meta.get("minimum_dify_version")
    if not isinstance(least, str) or not re.fullmatch(r"\d+\.\d+\.\d+", least):
        yield f"meta.minimum_dify_version: {least!r}"


def the_manifest_is_dated_in_the_past(package: Package) -> Iterator[str]:
    created = package.manifest.get("created_at")
    moment = created if isinstance(created, datetime) else datetime.fromisoformat(str(created))
    if not moment.tzinfo or moment > datetime.now(UTC):
        yield f"created_at: {created}"


def the_manifest_asks_for_memory_and_for_no_permission_but_tools(package: Package) -> Iterator[str]:
    resource = package.manifest.get("resource", {})
    if not isinstance(resource.get("memory"), int) or resource["memory"] < 1:
        yield f"resource.memory: {resource.get('memory')}"
    if resource.get("permission") != {"tool": {"enabled": True}}:
        yield f"resource.permission: {resource.get('permission')}"


def the_manifest_names_one_provider_of_tools_and_nothing_else(package: Package) -> Iterator[str]:
    plugins = package.manifest.get("plugins", {})
    if plugins.keys() != {"tools"} or len(plugins["tools"]) != 1 or len(plugins["tools"][0]) > _LONGEST_PATH:
        yield f"plugins: {plugins}"


def tags_are_known_to_every_part_of_dify(package: Package) -> Iterator[str]:
    for where, tags in (
        ("manifest", package.manifest.get("tags")),
        ("provider", package.provider["identity"].get("tags", ["utilities"])),
    ):
        if not tags or not TAGS.issuperset(tags):
            yield f"{where}: {tags}"


def icons_are_small_square_and_readable_on_any_background(package: Package) -> Iterator[str]:
    identity = package.provider["identity"]
    named = (
        described.get(key) for described in (package.manifest, identity) for key in ("icon", "icon_dark")
    )
    for name in set(filter(None, named)):
        path = f"_assets/{name}"
        if "/" in name or len(name) > _LONGEST_PATH or path not in package.files:
            yield f"{name} is not directly in _assets"
            continue
        svg = package.files[path].decode()
        box = re.search(r'viewBox="([^"]+)"', svg)
        left, top, width, height = box[1].split() if box else ("", "", "no", "box")
        if (left, top, width) != ("0", "0", height):
            yield f"{name} is not square: {width} x {height}"
        if len(svg) > _LARGEST_ICON:
            yield f"{name} has {len(svg)} bytes"
        if "currentColor" in svg:
            yield f"{name} takes its color from the page, which an image has not"


def human_texts_are_in_four_languages(package: Package) -> Iterator[str]:
    for path, declaration in package.declarations.items():
        for place, text in _human_texts(path, declaration):
            if not isinstance(text, dict) or text.keys() != LANGUAGES:
                yield f"{place}: {text}"
                continue
            for language, words in text.items():
                if not isinstance(words, str) or not 1 <= len(words) <= _LONGEST_TEXT:
                    yield f"{place}.{language}: {words!r}"


def _human_texts(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _human_texts(f"{place}[{index}]", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in {"label", "human", "human_description", "placeholder", "help"} or (
                key == "description" and isinstance(item, dict) and "llm" not in item
            ):
                yield f"{place}.{key}", item
            elif key != "output_schema":
                yield from _human_texts(f"{place}.{key}", item)


def the_provider_says_what_the_sdk_needs(package: Package) -> Iterator[str]:
    provider = package.provider
    identity = provider["identity"]
    for key in ("author", "name", "label", "description", "icon"):
        if not identity.get(key):
            yield f"identity.{key} is missing"
    if identity.get("name") != package.manifest["name"]:
        yield f"identity.name: {identity.get('name')}"
    credentials = provider.get("credentials_for_provider")
    if not isinstance(credentials, dict):
        yield f"credentials_for_provider: {credentials}"
        return
    for name, credential in credentials.items():
        if credential.get("type") not in CREDENTIAL_TYPES:
            yield f"{name}: type {credential.get('type')}"
        if not credential.get("label"):
            yield f"{name}: no label"
        if ("help" in credential) != ("url" in credential):
            yield f"{name}: Dify shows help only as the text of the link to url"
        if isinstance(credential.get("default"), dict | list):
            yield f"{name}: default {credential['default']}"
        yield from _options(name, credential)


def _options(name: str, field: dict[str, Any]) -> Iterator[str]:
    if field["type"] != "select":
        if "options" in field:
            yield f"{name}: only a select has options"
        return
    values = [option.get("value") for option in field.get("options", [])]
    if not 0 < len(values) < 128 or not all(
        isinstance(value, str) and 0 < len(value) < 128 for value in values
    ):
        yield f"{name}: options {values}"
    if field.get("default") not in values:
        yield f"{name}: default {field.get('default')}"


def tools_say_what_the_sdk_needs(package: Package) -> Iterator[str]:
    for path, tool in package.tools.items():
        identity = tool["identity"]
        if not re.fullmatch(r"[a-z0-9_]{1,64}", str(identity.get("name"))):
            yield f"{path}: identity.name {identity.get('name')}"
        for key in ("author", "label"):
            if not identity.get(key):
                yield f"{path}: identity.{key} is missing"
        if not tool["description"].get("human") or not isinstance(tool["description"].get("llm"), str):
            yield f"{path}: description.human and .llm"
        names = [parameter.get("name") for parameter in tool["parameters"]]
        if len(set(names)) != len(names):
            yield f"{path}: a parameter is named twice"
        for parameter in tool["parameters"]:
            yield from (f"{path}: {problem}" for problem in _parameter(parameter))


def _parameter(parameter: dict[str, Any]) -> Iterator[str]:
    name = str(parameter.get("name"))
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        yield f"name {name}"
    for key in ("label", "human_description"):
        if not parameter.get(key):
            yield f"{name}: {key} is missing"
    if parameter.get("type") not in PARAMETER_TYPES:
        yield f"{name}: type {parameter.get('type')}"
    if parameter.get("form") not in {"llm", "form"}:
        yield f"{name}: form {parameter.get('form')}"
    if parameter.get("form") == "llm" and not isinstance(parameter.get("llm_description"), str):
        yield f"{name}: a language model fills it, and llm_description is missing"
    for key in ("placeholder", "show_on", "input_schema", "multiple", "scope"):
        if key in parameter:
            yield f"{name}: {key} is dropped or refused by the daemon"
    if "options" in parameter:
        yield from _options(name, parameter)


def outputs_are_declared_as_a_schema_with_no_reserved_name(package: Package) -> Iterator[str]:
    for path, tool in package.tools.items():
        schema = tool.get("output_schema", {})
        if schema.get("type") != "object" or not schema.get("properties"):
            yield f"{path}: output_schema is no object with properties"
        for name, output in schema.get("properties", {}).items():
            if name in {"text", "files", "json"}:
                yield f"{path}: {name} is Dify's own"
            if "type" not in output or "description" not in output:
                yield f"{path}: {name} has no type or description"


def parameters_exist_in_the_oldest_dify_that_is_supported(package: Package) -> Iterator[str]:
    least = Version(package.manifest["meta"]["minimum_dify_version"])
    for path, tool in package.tools.items():
        for parameter in tool["parameters"]:
            first = PARAMETER_TYPES[parameter["type"]]
            if least < Version(first):
                yield f"{path}: {parameter['name']} of type {parameter['type']} needs Dify {first}"


def readmes_of_other_languages_are_where_dify_looks(package: Package) -> Iterator[str]:
    for path in package.files:
        if "README" in path and not re.fullmatch(r"README\.md|readme/README_(zh_Hans|ja_JP|pt_BR)\.md", path):
            yield path


RULES = (
    the_package_is_complete,
    only_requirements_txt_lists_dependencies,
    the_name_and_version_are_of_the_form_dify_wants,
    the_first_lines_of_the_manifest_can_be_read_without_a_yaml_parser,
    the_manifest_describes_its_runner,
    the_manifest_is_dated_in_the_past,
    the_manifest_asks_for_memory_and_for_no_permission_but_tools,
    the_manifest_names_one_provider_of_tools_and_nothing_else,
    tags_are_known_to_every_part_of_dify,
    icons_are_small_square_and_readable_on_any_background,
    human_texts_are_in_four_languages,
    the_provider_says_what_the_sdk_needs,
    tools_say_what_the_sdk_needs,
    outputs_are_declared_as_a_schema_with_no_reserved_name,
    parameters_exist_in_the_oldest_dify_that_is_supported,
    readmes_of_other_languages_are_where_dify_looks,
)
