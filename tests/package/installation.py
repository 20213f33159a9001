"""The package as Dify installs it: unpacked into an empty folder, beside an empty environment of its own."""

import contextlib
import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from sandbox.package import REPOSITORY
from sandbox.plugin_process import INHERITED

ENVIRONMENTS = REPOSITORY / ".sandbox" / "environments"


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


def unpack(files: Mapping[str, bytes], root: Path) -> None:
    """Write the files of a package into the folder `root`."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def requirements(text: str) -> list[Requirement]:
    """Read a requirements.txt, of which each line is a requirement, a comment or empty."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line]


def lowest(text: str) -> str:
    """Rewrite a requirements.txt so that of everything it names the lowest version is wanted."""
    return "".join(f"{needed.name}=={lower_bound(needed)}\n" for needed in requirements(text))


def lower_bound(needed: Requirement) -> str:
    """Return the lowest version that a requirement allows."""
    [bound] = [specifier.version for specifier in needed.specifier if specifier.operator in {">=", "=="}]
    return bound


def environment(name: str, wanted: str) -> Path:
    """Return the Python of an environment with what the requirements.txt `wanted` asks for.

    It is made once, and anew when `wanted` or this Python changes. Runs at the same time wait for each other.
    """
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    folder = ENVIRONMENTS / name
    python = folder / "bin" / "python"
    stamp = folder / "made-for"
    needed = hashlib.sha256(f"{sys.version}\n{wanted}".encode()).hexdigest()
    with (ENVIRONMENTS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != needed:
            _run("-m", "venv", "--clear", "--without-pip", folder)
            (folder / "requirements.txt").write_text(wanted)
            _run("-m", "pip", "--python", python, "install", "--requirement", folder / "requirements.txt")
            stamp.write_text(needed)
    return python


def _run(*arguments: str | Path) -> None:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - fixed arguments
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
