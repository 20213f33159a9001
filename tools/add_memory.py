"""The Add Memory tool: has MemOS remember what was said."""

from collections.abc import Generator
from typing import Any

from dify_plugin import Tool
from dify_plugin.entities.tool import ToolInvokeMessage

from memos_client.client import MemosClient
from memos_client.models import AddRequest


class AddMemory(Tool):
    """The tool `add_memory`."""

    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        # MemOS's cloud wants a conversation, and a workflow app has none.
        conversation = self.session.conversation_id or f"dify-{self.session.app_id or 'app'}"
        request = AddRequest.parse(
            tool_parameters, user_id=self.runtime.user_id, conversation_id=conversation
        )
        result = MemosClient(self.runtime.credentials).add(request)
        yield self.create_text_message(result.text)
        yield self.create_json_message(result.envelope)
        for name, value in result.variables.items():
            yield self.create_variable_message(name, value)
