"""Python programs that start in a tenth of the time, for tests that start many.

Importing Polars, FastAPI and their like takes more than a second of processor time, in
every program, and our own modules half a second. Here one process, the nursery, imports
them once and forks each program from that. The program's own module is executed by the
program itself, and so is what reads the environment when it is imported; its arguments,
environment, folder, streams and exit code are as they would be otherwise. A program that
starts others, such as the worker that builds derived tables, gets a nursery of its own, a
copy of the first one.

Programs start as usual where the system is not Linux, and in thorough runs.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn
from unittest.mock import patch

from tests.support.effort import THOROUGH
from util import allocator

ROOT = Path(__file__).parents[2]
IS_USED = sys.platform == "linux" and not THOROUGH
_PACKAGES = (
    *("polars", "dotenv", "mysql.connector", "psycopg"),
    *(
        "fastapi",
        "fastapi_offline",
        "starlette_compress",
        "uvicorn",
        "prometheus_client",
    ),
    *("sentry_sdk", "structlog", "tenacity", "httpx", "wsgiref.simple_server"),
    *(
        "uvicorn.lifespan.on",
        "uvicorn.protocols.http.httptools_impl",
        "uvicorn.loops.auto",
    ),
    *("duckdb", "jsonschema_rs", "jwt", "xlsxwriter", "orjson"),
    *("sqlfiles.catalogue", "sqlfiles.session", "sqlfiles.result_types"),
)
_PROGRAMS = ("main", "update_readmodel", "collect_events")
_EXECUTED_ANEW = (*_PROGRAMS, "tests")
"""Modules, with those below them, that are not taken from the nursery."""
_ENVIRONMENT = {
    # Polars' allocator must not have a thread that a fork would lose.
    allocator.VARIABLE: f"{allocator.FOR_ANSWERS},background_thread:false",
    # Large pages: a fork copies an entry for each page, and there are two per program.
    "PYTHONMALLOC": "malloc",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
_NAME = Path("/proc/self/comm")
_NURSERY = "nursery"
_INTERRUPTED = 256  # no exit status
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER


@dataclass(frozen=True)
class _Start:
    """The beginning of a program: `python *arguments`."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    session: bool


class Program(subprocess.Popen[Any]):
    """`subprocess.Popen`, which forks Python programs: a module or a file."""

    def _execute_child(self, args: Sequence[str], *rest: Any) -> None:
        """Override the private method of Popen that starts the process."""
        if not (IS_USED and _is_python_program(args)):
            super()._execute_child(args, *rest)  # type: ignore[misc]
            return
        (_, _, _, _, cwd, env, _, _, _, p2cread, _, _, c2pwrite, _, errwrite, *more) = (
            rest
        )
        environment = os.environ if env is None else env
        start = _Start(
            [str(word) for word in args[1:]],
            {os.fsdecode(k): os.fsdecode(v) for k, v in environment.items()},
            os.fspath(cwd or Path.cwd()),
            session=more[5],
        )
        streams = [
            given if given != -1 else n
            for n, given in enumerate((p2cread, c2pwrite, errwrite))
        ]
        self.pid = _nursery().start(start, streams)
        self._child_created = True
        self._close_pipe_fds(*rest[9:15])  # type: ignore[attr-defined]


def _is_python_program(args: Sequence[str]) -> bool:
    """True of `python -m module …` and `python file …`, whatever else runs as usual."""
    if isinstance(args, str) or len(args) < 2 or args[0] != sys.executable:
        return False
    return args[1] == "-m" or not str(args[1]).startswith("-")


def start(arguments: Sequence[str], **options: Any) -> "subprocess.Popen[Any]":
    """Start `python *arguments*`; *options* are those of `subprocess.Popen`."""
    return Program([sys.executable, *arguments], **options)


