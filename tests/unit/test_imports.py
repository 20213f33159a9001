"""Who may import whom, and what plugin code never does."""

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from dify_plugin import Tool, ToolProvider

ROOT = Path(__file__).parents[2]
FILES = [file for folder in ("memos_client", "provider", "tools") for file in (ROOT / folder).glob("*.py")]
PLUGIN = {str(file.relative_to(ROOT)): ast.parse(file.read_text()) for file in [ROOT / "main.py", *FILES]}
TOOLS = [name for name in PLUGIN if name.startswith("tools/") and not name.endswith("/__init__.py")]
SHOWN = {"provider/memos.py": ToolProvider} | dict.fromkeys(TOOLS, Tool)
# Of these, none imports from one that stands before it.
FLOORS = [
    {"agents"},
    {"client"},
    {"cloud", "self_hosted"},
    {"inputs", "kinds", "memories"},
    {"fields", "identity", "labels"},
    {"errors", "texts"},
]


@cache
def imports(tree: ast.Module) -> list[str]:
    """Every module, wherever the import stands; of `from a import b`, both a and a.b."""
    return list(_imports(tree))


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(*packages: str) -> set[str]:
    return {
        name
        for name, tree in PLUGIN.items()
        if any(f"{module}.".startswith(f"{package}.") for module in imports(tree) for package in packages)
    }


CLIENT = {Path(name).stem: tree for name, tree in PLUGIN.items() if name.startswith("memos_client/")}
KNOWS = {
    module: {other for other in CLIENT if f"memos_client.{other}" in set(imports(tree))}
    for module, tree in CLIENT.items()
}


def test_one_module_knows_http_and_sockets() -> None:
    known = ("requests", "urllib3", "ssl", "socket", "gevent", "http.client", "http.cookiejar")
    assert importers(*known) == {"memos_client/transport.py"}


def test_only_what_dify_loads_knows_dify() -> None:
    assert importers("dify_plugin") == {"main.py", *SHOWN}


def test_provider_and_tools_know_nothing_of_each_other() -> None:
    assert importers("tools") == importers("provider") == set()


def test_main_starts_the_plugin_and_nothing_else() -> None:
    assert {module.split(".")[0] for module in imports(PLUGIN["main.py"])} == {"dify_plugin"}


def test_imports_inside_the_client_point_one_way() -> None:
    order = list(TopologicalSorter(KNOWS).static_order())  # raises an error for a circle
    reached: dict[str, set[str]] = {}
    for module in order:
        reached[module] = KNOWS[module].union(*(reached[other] for other in KNOWS[module]))
    for level, floor in enumerate(FLOORS):
        above = set().union(*FLOORS[:level])
        assert not {module: reached[module] & above for module in floor if reached[module] & above}


@pytest.mark.parametrize("name", SHOWN)
def test_dify_finds_exactly_one_class_in_each_module(name: str) -> None:
    module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
    classes = [
        thing for thing in vars(module).values() if isinstance(thing, type) and thing is not SHOWN[name]
    ]
    assert sum(issubclass(thing, SHOWN[name]) for thing in classes) == 1


@pytest.mark.parametrize("name", PLUGIN)
def test_plugin_code_writes_to_no_stream_and_no_log(name: str) -> None:
    nodes = list(ast.walk(PLUGIN[name]))
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    used |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    assert not used & {"print", "stdout", "stderr", "create_log_message"}
    assert not {module.split(".")[0] for module in imports(PLUGIN[name])} & {"logging", "warnings"}


@pytest.mark.parametrize("name", PLUGIN)
def test_no_error_is_caught_unnamed(name: str) -> None:
    for handler in (node for node in ast.walk(PLUGIN[name]) if isinstance(node, ast.ExceptHandler)):
        assert handler.type
        caught = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
        assert not caught & {"Exception", "BaseException"}


def test_one_module_picks_the_dialect_and_asks_for_the_deployment() -> None:
    assert importers("memos_client.cloud", "memos_client.self_hosted") == {"memos_client/client.py"}
    asking = {
        module
        for module, tree in CLIENT.items()
        if any(isinstance(node, ast.Attribute) and node.attr == "deployment" for node in ast.walk(tree))
    }
    assert asking == {"client", "credentials"}
