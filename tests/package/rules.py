"""What Dify and its Marketplace ask of a package, each with packages that are refused for it.

A rule takes a package and yields its violations. Sources: langgenius/dify-plugin-daemon, dify-plugin 0.10.2,
and the checks of langgenius/dify-plugins, of which one that only warns counts as well: a person reads the
warnings. What stops the SDK from starting is not here, since `test_installed.py` starts it.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from packaging.requirements import InvalidRequirement
from packaging.version import Version

from tests.package.contents import Package, chinese
from tests.package.installation import lower_bound, requirements

type Rule = Callable[[Package], Iterator[str]]


@dataclass(frozen=True)
class Breach:
    """What breaks a rule: `new` in place of `old` in a file, or, where `old` is empty, as the whole file.

    `found` is part of the violation that is then reported.
    """

    path: str
    old: str
    new: str
    found: str


RULES: dict[Rule, tuple[Breach, ...]] = {}


def broken_by(*breaches: tuple[str, str, str, str]) -> Callable[[Rule], Rule]:
    """Make a function one of the rules, with the breaches that prove that it can fail."""

    def register(rule: Rule) -> Rule:
        RULES[rule] = tuple(Breach(*breach) for breach in breaches)
        return rule

    return register


# What runs in Dify, what Dify shows, and what its Marketplace asks for. No uv.lock and no pyproject.toml:
# Dify would install from these, not from requirements.txt.
_ALLOWED = re.compile(
    r"manifest\.yaml|main\.py|requirements\.txt|(README|PRIVACY|CHANGELOG)\.md|LICENSE"
    r"|_assets/[\w-]+\.(png|svg|yml)|readme/README_(zh_Hans|ja_JP|pt_BR)\.md"
    r"|provider/(__init__|memos)\.py|provider/memos\.yaml|tools/\w+\.(py|yaml)|memos_client/\w+\.py"
)


@broken_by(
    (".env.local", "", "x", ".env.local"),
    ("uv.lock", "", "x", "uv.lock"),
    ("tools/build/a.py", "", "x", "tools/build/a.py"),
    ("tools/a.pyc", "", "x", "tools/a.pyc"),
    ("README_zh_Hans.md", "", "x", "README_zh_Hans.md"),
)
def only_what_dify_uses_is_inside(package: Package) -> Iterator[str]:
    for path in package.files:
        if not _ALLOWED.fullmatch(path):
            yield path


_HOSTS = r"(github\.com|gitlab\.com|bitbucket\.org|gitee\.com|codeberg\.org|git\.sr\.ht)"
_MANIFEST = {
    "type": r"plugin",
    "author": r"(?!.*(dify|langgenius))[a-z0-9_-]{1,64}",
    "name": r"[a-z0-9_-]{1,128}",
    "version": r"\d{1,4}(\.\d{1,4}){2}",
    "resource.memory": r"[1-9]\d*",
    "resource.permission": r"\{'tool': \{'enabled': True\}\}",
    "plugins": r"\{'tools': \['[^']{1,128}'\]\}",
    "meta.version": r"0\.0\.1",  # that of the manifest's own form
    "meta.arch": r"\['amd64', 'arm64'\]",
    "meta.runner": r"\{'language': 'python', 'version': '3\.12', 'entrypoint': 'main'\}",
    "meta.minimum_dify_version": r"\d+\.\d+\.\d+",
    "privacy": r"PRIVACY\.md",
    "repo": rf'https?://(www\.)?{_HOSTS}/[^\s)>"]+',
    "contact": r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+",
    "network.domains": r"\[('(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)+'(, )?)+\]",
}


@broken_by(
    ("manifest.yaml", ": memtensor", ": dify-memos", "author: dify-memos"),
    ("manifest.yaml", "version: 1", "version: 1.1", "version: 1.1"),
    ("manifest.yaml", "      enabled: true", "      enabled: true\n    app: {enabled: true}", "permission"),
    ("manifest.yaml", "  tools:\n", "  endpoints: []\n  tools:\n", "plugins"),
    ("manifest.yaml", '"3.12"', "3.12", "meta.runner"),
    ("manifest.yaml", '"1.11.1"', "1.11", "meta.minimum_dify_version: 1.11"),
    ("manifest.yaml", "privacy: ", "policy: ", "privacy: None"),
    ("manifest.yaml", "//github.com", "//example.com", "repo: https://example.com"),
    ("manifest.yaml", "@memtensor.cn", " at memtensor", "contact: MemTensor at memtensor"),
    ("manifest.yaml", "- api.", "- https://api.", "network.domains"),
)
def each_value_of_the_manifest_has_the_form_that_dify_wants(package: Package) -> Iterator[str]:
    for key, form in _MANIFEST.items():
        value: Any = package.manifest
        for part in key.split("."):
            value = value.get(part)
        if not re.fullmatch(form, str(value)):
            yield f"{key}: {value}"


@broken_by(("manifest.yaml", "name: memos", 'name: "memos"', "name"))
def the_manifest_can_be_read_without_a_yaml_parser(package: Package) -> Iterator[str]:
    # The Marketplace takes the first line that matches.
    text = package.files["manifest.yaml"].decode()
    for key in ("version", "author", "name"):
        first = re.search(rf"^\s*{key}\s*:.*$", text, re.MULTILINE)
        if not first or first[0].strip("\n") != f"{key}: {package.manifest[key]}":
            yield f"{key}: first seen as {first and first[0]!r}"


@broken_by(("manifest.yaml", "version: ", "version: 0.0.4 #", "0.0.4"))
def the_version_follows_the_published_one(package: Package) -> Iterator[str]:
    if not Version(package.manifest["version"]) > Version("0.0.4"):
        yield package.manifest["version"]


@broken_by(("manifest.yaml", '"2025', '"2925', "2925"))
def the_manifest_is_dated_in_the_past(package: Package) -> Iterator[str]:
    created = datetime.fromisoformat(package.manifest["created_at"])
    if created > datetime.now(UTC):
        yield str(created)


# Those that the daemon and the SDK both know.
_TAGS = {
    *("search", "image", "videos", "weather", "finance", "design", "travel", "social", "news", "medical"),
    *("productivity", "education", "business", "entertainment", "utilities", "other"),
}


@broken_by(
    ("manifest.yaml", "- utilities", "- memory", "manifest: ['memory'"),
    ("provider/memos.yaml", "- utilities", "- agent", "provider: ['agent'"),
)
def tags_are_known_to_every_part_of_dify(package: Package) -> Iterator[str]:
    identity = package.provider["identity"]
    for place, tags in (("manifest", package.manifest["tags"]), ("provider", identity["tags"])):
        if not tags or not _TAGS.issuperset(tags):
            yield f"{place}: {tags}"


@broken_by(
    ("_assets/icon.svg", 'viewBox="0 0 40 40"', 'viewBox="0 0 40 20"', "not square"),
    ("_assets/icon.svg", "<svg", '<svg fill="currentColor"', "currentColor"),
    ("_assets/icon-dark.svg", "<svg", "<!-- DIFY_MARKETPLACE_TEMPLATE_ICON_DO_NOT_USE --><svg", "TEMPLATE"),
)
def icons_are_square_and_readable_on_any_background(package: Package) -> Iterator[str]:
    for name in (package.manifest["icon"], package.manifest["icon_dark"]):
        svg = package.files[f"_assets/{name}"].decode()
        if not re.search(r'viewBox="0 0 (\d+) \1"', svg):
            yield f"{name} is not square"
        # An image has no text whose color it could take.
        for word in re.findall("currentColor|DIFY_MARKETPLACE_TEMPLATE_ICON_DO_NOT_USE", svg):
            yield f"{name}: {word}"


_LANGUAGES = {"en_US", "zh_Hans", "ja_JP", "pt_BR"}
_LONGEST_TEXT = 1023


@broken_by(
    ("tools/add_memory.yaml", "ja_JP:", "ja_Jp:", "ja_Jp"),
    ("manifest.yaml", "pt_BR: MemOS", "pt_BR:", "manifest.label: "),
)
def what_people_read_is_in_four_languages(package: Package) -> Iterator[str]:
    declared = {"manifest": package.manifest, "provider": package.provider, **package.tools}
    for place, text in _human_texts("", declared):
        words = text.values() if isinstance(text, dict) and text.keys() == _LANGUAGES else [None]
        if not all(isinstance(word, str) and 1 <= len(word.strip()) <= _LONGEST_TEXT for word in words):
            yield f"{place}: {text}"


def _human_texts(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    names = {"label", "human", "human_description", "placeholder", "help"}
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        inside = f"{place}.{key}".lstrip(".")
        if key in names or (key == "description" and "llm" not in item):
            yield inside, item
        elif isinstance(item, dict | list) and key != "output_schema":
            yield from _human_texts(inside, item)


def _parameters(package: Package) -> Iterator[tuple[str, dict[str, Any]]]:
    """The parameters of all tools, by their place."""
    for path, tool in package.tools.items():
        yield from ((f"{path}: {parameter['name']}", parameter) for parameter in tool["parameters"])


@broken_by(
    ("provider/memos.yaml", "default: auto", "default: a", "deployment: default a of"),
    ("tools/add_memory.yaml", "type: boolean", "type: select", "default True of []"),
)
def a_selection_offers_its_default(package: Package) -> Iterator[str]:
    credentials = package.provider["credentials_for_provider"].items()
    for place, field in (*credentials, *_parameters(package)):
        values = [option["value"] for option in field.get("options", ())]
        if field["type"] == "select" and field.get("default") not in values:
            yield f"{place}: default {field.get('default')} of {values}"


@broken_by(
    ("tools/search_memory.yaml", "form: llm", "form: schema", "query: form schema"),
    ("tools/search_memory.yaml", "llm_description: ", "llm: ", "query: llm_description is missing"),
    ("tools/search_memory.yaml", "form: llm", "form: llm\n    placeholder: {}", "query: placeholder"),
    ("tools/search_memory.yaml", "name: user_id", "name: user-id", "user-id: no name for an argument"),
)
def no_parameter_says_what_dify_drops(package: Package) -> Iterator[str]:
    for place, field in _parameters(package):
        if not re.fullmatch(r"[a-z][a-z0-9_]*", field["name"]):
            yield f"{place}: no name for an argument"
        if field["form"] not in {"llm", "form"}:
            yield f"{place}: form {field['form']}"
        if field["form"] == "llm" and not field.get("llm_description"):
            yield f"{place}: llm_description is missing"
        for key in {"placeholder", "show_on", "input_schema", "multiple", "scope"} & field.keys():
            yield f"{place}: {key}"


@broken_by(
    ("tools/search_memory.yaml", "    found:", "    json:", "json is Dify's own"),
    ("tools/search_memory.yaml", "name: search_memory", "name: search memory", "search memory"),
)
def a_tool_and_its_outputs_have_names_of_their_own(package: Package) -> Iterator[str]:
    for path, tool in package.tools.items():
        if not re.fullmatch(r"[a-z0-9_]{1,64}", tool["identity"]["name"]):
            yield f"{path}: {tool['identity']['name']}"
        outputs = tool.get("output_schema", {}).get("properties", {})
        for name in outputs.keys() & {"text", "files", "json"}:
            yield f"{path}: {name} is Dify's own"


# Type of a parameter -> the first Dify that has it; all others are as old as plugins.
_NEW_TYPES = {"dynamic-select": "1.5.1", "array": "1.9.0", "object": "1.9.0", "checkbox": "1.10.0"}
_NEW_TYPES |= {"date": "1.17.0", "date-range": "1.17.0"}


@broken_by(
    ("manifest.yaml", "1.11.1", "1.8.1", "messages of type array needs Dify 1.9.0"),
    ("tools/add_memory.yaml", "type: boolean", "type: date", "type date needs Dify 1.17.0"),
)
def parameters_exist_in_the_oldest_dify_that_is_supported(package: Package) -> Iterator[str]:
    oldest = Version(package.manifest["meta"]["minimum_dify_version"])
    for place, field in _parameters(package):
        first = _NEW_TYPES.get(field["type"], "1.0.0")
        if oldest < Version(first):
            yield f"{place} of type {field['type']} needs Dify {first}"


_SECRETS = re.compile(
    r"\bsk-[A-Za-z0-9_-]{20,}\b|\bgh[pousr]_[A-Za-z0-9_]{20,}\b|\bxox[baprs]-[A-Za-z0-9-]{10,}\b"
    r"|\bAKIA[0-9A-Z]{16}\b|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_SECRET_NAME = r"[\w-]*(api_key|access_key|private_key|password|secret|token)[\w-]*"
_QUOTED = re.compile(rf"""(?i){_SECRET_NAME}["']?\s*[:=]\s*["'](?P<value>[^"'\n]+)["']""")
_UNQUOTED = re.compile(rf"(?im)^[\s-]*{_SECRET_NAME}\s*[:=][ \t]*(?P<value>[^\s\"'#]{{4,}})[ \t]*$")
_PLACEHOLDER = re.compile(
    r"(?i)changeme|dummy|example|fake|none|null|placeholder|test|todo|xxx|<.*>|\$\{.*\}"
    r"|.*your.*(key|secret|token|password).*"
)


