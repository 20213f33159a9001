"""The reference says what the YAML files and the code say, in each language."""

import re
from typing import Any

import pytest
import yaml

from memos_client import client, errors, memory_block, self_hosted, transport
from memos_client.credentials import CLOUDS
from memos_client.errors import MemosError, class_of
from memos_client.fields import identifier
from memos_client.identity import Caller
from memos_client.inputs import AddRequest, SearchRequest
from memos_client.kinds import FACT, PREFERENCE
from memos_client.memories import Found
from tests.docs.pages import READMES, REFERENCES, REPOSITORY, Page, Row, read, section, spans

PROVIDER = yaml.safe_load((REPOSITORY / "provider/memos.yaml").read_text(encoding="utf-8"))
TOOLS = [yaml.safe_load((REPOSITORY / path).read_text(encoding="utf-8")) for path in PROVIDER["tools"]]
OF_EACH_TOOL = pytest.mark.parametrize("number", range(len(TOOLS)), ids=PROVIDER["tools"])
REQUIRED = {"en_US": "required", "zh_Hans": "必填", "ja_JP": "必須", "pt_BR": "obrigatório"}
REFUSED = {"en_US": "refused", "zh_Hans": "拒绝", "ja_JP": "拒否されます", "pt_BR": "recusado"}
HOST = "memos.memtensor.cn"
CALLER = Caller("u", app_id="a", conversation_id=None, api_key="")


