"""Processes that judge messages of Kafka while there is a backlog.

Verdicts are Python's work, so a thread would wait for the interpreter's lock. Nothing depends
on a process: whatever it does, the messages are here, and are judged here then.
"""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from events.rules import EventRules
from readmodel.store.damage import PARSE_ERRORS
from readmodel.sync.spool_reader import SpooledEvents
from updater.judge_messages import JudgeRequest, encode_request, receive_reply, send
from util.logs import get_logger

MOST_PROCESSES: Final = 2
"""More would wait for the updater's own process, which reads and writes."""

ANSWER_SECONDS: Final = 30.0
"""How long a process may take, from its start on; usually a tenth of a second."""

LEAVE_SECONDS: Final = 5.0
"""How long a process may take to exit after it has closed its connection."""

MOST_LOSSES: Final = 3
"""So many processes of a pool may fail before it is given up."""

_ROOT: Final = Path(__file__).parents[1]
_COMMAND: Final = (sys.executable, "-m", "updater.judge_worker")
_ENVIRONMENT: Final = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR")
"""What Python and Polars need; the settings of the updater hold secrets."""

_log = get_logger("kafka")


class JudgeLost(Exception):
    """A process has not answered; its messages have to be judged elsewhere."""


def process_count() -> int:
    """How many processes can judge beside this one; 0 with a single processor."""
    processors = (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )
    return min(processors, MOST_PROCESSES) if processors > 1 else 0


class JudgePool:
    """Some processes, each with a thread that waits for it.

    A process starts when it is needed, again after it has failed, and leaves by itself
    when it was idle for a while. After MOST_LOSSES the pool `is_broken`.
    """

    def __init__(self, rules: EventRules, processes: int) -> None:
        """Start nothing yet."""
        self._judges = [JudgeProcess(rules) for _ in range(processes)]
        self._idle: queue.SimpleQueue[JudgeProcess] = queue.SimpleQueue()
        for judge in self._judges:
            self._idle.put(judge)
        self._threads = ThreadPoolExecutor(processes, "judge")
        # Weak: a result has some megabytes.
        self._last: weakref.ref[Future[SpooledEvents]] | None = None
        self._losses = 0
        self._is_closed = False

    def submit(self, request: JudgeRequest) -> Future[SpooledEvents]:
        """Let the next idle process judge. The result may raise JudgeLost."""
        answer = self._threads.submit(self._ask, request)
        self._last = weakref.ref(answer)
        return answer

    def _ask(self, request: JudgeRequest) -> SpooledEvents:
        judge = self._idle.get()
        try:
            if self.is_broken or self._is_closed:
                raise JudgeLost("was given up")
            return judge.ask(request)
        except JudgeLost as lost:
            self._note(lost)
            raise
        finally:
            self._idle.put(judge)

    def _note(self, lost: JudgeLost) -> None:
        if self.is_broken or self._is_closed:
            return
        self._losses += 1
        _log.warning(
            f"A process that judges messages {lost}; they are judged by the updater itself",
            action="judge",
        )

    @property
    def is_broken(self) -> bool:
        """True if processes fail again and again."""
        return self._losses >= MOST_LOSSES

    @property
    def is_running(self) -> bool:
        """True if there is a process, or one is about to start."""
        last = self._last() if self._last is not None else None
        return bool(self.pids) or (last is not None and not last.done())

    @property
    def pids(self) -> list[int]:
        """The processes that run now; takes note of those that have left."""
        return [pid for judge in self._judges if (pid := judge.pid) is not None]

    def close(self) -> None:
        """End all processes, whatever they do. Results that are missing are lost."""
        self._is_closed = True
        for judge in self._judges:
            judge.stop()
        self._threads.shutdown(cancel_futures=True)
        for judge in self._judges:
            judge.close()


class JudgeProcess:
    """One process at a time, which starts at the first request."""

    def __init__(self, rules: EventRules) -> None:
        self._rules = rules
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._starting = threading.Lock()
        self._is_closed = False

    def ask(self, request: JudgeRequest) -> SpooledEvents:
        """The verdicts. Raises JudgeLost, which says why."""
        for _ in range(2):
            try:
                return self._exchange(request)
            except (OSError, EOFError) as error:
                reason = self._how_it_ended(error)
            except (ValueError, *PARSE_ERRORS) as error:
                reason = f"has answered nonsense: {error}"
            self._end()
            if reason is not None:
                raise JudgeLost(reason)
        raise JudgeLost("has left at once")

    def _exchange(self, request: JudgeRequest) -> SpooledEvents:
        """Raises JudgeLost, OSError, EOFError, ValueError and PARSE_ERRORS."""
        connection = self._connected()
        connection.settimeout(ANSWER_SECONDS)
        send(connection, encode_request(request))
        return receive_reply(connection, len(request.messages))

    def _connected(self) -> socket.socket:
        """The connection to the process; starts one if there is none, or it has left."""
        if self._connection is not None and self.pid is not None:
            return self._connection
        self._end()
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._start(theirs)
        self._connection.settimeout(ANSWER_SECONDS)
        send(self._connection, encode_request(self._rules))
        return self._connection

    def _start(self, theirs: socket.socket) -> None:
        with self._starting:
            if self._is_closed:
                raise JudgeLost("is not needed any more")
            kept = {
                name: os.environ[name] for name in _ENVIRONMENT if name in os.environ
            }
            self._process = subprocess.Popen(
                _COMMAND,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # One thread: what takes time is Python's.
                env=kept | {"POLARS_MAX_THREADS": "1"},
                cwd=_ROOT,
                start_new_session=True,
            )

    def _how_it_ended(self, error: Exception) -> str | None:
        """What went wrong; None if the process had left since it had nothing to do."""
        if self._process is None:
            return f"cannot be started: {error}"
        if isinstance(error, TimeoutError):
            return f"has not answered for {ANSWER_SECONDS:g} s"
        try:
            status = self._process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            return "has closed its connection"
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"has ended with exit code {status}" if status else None

    @property
    def pid(self) -> int | None:
        """The id of the process if it still runs; takes note if it has left."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def stop(self) -> None:
        """End the process for good. A thread that waits for it gets JudgeLost."""
        with self._starting:
            self._is_closed = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End the process, after the thread that used it."""
        self.stop()
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        connection, self._connection = self._connection, None
        if process is not None:
            process.kill()
            process.wait()
        if connection is not None:
            connection.close()
