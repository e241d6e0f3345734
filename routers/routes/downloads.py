"""Series and breakdowns as CSV files (RFC 4180), for spreadsheets."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import polars as pl
from fastapi import APIRouter, Path, Response
from fastapi.responses import StreamingResponse

from calculations.analytics import analytics, engine_for, rows
from calculations.breakdown import Dimension, breakdown
from calculations.period import Period
from calculations.results import HistoricalRow, ReoccurringRow
from calculations.shapes import rows_of
from readmodel.store.snapshot import Snapshot
from routers.auth import RequireToken
from routers.dependencies import CurrentSettings, CurrentSnapshot, Now
from routers.query import DaysQuery, SeriesQuery
from routers.responses import COMMON, Answering, Conditional
from routers.strict_query import EachOnce
from routers.tables import tables

CHUNK_ROWS = 5_000

FORMULA = r"^([=+\-@\t\r])"
"""How a text begins that a spreadsheet would compute."""

router = APIRouter(tags=["CSV"], dependencies=[RequireToken, EachOnce])


def _documented(header: str) -> dict[int | str, dict[str, Any]]:
    """The answers of a CSV route whose first line is *header*."""
    file = {
        "description": "A CSV file: RFC 4180, UTF-8, with a header line.",
        "content": {"text/csv": {"schema": {"type": "string"}, "example": header}},
    }
    return COMMON | {200: file}


@router.get(
    "/historical.csv",
    response_class=StreamingResponse,
    responses=_documented(",".join(HistoricalRow.__annotations__)),
)
async def get_historical_csv(
    asked: SeriesQuery,
    conditional: Answering,
    snapshot: CurrentSnapshot,
    settings: CurrentSettings,
    now: Now,
) -> Response:
    """A row per listed day, or interval, as in `historical` of `GET /`."""
    period = asked.resolve(settings, now)
    return await _series("historical", period, snapshot, conditional)


@router.get(
    "/reoccurring.csv",
    response_class=StreamingResponse,
    responses=_documented(",".join(ReoccurringRow.__annotations__)),
)
async def get_reoccurring_csv(
    asked: SeriesQuery,
    conditional: Answering,
    snapshot: CurrentSnapshot,
    settings: CurrentSettings,
    now: Now,
) -> Response:
    """A row per listed day, or interval, as in `reoccurring` of `GET /`."""
    period = asked.resolve(settings, now)
    return await _series("reoccurring", period, snapshot, conditional)


@router.get(
    "/breakdown/{dimension}.csv",
    response_class=StreamingResponse,
    responses=_documented("route,count"),
)
async def get_breakdown_csv(
    dimension: Annotated[Dimension, Path(description="What is counted by.")],
    asked: DaysQuery,
    conditional: Answering,
    snapshot: CurrentSnapshot,
    settings: CurrentSettings,
    now: Now,
) -> Response:
    """A row per value of one dimension, all of them, where `GET /` shows the largest."""
    period = asked.resolve(settings, now)

    def compute() -> Iterator[bytes]:
        plan = breakdown(tables(snapshot), dimension, period)
        return chunks(rows(plan, engine_for(snapshot.rows, period.fraction)))

    return await conditional.csv_by_day(period, _name(dimension, period), compute)


async def _series(
    name: Literal["historical", "reoccurring"],
    period: Period,
    snapshot: Snapshot,
    conditional: Conditional,
) -> Response:
    def compute() -> Iterator[bytes]:
        plan = analytics(tables(snapshot), period, [name])
        row = rows(plan, engine_for(snapshot.rows, period.fraction))
        return chunks(rows_of(row[name]))

    return await conditional.csv_by_day(
        period, _name(name, period), compute, whole=True
    )


def chunks(frame: pl.DataFrame) -> Iterator[bytes]:
    """The header, and then *frame* as CSV, some thousand rows at a time.

    A null is an empty cell, an empty text a quoted one. A text that a spreadsheet
    would take for a formula begins with an apostrophe; numbers stay numbers.
    """
    yield _lines(frame.clear(), header=True)
    disarmed = pl.col(pl.String).str.replace(FORMULA, "'${1}")
    for part in frame.iter_slices(CHUNK_ROWS):
        yield _lines(part.with_columns(disarmed), header=False)


def _lines(frame: pl.DataFrame, *, header: bool) -> bytes:
    return frame.write_csv(include_header=header, line_terminator="\r\n").encode()


def _name(what: str, period: Period) -> str:
    """The file's name, which says what is in it."""
    days = "{}-to-{}".format(*period.range) if period.range else "all"
    return f"fpp-{what}-{days}.csv"