def run(
    arguments: Sequence[str], timeout: float, **options: Any
) -> "subprocess.CompletedProcess[str]":
    """Run `python *arguments` to its end, as `subprocess.run` does, and take its output."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with start(arguments, **pipes, **options) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def is_nursery(pid: int) -> bool:
    """True of the process that a program has only here."""
    name = Path(f"/proc/{pid}/comm")
    return name.exists() and name.read_text(encoding="utf-8").strip() == _NURSERY


@contextmanager
def used_by(module: ModuleType) -> Iterator[None]:
    """Let *module* start its Python programs here, and not with `subprocess.Popen`."""
    names = vars(subprocess) | {"Popen": Program}
    with patch.object(module, "subprocess", SimpleNamespace(**names)):
        yield


class _Nursery:
    """The process that has imported the packages, seen from the tests' process."""

    def __init__(
        self, connection: socket.socket, process: "subprocess.Popen[bytes] | None"
    ) -> None:
        self._lock = threading.Lock()
        self._socket, self._process = connection, process

    @classmethod
    def started(cls) -> "_Nursery":
        """A new one, which this process ends at its exit."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.preloaded", str(theirs.fileno())],
                cwd=ROOT,
                env={"PATH": os.environ.get("PATH", ""), **_ENVIRONMENT},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        nursery = cls(ours, process)
        atexit.register(nursery.close)
        return nursery

    def start(self, start: _Start, streams: Sequence[int]) -> int:
        """Fork a program with *streams*; its process id."""
        request = json.dumps(asdict(start)).encode()
        with self._lock, _adopting():
            socket.send_fds(self._socket, [len(request).to_bytes(8)], streams)
            self._socket.sendall(request)
            return int.from_bytes(_exactly(self._socket, 8))

    def close(self) -> None:
        """End the process; its programs stay."""
        self._socket.close()
        if self._process:
            self._process.wait()


@contextmanager
def _adopting() -> Iterator[None]:
    """Become the parent of the program, whose own, a child of the nursery, ends at once."""
    prctl = ctypes.CDLL(None).prctl
    prctl(_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_SUBREAPER, 0, 0, 0, 0)


_nurseries: list[_Nursery] = []
"""That of this process, if there is one."""


def _nursery() -> _Nursery:
    if not _nurseries:
        _nurseries.append(_Nursery.started())
    return _nurseries[0]


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        more = connection.recv(count - len(received))
        if not more:
            raise EOFError
        received += more
    return received


def main(connection: socket.socket) -> None:
    """Import the packages, then fork a program per request."""
    for name in (*_PACKAGES, *_PROGRAMS):
        importlib.import_module(name)
    for name in list(sys.modules):
        if f"{name}.".startswith(tuple(f"{module}." for module in _EXECUTED_ANEW)):
            del sys.modules[name]
    del sys.modules["util"].allocator
    # Ctrl-C is for the tests, whose end ends this process, too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    _serve(connection)


def _serve(connection: socket.socket) -> None:
    """Fork a program per request, until nobody can send one."""
    _NAME.write_text(_NURSERY, encoding="utf-8")
    # Python warns of forks of processes with threads. Polars has one that waits for files
    # to delete; it holds no lock.
    with suppress(EOFError), warnings.catch_warnings(action="ignore"):
        while True:
            _answer(connection)


def _answer(connection: socket.socket) -> None:
    header, streams, _, _ = socket.recv_fds(connection, 8, 3)
    if not header:
        raise EOFError
    start = _Start(**json.loads(_exactly(connection, int.from_bytes(header))))
    reading, writing = os.pipe()
    if (parent := os.fork()) == 0:
        if (pid := os.fork()) == 0:
            connection.close()
            os.close(reading)
            os.close(writing)
            raise _Begin(start, streams)
        os.write(writing, pid.to_bytes(8))
        os._exit(0)
    os.close(writing)
    os.waitpid(parent, 0)
    connection.sendall(os.read(reading, 8))
    os.close(reading)
    for stream in streams:
        os.close(stream)


class _Begin(BaseException):
    """Carries a program to the top of the stack, so that it starts with a clean one."""

    def __init__(self, start: _Start, streams: Sequence[int]) -> None:
        self.start, self.streams = start, streams


def _renew(name: str, number: int) -> None:
    """Open a standard stream again, as it depends on the kind of file."""
    before = getattr(sys, name)
    raw = open(number, "wb" if number else "rb", closefd=False)  # noqa: SIM115
    stream = TextIOWrapper(
        raw, before.encoding, before.errors, line_buffering=number == 2 or raw.isatty()
    )
    setattr(sys, name, stream)
    setattr(sys, f"__{name}__", stream)


def _starts_programs(start: _Start) -> bool:
    """True of a demonstration, and of an updater or API with SQL files."""
    words = " ".join(start.arguments[:3])
    if not any(name in words for name in ("update_readmodel.py", "main:app")):
        return start.arguments[:2] == ["-m", "demo"]
    folder = Path(start.folder, start.environment.get("VIEWS_DIR") or ROOT / "views")
    return next(folder.rglob("*.sql"), None) is not None


def _fork_nursery(streams: Sequence[int]) -> None:
    """Let a copy of this process, which is still one, fork what this program starts."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        for stream in streams:
            os.close(stream)
        os.setsid()  # what is sent to the program's session is not for it
        try:
            _serve(theirs)
        except _Begin as begin:
            _run_to_end(begin)
        os._exit(0)
    theirs.close()
    _nurseries[:] = [_Nursery(ours, None)]
    subprocess.Popen = Program  # type: ignore[misc]


