"""Equal requests in flight, and clients that hang up."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from routers.middleware.sharing import SharedAnswers
from tests.routers.conftest import make_settings


class Application:
    """Counts its calls, and answers when it is allowed to."""

    def __init__(self, body: str = "answer") -> None:
        self.calls = 0
        self.cancelled = 0
        self.may_answer = asyncio.Event()
        self.body = body
        self.error: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the body and the number of calls."""
        self.calls += 1
        scope["state"]["snapshot"] = "s1"
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error:
            raise self.error
        await PlainTextResponse(f"{self.body} {self.calls}")(scope, receive, send)


class Client:
    """One connection with a request."""

    def __init__(self, path: str = "/", **headers: str) -> None:
        state = SimpleNamespace(settings=make_settings())
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": b"",
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
            "app": SimpleNamespace(state=state),
            "state": {},
        }
        self.gone = asyncio.Event()
        self.received: list[Message] = []

    async def receive(self) -> Message:
        """Wait until the client has gone."""
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Keep what is sent."""
        self.received.append(message)

    def start(self, app: SharedAnswers) -> asyncio.Task[None]:
        """Send the request."""
        return asyncio.create_task(app(self.scope, self.receive, self.send))

    @property
    def body(self) -> bytes:
        """The answer's body."""
        return b"".join(m.get("body", b"") for m in self.received)


def run(test: Callable[[Application, SharedAnswers], Awaitable[None]]) -> None:
    """Run *test* in a loop of its own."""

    async def with_loop() -> None:
        app = Application()
        async with asyncio.timeout(30):
            await test(app, SharedAnswers(app))

    asyncio.run(with_loop())


async def settle() -> None:
    """Let all tasks run as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_equal_requests_are_computed_once() -> None:
    """All get the whole answer; a request after it is computed anew."""

    async def test(app: Application, shared: SharedAnswers) -> None:
        clients = [Client() for _ in range(50)]
        tasks = [client.start(shared) for client in clients]
        await settle()
        app.may_answer.set()
        await asyncio.gather(*tasks)
        assert app.calls == 1
        assert {client.body for client in clients} == {b"answer 1"}
        assert {client.scope["state"]["snapshot"] for client in clients} == {"s1"}
        later = Client()
        await later.start(shared)
        assert later.body == b"answer 2"

    run(test)


@pytest.mark.parametrize(
    "other",
    [
        {"authorization": "other"},
        {"accept": "text/csv"},
        {"accept-encoding": "gzip"},
        {"if-none-match": "*"},
        {"path": "/rooms"},
        {"origin": "https://example.org"},
    ],
)
def test_requests_that_differ_are_not_shared(other: dict[str, str]) -> None:
    """Above all, nobody gets the answer to another token."""

    async def test(app: Application, shared: SharedAnswers) -> None:
        clients = [Client(), Client(**other)]
        tasks = [client.start(shared) for client in clients]
        await settle()
        app.may_answer.set()
        await asyncio.gather(*tasks)
        assert app.calls == 2

    run(test)


def test_an_answer_is_cancelled_when_its_last_client_has_gone() -> None:
    """Not while anybody waits for it."""

    async def test(app: Application, shared: SharedAnswers) -> None:
        clients = [Client(), Client()]
        tasks = [client.start(shared) for client in clients]
        await settle()
        clients[0].gone.set()
        await settle()
        assert app.cancelled == 0
        clients[1].gone.set()
        await asyncio.gather(*tasks)
        await settle()
        assert (app.calls, app.cancelled) == (1, 1)
        app.may_answer.set()
        later = Client()
        await later.start(shared)
        assert later.body == b"answer 2"

    run(test)


def test_an_error_reaches_everybody_who_waits() -> None:
    """Each is then answered by the middleware outside."""

    async def test(app: Application, shared: SharedAnswers) -> None:
        tasks = [Client().start(shared) for _ in range(3)]
        app.error = ValueError("no")
        await settle()
        app.may_answer.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [str(result) for result in results] == ["no"] * 3

    run(test)


def test_requests_with_an_effect_or_a_large_answer_are_not_shared() -> None:
    """Each delivery is one; files are streamed."""

    async def test(app: Application, shared: SharedAnswers) -> None:
        app.may_answer.set()
        for path in ("/health", "/historical.csv", "/views/a", "/reports/b"):
            await asyncio.gather(*(Client(path).start(shared) for _ in range(2)))
        delivering = [Client("/daily-analytics") for _ in range(2)]
        for client in delivering:
            client.scope["app"].state.settings = make_settings(
                bea_base_url="mail", bea_secret_key="secret-key"
            )
        await asyncio.gather(*(client.start(shared) for client in delivering))
        assert app.calls == 10

    run(test)
