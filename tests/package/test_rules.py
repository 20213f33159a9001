"""The package keeps each rule of Dify and its Marketplace that a machine can check, and each can fail."""

import re
from collections.abc import Callable, Iterator

import pytest

from tests.package import dify_rules as dify
from tests.package import marketplace_rules as marketplace
from tests.package.contents import Package

type Rule = Callable[[Package], Iterator[str]]

RULES: tuple[Rule, ...] = (*dify.RULES, *marketplace.RULES)

# What runs in Dify, what Dify shows, and what its Marketplace asks for.
ALLOWED = re.compile(
    r"manifest\.yaml|main\.py|requirements\.txt|README\.md|PRIVACY\.md|LICENSE|CHANGELOG\.md"
    r"|_assets/memory_(assistant|workflow)\.yml|_assets/[\w-]+\.(png|svg)"
    r"|readme/README_(zh_Hans|ja_JP|pt_BR)\.md"
    r"|provider/(__init__|memos)\.py|provider/memos\.yaml"
    r"|tools/(__init__|add_memory|search_memory)\.py|tools/(add_memory|search_memory)\.yaml"
    r"|memos_client/\w+\.py"
)

# A rule; a file; what it holds, and what is put there instead (of "": the whole file); what is then found.
CASES: list[tuple[Rule, str, str, str, str]] = [
    (dify.the_package_is_complete, "provider/memos.yaml", "/add_memory.", "/gone.", "tools/gone"),
    (dify.only_requirements_txt_lists_dependencies, "uv.lock", "", "version = 1", "uv.lock"),
    (
        dify.the_name_and_version_are_of_the_form_dify_wants,
        "manifest.yaml",
        "version: ",
        "version: 1.",
        "version",
    ),
    (dify.the_name_and_version_are_of_the_form_dify_wants, "manifest.yaml", ": memtensor", ": Me", "author"),
    (
        dify.the_first_lines_of_the_manifest_can_be_read_without_a_yaml_parser,
        "manifest.yaml",
        "name: memos",
        'name: "memos"',
        "name",
    ),
    (dify.the_manifest_describes_its_runner, "manifest.yaml", '"3.12"', "3.12", "meta.runner"),
    (dify.the_manifest_describes_its_runner, "manifest.yaml", '"1.11.1"', "1.11", "minimum_dify_version"),
    (dify.the_manifest_is_dated_in_the_past, "manifest.yaml", '"2025', '"2925', "created_at"),
    (
        dify.the_manifest_asks_for_memory_and_for_no_permission_but_tools,
        "manifest.yaml",
        "tool:\n",
        "app:\n",
        "permission",
    ),
    (
        dify.the_manifest_names_one_provider_of_tools_and_nothing_else,
        "manifest.yaml",
        "  tools:\n",
        "  endpoints: []\n  tools:\n",
        "endpoints",
    ),
    (dify.tags_are_known_to_every_part_of_dify, "provider/memos.yaml", "- utilities", "- agent", "provider"),
    (
        dify.icons_are_small_square_and_readable_on_any_background,
        "_assets/icon.svg",
        "0 0 40 40",
        "0 0 40 20",
        "not square",
    ),
    (
        dify.icons_are_small_square_and_readable_on_any_background,
        "manifest.yaml",
        "icon: icon.svg",
        "icon: a.svg",
        "not directly",
    ),
    (dify.human_texts_are_in_four_languages, "tools/add_memory.yaml", "ja_JP:", "ja_Jp:", "ja_Jp"),
    (dify.human_texts_are_in_four_languages, "manifest.yaml", "pt_BR: MemOS", "pt_BR:", "label.pt_BR: None"),
    (dify.the_provider_says_what_the_sdk_needs, "provider/memos.yaml", "text-input", "checkbox", "checkbox"),
    (dify.the_provider_says_what_the_sdk_needs, "provider/memos.yaml", "    url: ", "    uri: ", "help"),
    (
        dify.the_provider_says_what_the_sdk_needs,
        "provider/memos.yaml",
        "default: auto",
        "default: a",
        "default",
    ),
    (dify.tools_say_what_the_sdk_needs, "tools/search_memory.yaml", "form: llm", "form: model", "form model"),
    (dify.tools_say_what_the_sdk_needs, "tools/search_memory.yaml", "type: number", "type: int", "type int"),
    (
        dify.outputs_are_declared_as_a_schema_with_no_reserved_name,
        "tools/search_memory.yaml",
        "    found:",
        "    json:",
        "json is Dify's own",
    ),
    (
        dify.parameters_exist_in_the_oldest_dify_that_is_supported,
        "manifest.yaml",
        "1.11.1",
        "1.8.1",
        "messages of type array needs Dify 1.9.0",
    ),
    (dify.readmes_of_other_languages_are_where_dify_looks, "README_zh_Hans.md", "", "x", "README_zh_Hans.md"),
    (marketplace.nothing_of_version_control_environments_or_caches, "tools/build/a.py", "", "x", "build"),
    (marketplace.no_local_file_of_a_person_or_a_system, ".env.local", "", "x", ".env.local"),
    (marketplace.no_local_file_of_a_person_or_a_system, "tools/x.pyc", "", "x", "x.pyc"),
    (marketplace.no_program_but_python, "tools/helper", "", "\x7fELF", "helper"),
    (marketplace.no_secret, "tools/x.py", "", f"x = 'sk-{'a' * 20}'", "tools/x.py: sk-"),
    (marketplace.no_secret, "tools/x.py", "", "MEMOS_API_KEY = 'mpg-3fA9'", "MEMOS_API_KEY"),
    (marketplace.no_secret, "x.yaml", "", "access_token: 3fA9xQ7z\n", "access_token"),
    (marketplace.the_manifest_is_complete, "manifest.yaml", "contact: ", "contacts: ", "contact"),
    (marketplace.the_author_does_not_pose_as_dify, "manifest.yaml", ": memtensor", ": dify-memos", "dify"),
    (
        marketplace.the_repository_the_contact_and_the_domains_are_real_addresses,
        "manifest.yaml",
        "//github.com",
        "//example.com",
        "repo",
    ),
    (
        marketplace.the_repository_the_contact_and_the_domains_are_real_addresses,
        "manifest.yaml",
        "@memtensor.cn",
        " at memtensor",
        "contact",
    ),
    (
        marketplace.the_version_follows_the_published_one,
        "manifest.yaml",
        "version: ",
        "version: 0.0.4 #",
        "0.0.4",
    ),
    (
        marketplace.the_privacy_policy_says_what_happens_to_data,
        "PRIVACY.md",
        "api.memt.ai",
        "another host",
        "does not name api.memt.ai",
    ),
    (marketplace.the_readme_is_english_and_names_the_repository, "README.md", "", "# \u8a18", "\u8a18"),
    (
        marketplace.the_readme_tells_how_to_set_up_use_and_connect,
        "README.md",
        "",
        "# Hello",
        "no word of setup",
    ),
    (marketplace.dependencies_are_bounded_from_below_and_above, "requirements.txt", ",<3", "", "pydantic>="),
    (
        marketplace.dependencies_are_bounded_from_below_and_above,
        "requirements.txt",
        "dify_plugin>=0.9",
        "dify_plugin>=0.8",
        "at least 0.9.0",
    ),
    (
        marketplace.dependencies_are_bounded_from_below_and_above,
        "requirements.txt",
        "requests",
        "requests @ git+https://example.com/r",
        "requests @ git",
    ),
    (marketplace.what_is_imported_is_declared, "tools/x.py", "", "import numpy as np", "numpy"),
    (marketplace.every_python_file_compiles, "tools/x.py", "", "def", "invalid syntax"),
    (
        marketplace.the_icons_are_not_those_of_the_template,
        "_assets/icon.svg",
        "<svg",
        "<!-- DIFY_MARKETPLACE_TEMPLATE_ICON_DO_NOT_USE --><svg",
        "icon.svg",
    ),
    (marketplace.no_capability_but_the_network, "tools/x.py", "", "open('x')", "tools/x.py:1"),
    (marketplace.every_request_has_a_time_limit, "tools/x.py", "", "requests.get(url)", "tools/x.py:1"),
    (
        marketplace.no_secret_is_logged_raised_or_returned,
        "tools/x.py",
        "",
        "logger.info('key %s', self.api_key)",
        "tools/x.py:1: api_key",
    ),
    (
        marketplace.no_secret_is_logged_raised_or_returned,
        "tools/x.py",
        "",
        "raise ValueError(f'bad: {token}')",
        "tools/x.py:1: token",
    ),
    (marketplace.no_word_of_money, "tools/x.py", "", "# no charge", "charge"),
    (
        marketplace.no_host_but_those_of_the_manifest,
        "tools/x.py",
        "",
        "X = 'https://a.memos.io/'",
        "a.memos.io",
    ),
    (marketplace.no_host_but_those_of_the_manifest, "x.yaml", "", "at: https://b.memos.io", "b.memos.io"),
]


def words(rule: Rule) -> str:
    return rule.__name__.replace("_", " ")


@pytest.mark.parametrize("rule", RULES, ids=words)
def test_the_package_keeps_the_rule_that(rule: Rule, package: Package) -> None:
    assert list(rule(package)) == []


def test_only_what_runs_in_dify_is_inside(package: Package) -> None:
    assert [path for path in package.files if not ALLOWED.fullmatch(path)] == []


@pytest.mark.parametrize(
    ("rule", "path", "old", "new", "found"), CASES, ids=lambda value: words(value) if callable(value) else ""
)
def test_a_package_breaks_the_rule_that(
    rule: Rule, path: str, old: str, new: str, found: str, package: Package
) -> None:
    content = package.files[path].decode() if old else ""
    assert old in content
    changed = Package({**package.files, path: (content.replace(old, new) if old else new).encode()})

    assert any(found in violation for violation in rule(changed))


def test_every_rule_can_be_broken() -> None:
    assert {case[0] for case in CASES} == set(RULES)
