"""Table answers of derived tables and reports."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl
from anyio import to_thread
from fastapi import HTTPException, Request

from config import VERSION, Settings
from readmodel.store.manifest import Manifest, StoredTable
from readmodel.store.snapshot import Snapshot
from readmodel.tables import EVENT_TABLE_NAMES
from routers.errors import ClientDisconnected, ReportFailed
from routers.formats.media import TableFormat
from routers.formats.table import TableAnswer, TableColumn
from routers.responses import make_etag
from routers.views.page import Page
from routers.views.parameters import ReportRequest
from routers.worker.client import Worker
from routers.worker.refusals import (
    JobCrashed,
    JobTimeout,
    OutOfMemory,
    StatementFailed,
)
from routers.worker.turns import QueueFull, Turns
from sqlfiles.definition import Definition
from util.json_types import JsonMapping

_events: Final = frozenset(EVENT_TABLE_NAMES)

MAX_WAITING: Final = 64
"""Reports that may wait for the one that runs, which usually takes a tenth of a second."""

RETRY_AFTER_SECONDS: Final = 5

RESERVED_MB: Final = 2048
"""Address space that the engines reserve at first, and do not use."""


class Reports:
    """Runs reports in the worker: one at a time, with a short queue."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._turns = Turns()

    @asynccontextmanager
    async def rows(
        self,
        request: Request,
        definition: Definition,
        asked: ReportRequest,
        snapshot: Snapshot,
        settings: Settings,
        now: datetime,
    ) -> AsyncIterator[pl.LazyFrame]:
        """The rows of a report at the instant *now*, in a file that is removed later.

        Raises HTTPException (503, 504, 500), and ClientDisconnected.
        """
        folder = Path(await to_thread.run_sync(tempfile.mkdtemp))
        try:
            target = folder / "rows.parquet"
            files = {n: list(map(Path, snapshot.files(n))) for n in definition.inputs}
            arguments = {
                "definition": definition,
                "values": asked.values,
                "files": files,
                "now": clock_of(definition, snapshot, now),
                "memory_mb": settings.report_memory_mb,
                "target": target,
            }
            await self._run(request, definition, arguments, settings)
            yield pl.scan_parquet(target, glob=False)
        finally:
            await to_thread.run_sync(_remove, folder)

    async def _run(
        self,
        request: Request,
        definition: Definition,
        arguments: JsonMapping,
        settings: Settings,
    ) -> None:
        try:
            self._turns.require_room(MAX_WAITING)
            await until_disconnect(request, self._in_turn(arguments, settings))
        except QueueFull:
            raise HTTPException(
                503,
                f"{MAX_WAITING} reports are waiting already",
                {"Retry-After": str(RETRY_AFTER_SECONDS)},
            ) from None
        except JobTimeout as error:
            raise HTTPException(
                504, f"The report {definition.name} was stopped. {error}."
            ) from None
        except OutOfMemory as error:
            raise HTTPException(503, str(error)) from None
        except (StatementFailed, JobCrashed) as error:
            # The engine's text may quote rows; it is for the logs.
            raise ReportFailed(definition, str(error)) from error

    async def _in_turn(self, arguments: JsonMapping, settings: Settings) -> None:
        async with self._turns.take():
            await self._worker.run(
                "run_report",
                arguments,
                # Address space, of which the engines reserve more than they use.
                memory_mb=settings.report_memory_mb + RESERVED_MB,
                deadline=timedelta(seconds=settings.report_seconds),
            )


async def until_disconnect[T](request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of *work*, which is cancelled when the client disconnects.

    Raises ClientDisconnected.
    """
    job = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({job, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not job.done():
            raise ClientDisconnected
        return job.result()
    finally:
        job.cancel()
        gone.cancel()
        await asyncio.gather(job, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def table_columns(definition: Definition, names: Sequence[str]) -> list[TableColumn]:
    """Meaning and unit of each column of a definition's rows."""
    notes = (definition.note(name) for name in names)
    return [TableColumn(note.name, note.meaning, note.unit) for note in notes]


def answer_of(
    definition: Definition, page: Page, snapshot: Snapshot, next_url: str | None
) -> TableAnswer:
    """A page of a definition's rows as a table answer."""
    return TableAnswer(
        title=definition.object or definition.name,
        rows=page.rows,
        columns=table_columns(definition, page.rows.collect_schema().names()),
        description=definition.description,
        zone=definition.zone.key,
        data_updated_at=snapshot.taken_at,
        truncated=page.token is not None,
        next=next_url,
    )


def clock_of(definition: Definition, snapshot: Snapshot, now: datetime) -> datetime:
    """What `now()` is in a definition: the instant of the data that it reads.

    Mirrored tables are as of the snapshot's instant. Events arrive all the time, and a
    window without a new one must move on, so for them it is that of the request, *now*.
    """
    return snapshot.taken_at if _events.isdisjoint(definition.inputs) else now


def definition_etag(
    request: Request,
    definition: Definition,
    table_format: TableFormat,
    snapshot: Snapshot,
    manifest: Manifest,
    now: datetime,
) -> str:
    """ETag of an answer: what its rows depend on, and the request.

    A snapshot in which neither the definition nor its inputs changed has the same one.
    """
    read = (definition.object,) if definition.object else definition.inputs
    clock = definition.statement.uses_clock and not definition.is_table
    return make_etag(
        VERSION,
        definition.statement.digest,
        definition.header_digest,
        definition.zone.key,
        *(_content(manifest.tables[name]) for name in read),
        clock_of(definition, snapshot, now).isoformat() if clock else "",
        request.url.path,
        request.url.query,
        table_format,
    )


def _content(table: StoredTable) -> str:
    """What identifies the rows of a stored table."""
    parts = (f"{part.file} {part.bytes} {part.crc32}" for part in table.parts)
    return f"{list(table.columns.items())} {' '.join(parts)}"


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
