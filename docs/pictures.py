"""Draws the pictures that README shows, from the files that Dify reads: `python -m docs.pictures`.

Each is one column, 360 wide, so that it is as readable on a phone as on a page, and lies on a card of its
own, so that it looks the same on a light and on a dark one.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import yaml

from memos_client.credentials import CLOUDS

REPOSITORY = Path(__file__).resolve().parents[1]
ASSETS = REPOSITORY / "_assets"

LANGUAGES = ("en_US", "zh_Hans", "ja_JP", "pt_BR")
"""What the interface of Dify speaks, and with it the labels in the pictures."""

# Words of Dify's own interface, and a few of the pictures' own.
_WORDS = {
    "console": ("MemOS console", "MemOS 控制台", "MemOS コンソール", "Console do MemOS"),
    "copy": ("Copy the key", "复制密钥", "キーをコピー", "Copie a chave"),
    "form": (
        "API Key Authorization Configuration",
        "API Key 授权配置",
        "APIキー認証設定",
        "Configuração de Autorização\nde Chave da API",
    ),
    "save": ("Save", "保存", "保存", "Salvar"),
    "prove": (
        "A search proves that they work",
        "通过一次检索验证是否可用",
        "検索を 1 回行って確認",
        "Uma busca prova que funcionam",
    ),
    "cloud": ("MemOS cloud", "MemOS 云服务", "MemOS クラウド", "Nuvem MemOS"),
    "own": ("Your own server", "自托管服务器", "セルフホストサーバー", "Seu próprio servidor"),
}

_CONSOLE = "memos-dashboard.openmem.net"
_WIDTH, _MARGIN = 360, 16
_INNER = _WIDTH - 2 * _MARGIN
_CARD, _PANEL, _BORDER = "#f3f6fa", "#ffffff", "#cbd5e1"
_TEXT, _FAINT, _ACCENT = "#1e293b", "#64748b", "#1f8f70"
_SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Noto Sans CJK SC', sans-serif"
_MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_NODES = {
    "start": ("#2e6be6", "M-4-6L6 0L-4 6Z"),
    "llm": ("#5b5bd6", "M-6-4H6V4H-1L-4 7V4H-6Z"),
    "answer": ("#c2620c", "M-6-3H6M-6 3H2"),
}
_REFERENCE = re.compile(r"\{\{#([\w.]+)#\}\}")

type Node = Mapping[str, Any]


class Picture:
    """A card that grows downward; `y` is where the next thing goes.

    Args:
        title: What a screen reader says.
    """

    def __init__(self, title: str) -> None:
        self.y = float(_MARGIN)
        self._root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img"})
        ET.SubElement(self._root, "title").text = title
        self._card = self._shape("rect", x=0.5, y=0.5, width=_WIDTH - 1, rx=12, fill=_CARD, stroke=_BORDER)

    def _shape(self, tag: str, **attributes: str | float) -> ET.Element:
        written = {
            name.replace("_", "-"): value if isinstance(value, str) else f"{value:g}"
            for name, value in attributes.items()
        }
        return ET.SubElement(self._root, tag, written)

    def text(self, words: str, x: float, y: float, size: float = 13, **style: str) -> None:
        """Write one line, its baseline at `y`; `style` is any attribute of SVG's text."""
        style = {"font_family": _SANS, "fill": _TEXT} | style
        self._shape("text", x=x, y=y, font_size=size, **style).text = words

    def code(self, words: str, x: float, y: float, size: float = 12, **style: str) -> None:
        """Write one line as code."""
        self.text(words, x, y, size, font_family=_MONO, **style)

    def box(self, height: float, x: float = _MARGIN, width: float = _INNER, fill: str = _PANEL) -> None:
        """Draw a box at `y`, and stay there."""
        self._shape("rect", x=x, y=self.y, width=width, height=height, rx=8, fill=fill, stroke=_BORDER)

    def arrow(self, words: str = "", length: float = 26) -> None:
        """Draw an arrow downward, with words beside it, and go to its end."""
        x, end = _MARGIN + 20, self.y + length
        line = f"M{x} {self.y + 3:g}V{end - 4:g}l-4 -5m4 5l4 -5"
        self._shape("path", d=line, fill="none", stroke=_ACCENT, stroke_width=2, stroke_linecap="round")
        if words:
            self.text(words, x + 16, self.y + length / 2 + 4, 12, fill=_ACCENT)
        self.y = end

    def sign(self, kind: str, x: float, y: float) -> None:
        """Draw the sign of a kind of node, 24 wide; a tool's is the plugin's icon."""
        if kind in _NODES:
            fill, path = _NODES[kind]
            self._shape("rect", x=x, y=y, width=24, height=24, rx=6, fill=fill)
            place = f"translate({x + 12:g} {y + 12:g})"
            self._shape("path", d=path, transform=place, fill="none", stroke="#ffffff", stroke_width=2)
            return
        icon = ET.parse(ASSETS / "icon.svg").getroot()  # noqa: S314 - a file of this repository
        nested = self._shape("svg", x=x, y=y, width=24, height=24, viewBox=icon.attrib["viewBox"])
        for shape in icon:
            shape.tag = shape.tag.rpartition("}")[2]
            nested.append(shape)

    def svg(self) -> str:
        """Close the card, and return the file."""
        height = f"{self.y + _MARGIN:g}"
        self._card.set("height", f"{self.y + _MARGIN - 1:g}")
        self._root.attrib |= {"viewBox": f"0 0 {_WIDTH} {height}", "width": str(_WIDTH), "height": height}
        ET.indent(self._root)
        return ET.tostring(self._root, encoding="unicode") + "\n"


