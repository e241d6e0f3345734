"""Requests to one collector on another host: list its spool, read files, acknowledge."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from itertools import accumulate
from typing import Any, Final

import httpx
from pydantic import BaseModel, ValidationError

from events.spool_files import checksum
from events.spool_transfer import (
    ACKNOWLEDGE_PATH,
    FILES_PATH,
    MOST_FILES,
    READ_PATH,
    Acknowledgement,
    AcknowledgementResult,
    OfferedFile,
    SpoolPage,
    StoredSpoolFile,
    WantedFiles,
)
from util.errors import SpoolError

CONNECT_TIMEOUT: Final = timedelta(seconds=3)
READ_TIMEOUT: Final = timedelta(seconds=10)
"""Of each read and write."""

DEADLINE: Final = timedelta(seconds=30)
"""Of a whole answer, and the time that its bytes take at the slowest."""

SLOWEST_BYTES_PER_SECOND: Final = 100_000

MOST_ANSWER_BYTES: Final = 2 * 2**20
"""Of an answer that is not a file."""

MOST_FILE_BYTES: Final = 128 * 2**20
"""More than a collector writes into one file."""


class UnusableAnswer(SpoolError):
    """The collector answers, but not with what it was asked for."""


class CollectorClient:
    """One collector. Every method raises SpoolError if it does not do what it should."""

    def __init__(self, url: str, token: str) -> None:
        self.url: Final = url
        self._token = token
        self._http: httpx.Client | None = None

    def page(self, after: str = "", most: int = MOST_FILES) -> SpoolPage:
        """At most *most* files whose names come after *after*."""
        params: dict[str, str | int] = {"after": after, "limit": most}
        request = self._request("GET", FILES_PATH, params=params)
        return self._parsed(SpoolPage, self._answer(request, MOST_ANSWER_BYTES))

    def contents(self, files: Sequence[OfferedFile]) -> list[bytes]:
        """The bytes of each of *files*, at most MOST_FILES.

        Raises UnusableAnswer, too, if one of them cannot be read or arrives damaged.
        """
        for file in files:
            if file.bytes > MOST_FILE_BYTES or file.sha256 is None:
                raise UnusableAnswer(f"{self.url} cannot read its file {file.name}")
        body = WantedFiles(names=[file.name for file in files])
        answer = self._post(READ_PATH, body, sum(file.bytes for file in files))
        ends = list(accumulate(file.bytes for file in files))
        contents = [
            answer[end - file.bytes : end]
            for file, end in zip(files, ends, strict=True)
        ]
        for file, content in zip(files, contents, strict=True):
            if checksum(content) != file.sha256:
                raise UnusableAnswer(f"{file.name} of {self.url} arrived damaged")
        return contents

    def acknowledge(self, files: Sequence[StoredSpoolFile]) -> AcknowledgementResult:
        """Have *files* removed, at most MOST_FILES; those that are gone are no error."""
        body = Acknowledgement(files=list(files))
        answer = self._post(ACKNOWLEDGE_PATH, body, MOST_ANSWER_BYTES)
        return self._parsed(AcknowledgementResult, answer)

    def close(self) -> None:
        """Disconnect. Requests in progress fail."""
        http, self._http = self._http, None
        if http is not None:
            http.close()

    def _client(self) -> httpx.Client:
        if self._http is None:
            seconds = READ_TIMEOUT.total_seconds()
            connect = CONNECT_TIMEOUT.total_seconds()
            self._http = httpx.Client(
                timeout=httpx.Timeout(seconds, connect=connect),
                headers={
                    "Authorization": f"Bearer {self._token}",
                    # A compressed answer could become any size.
                    "Accept-Encoding": "identity",
                },
            )
        return self._http

    def _request(self, method: str, path: str, **options: Any) -> httpx.Request:
        return self._client().build_request(method, f"{self.url}{path}", **options)

    def _post(self, path: str, body: BaseModel, most_bytes: int) -> bytes:
        headers = {"Content-Type": "application/json"}
        content = body.model_dump_json()
        request = self._request("POST", path, content=content, headers=headers)
        return self._answer(request, most_bytes)

    def _answer(self, request: httpx.Request, most_bytes: int) -> bytes:
        """Send *request* and return the body, which must have at most *most_bytes*."""
        body = bytearray()
        seconds = DEADLINE.total_seconds() + most_bytes / SLOWEST_BYTES_PER_SECOND
        try:
            with self._until(seconds), self._streamed(request) as answer:
                self._require_success(answer.status_code)
                for chunk in answer.iter_raw():
                    body += chunk
                    if len(body) > most_bytes:
                        raise UnusableAnswer(f"{self.url} sends too much")
        except (httpx.HTTPError, RuntimeError) as error:
            # A client that was closed meanwhile raises RuntimeError.
            raise SpoolError(
                f"{self.url} cannot be reached: {_reason(error)}"
            ) from None
        return bytes(body)

    @contextmanager
    def _streamed(self, request: httpx.Request) -> Iterator[httpx.Response]:
        with closing(self._client().send(request, stream=True)) as answer:
            yield answer

    @contextmanager
    def _until(self, seconds: float) -> Iterator[None]:
        """Disconnect after *seconds*: bytes that trickle in meet no time-out of reads."""
        watchdog = threading.Timer(seconds, self.close)
        watchdog.daemon = True
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()

    def _require_success(self, status: int) -> None:
        match status:
            case 200:
                return
            case 401 | 403:
                raise UnusableAnswer(f"{self.url} refuses SPOOL_TOKEN ({status})")
            case 404:
                raise UnusableAnswer(
                    f"{self.url} does not have what it listed (404): does another "
                    "updater take its events?"
                )
        raise UnusableAnswer(f"{self.url} answers {status}")

    def _parsed[Answer: BaseModel](self, model: type[Answer], body: bytes) -> Answer:
        try:
            return model.model_validate_json(body)
        except ValidationError:
            raise UnusableAnswer(
                f"{self.url} answers something else than a collector"
            ) from None


def _reason(error: Exception) -> str:
    """Why a request failed; some errors have no text, and none needs the address."""
    return str(error) or type(error).__name__