@broken_by(
    ("tools/x.py", "", f"x = 'sk-{'a' * 20}'", "tools/x.py: sk-"),
    ("tools/x.py", "", "MEMOS_API_KEY = 'mpg-3fA9'", "MEMOS_API_KEY"),
    ("_assets/x.yml", "", "access_token: 3fA9xQ7z\n", "access_token"),
    ("README.md", "", f"ghp_{'a' * 20}", "README.md: ghp_"),
)
def no_secret_is_inside(package: Package) -> Iterator[str]:
    for path, text in package.texts(".py", ".yaml", ".yml", ".md", ".txt", ".svg", "LICENSE"):
        for found in _SECRETS.finditer(text):
            yield f"{path}: {found[0]}"
        # In code, what is not quoted is a name.
        for pattern in (_QUOTED,) if path.endswith(".py") else (_QUOTED, _UNQUOTED):
            for found in pattern.finditer(text):
                if not _PLACEHOLDER.fullmatch(found["value"]):
                    yield f"{path}: {found[0].strip()}"


@broken_by(
    ("tools/x.py", "", "logger.info('key %s', self.api_key)", "tools/x.py:1: self.api_key"),
    ("tools/x.py", "", "raise ValueError(f'bad: {token}')", "tools/x.py:1: token"),
    ("tools/x.py", "", "def f(self):\n    return self.secret", "tools/x.py:2: self.secret"),
)
def no_secret_is_logged_raised_or_returned(package: Package) -> Iterator[str]:
    for path, module in package.modules():
        for node in ast.walk(module):
            for value in (part for told in _told(node) for part in ast.walk(told)):
                if isinstance(value, ast.Name | ast.Attribute):
                    name = ast.unparse(value)
                    if re.search("(?i)credential|api_?key|secret|token|passw", name.rpartition(".")[2]):
                        yield f"{path}:{value.lineno}: {name}"


