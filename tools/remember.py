"""The Remember tool: has one statement remembered, for an agent."""

from collections.abc import Generator
from typing import Any

from dify_plugin import Tool
from dify_plugin.entities.tool import ToolInvokeMessage

from memos_client.agents import REMEMBER, answer


class Remember(Tool):
    """The tool `remember`."""

    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        runtime = self.runtime
        text = answer(REMEMBER, tool_parameters, runtime.credentials, runtime.user_id)
        yield self.create_text_message(text)
