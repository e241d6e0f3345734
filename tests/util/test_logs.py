"""Log lines as programs and people read them."""

import importlib.util
import io
import itertools
import json
import logging
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest

from util import logs
from util.errors import SourceError
from util.live_line import ERASE
from util.logs import (
    bound_contextvars,
    configure,
    get_logger,
    live_line,
    mark_logged,
)
from util.rates import WINDOW_SECONDS
from util.redaction import register_secrets


class Terminal(io.StringIO):
    """A text stream that reports to be a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def stream() -> io.StringIO:
    """The stream of the configured logs, in JSON."""
    stream = io.StringIO()
    configure("updater", "DEBUG", stream=stream)
    return stream


@pytest.mark.parametrize(
    ("level", "pino"), [(5, 10), (10, 20), (20, 30), (30, 40), (40, 50), (50, 60)]
)
def test_levels_are_pinos(level: int, pino: int) -> None:
    """10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal."""
    stream = io.StringIO()
    configure("updater", "DEBUG", stream=stream)
    logging.getLogger().setLevel(1)
    logging.getLogger("fpp.sync").log(level, "x")
    assert _lines(stream)[0]["level"] == pino


def test_a_line_has_time_message_service_component_action_and_fields(
    stream: io.StringIO,
) -> None:
    """Pino's tools and our alerts find each of their fields once per line."""
    get_logger("sync").info("Synced fpp_votes", action="sync", rows=3)
    (line,) = _lines(stream)
    assert line["time"] > 1_700_000_000_000
    assert {key: line[key] for key in line if key not in ("time", "pid")} == {
        "level": 30,
        "hostname": line["hostname"],
        "service": "updater",
        "component": "sync",
        "action": "sync",
        "rows": 3,
        "msg": "Synced fpp_votes",
    }


def test_arguments_are_inserted_into_the_message(stream: io.StringIO) -> None:
    """As the standard library does."""
    get_logger("views").error("%s: @route %s is taken", "a.sql:1", "/x", rows=3)
    (line,) = _lines(stream)
    assert (line["msg"], line["rows"]) == ("a.sql:1: @route /x is taken", 3)


def test_an_error_carries_type_message_and_stack(stream: io.StringIO) -> None:
    """As Pino's err object."""
    try:
        raise ValueError("broken")
    except ValueError:
        get_logger("sync").exception("Failed")
    err = _lines(stream)[0]["err"]
    assert (err["type"], err["message"]) == ("ValueError", "broken")
    assert "test_logs.py" in err["stack"]


def _writes_to(handler: logging.Handler, stream: io.StringIO) -> bool:
    return getattr(handler, "stream", None) is stream


