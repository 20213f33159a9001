"""The Search Memory tool: finds what MemOS remembers of a user."""

from collections.abc import Generator
from typing import Any

from dify_plugin import Tool
from dify_plugin.entities.tool import ToolInvokeMessage

from memos_client.client import MemosClient
from memos_client.models import SearchRequest


class SearchMemory(Tool):
    """The tool `search_memory`."""

    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        request = SearchRequest.parse(tool_parameters, user_id=self.runtime.user_id)
        result = MemosClient(self.runtime.credentials).search(request)
        yield self.create_text_message(result.text)
        if request.json_output:
            yield self.create_json_message(result.envelope)
        for name, value in result.variables.items():
            yield self.create_variable_message(name, value)