@pytest.fixture(params=REFERENCES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def page(language: str) -> Page:
    return read(REFERENCES[language])


def numbers(text: str) -> list[float]:
    """The numbers in a text, whatever separates their thousands."""
    return [float(re.sub(r"[,.](?=\d{3})", "", number)) for number in re.findall(r"\d[\d.,]*\d|\d", text)]


def tables(page: Page, number: int) -> list[list[Row]]:
    """The inputs and the outputs of a tool: the rows of its tables, without their heads."""
    return [table.rows[1:] for table in page.tables if table.section == number + 1]


def outputs(tool: Any) -> dict[str, str]:
    """The outputs of a tool with their types; one without variables has a text alone."""
    if "output_schema" not in tool:
        return {"text": "string"}
    variables = tool["output_schema"]["properties"]
    return {"text": "string", "json": "array"} | {name: one["type"] for name, one in variables.items()}


@OF_EACH_TOOL
def test_each_tool_has_a_section_under_its_name(page: Page, language: str, number: int) -> None:
    assert page.headings[number + 1].text == TOOLS[number]["identity"]["label"][language]


@OF_EACH_TOOL
def test_each_parameter_is_explained_in_the_order_of_the_node(page: Page, language: str, number: int) -> None:
    rows = tables(page, number)[0]
    for (name, form, kind, default, meaning), field in zip(rows, TOOLS[number]["parameters"], strict=True):
        assert name == f"{field['label'][language]} `{field['name']}`"
        assert (form, kind) == (f"`{field['form']}`", f"`{field['type']}`")
        assert (default == REQUIRED[language]) == field["required"]
        given = [yaml.safe_dump(field["default"]).split("\n")[0]] if "default" in field else []
        assert spans(default) == given
        limits = [field[limit] for limit in ("min", "max") if limit in field]
        assert numbers(meaning)[: len(limits)] == limits
        for option in field.get("options", ()):
            assert option["value"] in spans(meaning)
            assert option["label"][language] in meaning


@OF_EACH_TOOL
def test_each_output_is_explained_with_its_type(page: Page, number: int) -> None:
    shown = [row[:2] for row in tables(page, number)[-1]]
    assert shown == [(f"`{name}`", f"`{kind}`") for name, kind in outputs(TOOLS[number]).items()]


@OF_EACH_TOOL
def test_each_field_of_a_memory_is_named(page: Page, number: int) -> None:
    variables = TOOLS[number].get("output_schema", {"properties": {}})["properties"]
    explained = {row[0]: row[2] for row in tables(page, number)[-1]}
    for name, variable in variables.items():
        fields = variable.get("items", {}).get("properties", {})
        assert set(fields) <= set(spans(explained[f"`{name}`"]))


def accepted(field: str, text: str) -> bool:
    """Tell whether a text is right as Labels or as a Filter."""
    try:
        if field == "labels":
            AddRequest.parse({"user_messages": "x", "labels": text}, CALLER)
        else:
            SearchRequest.parse({"query": "x", "filter": text}, CALLER)
    except MemosError:
        return False
    return True


def test_the_notation_is_accepted_and_refused_as_told(page: Page, language: str) -> None:
    rows = page.table(section("labels-and-filters", REFERENCES))
    for written, *told in rows:
        for text in spans(written):
            for field, meaning in zip(("labels", "filter"), told, strict=True):
                assert accepted(field, text) == (meaning != REFUSED[language]), text


def test_the_prompt_block_looks_as_shown(page: Page) -> None:
    fact = {"text": "The user eats no meat.", "time": "2026-01-04T12:30:00Z"}
    preference = {"text": "Short answers."}
    found = [
        Found(FACT, {}, fact),
        Found(PREFERENCE, {"preference_type": "explicit_preference"}, preference),
    ]
    assert page.code == [f"{memory_block.block(found)}\n"]


def raised(given: dict[str, Any]) -> MemosError:
    with pytest.raises(MemosError) as found:
        SearchRequest.parse(given, CALLER)
    return found.value


def test_each_class_of_error_is_listed_with_an_example_and_codes_that_it_is_raised_for(page: Page) -> None:
    examples = [
        raised({"query": "", "user_id": "u" * 101}),
        errors.MemosConnectionError(f"No answer from MemOS at {HOST} (TLS certificate not trusted)."),
        *(errors.error_of_code(HOST, code, "") for code in (40132, 40304, 50004)),
        errors.bad_reply(HOST, "HTML"),
    ]
    rows = page.table(section("errors", REFERENCES))
    assert [row[0] for row in rows] == [f"`{kind.__name__}`" for kind in MemosError.__subclasses__()]
    assert [row[::2] for row in rows] == [(f"`{type(one).__name__}`", f"`{one}`") for one in examples]
    for name, when, *_ in rows:
        for code in spans(when):
            # `400xx` stands for all of them but those that are listed with another class.
            for digit in "12" if "x" in code else "0":
                kind = class_of(int(code.replace("x", digit)))
                assert kind, code
                assert f"`{kind.__name__}`" == name, code


def test_the_words_about_an_add_in_doubt_are_those_of_the_client(page: Page) -> None:
    assert client._MAY_BE_STORED in page.names


def test_the_limits_are_those_of_the_code(page: Page) -> None:
    assert client.SEARCH == client.ADD
    assert client.LIST_SECONDS == client.DELETE_SECONDS
    most = next(field for field in TOOLS[0]["parameters"] if field["name"] == "memory_limit_number")["max"]
    with pytest.raises(ValueError, match="at most 100 characters"):
        identifier("x" * 101)
    assert [numbers(row[1]) for row in page.table(section("limits", REFERENCES))] == [
        [most],
        [100],
        [memory_block.LONGEST_BLOCK],
        [self_hosted._MOST_CHECKED],
        [transport.LARGEST_REPLY / 1024**2],
        [client.SEARCH.connect],
        [client.SEARCH.total],
        [client.CONTINUE.total],
        [client.SYNCHRONOUS_ADD.total],
        [client.LIST_SECONDS],
        [client.PROBE.total],
    ]


@pytest.mark.parametrize("path", READMES.values(), ids=lambda path: path.name)
def test_the_addresses_of_the_clouds_and_consoles_are_those_of_the_code_and_of_the_form(path: Any) -> None:
    china, world, _ = read(path).items_of(section("credentials"))
    form = PROVIDER["credentials_for_provider"]
    assert [*spans(china), *spans(world)] == list(CLOUDS.values())
    assert spans(china) == [form["memos_url"]["default"]]
    console = form["memos_api_key"]["url"]
    assert f"[{console}]({console})" in china
    # The form leads there.
    repository = yaml.safe_load((REPOSITORY / "manifest.yaml").read_text())["repo"]
    assert (
        form["memos_url"]["url"] == f"{repository}#{read(READMES['en_US']).anchors[section('credentials')]}"
    )
