"""The stand-in for a model knows what its prompt recalls, no more; a real model is asked as OpenAI's are."""

import pytest

from sandbox.chat_model import RealModel, chat_model, repeat_memories
from sandbox.dify_engine import DifyApp
from sandbox.plugin_process import PluginProcess
from sandbox.scripted_server import Answer, ScriptedServer
from tests.app.apps import ASSISTANT, CLOUD, FakeMemos

BLOCK = (
    "<memories>\nAbout this user.\n<facts>\n- Eats no meat.\n- Lives in Lyon.\n</facts>\n"
    "<preferences>\n- Short answers. (explicit)\n</preferences>\n</memories>"
)


def ask(system: str, *messages: str) -> str:
    prompt = [{"role": "system", "content": system}]
    return repeat_memories([*prompt, *({"role": "user", "content": message} for message in messages)])


def test_the_stand_in_repeats_the_block() -> None:
    assert ask(f"Be kind.\n\n{BLOCK}", "What do I eat? ").splitlines()[1:] == [
        "- Eats no meat.",
        "- Lives in Lyon.",
        "- Short answers. (explicit)",
    ]


def test_the_stand_in_knows_nothing_else() -> None:
    assert ask("- Use the <memories> below.", "What do I eat?") == "I don't know that yet."
    assert ask("Be kind.", BLOCK, "What do I eat?") == "I don't know that yet."
    assert ask(BLOCK, "I eat no meat.") == "Noted."


def test_a_real_model_is_taken_if_all_of_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMOS_MODEL_BASE_URL", "https://model.example/v1")
    monkeypatch.setenv("MEMOS_MODEL_NAME", "m")
    monkeypatch.delenv("MEMOS_MODEL_API_KEY", raising=False)
    assert chat_model() is repeat_memories
    monkeypatch.setenv("MEMOS_MODEL_API_KEY", "sk-test")
    assert isinstance(chat_model(), RealModel)


def test_a_real_model_gets_the_whole_prompt(app_plugin: PluginProcess) -> None:
    reply = {"choices": [{"message": {"role": "assistant", "content": "Good day!"}}]}
    with ScriptedServer() as model, ScriptedServer() as server:
        model.script("/v1/chat/completions", Answer(reply))
        real = RealModel(f"{model.url}/v1/", "m", "sk-test")
        memos = FakeMemos(server, CLOUD)
        run = DifyApp(ASSISTANT.read_text(), app_plugin, memos.credentials, model=real).chat(
            "Hello!", user_id="ada"
        )

    assert run.answer == "Good day!"
    [request] = model.requests
    assert request.headers["Authorization"] == "Bearer sk-test"
    assert request.json == {"model": "m", "messages": list(run.nodes["LLM"].prompt)}


def test_a_real_model_that_refuses_fails_its_node_without_naming_the_key(app_plugin: PluginProcess) -> None:
    with ScriptedServer() as model, ScriptedServer() as server:
        model.script("/v1/chat/completions", Answer({"error": {}}, status=401))
        real = RealModel(f"{model.url}/v1", "m", "sk-test")
        memos = FakeMemos(server, CLOUD)
        run = DifyApp(ASSISTANT.read_text(), app_plugin, memos.credentials, model=real).chat(
            "Hello!", user_id="ada"
        )

    assert run.status == "failed"
    assert "401" in run.nodes["LLM"].error
    assert "sk-test" not in run.nodes["LLM"].error
