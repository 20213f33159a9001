"""Every link of a page leads somewhere, and every picture is found by GitHub and by Dify."""

import re
from pathlib import Path

import pytest
import yaml

from sandbox.package import collect
from tests.docs.pages import FOR_PEOPLE, READMES, REPOSITORY, read

REPO = yaml.safe_load((REPOSITORY / "manifest.yaml").read_text())["repo"]
FILES_OF_THE_REPOSITORY = f"{REPO}/blob/HEAD/"


@pytest.fixture(params=FOR_PEOPLE, ids=lambda path: path.name)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_links_lead_to_files_and_sections_that_exist(path: Path) -> None:
    page = read(path)
    for link in page.links:
        if link.startswith(FILES_OF_THE_REPOSITORY):
            assert (REPOSITORY / link.removeprefix(FILES_OF_THE_REPOSITORY)).is_file(), link
        elif not link.startswith(("https://", "mailto:")):
            file, _, anchor = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            assert target.exists(), link
            assert not anchor or anchor in [heading.anchor for heading in read(target).headings], link


def test_addresses_in_the_text_are_complete(path: Path) -> None:
    for address in re.findall(r"https?://[^\s)>`|]+", path.read_text()):
        assert re.fullmatch(r"https?://[\w.-]+\.\w+(:\d+)?(/[\w./#@-]*)?", address.rstrip(".,")), address


def test_a_page_has_no_anchor_twice(path: Path) -> None:
    anchors = [heading.anchor for heading in read(path).headings]
    assert len(anchors) == len(set(anchors)) or path.name == "CHANGELOG.md"


@pytest.mark.parametrize("path", READMES.values(), ids=lambda path: path.name)
def test_pictures_are_found_by_dify_and_by_github(path: Path) -> None:
    packaged = collect(REPOSITORY)
    for picture in read(path).pictures:
        # Dify looks for these names in the package, GitHub in the folder of the page.
        assert re.fullmatch(r"_assets/\w+\.svg", picture)
        assert (path.parent / picture).is_file()
        assert picture in packaged


@pytest.mark.parametrize("path", READMES.values(), ids=lambda path: path.name)
def test_links_to_what_is_not_packaged_lead_to_the_repository(path: Path) -> None:
    packaged = collect(REPOSITORY)
    for link in read(path).links:
        if not link.startswith(("https://", "mailto:", "#")):
            file = (path.parent / link.partition("#")[0]).resolve().relative_to(REPOSITORY)
            assert str(file) in packaged, link


def test_the_copies_for_github_are_not_packaged() -> None:
    assert not [path for path in collect(REPOSITORY) if path.startswith("readme/_assets/")]
