"""Logs: structlog in front of the standard library, one output form for the process.

Every record passes one chain of processors, whether it comes from this program, from
uvicorn or from Python's warnings. It becomes a JSON line in Pino's form or, on a
terminal, a readable line.
"""

import logging
import os
import re
import socket
import sys
import traceback
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

from util.errors import FppError
from util.imports import not_importable
from util.json_types import JsonObject
from util.live_line import LiveLine
from util.rates import MinuteCounts
from util.redaction import redact, redact_value
from util.telemetry import trace_ids

# structlog imports these for its console output, which is not used here, and each takes
# as long as structlog itself.
with not_importable("rich", "better_exceptions"):
    import structlog
    from structlog.contextvars import (
        bind_contextvars,
        bound_contextvars,
        merge_contextvars,
    )
    from structlog.processors import EventRenamer, JSONRenderer
    from structlog.stdlib import (
        BoundLogger,
        ExtraAdder,
        LoggerFactory,
        PositionalArgumentsFormatter,
        ProcessorFormatter,
        filter_by_level,
        render_to_log_kwargs,
    )
    from structlog.typing import EventDict, Processor

__all__ = [
    "BoundLogger",
    "bind_contextvars",
    "bound_contextvars",
    "configure",
    "configured_by_uvicorn",
    "get_logger",
    "live_line",
    "mark_logged",
]

PINO_LEVELS: Final = {
    logging.DEBUG: 20,
    logging.INFO: 30,
    logging.WARNING: 40,
    logging.ERROR: 50,
    logging.CRITICAL: 60,
}
PINO_TRACE: Final = 10
"""Pino's number for every level below DEBUG."""

QUIET: Final = (
    "uvicorn.access",
    "httpx",
    "httpcore",
    "httpx2",
    "httpcore2",
    "mysql.connector",
)
"""Loggers limited to WARNING: at INFO they repeat our lines or show URLs with tokens."""

ADOPTED: Final = ("uvicorn", "uvicorn.error", "uvicorn.asgi", *QUIET)
"""Loggers whose own handlers are removed."""

MOST_PER_MINUTE: Final = 20
"""Warnings of one kind; the same one a thousand times a second would fill the disk."""

MOST_KINDS: Final = 256

COMPARED_CHARACTERS: Final = 200
"""Of two messages, to tell their kinds apart."""

_NUMBERS: Final = re.compile(r"[0-9a-fA-F:.]*[0-9][0-9a-fA-F:.]*")
"""Also addresses and ids in hexadecimal."""

_PREFIX: Final = "fpp."
_LOGGED: Final = "_fpp_logged"
_NO_FIELDS: Final = {
    "msg",
    "exc_info",
    "stack_info",
    "_record",
    "_from_structlog",
    "message",  # set by other formatters that saw the record
    "asctime",
    "color_message",  # uvicorn's, with terminal escapes
}

structlog.configure(
    processors=[
        filter_by_level,
        PositionalArgumentsFormatter(),
        render_to_log_kwargs,
    ],
    wrapper_class=BoundLogger,
    logger_factory=LoggerFactory(),
    cache_logger_on_first_use=True,
)


def get_logger(component: str) -> BoundLogger:
    """Return the logger of *component*, for example ``api`` or ``heartbeat``.

    Keyword arguments of its methods become fields of the line.
    """
    logger: BoundLogger = structlog.stdlib.get_logger(f"{_PREFIX}{component}")
    return logger


def configure(
    service: str,
    level: str = "INFO",
    form: Literal["auto", "json", "text"] = "auto",
    stream: TextIO | None = None,
) -> None:
    """Send all logs of this process to *stream* (default: standard error) in one form.

    "auto" is readable text on a terminal and JSON lines elsewhere. A later call replaces
    the handler of an earlier one.
    """
    stream = stream or sys.stderr
    readable = form == "text" or (form == "auto" and stream.isatty())
    handler = _Handler(stream)
    rendering = (_readable_line,) if readable else (_PinoLine(service), JSONRenderer())
    handler.setFormatter(_formatter(*rendering))
    handler.addFilter(_is_first_report)
    handler.addFilter(_Folding())
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


def configured_by_uvicorn() -> bool:
    """Return True if uvicorn has set up its logs, which it does before the application."""
    return bool(logging.getLogger("uvicorn").handlers)


