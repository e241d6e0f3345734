"""uvicorn's protocol of httptools, with the bounds that it lacks.

httptools parses a request in a fifth of the time of h11. As uvicorn uses it, headers of
any size stay in memory, and so do all requests that a client sends before an answer. It
also takes headers after the body for headers of the request. Import this where that
protocol is loaded.
"""

import asyncio
import json
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, Literal

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

MOST_HEAD_BYTES: Final = 64 * 1024
"""Of a request's line and headers together, as with h11; of trailers, too."""

MOST_PIPELINED: Final = 100
"""Requests that wait while an earlier one of their connection is answered.

They are answered, and the connection is closed then, since it has sent others.
"""

BAD_REQUEST: Final = 400
HEADERS_TOO_LARGE: Final = 431

_DETAILS: Final = {
    BAD_REQUEST: "This is no HTTP request, or its method is unknown",
    HEADERS_TOO_LARGE: "The headers of the request are too large",
}


class _PatientFlow(FlowControl):
    """Reads nothing while complete requests wait for their turn."""

    def __init__(self, transport: asyncio.Transport, pipeline: deque[Any]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        """See FlowControl."""
        if not self._pipeline:
            super().resume_reading()


class WholeAnswers(RequestResponseCycle):
    """A request whose answer can also be sent at once, see `util.whole_answers`."""

    async def send_whole(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Send an answer that has not begun by one write, as `send` does by two.

        *headers* are valid, in lower case, and the length of *body* is one of them.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        lines = [b"%b: %b\r\n" % each for each in (*self.default_headers, *headers)]
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(b"".join((STATUS_LINE[status], *lines, end, body)))
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


class BoundedHttpTools(HttpToolsProtocol):
    """One connection. Malformed and too large requests are refused, then it is closed."""

    is_in_head = False
    is_in_body = False
    is_done = False
    """True if nothing that is still received counts: the last answer ends it."""
    refusal = BAD_REQUEST
    incomplete = 0
    """Bytes since the last one of a body, or since the last complete head or body."""
    answering: Any = None
    """The request whose answer is awaited; `cycle` is the one that was received last."""

    @property
    def awaited(self) -> Literal["head", "body"] | None:
        """What the client has to send; None while it waits for an answer."""
        if self.pipeline or self.is_done:
            return None
        if self.is_in_body:
            return "body"
        is_idle = self.cycle is None or self.cycle.response_complete
        return "head" if is_idle else None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See HttpToolsProtocol."""
        super().connection_made(transport)
        self.flow = _PatientFlow(transport, self.pipeline)

    def connection_lost(self, exc: Exception | None) -> None:
        """See HttpToolsProtocol, which tells the last request only."""
        super().connection_lost(exc)
        if self.answering is not None:
            _disconnect(self.answering)

    def data_received(self, data: bytes) -> None:
        """See HttpToolsProtocol."""
        self._unset_keepalive_if_required()
        if self.is_done or self.transport.is_closing():
            return
        self.incomplete += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse()
        else:
            if self.incomplete > MOST_HEAD_BYTES:
                self.refusal = HEADERS_TOO_LARGE
                self._refuse()

    def _feed(self, data: bytes) -> None:
        """Parse *data*. Raises HttpParserError."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    self.handle_websocket_upgrade()
                    return
                self._unsupported_upgrade_warning()
                (parsed,) = upgrade.args
                data = data[parsed:]
            else:
                return

    def on_message_begin(self) -> None:
        """See HttpToolsProtocol. Raises ValueError, which ends the parsing."""
        if len(self.pipeline) >= MOST_PIPELINED:
            raise ValueError("too many requests at once")
        self.is_in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """See HttpToolsProtocol. Trailers, which h11 drops as well, are no headers."""
        if self.is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """See HttpToolsProtocol. Raises ValueError if they must be refused."""
        # What was received at once can have more than the bound, and a body.
        if self.incomplete > MOST_HEAD_BYTES and self._head_bytes() > MOST_HEAD_BYTES:
            self.refusal = HEADERS_TOO_LARGE
            raise ValueError("headers too large")
        self._require_one_host()
        super().on_headers_complete()
        self.is_in_head, self.is_in_body = False, True
        self.incomplete = 0

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(n) + len(v) + 4 for n, v in self.headers)

    def _require_one_host(self) -> None:
        """Raise ValueError unless HTTP/1.1's only Host is there (RFC 9112, 3.2)."""
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            raise ValueError("Host must be there once")

    def on_body(self, body: bytes) -> None:
        """See HttpToolsProtocol."""
        self.incomplete = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See HttpToolsProtocol."""
        self.incomplete = 0
        self.is_in_body = False
        super().on_message_complete()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self.answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """See HttpToolsProtocol."""
        has_more = bool(self.pipeline)
        super().on_response_complete()
        if self.is_done and not has_more:
            self.transport.close()

    def _refuse(self) -> None:
        """Answer what was received before; refuse the rest and close the connection."""
        self.is_done = True
        broken = self.cycle if self.is_in_body else None
        if self.pipeline and broken is self.pipeline[0][0]:
            self.pipeline.popleft()  # its body is incomplete
            return
        if broken is None and self.answering and not self.answering.response_complete:
            return
        self.logger.warning(_DETAILS[self.refusal])
        if broken is None or not broken.response_started:
            self._send_refusal()
        if broken is not None:
            _disconnect(broken)
        self.transport.close()

    def _send_refusal(self) -> None:
        # Like every other error: one object with its detail.
        message = json.dumps({"detail": _DETAILS[self.refusal]}).encode()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(message)).encode()),
            (b"connection", b"close"),
        ]
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(
            STATUS_LINE[self.refusal] + b"".join(lines) + b"\r\n" + message
        )


def _disconnect(cycle: Any) -> None:
    cycle.disconnected = True
    cycle.message_event.set()
