"""What in a text nobody said: variables without a value, thoughts, words for nothing."""

import pytest

from memos_client.texts import readable, spoken, unresolved, unresolved_inside, without_unresolved


@pytest.mark.parametrize(
    ("text", "kept"),
    [("a\0b", "ab"), ("a\ud800b", "a?b"), (" a\n", " a\n"), ("李雷 😀", "李雷 😀")],
    ids=ascii,
)
def test_text_is_made_sendable_and_otherwise_kept(text: str, kept: str) -> None:
    assert readable(text) == kept


VARIABLES = {
    "sys.query": "sys.query",
    " sys.user_id\n": "sys.user_id",
    "1767225699999.text": "1767225699999.text",
    "1767225699999.structured_output.city": "1767225699999.structured_output.city",
    # The id of a node that was copied inside an iteration.
    "176722569999917672256999991.text": "176722569999917672256999991.text",
    "crm-1767225600009.customer_id": "crm-1767225600009.customer_id",
    "env.TENANT": "env.TENANT",
    "env.TENANT-ID": "env.TENANT-ID",
    "conversation.mood": "conversation.mood",
    "{{#1767225699999.text#}}": "1767225699999.text",
    "{{#sys.query#}}": "sys.query",
    "{{#context#}}": "context",
    "{{sys.query}}": "sys.query",
    "#sys.query#": "sys.query",
    "1767225699999.text 1767225699998.text": "1767225699999.text",
    "{{#a.b#}}\n{{#c.d#}}": "a.b",
}
NO_VARIABLES = [
    *("", "food", "What is sys.query?", "node.js", "system.query", "sys.", "sys", "2024.12", "1767225699999"),
    *(
        "1767225699999.5",
        "1767225699999.jpg",
        "mmexport1767225699999.jpg",
        "{{name}}",
        "{}",
        "{{##",
        "1.text",
    ),
    *("joe@infosys.com", "env .x", "sys.用户", "{{#if#}} then"),
]


@pytest.mark.parametrize(("text", "name"), VARIABLES.items())
def test_variable_without_a_value_is_known_by_its_name(text: str, name: str) -> None:
    assert unresolved(text) == name


@pytest.mark.parametrize("text", NO_VARIABLES)
def test_other_text_is_no_variable(text: str) -> None:
    assert unresolved(text) == ""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("crm-1767225600009.customer_id", "1767225600009.customer_id"),
        ("crm21767225600009.customer_id", "1767225600009.customer_id"),
        ("env.TENANT-7", "env.TENANT"),
        ("acme_env.tenant", "env.tenant"),
        ("custsys.user_id", "sys.user_id"),
        ("user-sys.timestamp", "sys.timestamp"),
        ("a@conversation.customer", "conversation.customer"),
        ("a {{#x.y#}} b", "x.y"),
        ("sys.anything", "sys.anything"),
    ],
)
def test_variable_is_found_inside_a_value(text: str, name: str) -> None:
    assert unresolved_inside(text) == name


@pytest.mark.parametrize(
    "text",
    ["joe@infosys.com", "joe@env.gov", "sys.admin@acme.com", "https://env.example.com", "8613812345678.wang"],
)
def test_address_holds_no_variable(text: str) -> None:
    assert unresolved_inside(text) == ""


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Noted.1767225600013.text", "Noted."),
        ("1767225600013.text谢谢", "谢谢"),
        ("a {{#1767225600013.text#}} b {{#sys.query#}}", "a  b "),
        ("1767225600013.text, 1767225600014.out.x!", ", !"),
        ("sys.user_id is a variable", "sys.user_id is a variable"),
        ("See mmexport1767225600013.jpg.", "See mmexport1767225600013.jpg."),
        ("At 1767225600013. Then", "At 1767225600013. Then"),
        ("{{#each}} {{name}} {#a.b#}", "{{#each}} {{name}} {#a.b#}"),
    ],
)
def test_outputs_of_nodes_that_did_not_run_are_taken_out(text: str, left: str) -> None:
    assert without_unresolved(text) == left


THOUGHTS = {
    "<think>perhaps diabetic</think>\n\nNoted!": "Noted!",
    "perhaps diabetic</think>\n\nNoted!": "Noted!",
    " \n<THINK>\na\n</Think >Noted!": "Noted!",
    "<think time='3'>a</think>Noted!": "Noted!",
    "<thinking>a</thinking>Noted!": "Noted!",
    "<reasoning>a</reasoning>Noted!": "Noted!",
    "<thought>a</thought>Noted!": "Noted!",
    "<think>a</think>\n<think>b</think> Noted!": "Noted!",
    "<think>a</think> <thought>b</thought> Noted!": "Noted!",
    "<think></think>Noted!": "Noted!",
    "<think>a <think>b</think> c</think>Noted!": "Noted!",
    "<think>They want a <think> tag.</think>Noted!": "Noted!",
    "<think>They write `</think>`, then more</think>Noted!": "Noted!",
    "<think>a</think>Noted.1767225600013.text": "Noted.",
    "<think>perhaps diabetic": "",
    "<think>a</think><think>perhaps diabetic": "",
    "<think>a</think>\n\n": "",
    "<think>a</think>null": "",
    "<think>a</think> Close it with </think>, please.": "Close it with </think>, please.",
    "Write <think>a</think> first.": "Write <think>a</think> first.",
    "Noted! <think>": "Noted! <think>",
    "End with `</think>`.": "End with `</think>`.",
    "<thinker>Rodin</thinker>": "<thinker>Rodin</thinker>",
    "<b>Noted!</b>": "<b>Noted!</b>",
}


@pytest.mark.parametrize(("text", "said"), THOUGHTS.items())
def test_thoughts_at_the_start_of_an_answer_are_left_out(text: str, said: str) -> None:
    assert spoken(text, "assistant") == said


@pytest.mark.parametrize("role", ["user", "system", "tool"])
def test_only_an_assistant_thinks(role: str) -> None:
    assert spoken("<think>a</think>b", role) == "<think>a</think>b"


@pytest.mark.parametrize("role", ["user", "assistant", "system"])
@pytest.mark.parametrize(
    "text", ["None", "null", "NULL", " N/A\n", "n/a.", "none。", "\0", "", " ", *VARIABLES]
)
def test_nothing_is_no_message(role: str, text: str) -> None:
    assert spoken(text, role) == ""


@pytest.mark.parametrize("role", ["user", "assistant", "system"])
@pytest.mark.parametrize(
    "text", ["None of these.", "nothing", "No", " code\n  indented", "0", "sys.query is empty", "nullnull"]
)
def test_what_was_said_is_kept_as_it_is(role: str, text: str) -> None:
    assert spoken(text, role) == text


@pytest.mark.parametrize("text", ["null", "1767225600013.text", "N/A"])
def test_result_of_a_tool_is_data(text: str) -> None:
    assert spoken(f"{text}\0", "tool") == text


@pytest.mark.parametrize(
    "piece", ["1", "-", "x", "{{#", "<think>", "<think ", "</think>", "env", "sys.", "1767225600013."]
)
def test_long_text_is_searched_in_one_go(piece: str) -> None:
    # A search that grows with the square of the length would not come to its end.
    text = piece * (300_000 // len(piece))
    assert unresolved_inside(text) == unresolved(text) == ""
    assert len(spoken(text, "assistant")) <= len(text)
