"""Runs the plugin as a process and talks to it over pipes, as Dify's plugin daemon does.

"Daemon" is langgenius/dify-plugin-daemon: `internal/core/local_runtime` starts a plugin and reads its stdout,
`internal/core/session_manager` writes the requests.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self, cast

from sandbox.dify_schema import LINE_LIMIT, check_message

REPOSITORY = Path(__file__).resolve().parents[1]
PROVIDER = "memos"

START_TIMEOUT = 120.0
"""Seconds until the first heartbeat (MAX_HEARTBEAT_INTERVAL of the daemon)."""

INHERITED = (
    *("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TEMP", "TMP", "TZ"),
    *("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
"""The only environment variables of its own that the daemon hands on (pluginCommandEnvAllowlist)."""

_GO_WRITES_EXPONENT_FROM = 1e21

type _Frames = queue.SimpleQueue[dict[str, Any] | None]
"""What came for one call, and None when the process has ended."""


class PluginDied(Exception):  # noqa: N818 - what happened, not a kind of error
    """The process of the plugin is not running; says why, and the end of its stderr."""


class CredentialsRefused(Exception):  # noqa: N818 - what happened, not a kind of error
    """The plugin raised while it validated credentials; `error` is its error frame."""

    def __init__(self, error: "PluginError") -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True)
class PluginError:
    """An exception of the plugin: its class name, its words, and `{"traceback": …}` (since SDK 0.10.1)."""

    error_type: str
    message: str
    args: Mapping[str, Any]


@dataclass(frozen=True)
class Invocation:
    """What one call of a tool sent: messages `{"type", "message", "meta"}` in order, and how it ended.

    `text`, `json` and `variables` are what Dify's workflow node makes of the messages (`ToolNode` of
    langgenius/graphon). Messages that were sent before an error stay.
    """

    messages: list[dict[str, Any]]
    error: PluginError | None
    seconds: float

    @property
    def text(self) -> str:
        """All text messages, one behind the other."""
        return "".join(content["text"] for content in self._contents("text"))

    @property
    def json(self) -> list[Any]:
        """The JSON messages that are not empty, or `[{"data": []}]`."""
        objects = [content["json_object"] for content in self._contents("json")]
        return [found for found in objects if found] or [{"data": []}]

    @property
    def variables(self) -> dict[str, Any]:
        """The last value of each variable; the parts of a streamed one are put together."""
        variables: dict[str, Any] = {}
        for content in self._contents("variable"):
            name, value = content["variable_name"], content["variable_value"]
            variables[name] = variables.get(name, "") + value if content["stream"] else value
        return variables

    def _contents(self, kind: str) -> list[dict[str, Any]]:
        return [message["message"] for message in self.messages if message["type"] == kind]


class PluginProcess:
    """The plugin as a running process, for the time of a `with` block; many threads may call it at once.

    Use it in a process that does not import `dify_plugin`, which lets gevent replace threads, sockets and
    pipes. If that process is killed, the plugin becomes a child of process 1 and ends itself within a second.
    For the same reason process 1 itself can't run a plugin: start containers with `--init`.

    Args:
        root: the folder of the plugin.
        main: the module that is run there.
        python: the interpreter, which must have the plugin's requirements.
        environment: variables for the plugin, on top of those that it inherits.
    """

    def __init__(
        self,
        root: Path = REPOSITORY,
        *,
        main: str = "main",
        python: Path = Path(sys.executable),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self._command = [str(python), "-m", main]
        self._root = root
        self._environment = inherited | {"INSTALL_METHOD": "local"} | dict(environment or {})
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._sessions: dict[str, _Frames] = {}
        self._death: str | None = "it was not started"
        self.stdout = bytearray()
        """Every byte that the plugin wrote to stdout so far; the same for `stderr`."""
        self.stderr = bytearray()
        self.stray_lines: list[str] = []
        """Lines on stdout that are no frame: the daemon drops them, even if half of the line is one."""

    def __enter__(self) -> Self:
        """Start the plugin and wait for its first heartbeat.

        Raises:
            PluginDied: the plugin did not start.
            TimeoutError: it sent no heartbeat in time.
        """
        self._process = subprocess.Popen(
            self._command,
            cwd=self._root,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._death = None
        self._stderr_reader = threading.Thread(target=self._read_stderr, args=[self._process.stderr])
        self._stdout_reader = threading.Thread(target=self._read_stdout, args=[self._process.stdout])
        self._stderr_reader.start()
        self._stdout_reader.start()
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._stop)
            if not self._ready.wait(START_TIMEOUT):
                raise TimeoutError(f"no heartbeat of the plugin within {START_TIMEOUT:g} s")
            self._check_alive()
            on_failure.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def invoke(
        self,
        tool: str,
        parameters: Mapping[str, Any],
        credentials: Mapping[str, Any],
        *,
        user_id: str | None,
        conversation_id: str | None = None,
        app_id: str | None = None,
        message_id: str | None = None,
        timeout: float = 60,
    ) -> Invocation:
        """Call a tool and wait until it has ended, `timeout` seconds at most.

        Parameters reach the plugin, and messages the caller, with the numbers that the daemon makes of them.
        A `user_id` of None reaches the plugin as "", because it is a plain string of the daemon's session.

        Raises:
            DifyRejects: the tool sent a message that Dify would not take.
            PluginDied: the process ended before the call did.
            TimeoutError: the call did not end in time.
        """
        started = time.monotonic()
        request = {
            "action": "invoke_tool",
            "tool": tool,
            "credentials": credentials,
            "credential_type": "api-key",
            "tool_parameters": parameters,
            "user_id": user_id or "",
        }
        session = {"conversation_id": conversation_id, "app_id": app_id, "message_id": message_id}
        messages, error = self._call(request, session, timeout)
        seconds = time.monotonic() - started
        for message in messages:
            check_message(message)
        return Invocation(_as_go_reads(messages), error, seconds)

    def validate(self, credentials: Mapping[str, Any]) -> None:
        """Let the plugin validate credentials, for 60 seconds at most.

        Raises:
            CredentialsRefused: the plugin raised, or its result was lost (its `error_type` is then empty).
            PluginDied: the process ended before the call did.
            TimeoutError: the call did not end in time.
        """
        request = {"action": "validate_tool_credentials", "credentials": credentials, "user_id": ""}
        results, error = self._call(request, {}, timeout=60)
        if error:
            raise CredentialsRefused(error)
        if results != [{"result": True}]:
            raise CredentialsRefused(PluginError("", f"no result but {results}", {}))

    def _call(
        self, data: Mapping[str, Any], session: Mapping[str, str | None], timeout: float
    ) -> tuple[list[dict[str, Any]], PluginError | None]:
        session_id = str(uuid.uuid4())
        request = {
            "session_id": session_id,
            **dict.fromkeys(("conversation_id", "message_id", "app_id", "endpoint_id")),
            **session,
            "context": {},
            "event": "request",
            "data": {"type": "tool", "provider": PROVIDER, **data},
        }
        line = json.dumps(_as_go_reads(request), allow_nan=False).encode() + b"\n"
        frames: _Frames = queue.SimpleQueue()
        with self._lock:
            self._check_alive()
            self._sessions[session_id] = frames
        stdin = cast("IO[bytes]", self._process.stdin)
        try:
            # Where the plugin is gone, the thread that reads stdout notices, too, and can tell why.
            with self._writing, contextlib.suppress(BrokenPipeError):
                stdin.write(line)
                stdin.flush()
            return self._collect(frames, timeout)
        except queue.Empty:
            raise TimeoutError(f"the plugin's call did not end within {timeout:g} s") from None
        finally:
            with self._lock:
                del self._sessions[session_id]

    def _collect(self, frames: _Frames, timeout: float) -> tuple[list[dict[str, Any]], PluginError | None]:
        deadline = time.monotonic() + timeout
        messages, error = [], None
        while True:
            match frames.get(timeout=max(0.0, deadline - time.monotonic())):
                case {"type": "stream", "data": message}:
                    messages.append(message)
                case {"type": "error", "data": {"error_type": kind, "message": words, "args": args}}:
                    error = PluginError(kind, words, args)
                case {"type": "end"}:
                    return messages, error
                case None:
                    self._check_alive()
                case frame:
                    raise NotImplementedError(f"nothing here answers the plugin's {frame}")

    def _read_stdout(self, stdout: IO[bytes]) -> None:
        reason = None
        for line in iter(lambda: stdout.readline(LINE_LIMIT), b""):
            self.stdout += line
            if len(line) == LINE_LIMIT and not line.endswith(b"\n"):
                reason = f"it wrote a line of {LINE_LIMIT} bytes or more, for which Dify's daemon kills it"
                break
            if content := line.rstrip(b"\r\n"):
                self._receive(content)
        self._process.kill()
        exit_code = self._process.wait()
        self._stderr_reader.join()
        with self._lock:
            self._death = reason or f"exit code {exit_code}"
            for frames in self._sessions.values():
                frames.put(None)
        self._ready.set()

    def _read_stderr(self, stderr: IO[bytes]) -> None:
        for line in stderr:
            self.stderr += line

    def _receive(self, line: bytes) -> None:
        try:
            frame = json.loads(line)
        except ValueError:
            frame = None
        match frame:
            case {"event": "session", "session_id": str(session_id), "data": dict(data)}:
                if frames := self._sessions.get(session_id):
                    frames.put(data)
            case {"event": "heartbeat"}:
                self._ready.set()
            case {"event": "log" | "error"} | {"type": "plugin", "plugins": _}:
                pass
            case _:
                self.stray_lines.append(line.decode(errors="replace"))

    def _check_alive(self) -> None:
        if self._death is not None:
            tail = self.stderr[-2000:].decode(errors="replace")
            raise PluginDied(f"the plugin is not running: {self._death}\n{tail}")

    def _stop(self) -> None:
        self._process.kill()
        for reader in (self._stdout_reader, self._stderr_reader):
            reader.join()
        with contextlib.suppress(BrokenPipeError):
            self._process.__exit__(None, None, None)


def _as_go_reads(value: Any) -> Any:
    """Return a JSON value as it is after Go read it into `any` and wrote it again.

    Numbers become float64, of which whole ones are written as integers, and lone surrogates U+FFFD.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return json.loads(text, parse_int=_float64, parse_float=_float64)


def _float64(digits: str) -> float:
    number = float(digits)
    return int(number) if number.is_integer() and abs(number) < _GO_WRITES_EXPONENT_FROM else number
