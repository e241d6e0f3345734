"""Series and breakdowns as CSV files (RFC 4180), for spreadsheets."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

import polars as pl
from anyio import to_thread
from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse

from calculations.analytics import collect, engine_for
from calculations.applicability import not_applicable, not_applicable_breakdown
from calculations.breakdown import Dimension, breakdown
from calculations.filters import Filters
from calculations.period import Interval, Period
from calculations.results import HistoricalRow, ReoccurringRow
from calculations.shapes import rows_of
from readmodel.store.snapshot import Snapshot
from routers.auth import RequireToken
from routers.dependencies import (
    CurrentSettings,
    CurrentSnapshot,
    Now,
    Plans,
    WholeAnswers,
)
from routers.plan_cache import PlanCache
from routers.query import (
    FilteredRangeQuery,
    FilteredSeriesQuery,
    inapplicable_filter,
)
from routers.responses import (
    READ_MODEL_RESPONSES,
    DocumentedResponses,
    csv_response,
    etag_by_day,
    unchanged,
)
from routers.strict_query import NoRepeatedParameters, invalid_parameter

CHUNK_ROWS: Final = 5_000

FORMULA: Final = r"^([=+\-@\t\r])"
"""Start of a text that a spreadsheet would compute."""

type SeriesName = Literal["historical", "reoccurring"]

router = APIRouter(
    tags=["downloads"], dependencies=[RequireToken, NoRepeatedParameters]
)


def _documented(header: str) -> DocumentedResponses:
    """The responses of a CSV route whose first line is *header*."""
    file = {
        "description": "A CSV file: RFC 4180, UTF-8, with a header line.",
        "content": {"text/csv": {"schema": {"type": "string"}, "example": header}},
    }
    return READ_MODEL_RESPONSES | {200: file}


def _add_series_route(name: SeriesName, row: type) -> None:
    """Add the route of one series, whose columns are the fields of *row*."""

    @router.get(
        f"/{name}.csv",
        name=f"get_{name}_csv",
        description=(
            f"A row per listed day, week or month, as in `{name}` of `GET /`. Listed "
            "days are Monday to Friday, or all with `weekends`."
        ),
        response_class=StreamingResponse,
        responses=_documented(",".join(row.__annotations__)),
    )
    async def get_series_csv(
        query: FilteredSeriesQuery,
        request: Request,
        snapshot: CurrentSnapshot,
        settings: CurrentSettings,
        now: Now,
        plans: Plans,
        whole_answers: WholeAnswers,
    ) -> Response:
        period = query.resolve(settings, now)
        etag = etag_by_day(request, snapshot, settings, period)
        if response := unchanged(request, etag):
            return response
        chunks = await to_thread.run_sync(
            _series_csv,
            name,
            period,
            query.filters,
            snapshot,
            plans,
            limiter=whole_answers,
        )
        return csv_response(chunks, _filename(name, period), etag)


_add_series_route("historical", HistoricalRow)
_add_series_route("reoccurring", ReoccurringRow)


@router.get(
    "/breakdown/{dimension}.csv",
    response_class=StreamingResponse,
    responses=_documented("route,count"),
)
async def get_breakdown_csv(
    dimension: Annotated[Dimension, Path(description="The attribute to count by.")],
    query: FilteredRangeQuery,
    request: Request,
    snapshot: CurrentSnapshot,
    settings: CurrentSettings,
    now: Now,
    plans: Plans,
) -> Response:
    """A row per value of one dimension with its count. `GET /` has the largest only."""
    period = query.resolve(settings, now)
    etag = etag_by_day(request, snapshot, settings, period)
    if response := unchanged(request, etag):
        return response
    chunks = await to_thread.run_sync(
        _breakdown_csv, dimension, period, query.filters, snapshot, plans
    )
    return csv_response(chunks, _filename(dimension, period), etag)


def _series_csv(
    name: SeriesName,
    period: Period,
    filters: Filters,
    snapshot: Snapshot,
    plans: PlanCache,
) -> Iterator[bytes]:
    if reason := not_applicable(filters, plans.tables(snapshot), period).get(name):
        if period.interval is Interval.HOUR:
            raise invalid_parameter("interval", "hour", reason)
        raise inapplicable_filter(filters, reason)
    plan = plans.analytics(snapshot, period, [name], filters)
    row = collect(plan, engine_for(snapshot.rows, period.fraction))
    return csv_chunks(rows_of(row[name]))


def _breakdown_csv(
    dimension: Dimension,
    period: Period,
    filters: Filters,
    snapshot: Snapshot,
    plans: PlanCache,
) -> Iterator[bytes]:
    tables = plans.tables(snapshot)
    if reason := not_applicable_breakdown(filters, tables, dimension):
        raise inapplicable_filter(filters, reason)
    plan = breakdown(tables, dimension, period, filters)
    return csv_chunks(collect(plan, engine_for(snapshot.rows, period.fraction)))


def csv_chunks(frame: pl.DataFrame) -> Iterator[bytes]:
    """The header, then *frame* as CSV, CHUNK_ROWS rows at a time.

    A null is an empty cell, an empty text a quoted one. A text that a spreadsheet
    would compute gets a leading apostrophe: ``=1+1`` becomes ``'=1+1``. Numbers are
    not changed.
    """
    yield _lines(frame.clear(), header=True)
    disarmed = pl.col(pl.String).str.replace(FORMULA, "'${1}")
    for part in frame.iter_slices(CHUNK_ROWS):
        yield _lines(part.with_columns(disarmed), header=False)


def _lines(frame: pl.DataFrame, *, header: bool) -> bytes:
    return frame.write_csv(include_header=header, line_terminator="\r\n").encode()


def _filename(content: str, period: Period) -> str:
    """A file name such as ``fpp-historical-2024-06-03-to-2024-06-09.csv``."""
    days = "{}-to-{}".format(*period.range) if period.range else "all"
    return f"fpp-{content}-{days}.csv"
