"""The package as Dify installs it: unpacked into an empty folder, beside an empty environment of its own."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from sandbox.package import REPOSITORY
from sandbox.plugin_process import INHERITED

ENVIRONMENT = REPOSITORY / ".sandbox" / "lowest"


@dataclass(frozen=True)
class Installation:
    """An installed plugin: its folder, and the Python that has what `requirements.txt` asks for."""

    root: Path
    python: Path

    @contextlib.contextmanager
    def running(self, log: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
        """Run the plugin for the time of a `with` block, its output going to `log`."""
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        with (
            log.open("wb") as output,
            subprocess.Popen(  # noqa: S603 - fixed arguments
                [str(self.python), "-m", "main"],
                cwd=self.root,
                env=inherited | dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()


def install(files: Mapping[str, bytes], root: Path) -> Installation:
    """Install a package in `root`, with the lowest version of all that its `requirements.txt` allows."""
    unpack(files, root)
    needed = requirements(files["requirements.txt"].decode())
    return Installation(root, _environment([f"{name.name}=={lower_bound(name)}" for name in needed]))


def unpack(files: Mapping[str, bytes], root: Path) -> None:
    """Write the files of a package into the folder `root`."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def requirements(text: str) -> list[Requirement]:
    """Read a requirements.txt, of which each line is a requirement."""
    return [Requirement(line) for line in text.splitlines()]


def lower_bound(needed: Requirement) -> str:
    """Return the lowest version that a requirement allows."""
    [bound] = [specifier.version for specifier in needed.specifier if specifier.operator == ">="]
    return bound


def _environment(wanted: list[str]) -> Path:
    """Return the Python of an environment with nothing but `wanted`; it is made once, until that changes."""
    python = ENVIRONMENT / "bin" / "python"
    stamp = ENVIRONMENT / "made-for"
    made_for = f"{sys.version}\n{wanted}"
    if not stamp.exists() or stamp.read_text() != made_for:
        _run("-m", "venv", "--clear", "--without-pip", str(ENVIRONMENT))
        _run("-m", "pip", "--python", str(python), "install", "--quiet", *wanted)
        stamp.write_text(made_for)
    return python


def _run(*arguments: str) -> None:
    done = subprocess.run([sys.executable, *arguments], check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}\n{done.stdout}{done.stderr}")
