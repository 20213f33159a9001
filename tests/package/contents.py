"""A package as the rules of Dify and of its Marketplace look at it."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import Any

import yaml

_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


# Packages that break a rule differ in one file: all others need not be read again.
_yaml = cache(yaml.safe_load)
_module = cache(ast.parse)


class Package:
    """The files of a package, and what its YAML files say.

    Args:
        files: contents by path.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return self._read("manifest.yaml")

    @cached_property
    def provider(self) -> dict[str, Any]:
        """The provider of the manifest."""
        return self._read(self.manifest["plugins"]["tools"][0])

    @cached_property
    def tools(self) -> dict[str, dict[str, Any]]:
        """The tools of the provider, by path."""
        return {path: self._read(path) for path in self.provider["tools"]}

    def _read(self, path: str) -> Any:
        return _yaml(self.files[path])

    def texts(self, *suffixes: str) -> Iterator[tuple[str, str]]:
        """The files that end in one of `suffixes`, as path and text."""
        for path, content in self.files.items():
            if path.endswith(suffixes):
                yield path, content.decode()

    def modules(self) -> Iterator[tuple[str, ast.Module]]:
        """The Python files, as path and syntax tree."""
        for path, text in self.texts(".py"):
            yield path, _module(text, path)


def chinese(page: str) -> list[str]:
    """The characters for which the Marketplace refuses an English page; those in blocks of code are fine."""
    return re.findall(r"[\u3400-\u4DBF\u4E00-\u9FFF]", _FENCED.sub("", page))
