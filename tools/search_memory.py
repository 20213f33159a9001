"""The Search Memory tool: finds what MemOS remembers of a user."""

from collections.abc import Generator
from typing import Any

from dify_plugin import Tool
from dify_plugin.entities.tool import ToolInvokeMessage

from memos_client.client import MemosClient
from memos_client.identity import Caller
from memos_client.inputs import SearchRequest
from memos_client.outputs import of_search


class SearchMemory(Tool):
    """The tool `search_memory`."""

    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        client = MemosClient(self.runtime.credentials)
        session = self.session
        caller = Caller(self.runtime.user_id, session.app_id, session.conversation_id, client.api_key)
        request = SearchRequest.parse(tool_parameters, caller)
        output = of_search(request, request.result_or_error(client.search))
        yield self.create_text_message(output.text)
        yield self.create_json_message(output.json)
        for name, value in output.variables.items():
            yield self.create_variable_message(name, value)