def workflow(app: Node, tools: Mapping[str, Node]) -> str:
    """Draw the nodes of an app in the order of its canvas, each with what it is given.

    Args:
        app: The DSL of a chatflow whose nodes stand in one row.
        tools: The plugin's tools, by name.
    """
    picture = Picture(app["app"]["name"])
    nodes = [node for node in app["workflow"]["graph"]["nodes"] if node["type"] == "custom"]
    titles = {node["id"]: node["data"]["title"] for node in nodes}
    for index, node in enumerate(sorted(nodes, key=lambda node: node["position"]["x"])):
        if index:
            picture.arrow()
        data = node["data"]
        given = [(label, _reference(name, titles)) for label, name in _given(data, tools)]
        height = 40 + 19 * len(given) + (6 if given else 0)
        picture.box(height)
        picture.sign(data["type"], _MARGIN + 8, picture.y + 8)
        picture.text(data["title"], _MARGIN + 42, picture.y + 25, 15, font_weight="600")
        for row, (label, reference) in enumerate(given):
            y = picture.y + 51 + 19 * row
            picture.text(label, _MARGIN + 10, y, 12, fill=_FAINT)
            picture.code(reference, _WIDTH - _MARGIN - 10, y, 11, text_anchor="end")
        picture.y += height
    return picture.svg()


def _given(data: Node, tools: Mapping[str, Node]) -> Iterator[tuple[str, str]]:
    """Yield where in a node a variable stands, and its name."""
    match data["type"]:
        case "tool":
            given = data["tool_parameters"]
            fields = (field for field in tools[data["tool_name"]]["parameters"] if field["name"] in given)
            texts = {field["label"]["en_US"]: given[field["name"]]["value"] for field in fields}
        case "llm":
            texts = {f"{prompt['role'].title()} Prompt": prompt["text"] for prompt in data["prompt_template"]}
        case "answer":
            texts = {"Response": data["answer"]}
        case _:
            texts = {}
    for label, text in texts.items():
        for name in _REFERENCE.findall(str(text)):
            yield label, name


def _reference(name: str, titles: Mapping[str, str]) -> str:
    node, _, variable = name.partition(".")
    if name == "sys.query":
        return "User Input / query"  # as Dify shows it
    return f"{titles[node]} / {variable}" if node in titles else name


