"""Proves that a MemOS URL and an API key work before Dify saves them."""

from typing import Any

from dify_plugin import ToolProvider
from dify_plugin.errors.model import CredentialsValidateFailedError

from memos_client.client import MemosClient
from memos_client.errors import MemosError


class MemosProvider(ToolProvider):
    """The provider `memos`."""

    def _validate_credentials(self, credentials: dict[str, Any]) -> None:
        try:
            MemosClient(credentials).probe()
        except MemosError as error:
            # Of this class alone, Dify shows the sentence and no traceback (seen on Dify 1.13.0).
            raise CredentialsValidateFailedError(str(error)) from None
