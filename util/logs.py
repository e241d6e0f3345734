"""Logs: JSON lines in Pino's form, or readable lines on a terminal."""

import json
import logging
import os
import socket
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from util.errors import FppError
from util.redaction import clean, clean_value

# Pino's numbers; anything finer than DEBUG is its "trace".
PINO_LEVELS = {
    logging.DEBUG: 20,
    logging.INFO: 30,
    logging.WARNING: 40,
    logging.ERROR: 50,
    logging.CRITICAL: 60,
}
TRACE = 10
# These say at INFO what we say ourselves, or show addresses that hold tokens.
QUIET = (
    "uvicorn.access",
    "httpx",
    "httpcore",
    "httpx2",
    "httpcore2",
    "mysql.connector",
)
ADOPTED = ("uvicorn", "uvicorn.error", "uvicorn.asgi", *QUIET)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "color_message",  # uvicorn's, with terminal escapes
}
_bound: ContextVar[dict[str, Any] | None] = ContextVar("bound", default=None)


class Log(logging.LoggerAdapter[logging.Logger]):
    """A logger of one component; ``extra={"action": …, …}`` become fields."""

    def process(
        self, msg: object, kwargs: MutableMapping[str, Any]
    ) -> tuple[object, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


def get_log(component: str) -> Log:
    """The log of *component*, for example ``api`` or ``heartbeat``."""
    return Log(logging.getLogger(f"fpp.{component}"), {"component": component})


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Put *fields* on every line that is logged inside the block."""
    token = _bound.set({**(_bound.get() or {}), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def configure(
    service: str,
    level: str = "INFO",
    form: Literal["auto", "json", "text"] = "auto",
    stream: TextIO | None = None,
) -> None:
    """Send all logs of this process to *stream* (standard error) in one form.

    With "auto" that is readable text on a terminal and JSON lines elsewhere. May be
    called again; the last call counts. Uvicorn's logs and Python's warnings come in
    the same form.
    """
    stream = stream or sys.stderr
    handler = _Handler(stream)
    readable = form == "text" or (form == "auto" and stream.isatty())
    handler.setFormatter(ReadableFormatter() if readable else PinoFormatter(service))
    handler.addFilter(_not_yet_logged)
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in ADOPTED:
        adopted = logging.getLogger(name)
        adopted.handlers.clear()
        adopted.propagate = True
        adopted.setLevel(logging.WARNING if name in QUIET else logging.NOTSET)
    logging.captureWarnings(True)


def is_served() -> bool:
    """Whether uvicorn has set up its logs, as it does before it loads an application."""
    return bool(logging.getLogger("uvicorn").handlers)


def mark_logged(error: BaseException) -> bool:
    """Note that *error* was logged; False when it had been already."""
    if getattr(error, "_fpp_logged", False):
        return False
    error._fpp_logged = True  # type: ignore[attr-defined]
    return True


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, so that configuring again replaces it and nobody else's."""


def _not_yet_logged(record: logging.LogRecord) -> bool:
    """Whether the servers below us repeat an error that we have logged."""
    error = record.exc_info[1] if record.exc_info else None
    ours = record.name.startswith("fpp.")
    return ours or not getattr(error, "_fpp_logged", False)


class PinoFormatter(logging.Formatter):
    """One JSON object a line, as Pino writes them and its tools read them."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._always = {
            "pid": os.getpid(),
            "hostname": socket.gethostname(),
            "service": service,
        }

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "level": PINO_LEVELS.get(record.levelno, _nearest(record.levelno)),
            "time": int(record.created * 1000),
            **self._always,
            "component": record.name,
            "action": record.funcName,
            **_fields(record),
            "msg": clean(record.getMessage()),
        }
        if record.exc_info and record.exc_info[1]:
            line["err"] = _error(record.exc_info[1])
        return json.dumps(line)


class ReadableFormatter(logging.Formatter):
    """``23:10:00 INFO     api: message``; time is UTC. Messages tell people enough."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        component = _fields(record).get("component", record.name)
        text = clean(record.getMessage())
        line = f"{at} {record.levelname:<8} {component}: {text}"
        error = record.exc_info[1] if record.exc_info else None
        # An error that we raise on purpose says itself what to do.
        if error and not isinstance(error, FppError):
            line += "\n" + _stack(error)
        return line


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    extra = {k: v for k, v in vars(record).items() if k not in _STANDARD}
    cleaned: dict[str, Any] = clean_value({**(_bound.get() or {}), **extra})
    return cleaned


def _nearest(level: int) -> int:
    below = [pino for python, pino in PINO_LEVELS.items() if python <= level]
    return max(below, default=TRACE)


def _error(error: BaseException) -> dict[str, str]:
    return {
        "type": type(error).__name__,
        "message": clean(str(error)),
        "stack": _stack(error),
    }


def _stack(error: BaseException) -> str:
    return clean("".join(traceback.format_exception(error)).rstrip())
