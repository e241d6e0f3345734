"""The API's side of a query: one at a time, in a process of its own, and its errors."""

import math
from datetime import timedelta
from pathlib import Path
from typing import Final
from weakref import WeakSet

from anyio import to_thread
from fastapi import HTTPException, Request

from config import Settings
from readmodel.store.snapshot import Snapshot
from routers.formats.media import TableFormat
from routers.queries.exchange import (
    MAX_RESULT_BYTES,
    Query,
    QueryOutcome,
    parse_outcome,
)
from routers.queries.messages import without_paths
from routers.queries.request import QueryRequest
from routers.views.answers import until_disconnect
from routers.worker.client import Worker
from routers.worker.messages import Pieces
from routers.worker.refusals import (
    JobCrashed,
    JobKilled,
    JobTimeout,
    NotConfined,
    OutOfMemory,
    StatementFailed,
    StatementRefused,
)
from routers.worker.turns import QueueFull, Turns
from util.confinement import Confinement, confinement_of
from util.errors import ReadModelMissing
from util.landlock import LandlockUnavailable

MAX_WAITING: Final = 4
"""Queries that may wait for the one that runs."""

RETRY_AFTER_SECONDS: Final = 5

_MAX_REPLY_BYTES: Final = 4 * MAX_RESULT_BYTES
"""Parquet and CSV may take more than JSON lines, but not much more."""

MOST_UNREAD_BYTES: Final = 2 * _MAX_REPLY_BYTES
"""Of replies that clients are still reading; they are in the API's memory."""


class Queries:
    """Runs people's queries in the worker: one at a time, with a short queue."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._turns = Turns()
        # A reply goes when its response does, whether it was read or not.
        self._replies: WeakSet[Pieces] = WeakSet()

    async def run(
        self,
        request: Request,
        sent: QueryRequest,
        table_format: TableFormat,
        snapshot: Snapshot,
        settings: Settings,
    ) -> tuple[QueryOutcome, Pieces]:
        """The outcome of the query *sent* by *request*, and its rows, encoded.

        Raises HTTPException (400, 429, 503, 504), ReadModelMissing, ClientDisconnected,
        and JobCrashed.
        """
        confinement = await require_confinement(settings.data_dir)
        query = _query(sent, table_format, snapshot, settings, confinement)
        deadline = _deadline(sent, settings)
        try:
            self._turns.require_room(MAX_WAITING)
            reply = await until_disconnect(request, self._in_turn(query, deadline))
        except QueueFull:
            raise _too_many(f"{MAX_WAITING} queries are waiting already") from None
        except JobTimeout as error:
            raise HTTPException(504, f"The query was stopped. {error}.") from None
        except NotConfined as error:
            raise _unconfined(str(error)) from None
        except (StatementRefused, StatementFailed, OutOfMemory) as error:
            raise HTTPException(400, without_paths(str(error))) from None
        except JobKilled:
            raise HTTPException(
                400,
                "The query ended its process: it needs more than "
                f"{settings.sql_memory_mb} MB of memory, or is nested too deeply",
            ) from None
        return parse_outcome(reply.take_line()), reply

    async def _in_turn(self, query: Query, deadline: timedelta) -> Pieces:
        async with self._turns.take():
            if sum(map(len, self._replies)) > MOST_UNREAD_BYTES:
                raise _too_many("Answers of earlier queries are still being read")
            try:
                reply = await self._worker.run_confined(
                    "run_query", {"query": query}, deadline, _MAX_REPLY_BYTES
                )
            except (StatementFailed, JobCrashed):
                await _require_kept(query.folder)
                raise
            self._replies.add(reply)
            return reply


def _too_many(detail: str) -> HTTPException:
    return HTTPException(429, detail, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def _query(
    sent: QueryRequest,
    table_format: TableFormat,
    snapshot: Snapshot,
    settings: Settings,
    confinement: Confinement,
) -> Query:
    """What the worker needs to know. Raises ReadModelMissing."""
    manifest = snapshot.manifest
    if manifest is None:
        raise ReadModelMissing("There is no snapshot yet: run update_readmodel.py")
    return Query(
        sql=sent.sql,
        params=sent.params,
        limit=sent.limit,
        table_format=table_format,
        snapshot=snapshot.id,
        folder=snapshot.path,
        files={name: list(map(Path, snapshot.files(name))) for name in manifest.tables},
        taken_at=snapshot.taken_at,
        zone=settings.timezone,
        memory_mb=settings.sql_memory_mb,
        # Its clock counts whole seconds of the process, and the deadline comes first.
        cpu_seconds=math.ceil(_deadline(sent, settings).total_seconds()) + 1,
        use_landlock=confinement is Confinement.LANDLOCK,
        rows_only=settings.sql_answer == "rows",
    )


def _deadline(sent: QueryRequest, settings: Settings) -> timedelta:
    if sent.timeout_ms is not None:
        return timedelta(milliseconds=sent.timeout_ms)
    return timedelta(seconds=settings.sql_seconds)


async def _require_kept(snapshot: Path) -> None:
    """Raise ReadModelMissing if the folder *snapshot* was removed meanwhile."""
    if not await to_thread.run_sync(snapshot.exists):
        raise ReadModelMissing("The snapshot was removed meanwhile: send it again")


async def require_confinement(data_dir: Path) -> Confinement:
    """How a query is kept from changing *data_dir*. Raises HTTPException (503)."""
    try:
        return await to_thread.run_sync(confinement_of, data_dir)
    except LandlockUnavailable as error:
        raise _unconfined(str(error)) from None


def _unconfined(reason: str) -> HTTPException:
    return HTTPException(503, f"Queries cannot be confined: {reason}")
