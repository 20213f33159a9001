"""Builds the package that Dify installs, `dist/<name>-<version>.difypkg`, and shows what is inside.

The format and its rules are those of the official packager, langgenius/dify-plugin-daemon's
`pkg/plugin_packager`: a zip of all files that `.difyignore` does not name. Built here, it is the same to the
byte wherever and whenever it is built. The official tool is asked, too, where it is on PATH as `dify`.
"""

import hashlib
import io
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from pathspec import PathSpec

REPOSITORY = Path(__file__).resolve().parents[1]

LARGEST = 1_000_000
"""Bytes that the package may have: most of them are pictures, at most 80 KB each."""

# The packager matches with go-git, `pathspec` as git does. They agree on names, "/", "*", "?" and "[abc]",
# and part ways on "**", "\", "[^a]" and "!" (which has no effect there: each pattern is tested alone).
_PLAIN_PATTERN = re.compile(r"(?!.*\*\*)([\w.*?/-]|\[\w+\])+", re.ASCII)

type Files = dict[str, bytes]


class PackageError(Exception):
    """This folder can't become a package; says why."""


def collect(root: Path) -> Files:
    """Return what goes into the package of the plugin in `root`: contents by path, sorted by path.

    Raises:
        PackageError: The official tool would treat a pattern of `.difyignore`, or a file, differently.
    """
    patterns = (root / ".difyignore").read_text(encoding="utf-8").splitlines()
    patterns = [pattern for line in patterns if (pattern := line.strip()) and not pattern.startswith("#")]
    for pattern in patterns:
        if not _PLAIN_PATTERN.fullmatch(pattern):
            raise PackageError(f'.difyignore: {pattern}: only names with "/", "*", "?" and "[abc]"')
    ignored = PathSpec.from_lines("gitignore", patterns)
    files = {}
    for folder, subfolders, names in root.walk():
        relative = folder.relative_to(root)
        subfolders[:] = [name for name in subfolders if not ignored.match_file(f"{relative / name}/")]
        for path in ((relative / name).as_posix() for name in names):
            if ignored.match_file(path):
                continue
            if not stat.S_ISREG((root / path).lstat().st_mode):
                raise PackageError(f"{path}: neither a file nor a folder; the official tool can't pack it")
            files[path] = (root / path).read_bytes()
    return dict(sorted(files.items()))


def missing(files: Mapping[str, bytes]) -> list[str]:
    """Name the files that Dify would look for in the package, and not find.

    The official tool looks for them on the disk, so that an ignored one is noticed only at installation.
    """
    always = ("manifest.yaml", "requirements.txt", "README.md", "PRIVACY.md")
    needed = (path for start in always for path in _needed(start, files))
    return [path for path in dict.fromkeys(needed) if path not in files]


def _needed(path: str, files: Mapping[str, bytes]) -> Iterator[str]:
    """A file, and the files that it names if it is a manifest or the declaration of a provider or a tool."""
    yield path
    if path in files and path.endswith(".yaml"):
        declared = yaml.load(files[path], yaml.CSafeLoader)
        for place in (declared, declared.get("identity", {})):
            yield from (f"_assets/{place[key]}" for key in ("icon", "icon_dark") if key in place)
        if "meta" in declared:
            yield f"{declared['meta']['runner']['entrypoint'].replace('.', '/')}.py"
        if "extra" in declared:
            yield declared["extra"]["python"]["source"]
        for named in declared.get("tools", declared.get("plugins", {}).get("tools", [])):
            yield from _needed(named, files)


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return the package: entries sorted by path and deflated; no folders, dates, permissions or comment."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name)  # dated 1980-01-01
            entry.create_system = 3  # whose file modes follow; the default is that of this machine
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED, compresslevel=9)
    return package.getvalue()


def read(path: Path) -> Files:
    """Return what is in a package: contents by path.

    Raises:
        PackageError: Its zip is broken.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except zipfile.BadZipFile as error:
        raise PackageError(f"{path}: {error}") from None


def checksum(files: Mapping[str, bytes]) -> str:
    """Return the checksum that Dify installs the package under, whatever its zip looks like.

    It is the SHA-256 of the SHA-256 of each path and of each content, in the order of the paths.
    """
    parts = (part for path in sorted(files) for part in (path.encode(), files[path]))
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def build(root: Path = REPOSITORY) -> Path:
    """Check the plugin in `root`, build its package in the folder `dist` there, and return the path.

    Raises:
        PackageError: It is too large, lacks a file, or is not what the official tool builds.
    """
    files = collect(root)
    if lacking := missing(files):
        raise PackageError(f"not in the package: {', '.join(lacking)}; does .difyignore name them?")
    packed = pack(files)
    if len(packed) > LARGEST:
        raise PackageError(f"the package has {len(packed)} bytes; at most {LARGEST} are wanted")
    if official := shutil.which("dify"):
        _compare(files, official, root)
    manifest = yaml.safe_load(files["manifest.yaml"])
    package = root / "dist" / f"{manifest['name']}-{manifest['version']}.difypkg"
    package.parent.mkdir(exist_ok=True)
    package.write_bytes(packed)
    return package


def _compare(files: Files, official: str, root: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch) / "official.difypkg"
        command = [official, "plugin", "package", str(root), "--output_path", str(package)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode or not package.exists():
            raise PackageError(f"{official} refused: {run.stdout}{run.stderr}")
        theirs = read(package)
    if different := sorted(path for path in files.keys() | theirs if files.get(path) != theirs.get(path)):
        raise PackageError(f"the official tool packs differently: {', '.join(different)}")


def main() -> int:
    """Build the package, print its content and checksums, and return the exit code."""
    try:
        package = build()
    except PackageError as error:
        print(error, file=sys.stderr)
        return 1
    files = read(package)
    for path, content in files.items():
        print(f"{len(content):>8,}  {path}")
    size = sum(map(len, files.values()))
    print(f"{size:>8,}  in {len(files)} files, {package.stat().st_size:,} bytes packed")
    print(package.relative_to(REPOSITORY))
    print(f"SHA-256          {hashlib.sha256(package.read_bytes()).hexdigest()}")
    print(f"Dify's checksum  {checksum(files)}")
    print(f"Official tool    {'the same content' if shutil.which('dify') else 'not on PATH, not compared'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
