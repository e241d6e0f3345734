"""Limits on connections: how many, and how long a client may take to send a request.

uvicorn has no such limits. Its command line takes no class of ours, so its protocols for
HTTP/1.1 are replaced where it creates one: that of httptools, which it prefers, and h11's.
"""

import asyncio
import resource
import sys
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, Literal, Protocol

HEADER_SECONDS: Final = 10.0
"""To send a request's line and headers, from the connection or the last answer on."""

BODY_SECONDS: Final = 60.0
"""To send its body."""

SEND_SECONDS: Final = 60.0
"""Without any progress while an answer is sent."""

type Awaited = Literal["head", "body"] | None
"""What a client has to send; None while it waits for an answer."""

SHARE_OF_FILES: Final = 0.75
"""Of the file descriptors that this process may open; the others are for its files."""

H11: Final = "uvicorn.protocols.http.h11_impl"
HTTPTOOLS: Final = "uvicorn.protocols.http.httptools_impl"


def limit_connections(
    most: int,
    *,
    header_seconds: float = HEADER_SECONDS,
    body_seconds: float = BODY_SECONDS,
    send_seconds: float = SEND_SECONDS,
) -> None:
    """Limit the connections of uvicorn in this process; a later call replaces a limit.

    Does nothing if no protocol of uvicorn is loaded, as in tests without a server.
    """
    if H11 not in sys.modules and HTTPTOOLS not in sys.modules:
        return
    limits = ConnectionLimits(
        min(most, round(_raise_file_limit() * SHARE_OF_FILES)),
        header_seconds,
        body_seconds,
        send_seconds,
    )
    apply_limits(limits)


def apply_limits(limits: "ConnectionLimits") -> None:
    """Let *limits* watch the connections of the protocols that uvicorn has loaded."""
    if module := sys.modules.get(H11):
        _replace(module.H11Protocol, _limited(_with_state(module.H11Protocol), limits))
    if module := sys.modules.get(HTTPTOOLS):
        # Imports httptools, which is not loaded if uvicorn runs with --http h11.
        from util.bounded_requests import BoundedHttpTools, WholeAnswers

        _replace(module.HttpToolsProtocol, _limited(BoundedHttpTools, limits))
        _replace(module.RequestResponseCycle, WholeAnswers)


def _raise_file_limit() -> int:
    """Allow this process as many files as it may allow itself; return the number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return wanted if soft == resource.RLIM_INFINITY else soft


class WatchedProtocol(Protocol):
    """What the limits need of a protocol of uvicorn; there is one for each connection."""

    awaits_body: bool
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport

    @property
    def awaited(self) -> Awaited:
        """What its client has to send."""

    @property
    def connections(self) -> "set[WatchedProtocol]":
        """All connections of the server."""


class ConnectionLimits:
    """The connections of one server that wait for their client. Used by one event loop.

    If there are too many connections, the one that has waited longest is closed, since
    a good client sends its request at once.
    """

    def __init__(
        self,
        most: int,
        header_seconds: float,
        body_seconds: float,
        send_seconds: float,
    ) -> None:
        self._most = most
        self._header_seconds = header_seconds
        self._body_seconds = body_seconds
        self._send_seconds = send_seconds
        self._waiting: OrderedDict[WatchedProtocol, asyncio.TimerHandle] = OrderedDict()
        self._sending: dict[WatchedProtocol, asyncio.TimerHandle] = {}

    def connected(self, protocol: WatchedProtocol) -> None:
        """A client has connected: wait for its request, and make room for it."""
        self._wait(protocol, self._header_seconds)
        if len(protocol.connections) > self._most:
            oldest = next(iter(self._waiting))
            self._close(oldest)

    def received(self, protocol: WatchedProtocol) -> None:
        """The client has sent something: wait for more of it, or no longer."""
        awaited = protocol.awaited
        if awaited is None:
            self._forget(protocol)
            return
        is_body = awaited == "body"
        seconds = self._body_seconds if is_body else self._header_seconds
        self._wait(protocol, seconds, restart=is_body != protocol.awaits_body)
        protocol.awaits_body = is_body

    def lost(self, protocol: WatchedProtocol) -> None:
        """The connection is closed."""
        self._forget(protocol)
        self.resumed(protocol)

    def paused(self, protocol: WatchedProtocol) -> None:
        """The client does not read what is sent to it."""
        self._sending[protocol] = protocol.loop.call_later(
            self._send_seconds, protocol.transport.abort
        )

    def resumed(self, protocol: WatchedProtocol) -> None:
        """The client reads again."""
        if timer := self._sending.pop(protocol, None):
            timer.cancel()

    def _wait(
        self, protocol: WatchedProtocol, seconds: float, *, restart: bool = False
    ) -> None:
        if protocol in self._waiting:
            if not restart:
                return
            self._forget(protocol)
        timer = protocol.loop.call_later(seconds, self._close, protocol)
        self._waiting[protocol] = timer

    def _forget(self, protocol: WatchedProtocol) -> None:
        if timer := self._waiting.pop(protocol, None):
            timer.cancel()

    def _close(self, protocol: WatchedProtocol) -> None:
        self._forget(protocol)
        protocol.connections.discard(protocol)
        protocol.transport.abort()


def _with_state(h11_protocol: type) -> type:
    """A protocol of h11 that knows what its client has to send."""

    class WithState(h11_protocol):  # type: ignore[misc]
        @property
        def awaited(self) -> Awaited:
            return _AWAITED.get(str(self.conn.their_state))

    return WithState


_AWAITED: Final[Mapping[str, Awaited]] = {"IDLE": "head", "SEND_BODY": "body"}
"""By the state of h11 that a client is in."""


def _limited(protocol_class: type, limits: ConnectionLimits) -> type:
    """A protocol that also tells *limits* what happened."""

    class Limited(protocol_class):  # type: ignore[misc]
        awaits_body = False

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            limits.connected(self)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            limits.received(self)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            limits.received(self)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            limits.lost(self)

        def pause_writing(self) -> None:
            super().pause_writing()
            limits.paused(self)

        def resume_writing(self) -> None:
            super().resume_writing()
            limits.resumed(self)

    return Limited


def _replace(uvicorns: type, ours: type) -> None:
    """Let *uvicorns* create objects of *ours*, which is derived from it."""
    uvicorns.__new__ = lambda *_, **__: object.__new__(ours)  # type: ignore[method-assign]