def console(provider: Node, clouds: Mapping[str, str], language: str) -> str:
    """Draw where the credentials come from, into which form they go, and what becomes of them.

    Args:
        provider: The provider, with its credentials form.
        clouds: The API address of each of MemOS's clouds, by host.
        language: What the form speaks.
    """
    picture = Picture("MemOS URL, MemOS API Key")
    credentials = provider["credentials_for_provider"]
    picture.box(84)
    picture.text(_word("console", language), _MARGIN + 12, picture.y + 24, 15, font_weight="600")
    picture.code(_CONSOLE, _MARGIN + 12, picture.y + 44, fill=_FAINT)
    picture.code("mpg-…", _MARGIN + 12, picture.y + 68)
    picture.y += 84
    picture.arrow(_word("copy", language), 34)
    _form(picture, credentials, language)
    picture.arrow(_word("prove", language), 34)
    picture.box(30 + 19 * (len(clouds) + 1))
    picture.text(_word("cloud", language), _MARGIN + 12, picture.y + 23, 14, font_weight="600")
    for host in clouds:
        picture.code(host, _WIDTH - _MARGIN - 12, picture.y + 23, text_anchor="end")
        picture.y += 19
    picture.text(_word("own", language), _MARGIN + 12, picture.y + 27, 14, font_weight="600")
    picture.code("https://…", _WIDTH - _MARGIN - 12, picture.y + 27, text_anchor="end")
    picture.y += 49
    return picture.svg()


def _form(picture: Picture, credentials: Node, language: str) -> None:
    picture.box(48 + 50 * len(credentials) + 40)
    picture.sign("tool", _MARGIN + 12, picture.y + 10)
    lines = _word("form", language).split("\n")
    for row, line in enumerate(lines):
        y = picture.y + 27 + 16 * (row - (len(lines) - 1) / 2)
        picture.text(line, _MARGIN + 44, y, font_weight="600")
    picture.y += 44
    for credential in credentials.values():
        label = credential["label"][language] + (" *" if credential["required"] else "")
        picture.text(label, _MARGIN + 12, picture.y + 13, 12, fill=_FAINT)
        picture.y += 19
        picture.box(24, x=_MARGIN + 12, width=_INNER - 24, fill=_CARD)
        picture.code(_filled_in(credential, language), _MARGIN + 20, picture.y + 16, 11)
        picture.y += 31
    picture.y += 6
    picture.box(26, x=_WIDTH - _MARGIN - 84, width=72, fill=_ACCENT)
    middle = _WIDTH - _MARGIN - 48
    picture.text(_word("save", language), middle, picture.y + 18, fill="#ffffff", text_anchor="middle")
    picture.y += 38


def _filled_in(credential: Node, language: str) -> str:
    if credential["type"] == "select":
        labels = {option["value"]: option["label"][language] for option in credential["options"]}
        return str(labels[credential["default"]])
    return str(credential.get("default", "Token mpg-…"))


def _word(name: str, language: str) -> str:
    return _WORDS[name][LANGUAGES.index(language)]


def draw() -> dict[Path, str]:
    """Return every picture by its path.

    Pages in the folder `readme` name the pictures as Dify finds them, from the root of the package; GitHub
    looks for the same names in that folder, and so finds copies there, which are not packaged.
    """
    tools = {name: _read(f"tools/{name}.yaml") for name in ("search_memory", "add_memory")}
    provider = _read("provider/memos.yaml")
    pictures = {"memos_workflow.svg": workflow(_read("_assets/memory_assistant.yml"), tools)}
    for language in LANGUAGES:
        ending = "" if language == "en_US" else f"_{language}"
        pictures[f"memos_console{ending}.svg"] = console(provider, CLOUDS, language)
    copies = {
        REPOSITORY / "readme/_assets" / name: pictures[name]
        for name in pictures.keys() - {"memos_console.svg"}
    }
    return {ASSETS / name: svg for name, svg in pictures.items()} | copies


def _read(path: str) -> Node:
    content: Node = yaml.safe_load((REPOSITORY / path).read_text(encoding="utf-8"))
    return content


def main() -> None:
    """Write every picture."""
    for path, svg in draw().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
