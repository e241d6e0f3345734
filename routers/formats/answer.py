"""The response with a table in one format: streamed, named and bounded in memory."""

import shutil
import tempfile
from collections.abc import (
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import polars as pl
from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import checkpoint
from fastapi import HTTPException, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from calculations.period import Period
from routers.formats.media import TableFormat
from routers.formats.parquet import write_parquet
from routers.formats.table import CHUNK_ROWS, TableAnswer, count_rows
from routers.formats.text import csv_lines, json_document, json_rows, ndjson
from routers.formats.xlsx import require_fit
from routers.worker.client import Worker
from routers.worker.messages import Pieces
from routers.worker.refusals import JobTimeout, SheetTooLarge

TRUNCATED: Final = "X-Truncated"
"""Header of an answer that lacks something: ``rows``, or ``texts=3``."""

PIECE_BYTES: Final = 64 * 1024
"""Sent at once, and compressed by the event loop before: gzip takes a millisecond."""

WORKBOOK_MEMORY_MB: Final = 512

WORKBOOK_DEADLINE: Final = timedelta(minutes=10)
"""The largest sheets take some minutes."""

_TEXT: Final[Mapping[TableFormat, Callable[[TableAnswer], Iterator[bytes]]]] = {
    TableFormat.JSON: json_document,
    TableFormat.CSV: csv_lines,
    TableFormat.NDJSON: ndjson,
}


class EncodedTable(NamedTuple):
    """A table as the bytes of one format; for a workbook those of Parquet."""

    body: Pieces
    rows: int
    columns: int
    truncated: bool


class Exports:
    """Makes responses of tables. Plans and workbooks go through a temporary file.

    So an error is an error's status rather than a short file, and memory is bounded
    whatever the number of rows.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._workbooks = CapacityLimiter(1)

    async def respond(
        self,
        table: TableAnswer,
        table_format: TableFormat,
        headers: Mapping[str, str],
        filename: str,
        *,
        rows_only: bool = False,
    ) -> Response:
        """A response with *table*; with *rows_only*, JSON is the array of rows.

        *filename* has no extension. Raises HTTPException (413) if a workbook cannot
        hold the rows, (503) if it cannot be made in time.
        """
        try:
            return await self._respond(
                table, table_format, headers, filename, rows_only=rows_only
            )
        except pl.exceptions.PanicException as error:
            # It is no Exception, so nothing else would report and answer it.
            raise RuntimeError(f"The rows cannot be read: {error}") from error

    async def _respond(
        self,
        table: TableAnswer,
        table_format: TableFormat,
        headers: Mapping[str, str],
        filename: str,
        *,
        rows_only: bool,
    ) -> Response:
        sent = {**headers, **_disposition(table_format, filename)}
        if table.truncated:
            sent[TRUNCATED] = "rows"
        if table_format in _TEXT:
            encode = (
                json_rows if _is_bare(table_format, rows_only) else _TEXT[table_format]
            )
            return await _text_response(table, table_format, encode, sent)
        folder = Path(await to_thread.run_sync(tempfile.mkdtemp))
        try:
            file, cut = await self._write(table, table_format, folder)
        finally:
            await to_thread.run_sync(_remove, folder)
        return _file_response(file, table_format, _with_cut_texts(sent, cut))

    async def respond_encoded(
        self,
        encoded: EncodedTable,
        table_format: TableFormat,
        headers: Mapping[str, str],
        filename: str,
    ) -> Response:
        """A response with a table that somebody has encoded; see `respond`."""
        sent = {**headers, **_disposition(table_format, filename)}
        if encoded.truncated:
            sent[TRUNCATED] = "rows"
        if table_format is not TableFormat.XLSX:
            return _PiecewiseResponse(encoded.body, sent, table_format.media_type)
        folder = Path(await to_thread.run_sync(tempfile.mkdtemp))
        try:
            parquet = folder / "rows.parquet"
            await to_thread.run_sync(_save, encoded.body, parquet)
            file, cut = await self._workbook(parquet, encoded.rows, encoded.columns)
        finally:
            await to_thread.run_sync(_remove, folder)
        return _file_response(file, table_format, _with_cut_texts(sent, cut))

    async def _write(
        self, table: TableAnswer, table_format: TableFormat, folder: Path
    ) -> tuple[BinaryIO, int]:
        """The file with *table*, and how many of its texts were cut."""
        parquet = folder / "rows.parquet"
        await to_thread.run_sync(write_parquet, table, parquet)
        if table_format is TableFormat.PARQUET:
            return parquet.open("rb"), 0
        rows = await to_thread.run_sync(count_rows, pl.scan_parquet(parquet))
        return await self._workbook(parquet, rows, len(table.schema()))

    async def _workbook(
        self, parquet: Path, rows: int, columns: int
    ) -> tuple[BinaryIO, int]:
        """A workbook beside *parquet*, and how many of its texts were cut."""
        workbook = parquet.with_suffix(".xlsx")
        try:
            require_fit(rows, columns)
            async with self._workbooks:
                cut = await self._worker.run(
                    "xlsx",
                    {"source": parquet, "target": workbook},
                    memory_mb=WORKBOOK_MEMORY_MB,
                    deadline=WORKBOOK_DEADLINE,
                )
        except SheetTooLarge as error:
            raise HTTPException(413, str(error)) from None
        except JobTimeout as error:
            raise HTTPException(503, f"{error}: use .parquet or .csv") from None
        return workbook.open("rb"), cut


def _with_cut_texts(headers: Mapping[str, str], cut: int) -> dict[str, str]:
    if not cut:
        return dict(headers)
    lacks = filter(None, (headers.get(TRUNCATED), f"texts={cut}"))
    return {**headers, TRUNCATED: ", ".join(lacks)}


def file_stem(content: str, period: Period) -> str:
    """A file name without extension: ``fpp-room-7-2024-06-03-to-2024-06-09``."""
    days = "{}-to-{}".format(*period.range) if period.range else "all"
    return f"fpp-{content}-{days}"


def _is_bare(table_format: TableFormat, rows_only: bool) -> bool:
    return rows_only and table_format is TableFormat.JSON


def _disposition(table_format: TableFormat, filename: str) -> dict[str, str]:
    kind = "attachment" if table_format.is_download else "inline"
    return {"Content-Disposition": f'{kind}; filename="{filename}.{table_format}"'}


async def _text_response(
    table: TableAnswer,
    table_format: TableFormat,
    encode: Callable[[TableAnswer], Iterator[bytes]],
    headers: Mapping[str, str],
) -> Response:
    """The rows of a frame directly; those of a plan once all of them are encoded."""
    if isinstance(table.rows, pl.DataFrame):
        if table_format is TableFormat.JSON and len(table.rows) <= CHUNK_ROWS:
            body = await to_thread.run_sync(b"".join, encode(table))
            media_type = table_format.media_type
            return Response(body, media_type=media_type, headers=dict(headers))
        return _stream(encode(table), table_format, headers)
    file = await to_thread.run_sync(_spool, encode(table))
    return _file_response(file, table_format, headers)


def _save(pieces: Pieces, file: Path) -> None:
    with file.open("wb") as out:
        out.writelines(pieces)


class _PiecewiseResponse(StreamingResponse):
    """Sends pieces, and other requests' between any two of them.

    Its memory is free as soon as its client has gone. Otherwise it would wait for the
    interpreter to find a circle of references.
    """

    def __init__(
        self, pieces: Pieces, headers: Mapping[str, str], media_type: str
    ) -> None:
        sent = {**headers, "Content-Length": str(len(pieces))}
        super().__init__(_in_turns(pieces), headers=sent, media_type=media_type)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See StreamingResponse."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._pieces.clear()


async def _in_turns(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await checkpoint()


def _stream(
    pieces: Iterable[bytes], table_format: TableFormat, headers: Mapping[str, str]
) -> StreamingResponse:
    return StreamingResponse(
        pieces, media_type=table_format.media_type, headers=dict(headers)
    )


def _file_response(
    file: BinaryIO, table_format: TableFormat, headers: Mapping[str, str]
) -> Response:
    """A response that sends *file* and closes it."""
    length = {"Content-Length": str(file.seek(0, 2))}
    return _stream(_pieces(file), table_format, {**headers, **length})


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while piece := file.read(PIECE_BYTES):
            yield piece


def _spool(pieces: Iterable[bytes]) -> BinaryIO:
    """*pieces* in a temporary file without a name."""
    with ExitStack() as undo:
        # Also if the request ends: nobody else has the file.
        file = undo.enter_context(tempfile.TemporaryFile())
        file.writelines(pieces)
        undo.pop_all()
    return file


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
