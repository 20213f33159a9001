"""Every link of a page leads somewhere, and every picture is found by GitHub and by Dify."""

import re
from pathlib import Path

import pytest
import yaml

from sandbox.package import collect
from tests.docs.pages import FOR_PEOPLE, REPOSITORY, read

OF_THE_REPOSITORY = f"{yaml.safe_load((REPOSITORY / 'manifest.yaml').read_text())['repo']}/blob/main/"
PACKAGED = collect(REPOSITORY)
FOR_EACH = pytest.mark.parametrize("path", FOR_PEOPLE, ids=lambda path: path.name)


@FOR_EACH
def test_links_lead_to_files_and_sections_that_exist(path: Path) -> None:
    page = read(path)
    assert len(page.anchors) == len(set(page.anchors)) or path.name == "CHANGELOG.md"
    for link in page.links:
        if link.startswith(OF_THE_REPOSITORY):
            assert (REPOSITORY / link.removeprefix(OF_THE_REPOSITORY)).is_file(), link
        elif not link.startswith(("https://", "mailto:")):
            file, _, anchor = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            assert target.exists(), link
            assert not anchor or anchor in read(target).anchors, link


@FOR_EACH
def test_addresses_in_the_text_are_complete(path: Path) -> None:
    for address in re.findall(r"https?://[^\s)>\]`|]+", path.read_text()):
        assert re.fullmatch(r"https?://[\w.-]+\.\w+(:\d+)?(/[\w./#@-]*)?", address.rstrip(".,")), address


@FOR_EACH
def test_pictures_are_found_by_dify_and_by_github(path: Path) -> None:
    assert "<img" not in path.read_text()
    for picture in read(path).pictures:
        # Dify looks for these names in the package, GitHub in the folder of the page.
        assert re.fullmatch(r"\./_assets/\w+\.png", picture)
        assert (path.parent / picture).is_file()
        assert picture.removeprefix("./") in PACKAGED
    assert not [name for name in PACKAGED if name.startswith("readme/_assets/")]
