"""Limits on connections: how many, and how long a client may take to send a request.

uvicorn has no such limits. Its protocol for HTTP/1.1 is extended in place, since its
command line takes no class of ours.
"""

import asyncio
import resource
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

HEADER_SECONDS: Final = 10.0
"""To send a request's line and headers, from the connection or the last answer on."""

BODY_SECONDS: Final = 60.0
"""To send its body."""

SEND_SECONDS: Final = 60.0
"""Without any progress while an answer is sent."""

SHARE_OF_FILES: Final = 0.75
"""Of the file descriptors that this process may open; the others are for its files."""

PROTOCOL_MODULE: Final = "uvicorn.protocols.http.h11_impl"


def limit_connections(
    most: int,
    *,
    header_seconds: float = HEADER_SECONDS,
    body_seconds: float = BODY_SECONDS,
    send_seconds: float = SEND_SECONDS,
) -> None:
    """Limit the connections of uvicorn in this process; a later call replaces a limit.

    Does nothing if uvicorn's protocol is not loaded, as in tests without a server.
    """
    module = sys.modules.get(PROTOCOL_MODULE)
    if module is None:
        return
    limits = ConnectionLimits(
        min(most, round(_raise_file_limit() * SHARE_OF_FILES)),
        header_seconds,
        body_seconds,
        send_seconds,
    )
    _extend(module.H11Protocol, limits)


def _raise_file_limit() -> int:
    """Allow this process as many files as it may allow itself; return the number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return wanted if soft == resource.RLIM_INFINITY else soft


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
        self._waiting: OrderedDict[Any, asyncio.TimerHandle] = OrderedDict()
        self._sending: dict[Any, asyncio.TimerHandle] = {}

    def connected(self, protocol: Any) -> None:
        """A client has connected: wait for its request, and make room for it."""
        self._wait(protocol, self._header_seconds)
        if len(protocol.connections) > self._most:
            oldest = next(iter(self._waiting))
            self._close(oldest)

    def received(self, protocol: Any) -> None:
        """The client has sent something: wait for more of it, or no longer."""
        state = str(protocol.conn.their_state)
        if state in ("IDLE", "SEND_BODY"):
            is_body = state == "SEND_BODY"
            seconds = self._body_seconds if is_body else self._header_seconds
            self._wait(protocol, seconds, restart=is_body != protocol.awaits_body)
            protocol.awaits_body = is_body
        else:
            self._forget(protocol)

    def lost(self, protocol: Any) -> None:
        """The connection is closed."""
        self._forget(protocol)
        self.resumed(protocol)

    def paused(self, protocol: Any) -> None:
        """The client does not read what is sent to it."""
        loop: asyncio.AbstractEventLoop = protocol.loop
        self._sending[protocol] = loop.call_later(
            self._send_seconds, protocol.transport.abort
        )

    def resumed(self, protocol: Any) -> None:
        """The client reads again."""
        if timer := self._sending.pop(protocol, None):
            timer.cancel()

    def _wait(self, protocol: Any, seconds: float, *, restart: bool = False) -> None:
        if protocol in self._waiting:
            if not restart:
                return
            self._forget(protocol)
        loop: asyncio.AbstractEventLoop = protocol.loop
        timer = loop.call_later(seconds, self._close, protocol)
        self._waiting[protocol] = timer

    def _forget(self, protocol: Any) -> None:
        if timer := self._waiting.pop(protocol, None):
            timer.cancel()

    def _close(self, protocol: Any) -> None:
        self._forget(protocol)
        protocol.connections.discard(protocol)
        protocol.transport.abort()


_ORIGINALS: dict[tuple[type, str], Callable[..., None]] = {}


def _extend(protocol_class: type, limits: ConnectionLimits) -> None:
    """Let methods of *protocol_class* also tell *limits* what happened."""
    protocol_class.awaits_body = False  # type: ignore[attr-defined]
    for name, tell in (
        ("connection_made", limits.connected),
        ("data_received", limits.received),
        ("connection_lost", limits.lost),
        ("pause_writing", limits.paused),
        ("resume_writing", limits.resumed),
        ("on_response_complete", limits.received),
    ):
        original = _ORIGINALS.setdefault(
            (protocol_class, name), getattr(protocol_class, name)
        )
        setattr(protocol_class, name, _telling(original, tell))


def _telling(
    original: Callable[..., None], tell: Callable[[Any], None]
) -> Callable[..., None]:
    def method(protocol: Any, *arguments: Any) -> None:
        original(protocol, *arguments)
        tell(protocol)

    return method
