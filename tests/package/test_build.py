"""`make package` builds what the official packager would, the same to the byte wherever it is built."""

import hashlib
import io
import os
import shutil
import stat
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from sandbox.package import LARGEST, REPOSITORY, PackageError, build, checksum, collect, pack, read
from tests.package.contents import Package
from tests.package.installation import unpack

JUNK = (
    *(".git/HEAD", ".github/workflows/ci.yml", ".venv/bin/python", ".sandbox/state", "dist/old.difypkg"),
    *(".env", ".env.example", "memos_client/__pycache__/x.pyc", "tests/test_x.py", "sandbox/x.py", "x.log"),
    *(".mypy_cache/x", ".ruff_cache/x", ".pytest_cache/x", ".hypothesis/x", "docs/x.md", ".DS_Store"),
    *("Makefile", "pyproject.toml", "requirements-dev.txt", "CONTRIBUTING.md", ".gitignore"),
)


@pytest.fixture
def source(package: Package, tmp_path: Path) -> Path:
    """The plugin's source in a plain folder, without git."""
    root = tmp_path / "source"
    unpack(package.files, root)
    shutil.copy(REPOSITORY / ".difyignore", root)
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder that ignores nothing."""
    root = tmp_path / "folder"
    root.mkdir()
    (root / ".difyignore").touch()
    return root


def test_same_bytes_from_a_folder_full_of_other_things(source: Path) -> None:
    first = build(source).read_bytes()
    for path in JUNK:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text("junk")
    for path in source.rglob("*.py"):
        path.chmod(0o755)
        os.utime(path, (0, 0))

    assert build(source).read_bytes() == first


def test_package_has_the_form_that_dify_reads(package: Package) -> None:
    packed = pack(dict(reversed(package.files.items())))

    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        entries = archive.infolist()
        assert archive.comment == b""
    assert [entry.filename for entry in entries] == sorted(package.files)
    for entry in entries:
        assert entry.compress_type == zipfile.ZIP_DEFLATED
        assert stat.filemode(entry.external_attr >> 16) == "-rw-r--r--"
        assert (entry.date_time, entry.extra, entry.comment) == ((1980, 1, 1, 0, 0, 0), b"", b"")


def test_checksum_is_that_of_dify() -> None:
    """Written out once, in the order of the daemon's `CalculateChecksum`."""

    def digest(content: bytes) -> bytes:
        return hashlib.sha256(content).digest()

    by_hand = digest(digest(b"a/b.py") + digest(b"two") + digest(b"manifest.yaml") + digest(b"one"))

    assert checksum({"manifest.yaml": b"one", "a/b.py": b"two"}) == by_hand.hex()


@pytest.mark.parametrize(
    ("pattern", "ignored"),
    [
        ("docs/", {"docs/a.md", "deep/docs/b.md"}),
        ("docs", {"docs/a.md", "deep/docs/b.md"}),
        ("/docs", {"docs/a.md"}),
        ("deep/docs", {"deep/docs/b.md"}),
        ("a.md", {"docs/a.md"}),
        ("a.md/", set()),
        ("*.py[cod]", {"x.pyc"}),
        ("x.?yc", {"x.pyc"}),
        (" x.pyc ", {"x.pyc"}),
        ("# x.pyc", set()),
    ],
)
def test_difyignore_is_read_as_the_official_tool_does(folder: Path, pattern: str, ignored: set[str]) -> None:
    everything = {".difyignore", "docs/a.md", "deep/docs/b.md", "x.pyc", "x.py"}
    unpack(dict.fromkeys(everything, b""), folder)
    (folder / ".difyignore").write_text(f"{pattern}\n")

    assert everything - collect(folder).keys() == ignored


@pytest.mark.parametrize("pattern", ["!x.py", "a/**/b", "x\\#", "[^a].py", "a b"])
def test_pattern_that_tools_read_differently_is_refused(folder: Path, pattern: str) -> None:
    (folder / ".difyignore").write_text(pattern)

    with pytest.raises(PackageError, match=r"^\.difyignore: "):
        collect(folder)


def test_link_is_refused(folder: Path) -> None:
    (folder / "link").symlink_to(folder.parent)

    with pytest.raises(PackageError, match=r"^link: neither a file nor a folder"):
        collect(folder)


@pytest.mark.parametrize("path", ["tools/add_memory.py", "_assets/icon-dark.svg", "README.md", "main.py"])
def test_ignored_file_that_dify_needs_is_noticed(source: Path, path: str) -> None:
    with (source / ".difyignore").open("a") as ignore:
        ignore.write(f"\n{path}\n")

    with pytest.raises(PackageError, match=f"^not in the package: {path}; "):
        build(source)


def test_large_package_is_refused(source: Path) -> None:
    (source / "_assets" / "video.mp4").write_bytes(os.urandom(LARGEST))

    with pytest.raises(PackageError, match=f"at most {LARGEST} are wanted"):
        build(source)
    assert not (source / "dist").exists()


SAME = "(p for p in root.rglob('*') if p.is_file() and p.parent.name != 'dist' and p.name != '.difyignore')"


@pytest.fixture
def official_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packs: str) -> None:
    """A stand-in for the official tool, which packs what `packs` says, dated today and not compressed."""
    script = f"""\
        #!{sys.executable}
        import pathlib, sys, zipfile

        _, plugin, package, root, option, output = sys.argv
        assert (plugin, package, option) == ("plugin", "package", "--output_path")
        root = pathlib.Path(root)
        with zipfile.ZipFile(output, "w") as archive:
            for path in {packs}:
                archive.write(path, path.relative_to(root))
        """
    (tmp_path / "dify").write_text(textwrap.dedent(script))
    (tmp_path / "dify").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)


@pytest.mark.usefixtures("official_tool")
@pytest.mark.parametrize("packs", [SAME])
def test_official_tool_that_packs_the_same_is_content(source: Path) -> None:
    assert build(source).exists()


@pytest.mark.usefixtures("official_tool")
@pytest.mark.parametrize(
    ("packs", "words"),
    [
        ("[root / '.difyignore']", r"packs differently: \.difyignore, .*main\.py"),
        ("[][0]", r"refused: .*IndexError"),
    ],
)
def test_official_tool_that_packs_otherwise_is_an_error(source: Path, words: str) -> None:
    with pytest.raises(PackageError, match=f"(?s){words}"):
        build(source)


def test_command_builds_the_package_and_prints_its_content_size_and_checksums(package: Package) -> None:
    command = [sys.executable, "-m", "sandbox.package"]
    printed = subprocess.check_output(command, cwd=REPOSITORY, text=True)  # noqa: S603 - fixed arguments
    built = REPOSITORY / "dist" / f"memos-{package.manifest['version']}.difypkg"

    assert read(built) == package.files
    assert built.stat().st_size <= LARGEST
    assert all(f"{len(content):>8,}  {path}\n" in printed for path, content in package.files.items())
    assert f"{built.stat().st_size:,} bytes" in printed
    assert hashlib.sha256(built.read_bytes()).hexdigest() in printed
    assert checksum(package.files) in printed
