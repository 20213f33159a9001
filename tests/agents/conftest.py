"""The plugin process, and a MemOS of either kind for it."""

from tests.runtime.conftest import plugin, scripted, server

__all__ = ["plugin", "scripted", "server"]
