"""The installed package runs over stdio: the tests of tests/runtime, which run the repository.

All tests run twice: with the newest versions that `requirements.txt` allows, and with the lowest.
"""

from tests.runtime.test_plugin import *  # noqa: F403 - the same tests; `plugin` is that of this folder
