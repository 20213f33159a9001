"""The installed package runs over stdio: the tests of tests/runtime, which run the repository."""

from tests.runtime.test_plugin import *  # noqa: F403 - the same tests; `plugin` is that of this folder