def mark_logged(error: BaseException) -> bool:
    """Mark *error* as logged; return False if it was marked already."""
    if getattr(error, _LOGGED, False):
        return False
    setattr(error, _LOGGED, True)
    return True


class _Handler(logging.StreamHandler[TextIO]):
    """Writes each record above the live line of its terminal, if it has one."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.live = LiveLine(stream)

    def emit(self, record: logging.LogRecord) -> None:
        """See StreamHandler."""
        with self.live.hidden():
            super().emit(record)


def live_line() -> LiveLine | None:
    """The live line below the logs; None if they do not go to a terminal."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Handler) and handler.stream.isatty():
            return handler.live
    return None


def _is_first_report(record: logging.LogRecord) -> bool:
    """Drop errors that a server logs again after this program has logged them."""
    error = record.exc_info[1] if record.exc_info else None
    ours = record.name.startswith(_PREFIX)
    return ours or not getattr(error, _LOGGED, False)


class _Folding(logging.Filter):
    """Passes the first warnings of a kind each minute, and counts the others.

    A kind is a logger and a message, whatever numbers and addresses it contains. The first
    line of the next minute says how many were left out. Lines below WARNING all pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self._counts = MinuteCounts(most_keys=MOST_KINDS)
        self._left_out: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        message = _NUMBERS.sub("#", str(record.msg)[:COMPARED_CHARACTERS])
        kind = f"{record.name} {record.levelno} {message}"
        count = self._counts.add(kind)
        if count > MOST_PER_MINUTE:
            if kind in self._left_out or len(self._left_out) < MOST_KINDS:
                self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return False
        if left_out := self._left_out.pop(kind, 0):
            record.left_out = left_out
        return True


def _formatter(*rendering: Processor) -> ProcessorFormatter:
    # Bound fields first, so that a field of the call overrides a bound one.
    fields = (EventRenamer("msg"), merge_contextvars, _add_trace_ids, ExtraAdder())
    return ProcessorFormatter(processors=(*fields, *rendering))


def _add_trace_ids(_logger: object, _method: str, event: EventDict) -> EventDict:
    event.update(trace_ids())
    return event


class _PinoLine:
    """Processor: the event as an object with Pino's names and levels."""

    def __init__(self, service: str) -> None:
        self._process = {
            "pid": os.getpid(),
            "hostname": socket.gethostname(),
            "service": service,
        }

    def __call__(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        record: logging.LogRecord = event["_record"]
        line = {
            "level": _pino_level(record.levelno),
            "time": int(record.created * 1000),
            **self._process,
            "component": _component(record),
            "action": record.funcName,
            **_fields(event),
            "msg": redact(event["msg"]),
        }
        if error := _error(event):
            line["err"] = {
                "type": type(error).__name__,
                "message": redact(str(error)),
            }
            if _shows_stack(error):
                line["err"]["stack"] = _stack(error)
        return line


def _readable_line(_logger: object, _method: str, event: EventDict) -> str:
    """Processor: ``23:10:00 INFO     api: message``, in UTC and without the fields."""
    record: logging.LogRecord = event["_record"]
    at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
    component = _fields(event).get("component", _component(record))
    line = f"{at} {record.levelname:<8} {component}: {redact(event['msg'])}"
    error = _error(event)
    if error and _shows_stack(error):
        line += "\n" + _stack(error)
    return line


def _component(record: logging.LogRecord) -> str:
    return record.name.removeprefix(_PREFIX)


def _fields(event: EventDict) -> JsonObject:
    extra = {name: value for name, value in event.items() if name not in _NO_FIELDS}
    fields: JsonObject = redact_value(extra)
    return fields


def _error(event: EventDict) -> BaseException | None:
    error: BaseException | None = (event.get("exc_info") or (None, None))[1]
    return error


def _shows_stack(error: BaseException) -> bool:
    """False for a named error above DEBUG: a stack would hide what its message says."""
    return not isinstance(error, FppError) or logging.getLogger().level <= logging.DEBUG


def _pino_level(level: int) -> int:
    below = [pino for python, pino in PINO_LEVELS.items() if python <= level]
    return max(below, default=PINO_TRACE)


def _stack(error: BaseException) -> str:
    return redact("".join(traceback.format_exception(error)).rstrip())