def _run_to_end(begin: _Begin) -> NoReturn:
    """Run the program, and end as Python does, but leave its memory to the system.

    Python frees each object first, which writes to all pages that are shared with the
    nursery: three quarters of the time of a short program.
    """
    status = _status_of(begin)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            if not stream.closed:
                stream.flush()
        except OSError as error:
            name = type(error).__name__
            sys.stderr.write(f"Exception ignored in: {stream!r}\n{name}: {error}\n")
            status = 120
    if status == _INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(status)


def _status_of(begin: _Begin) -> int:
    """Run the program until its last line; its exit status, _INTERRUPTED after Ctrl-C."""
    try:
        _run(begin)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        sys.stderr.write(f"{end.code}\n")
    except KeyboardInterrupt:
        sys.excepthook(*sys.exc_info())
        return _INTERRUPTED
    except BaseException:  # noqa: BLE001 - the program's end, whatever it is
        sys.excepthook(*sys.exc_info())
    else:
        return 0
    return 1


def _run(begin: _Begin) -> None:
    """Run the program in this process, which has just been forked."""
    start = begin.start
    _NAME.write_text(Path(sys.executable).name, encoding="utf-8")
    _nurseries.clear()
    if _starts_programs(start):
        _fork_nursery(begin.streams)
    if start.session:
        os.setsid()
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.dup2(begin.streams[number], number)
        os.close(begin.streams[number])
        _renew(name, number)
    # Python sets LC_CTYPE in an environment without a locale.
    coerced = {"LC_CTYPE": os.environ.get("LC_CTYPE", "C.UTF-8")}
    has_locale = {"LC_ALL", "LC_CTYPE", "LANG"} & start.environment.keys()
    os.environ.clear()
    os.environ.update(
        start.environment if has_locale else coerced | dict(start.environment)
    )
    time.tzset()
    os.chdir(start.folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    first, *arguments = start.arguments
    paths = [p for p in start.environment.get("PYTHONPATH", "").split(os.pathsep) if p]
    own = [str(ROOT), "", str(Path.cwd())]
    sys.path[:] = [*paths, *(path for path in sys.path if path not in own)]
    if first == "-m":
        sys.path.insert(0, str(Path.cwd()))
        sys.argv[:] = arguments
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(first).parent))
        sys.argv[:] = start.arguments
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    try:
        main(socket.socket(fileno=int(sys.argv[1])))
    except _Begin as begin:
        begun = begin
    else:
        os._exit(0)
    _run_to_end(begun)
