"""Proves that a MemOS URL and an API key work before Dify saves them."""

from typing import Any

from dify_plugin import ToolProvider
from dify_plugin.errors.tool import ToolProviderCredentialValidationError

from memos_client.client import MemosClient
from memos_client.errors import MemosError


class MemosProvider(ToolProvider):
    """The provider `memos`."""

    def _validate_credentials(self, credentials: dict[str, Any]) -> None:
        try:
            MemosClient(credentials).probe()
        except MemosError as error:
            # Dify shows the whole traceback in its dialog: `from None` keeps it short.
            raise ToolProviderCredentialValidationError(str(error)) from None