def test_strange_values_make_valid_lines(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Line breaks, surrogates, NaN and objects stay inside one JSON object."""
    # pytest's own handler would pass the surrogate to a parallel run's controller,
    # which accepts only valid UTF-8.
    root = logging.getLogger()
    ours = [handler for handler in root.handlers if _writes_to(handler, stream)]
    monkeypatch.setattr(root, "handlers", ours)
    get_logger("sync").info("a\nb \udcff é", mean=float("inf"), o=object())
    (line,) = _lines(stream)
    assert line["msg"] == "a\nb \udcff é"
    assert line["mean"] == "inf"


def test_secrets_never_show(stream: io.StringIO) -> None:
    """Not in the message, a field, the context, or an error's text and stack."""
    register_secrets(["hunter2!"])
    try:
        raise RuntimeError("password hunter2! refused")
    except RuntimeError:
        with bound_contextvars(url="http://x/?k=hunter2!"):
            get_logger("db").exception("with hunter2!", password="abcd")
    assert "hunter2!" not in stream.getvalue()
    assert "abcd" not in stream.getvalue()
    assert stream.getvalue().count("[hidden]") == 6


def test_bound_fields_are_on_every_line_of_the_block_only(stream: io.StringIO) -> None:
    """A request id need not be passed to every call."""
    with bound_contextvars(request_id="r1"):
        get_logger("api").info("in")
    get_logger("api").info("out")
    assert [line.get("request_id") for line in _lines(stream)] == ["r1", None]


def test_uvicorns_lines_and_warnings_come_in_the_same_form(
    stream: io.StringIO,
) -> None:
    """Uvicorn's own handlers are replaced, and its access log is silent."""
    uvicorn = logging.getLogger("uvicorn")
    uvicorn.addHandler(logging.StreamHandler(other := io.StringIO()))
    configure("api", "INFO", stream=stream)
    extra = {"color_message": "\x1b[36mStarted\x1b[0m"}
    logging.getLogger("uvicorn.error").info("Started", extra=extra)
    logging.getLogger("uvicorn.access").info("GET /?token=x")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", UserWarning, stacklevel=1)
    first, second = _lines(stream)
    assert (first["msg"], first["component"]) == ("Started", "uvicorn.error")
    assert "color_message" not in first
    assert second["component"] == "py.warnings"
    assert other.getvalue() == ""


def test_http_clients_do_not_log_addresses(stream: io.StringIO) -> None:
    """Httpx shows whole URLs at INFO, and push URLs hold a token."""
    logging.getLogger("httpx").info("HTTP Request: GET http://kuma/x/t0ken")
    assert stream.getvalue() == ""


def test_an_error_that_we_logged_is_not_repeated_by_the_server(
    stream: io.StringIO,
) -> None:
    """Uvicorn logs a re-raised error again, with the whole stack."""
    error = RuntimeError("once")
    assert mark_logged(error)
    assert not mark_logged(error)
    logging.getLogger("uvicorn.error").error("Exception in ASGI", exc_info=error)
    assert stream.getvalue() == ""
    logging.getLogger("uvicorn.error").error("other", exc_info=RuntimeError())
    assert len(_lines(stream)) == 1


def test_configuring_again_replaces_only_our_handler() -> None:
    """Handlers of others, such as a test runner, stay."""
    foreign = logging.NullHandler()
    logging.getLogger().addHandler(foreign)
    first, second = io.StringIO(), io.StringIO()
    configure("api", "INFO", stream=first)
    configure("api", "INFO", stream=second)
    get_logger("api").info("x")
    assert (first.getvalue(), len(_lines(second))) == ("", 1)
    assert foreign in logging.getLogger().handlers


def test_a_terminal_gets_readable_lines() -> None:
    """Time, level, component and message; no braces."""
    stream = Terminal()
    configure("updater", "INFO", stream=stream)
    get_logger("sync").info("Synced", action="sync", rows=3)
    assert stream.getvalue()[8:] == " INFO     sync: Synced\n"


@pytest.mark.parametrize(
    ("form", "stream", "is_json"),
    [
        ("auto", Terminal(), False),
        ("auto", io.StringIO(), True),
        ("json", Terminal(), True),
        ("text", io.StringIO(), False),
    ],
)
def test_the_form_can_be_chosen(
    form: Literal["auto", "json", "text"], stream: io.StringIO, is_json: bool
) -> None:
    """LOG_FORMAT overrides the kind of the stream."""
    configure("api", "INFO", form, stream)
    get_logger("api").info("x")
    assert stream.getvalue().startswith("{") is is_json


def test_a_terminal_shows_the_stack_of_unexpected_errors_only() -> None:
    """A named error says what to do; its stack would bury that line."""
    stream = Terminal()
    configure("updater", "INFO", stream=stream)
    get_logger("sync").error("db", exc_info=SourceError("The database is unreachable"))
    assert len(stream.getvalue().splitlines()) == 1
    get_logger("sync").error("bug", exc_info=ZeroDivisionError("division by zero"))
    assert "ZeroDivisionError: division by zero" in stream.getvalue()


def test_a_named_error_has_a_stack_at_debug_only() -> None:
    """In JSON, as on a terminal."""
    for level, shows in (("INFO", False), ("DEBUG", True)):
        for out in (io.StringIO(), Terminal()):
            configure("updater", level, stream=out)
            error = SourceError("The database is unreachable")
            get_logger("sync").error("db", exc_info=error)
            assert ("SourceError: The" in out.getvalue()) is shows


def test_log_lines_stand_above_the_live_line() -> None:
    """It is removed before a line and drawn again after it."""
    stream = Terminal()
    configure("updater", "INFO", stream=stream)
    live = live_line()
    assert live is not None
    live.show("Table 1 of 6")
    get_logger("updater").info("done")
    live.show("")
    first, above, redrawn = stream.getvalue().split(ERASE)[1:]
    assert first == "Table 1 of 6"
    assert above.endswith("updater: done\nTable 1 of 6")
    assert redrawn == ""
    configure("updater", "INFO", stream=io.StringIO())
    assert live_line() is None


def test_the_level_is_respected() -> None:
    """LOG_LEVEL=WARNING silences information."""
    stream = io.StringIO()
    configure("api", "WARNING", stream=stream)
    get_logger("api").info("x")
    assert stream.getvalue() == ""


def test_a_field_of_the_call_overrides_a_bound_field(stream: io.StringIO) -> None:
    """The more specific value wins."""
    with bound_contextvars(table="all"):
        get_logger("sync").info("x", table="fpp_votes")
    assert _lines(stream)[0]["table"] == "fpp_votes"


def test_uvicorns_lines_carry_the_bound_fields_too(stream: io.StringIO) -> None:
    """Its errors can be attributed to a request."""
    with bound_contextvars(request_id="r1"):
        logging.getLogger("uvicorn.error").error("x")
    assert _lines(stream)[0]["request_id"] == "r1"


def test_fields_of_other_libraries_do_not_replace_the_message(
    stream: io.StringIO,
) -> None:
    """An extra field called "event" stays a field."""
    logging.getLogger("other").warning("message", extra={"event": "field"})
    (line,) = _lines(stream)
    assert (line["msg"], line["event"]) == ("message", "field")


def test_a_line_without_an_action_names_the_calling_function(
    stream: io.StringIO,
) -> None:
    """Not a function of structlog."""
    get_logger("sync").info("x")
    assert _lines(stream)[0]["action"] == (
        "test_a_line_without_an_action_names_the_calling_function"
    )


@pytest.mark.parametrize("module", ["rich", "better_exceptions"])
def test_structlog_does_not_import_console_libraries(module: str) -> None:
    """They take longer than the rest, and stay importable for others."""
    assert importlib.util.find_spec("rich"), "rich is installed with the test tools"
    code = f"import sys, util.logs; print('{module}' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(logs.__file__).parents[1],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "False\n"


class _Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> _Clock:
    """The clock by which warnings are folded."""
    clock = _Clock()
    (handler,) = (h for h in logging.getLogger().handlers if _writes_to(h, stream))
    (folding,) = (f for f in handler.filters if isinstance(f, logs._Folding))
    monkeypatch.setattr(folding._counts, "_clock", clock)
    return clock


def test_equal_warnings_are_folded(stream: io.StringIO, clock: _Clock) -> None:
    """The same one a thousand times a second would fill the disk."""
    log = get_logger("api")
    for number in range(1_000):
        log.warning("Half a request from %s", number)
    lines = _lines(stream)
    assert len(lines) == logs.MOST_PER_MINUTE
    assert lines[-1]["msg"] == f"Half a request from {logs.MOST_PER_MINUTE - 1}"
    clock.now += WINDOW_SECONDS - 1
    log.warning("Half a request from %s", "10.0.0.5:4711")
    assert len(_lines(stream)) == logs.MOST_PER_MINUTE
    clock.now += 1
    log.warning("Half a request from %s", "2001:db8::1")
    log.warning("Half a request from %s", "10.0.0.5:4711")
    *_, told, after = _lines(stream)
    assert told["left_out"] == 1_001 - logs.MOST_PER_MINUTE
    assert "left_out" not in after


def test_other_warnings_and_all_information_pass(
    stream: io.StringIO, clock: _Clock
) -> None:
    """A flood of one kind hides no other; errors of libraries are folded, too."""
    for _ in range(100):
        get_logger("api").warning("a")
        logging.getLogger("uvicorn.error").error("b")
        get_logger("api").info("c")
    get_logger("api").error("a")
    get_logger("sync").warning("a")
    counts = Counter((line["component"], line["msg"]) for line in _lines(stream))
    assert counts == {
        ("api", "a"): logs.MOST_PER_MINUTE + 1,
        ("uvicorn.error", "b"): logs.MOST_PER_MINUTE,
        ("api", "c"): 100,
        ("sync", "a"): 1,
    }


def test_folding_takes_bounded_memory(stream: io.StringIO, clock: _Clock) -> None:
    """A message that is different each time is a kind each time."""
    words = itertools.product("ghijklmn", repeat=4)
    for word in itertools.islice(words, 10 * logs.MOST_KINDS):
        get_logger("api").warning(f"from {''.join(word)}")
    assert len(_lines(stream)) == logs.MOST_KINDS + logs.MOST_PER_MINUTE


def test_a_terminal_that_has_gone_fails_no_log_call() -> None:
    """Nor does the line of progress: whatever is reported, the work goes on."""

    class Gone(Terminal):
        is_gone = False

        def write(self, text: str) -> int:
            if self.is_gone:
                raise OSError(5, "Input/output error")
            return super().write(text)

    stream = Gone()
    configure("updater", "INFO", stream=stream)
    live = live_line()
    assert live is not None
    live.show("Table 1 of 6")
    stream.is_gone = True
    get_logger("sync").info("Synced")
    live.show("Table 2 of 6")
    get_logger("sync").info("Synced")
    stream.is_gone = False
    get_logger("sync").info("Back")
    assert "Back" in stream.getvalue()
    configure("updater", "INFO", stream=io.StringIO())
