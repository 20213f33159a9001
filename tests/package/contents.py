"""A package as the rules of Dify and of its Marketplace look at it."""

import ast
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import yaml


class Package:
    """The files of a package, and what its YAML files say.

    Args:
        files: contents by path.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return self.read("manifest.yaml")

    @cached_property
    def provider(self) -> dict[str, Any]:
        """The one provider of the manifest."""
        [path] = self.manifest["plugins"]["tools"]
        return self.read(path)

    @cached_property
    def tools(self) -> dict[str, dict[str, Any]]:
        """The tools of the provider, by path."""
        return {path: self.read(path) for path in self.provider["tools"]}

    @cached_property
    def declarations(self) -> dict[str, dict[str, Any]]:
        """The manifest, the provider and the tools, by path."""
        [provider] = self.manifest["plugins"]["tools"]
        return {"manifest.yaml": self.manifest, provider: self.provider} | self.tools

    def read(self, path: str) -> Any:
        """Return what a YAML file says."""
        return yaml.safe_load(self.files[path])

    def texts(self, *suffixes: str) -> Iterator[tuple[str, str]]:
        """The files that are text, as path and text; only those with one of `suffixes`, if any is given."""
        for path, content in self.files.items():
            if suffixes and PurePosixPath(path).suffix not in suffixes:
                continue
            try:
                yield path, content.decode()
            except UnicodeDecodeError:
                assert not suffixes, f"{path} is not UTF-8"

    def modules(self) -> Iterator[tuple[str, ast.Module]]:
        """The Python files, as path and syntax tree."""
        for path, text in self.texts(".py"):
            yield path, ast.parse(text, path)
