"""The Forget tool: forgets one memory of the user, for an agent."""

from collections.abc import Generator
from typing import Any

from dify_plugin import Tool
from dify_plugin.entities.tool import ToolInvokeMessage

from memos_client.agents import FORGET, answer


class Forget(Tool):
    """The tool `forget`."""

    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        runtime = self.runtime
        text = answer(FORGET, tool_parameters, runtime.credentials, runtime.user_id)
        yield self.create_text_message(text)
