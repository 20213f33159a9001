"""The Recall tool: finds what is remembered of the user, for an agent."""

from collections.abc import Generator
from typing import Any

from dify_plugin import Tool
from dify_plugin.entities.tool import ToolInvokeMessage

from memos_client.agents import RECALL, answer


class Recall(Tool):
    """The tool `recall`."""

    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        runtime = self.runtime
        text = answer(RECALL, tool_parameters, runtime.credentials, runtime.user_id)
        yield self.create_text_message(text)
