"""README's tables say what the YAML files and the code say, in each language."""

import re
from typing import Any

import pytest
import yaml

from memos_client import client, connections, errors, models, prompt
from memos_client.errors import MemosError, refusal
from tests.docs.pages import READMES, REPOSITORY, Page, Row, read, section, spans

TOOLS = ("search_memory", "add_memory")
SECTIONS = {
    ("search_memory", "inputs"): "search-memory-inputs",
    ("search_memory", "outputs"): "search-memory-outputs",
    ("add_memory", "inputs"): "add-memory-inputs",
    ("add_memory", "outputs"): "add-memory-outputs",
}
MODEL, BUILDER = 0, 1
SET_BY = {
    "en_US": ("model", "you"),
    "zh_Hans": ("模型", "你"),
    "ja_JP": ("モデル", "作成者"),
    "pt_BR": ("modelo", "você"),
}
OUTPUTS_OF_EVERY_TOOL = {"text": "string", "json": "array"}
ENGLISH = read(READMES["en_US"])


@pytest.fixture(params=READMES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def page(language: str) -> Page:
    return read(READMES[language])


def tool(name: str) -> Any:
    return yaml.safe_load((REPOSITORY / f"tools/{name}.yaml").read_text(encoding="utf-8"))


def numbers(text: str) -> list[float]:
    """The numbers in a text, whatever separates their thousands."""
    return [float(re.sub(r"[,.](?=\d{3})", "", number)) for number in re.findall(r"\d[\d.,]*\d|\d", text)]


@pytest.mark.parametrize("name", TOOLS)
def test_each_parameter_is_explained_under_its_label_in_the_order_of_the_node(
    page: Page, language: str, name: str
) -> None:
    rows = page.table(section(SECTIONS[name, "inputs"]))
    fields = [f"{field['label'][language]} `{field['name']}`" for field in tool(name)["parameters"]]
    assert [row[0] for row in rows] == fields


@pytest.mark.parametrize("name", TOOLS)
def test_each_parameter_says_who_sets_it_and_what_values_it_takes(
    page: Page, language: str, name: str
) -> None:
    for row, field in zip(
        page.table(section(SECTIONS[name, "inputs"])), tool(name)["parameters"], strict=True
    ):
        _, set_by, kind, default, meaning = row
        assert set_by == SET_BY[language][MODEL if field["form"] == "llm" else BUILDER]
        assert spans(kind) == [field["type"]]
        assert numbers(kind) == [field[limit] for limit in ("min", "max") if limit in field] or (
            numbers(kind) == [100] and is_identifier(name, field["name"])
        )
        assert spans(default) == (
            [yaml.safe_dump(field["default"]).split("\n")[0]] if "default" in field else []
        )
        assert meaning


def is_identifier(tool_name: str, parameter: str) -> bool:
    """Tell whether a value of 101 characters is refused, and one of 100 is not."""
    request = {"search_memory": models.SearchRequest, "add_memory": models.AddRequest}[tool_name]
    values = {"query": "x", "user_messages": "x", "user_id": "u"}
    request.parse(values | {parameter: "x" * 100})
    with pytest.raises(errors.MemosInputError, match="at most 100 characters"):
        request.parse(values | {parameter: "x" * 101})
    return True


def test_only_required_parameters_are_called_required() -> None:
    for name in TOOLS:
        for row, field in zip(
            ENGLISH.table(section(SECTIONS[name, "inputs"])), tool(name)["parameters"], strict=True
        ):
            assert (row[3] == "required") == field["required"]


@pytest.mark.parametrize("name", TOOLS)
def test_each_output_is_explained_with_its_type(page: Page, name: str) -> None:
    properties = tool(name)["output_schema"]["properties"]
    types = OUTPUTS_OF_EVERY_TOOL | {output: schema["type"] for output, schema in properties.items()}
    rows = page.table(section(SECTIONS[name, "outputs"]))
    assert [row[:2] for row in rows] == [(f"`{output}`", f"`{kind}`") for output, kind in types.items()]


def test_each_field_of_a_memory_is_named(page: Page) -> None:
    fields = tool("search_memory")["output_schema"]["properties"]["memories"]["items"]["properties"]
    [row] = [
        row for row in page.table(section(SECTIONS["search_memory", "outputs"])) if row[0] == "`memories`"
    ]
    assert set(fields) <= set(spans(row[2]))


def test_each_class_of_error_is_listed_with_codes_that_it_is_raised_for(page: Page) -> None:
    rows = page.table(section("errors"))
    assert {row[0] for row in rows} == {f"`{kind.__name__}`" for kind in MemosError.__subclasses__()}
    for row in rows:
        for code in codes(row):
            error = refusal("memos.example.com", code, "")
            assert f"`{type(error).__name__}`" == row[0], code


def codes(row: Row) -> list[int]:
    """The codes of an error's row; `400xx` stands for two of them, 40000 and 40011."""
    return [
        int(span.replace("x", digit))
        for span in spans(row[2])
        for digit in (("0", "1") if "x" in span else ("0",))
    ]


def test_the_limits_are_those_of_the_code(page: Page) -> None:
    slow = client.SYNCHRONOUS_ADD
    assert client.SEARCH == client.ADD
    assert [numbers(row[1]) for row in page.table(section("limits"))] == [
        [25],
        [100],
        [prompt.LONGEST_BLOCK],
        [client.LARGEST_REPLY / 1024**2],
        [client._MOST_HELD / 1024**2, client._SMALL_REPLY / 1024],
        [connections.CONNECT_SECONDS],
        [client.SEARCH.silence, client.SEARCH.ceiling],
        [slow.silence, slow.ceiling],
        [client.PROBE.ceiling],
    ]


def test_the_addresses_of_the_clouds_are_those_of_the_code_and_of_the_form(page: Page) -> None:
    provider = yaml.safe_load((REPOSITORY / "provider/memos.yaml").read_text(encoding="utf-8"))
    first, second, _ = page.table(section("credentials"))
    assert [*spans(first[1]), *spans(second[1])] == list(models.CLOUDS.values())
    assert spans(first[1]) == [provider["credentials_for_provider"]["memos_url"]["default"]]


def test_the_prompt_block_looks_as_shown(page: Page) -> None:
    block = prompt.block(
        [
            ("fact", "- [2026-01-04] The user eats no meat."),
            ("preference", prompt.line("Short answers.", mark="explicit")),
        ]
    )
    assert f"{block}\n" in page.code


def test_the_page_before_the_reference_is_short() -> None:
    words = " ".join(text for index, text in ENGLISH.prose if index < section("reference")).split()
    assert 200 < len(words) <= 500
