"""The pictures of README are PNG files that Dify's drawer shows: wider than high, small, none too many."""

import struct
from pathlib import Path

import pytest

from tests.docs.pages import READMES, REPOSITORY, read

SHOWN = {picture for path in READMES.values() for picture in read(path).pictures}
PICTURES = sorted((REPOSITORY / "_assets").glob("*.png"))
LARGEST = 80_000
"""Bytes of a picture."""


def test_every_picture_is_shown_and_every_shown_one_is_there() -> None:
    assert {f"./_assets/{path.name}" for path in PICTURES} == SHOWN
    # GitHub looks for them beside the page, and follows no link of the file system.
    copies = {path.name: path.read_bytes() for path in (REPOSITORY / "readme/_assets").iterdir()}
    assert copies == {path.name: path.read_bytes() for path in PICTURES}


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_wider_than_high_sharp_and_small(path: Path) -> None:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:])
    # The drawer shows at most 200 pixels of height, on many screens with two dots each.
    assert width >= 1.5 * height
    assert height >= 400
    assert path.stat().st_size < LARGEST
