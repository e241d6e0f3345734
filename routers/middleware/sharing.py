"""One computation for equal questions in flight, and none for clients that have gone.

This is no cache of answers: an answer is forgotten as soon as it is complete. Only those
who asked while it was computed get it, too.
"""

import asyncio
import os
from typing import Final, NoReturn

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config import Settings
from readmodel.store.snapshot import CURRENT
from util.route_path import route_path

HEADERS: Final = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"authorization",
        b"cookie",
        b"if-none-match",
        b"origin",
    }
)
"""On which an answer depends, besides its address."""

MOST_AT_ONCE: Final = 1
"""Clients that get an answer before the server looks at other connections again."""

SHARED_PATHS: Final = frozenset({"", "breakdown", "room", "rooms", "v1"})
"""First segments of the paths of statistics in JSON; and /v1/health, at no cost."""

DAILY: Final = "/daily-analytics"
"""Shared unless each call has an effect."""

type _Key = tuple[object, ...]


class _Answer:
    """An answer while it is made; `readers` are the clients that wait for it."""

    def __init__(self, app: ASGIApp, scope: Scope) -> None:
        self.scope = {**scope, "state": dict(scope.get("state", {}))}
        self.messages: list[Message] = []
        self.readers = 0
        # Eager: an answer that waits for nothing is complete before the next line, and
        # costs no turns of the event loop.
        loop = asyncio.get_running_loop()
        self.task = asyncio.Task(self._make(app), loop=loop, eager_start=True)

    async def _make(self, app: ASGIApp) -> None:
        async def record(message: Message) -> None:
            self.messages.append(message)

        await app(self.scope, _never, record)


class SharedAnswers:
    """Answer equal requests for statistics once. Used by one event loop.

    An answer whose clients have all gone is cancelled: it leaves the queue, or ends when
    the computation that runs does.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._answers: dict[_Key, _Answer] = {}
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one ASGI connection."""
        if scope["type"] != "http" or not _is_shared(scope):
            await self._app(scope, receive, send)
            return
        key = _key(scope)
        answer = self._answers.get(key) or _Answer(self._app, scope)
        if not answer.task.done():
            if not await self._complete(key, answer, receive):
                return
            async with self._turns:  # a thousand clients must not be served at once
                await asyncio.sleep(0)
        answer.task.result()
        await _send(answer, scope, send)

    async def _complete(self, key: _Key, answer: _Answer, receive: Receive) -> bool:
        """Wait until the answer is complete; False if the client has gone before."""
        if key not in self._answers:
            self._answers[key] = answer
            answer.task.add_done_callback(lambda _: self._forget(key, answer))
        gone = asyncio.create_task(_disconnected(receive))
        answer.readers += 1
        try:
            both = {answer.task, gone}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            answer.readers -= 1
            if not answer.readers and not answer.task.done():
                self._forget(key, answer)
                answer.task.cancel()
        return answer.task.done()

    def _forget(self, key: _Key, answer: _Answer) -> None:
        if self._answers.get(key) is answer:
            del self._answers[key]


async def _send(answer: _Answer, scope: Scope, send: Send) -> None:
    """Send the recorded messages."""
    if "route" in answer.scope:
        scope["route"] = answer.scope["route"]
    scope.setdefault("state", {}).update(answer.scope["state"])
    for message in answer.messages:
        await send(_copy(message))


def _is_shared(scope: Scope) -> bool:
    if scope["method"] != "GET":
        return False
    path = route_path(scope)
    if path == DAILY:
        settings: Settings = scope["app"].state.settings
        return settings.email_service is None or settings.report_sender != "api"
    return path.split("/", 2)[1] in SHARED_PATHS if path.startswith("/") else False


def _key(scope: Scope) -> _Key:
    settings: Settings = scope["app"].state.settings
    headers = tuple(pair for pair in scope["headers"] if pair[0] in HEADERS)
    return (
        scope.get("root_path", ""),
        scope["path"],
        scope["query_string"],
        headers,
        _current(settings),
    )


def _current(settings: Settings) -> str:
    """The snapshot at this moment: who asks after a sync gets the new rows."""
    try:
        return os.readlink(f"{settings.data_dir}/{CURRENT}")  # noqa: PTH115 - hot
    except OSError:
        return ""


async def _never() -> NoReturn:
    """The body of a request that has none, and whose client stays."""
    await asyncio.Event().wait()
    raise AssertionError


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _copy(message: Message) -> Message:
    """A message with headers of its own: other middleware adds to them."""
    if message["type"] != "http.response.start":
        return message
    headers = MutableHeaders(raw=list(message.get("headers", ())))
    return {**message, "headers": headers.raw}
