"""The Delete Memories tool: deletes memories of a user, and proves that they are gone."""

from collections.abc import Generator
from typing import Any

from dify_plugin import Tool
from dify_plugin.entities.tool import ToolInvokeMessage

from memos_client.client import MemosClient
from memos_client.identity import Caller
from memos_client.inputs import DeleteRequest
from memos_client.outputs import of_delete


class DeleteMemories(Tool):
    """The tool `delete_memories`."""

    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        client = MemosClient(self.runtime.credentials)
        session = self.session
        caller = Caller(self.runtime.user_id, session.app_id, session.conversation_id, client.api_key)
        request = DeleteRequest.parse(tool_parameters, caller)
        if request.delete_all:
            client.delete_all(request.user_id)
        else:
            client.delete(request.user_id, request.memory_ids)
        output = of_delete(request)
        yield self.create_text_message(output.text)
        yield self.create_json_message(output.json)
        for name, value in output.variables.items():
            yield self.create_variable_message(name, value)