def _told(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions that a statement hands to a log, an error or a caller."""
    match node:
        case ast.Raise(exc=ast.Call(args=args, keywords=keywords)):
            yield from (*args, *(keyword.value for keyword in keywords))
        case ast.Call(func=function, args=args, keywords=keywords):
            if re.match(r"print|(\w+\.)*log(ger|ging)?\.", ast.unparse(function)):
                yield from (*args, *(keyword.value for keyword in keywords))
        case ast.Return(value=ast.Name() | ast.Attribute() as value) | ast.Yield(value=value) if value:
            yield value


@broken_by(
    ("PRIVACY.md", "", "Please fill in the privacy policy.", "no word of"),
    ("PRIVACY.md", "log", "diary", "no word of"),
)
def the_privacy_policy_says_what_happens_to_data(package: Package) -> Iterator[str]:
    policy = package.files["PRIVACY.md"].decode()
    for subject in (r"\b(sent|sends?)\b", r"\b(stored|stores|kept|keeps)\b", r"\blogs?\b", "https://"):
        if not re.search(subject, policy, re.IGNORECASE):
            yield f"no word of {subject}"


_SUBJECTS = {
    "setup": "setup|set up|install|configure|getting started",
    "usage": "usage|example|workflow|chatflow",
    "credentials": "api key|credential|token|secret",
    "connection": "connect|endpoint|base url|host|proxy|network",
}


@broken_by(
    ("README.md", "", "# \u8a18", "\u8a18"),
    ("README.md", "", "# Hello", "no word of setup"),
    ("README.md", "https://github.com/", "https://example.com/", "the repository is not named"),
)
def the_readme_is_english_and_says_what_it_must(package: Package) -> Iterator[str]:
    readme = package.files["README.md"].decode()
    yield from chinese(readme)
    if package.manifest["repo"] not in readme:
        yield "the repository is not named"
    for subject, words in _SUBJECTS.items():
        if not re.search(words, readme, re.IGNORECASE):
            yield f"no word of {subject}"


@broken_by(
    ("requirements.txt", ",<3", "", "pydantic>="),
    ("requirements.txt", "dify_plugin>=0.9", "dify_plugin>=0.8", "dify_plugin: 0.8.0"),
    ("requirements.txt", "requests", "requests @ git+https://example.com/r", "requests @ git"),
    ("requirements.txt", "requests", "torch", "torch is large"),
)
def dependencies_are_bounded_from_below_and_above(package: Package) -> Iterator[str]:
    try:
        needed = requirements(package.files["requirements.txt"].decode())
    except InvalidRequirement as error:
        yield str(error)
        return
    for requirement in needed:
        if requirement.url or {bound.operator for bound in requirement.specifier} != {"<", ">="}:
            yield str(requirement)
        elif requirement.name == "dify_plugin" and Version(lower_bound(requirement)) < Version("0.9.0"):
            yield f"dify_plugin: {lower_bound(requirement)}"
        elif requirement.name in {"torch", "transformers", "tensorflow", "playwright", "selenium"}:
            yield f"{requirement.name} is large"


@broken_by(
    ("tools/x.py", "", "import numpy as np", "tools/x.py: numpy"),
    ("requirements.txt", "urllib3", "urllib4", ": urllib3"),
)
def what_is_imported_is_declared(package: Package) -> Iterator[str]:
    known = {PurePosixPath(path).parts[0].removesuffix(".py") for path in package.files}
    known |= {needed.name for needed in requirements(package.files["requirements.txt"].decode())}
    known |= {"pydantic_core"}  # the validator of pydantic, which declares it itself
    for path, module in package.modules():
        for node in ast.walk(module):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                if name.partition(".")[0] not in known | sys.stdlib_module_names:
                    yield f"{path}: {name}"


# What must be disclosed, as the Marketplace finds it in a line of code. "network" is disclosed.
_CAPABILITIES = re.compile(
    r"\bsubprocess\b|os\.system|(?<![\w.])(eval|exec|compile)\(|importlib\.import_module|pickle\.load"
    r"|\b(SELECT|INSERT|UPDATE|DELETE|DROP|CREATE)\s+(\w+\s+)*(FROM|INTO|SET|TABLE)\b|\.execute\("
    r"|\b(paramiko|playwright|selenium)\b"
    r"|(?<![\w.])open\(|os\.(remove|rename|makedirs|listdir|walk)|shutil\.|glob\.glob"
)


@broken_by(("tools/x.py", "", "open('x')", "tools/x.py:1: open('x')"))
def no_code_does_more_than_ask_the_network(package: Package) -> Iterator[str]:
    for path, text in package.texts(".py"):
        for number, line in enumerate(text.splitlines(), 1):
            if _CAPABILITIES.search(line):
                yield f"{path}:{number}: {line.strip()}"


@broken_by(("tools/x.py", "", "# no charge", "charge"))
def no_word_is_about_money(package: Package) -> Iterator[str]:
    words = r"payments?|checkout|charge[sd]?|refund\w*|payouts?|transactions?|trading|deposits?|withdraw\w*"
    for path, text in package.texts(".md", ".yaml", ".yml", ".py"):
        for found in re.finditer(rf"\b({words})\b", text, re.IGNORECASE):
            yield f"{path}: {found[0]}"


@broken_by(
    ("tools/x.py", "", "X = 'https://a.memos.io/'", "tools/x.py: a.memos.io"),
    ("_assets/x.yml", "", "at: https://b.memos.io", "_assets/x.yml: b.memos.io"),
)
def no_host_is_named_but_those_of_the_manifest(package: Package) -> Iterator[str]:
    for_people = {"github.com", "memos-docs.openmem.net", "memos-dashboard.openmem.net"}
    known = {*package.manifest["network"]["domains"], *for_people}
    for path, text in package.texts(".py", ".yaml", ".yml"):
        for host in re.findall(r"https?://([A-Za-z0-9.-]+)", text):
            if host not in known and not re.search(r"(^|\.)example(\.com)?$", host):
                yield f"{path}: {host}"
