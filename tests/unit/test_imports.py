"""Who may import whom, and what plugin code never does."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLIENT = sorted((ROOT / "memos_client").glob("*.py"))
DIFY = [ROOT / "main.py", *sorted((ROOT / "provider").glob("*.py")), *sorted((ROOT / "tools").glob("*.py"))]
PLUGIN = {str(file.relative_to(ROOT)): ast.parse(file.read_text()) for file in CLIENT + DIFY}
# Inside memos_client, a module imports only those of a lower floor.
FLOORS = {
    "__init__": 0,
    "errors": 0,
    "prompt": 0,
    "connections": 0,
    "envelope": 1,
    "models": 1,
    "results": 2,
    "dialects": 3,
    "client": 4,
}


def imports(tree: ast.Module) -> Iterator[str]:
    """Every module, wherever the import stands; of `from a import b`, both a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(package: str) -> set[str]:
    return {
        name
        for name, tree in PLUGIN.items()
        if any(module.split(".")[0] == package for module in imports(tree))
    }


def test_one_module_knows_requests() -> None:
    assert importers("requests") == {"memos_client/client.py"}


def test_only_what_dify_loads_knows_dify() -> None:
    assert importers("dify_plugin") == {
        "main.py",
        "provider/memos.py",
        "tools/add_memory.py",
        "tools/search_memory.py",
    }


def test_client_works_without_dify() -> None:
    program = "import sys; sys.modules['dify_plugin'] = None; from memos_client.client import MemosClient"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)  # noqa: S603 - fixed arguments


def test_provider_and_tools_know_nothing_of_each_other() -> None:
    assert importers("tools") == set()
    assert importers("provider") == set()


def test_main_starts_the_plugin_and_nothing_else() -> None:
    assert {module.split(".")[0] for module in imports(PLUGIN["main.py"])} == {"dify_plugin"}


@pytest.mark.parametrize("file", CLIENT, ids=lambda file: file.stem)
def test_imports_inside_the_client_point_down(file: Path) -> None:
    known = {
        module.removeprefix("memos_client.").split(".")[0]
        for module in imports(PLUGIN[f"memos_client/{file.name}"])
        if module.startswith("memos_client.")
    }
    assert known <= FLOORS.keys()
    assert all(FLOORS[module] < FLOORS[file.stem] for module in known)


@pytest.mark.parametrize("name", PLUGIN)
def test_plugin_code_writes_to_no_stream_and_no_log(name: str) -> None:
    names = {node.id for node in ast.walk(PLUGIN[name]) if isinstance(node, ast.Name)}
    assert "print" not in names
    modules = {module.split(".")[0] for module in imports(PLUGIN[name])}
    assert not modules & {"logging", "warnings"}
    attributes = {node.attr for node in ast.walk(PLUGIN[name]) if isinstance(node, ast.Attribute)}
    assert not attributes & {"stdout", "stderr", "create_log_message"}


@pytest.mark.parametrize("name", PLUGIN)
def test_no_error_is_caught_unnamed(name: str) -> None:
    for handler in (node for node in ast.walk(PLUGIN[name]) if isinstance(node, ast.ExceptHandler)):
        assert handler.type
        caught = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
        assert not caught & {"Exception", "BaseException"}


def test_one_place_asks_for_the_deployment() -> None:
    places = {
        (name, function.name)
        for name, tree in PLUGIN.items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if (isinstance(node, ast.Attribute) and node.attr == "deployment")
        or (
            isinstance(node, ast.Compare)
            and {"cloud", "self_hosted"}
            & {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
        )
        or (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "isinstance"
            and "Dialect" in ast.unparse(node.args[1])
        )
    }
    assert places == {("memos_client/dialects.py", "dialect_for")}
