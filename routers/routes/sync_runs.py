"""GET /sync/runs: the updater's newest runs."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Final

import polars as pl
from anyio import to_thread
from fastapi import Query, Request, Response
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field

from config import VERSION, Settings
from readmodel.store import run_log, view_log
from readmodel.store.run_log import Run
from routers.auth import RequireToken
from routers.dependencies import (
    AcceptedFormat,
    CurrentExports,
    CurrentSettings,
    FormatExtension,
)
from routers.formats.documents import also_as_table, columns_of, table_responses
from routers.formats.media import TableFormat
from routers.formats.table import TableAnswer
from routers.responses import (
    ACCEPT,
    CACHE_CONTROL,
    PROTECTED_RESPONSES,
    UNCHANGED,
    cache_headers,
    encode,
    json_response,
    make_etag,
    unchanged,
)
from routers.strict_query import NoRepeatedParameters, QueryParameters, no_number
from util.api_routes import ApiRoutes

MAX_LIMIT = 1_000
FILENAME: Final = "fpp-sync-runs"

router = ApiRoutes(tags=["sync"], dependencies=[RequireToken, NoRepeatedParameters])


class SyncRunsParameters(QueryParameters):
    """Which runs to list."""

    limit: int = Field(50, ge=1, le=MAX_LIMIT, description="How many at most.")


class SyncRunsQueryParameters(SyncRunsParameters):
    """Which runs of the updater to list."""

    before: Annotated[AwareDatetime | None, BeforeValidator(no_number)] = Field(
        None,
        description=(
            "Only runs that ended before this instant: `ended_at` of the last run of an "
            "answer gives the next older ones. The header `Link` has that address."
        ),
        examples=["2026-11-21T23:10:00Z"],
    )
    success: bool | None = Field(
        None, description="Only runs that succeeded, or only those that failed."
    )


class SyncTable(BaseModel, defer_build=True):
    """What one run did to one table."""

    # The fields of TableRun, which fills them, in the API's own words.
    table: str = Field(examples=["fpp_votes"])
    rows_fetched: int = Field(description="Rows that were read from the database.")
    rows_added: int
    rows_changed: int
    rows_removed: int
    parts_rewritten: int = Field(description="Parquet files that were rewritten.")


class SyncRun(BaseModel, defer_build=True):
    """One run of the updater."""

    started_at: datetime = Field(description="UTC.")
    ended_at: datetime = Field(description="UTC.")
    milliseconds: int
    success: bool
    message: str = Field(description="What was done, or why it failed.")
    tables: list[SyncTable] = Field(description="Empty after a failure.")


class SyncRuns(BaseModel, defer_build=True):
    """The newest runs, the newest first."""

    runs: list[SyncRun]
    interval_seconds: int = Field(
        description="SYNC_INTERVAL_SECONDS: the pause between the starts of two runs.",
        examples=[600],
    )


class SyncViewRun(BaseModel, defer_build=True):
    """One build of a derived table, or an error in a SQL file."""

    name: str = Field(description="Name of the definition; empty if it has none.")
    type: str = Field(examples=["materialized_view"])
    object: str = Field(description="The table; empty if it is unknown.")
    file: str = Field(examples=["retention.sql"])
    started_at: datetime = Field(description="UTC.")
    ended_at: datetime = Field(description="UTC.")
    milliseconds: int
    rows: int = Field(description="Rows of the table; 0 after a failure.")
    success: bool
    outcome: str = Field(
        description="built, invalid, error, test_failed, memory, deadline, killed, disk "
        "or input_stale.",
    )
    message: str = Field(description="Why it failed; empty after a success.")
    sql_sha256: str = Field(description="Hash of the statement's parse tree.")


class SyncViewRuns(BaseModel, defer_build=True):
    """The newest builds of derived tables, the newest first."""

    runs: list[SyncViewRun]


@router.get(
    "/sync/runs/views", response_model=SyncViewRuns, responses=PROTECTED_RESPONSES
)
def get_sync_view_runs(
    settings: CurrentSettings,
    parameters: Annotated[SyncRunsParameters, Query()],
) -> Response:
    """The newest builds of derived tables, the newest first; they are kept for 90 days.

    A table whose inputs and definition did not change is not built.
    """
    found = view_log.recent_view_runs(settings.data_dir, parameters.limit)
    runs = [SyncViewRun(success=run.success, **asdict(run)) for run in found]
    return Response(
        encode(SyncViewRuns(runs=runs)),
        media_type="application/json",
        headers={"Cache-Control": CACHE_CONTROL},
    )


SyncRunsQuery = Annotated[SyncRunsQueryParameters, Query()]


@router.get(
    "/sync/runs",
    response_model=SyncRuns,
    responses=PROTECTED_RESPONSES | UNCHANGED | also_as_table(),
)
async def get_sync_runs(
    accepted: AcceptedFormat,
    query: SyncRunsQuery,
    request: Request,
    settings: CurrentSettings,
    exports: CurrentExports,
) -> Response:
    """The updater's newest runs, the newest first; they are kept for 90 days."""
    etag = _etag(request, settings, accepted)
    if response := unchanged(request, etag, ACCEPT):
        return response
    if accepted is TableFormat.JSON:
        runs, more = await to_thread.run_sync(_runs, query, settings)
        response = json_response(_runs_json(runs, settings), etag, ACCEPT)
        if more:
            response.headers["Link"] = _next_link(request, runs[-1])
        return response
    table = await to_thread.run_sync(_runs_table, query, settings)
    headers = cache_headers(etag, ACCEPT)
    return await exports.respond(table, accepted, headers, FILENAME)


@router.get(
    "/sync/runs.{extension}",
    response_class=Response,
    responses=PROTECTED_RESPONSES | UNCHANGED | table_responses(),
)
async def get_sync_runs_file(
    extension: FormatExtension,
    query: SyncRunsQuery,
    request: Request,
    settings: CurrentSettings,
    exports: CurrentExports,
) -> Response:
    """The updater's newest runs as a table, the newest first."""
    etag = _etag(request, settings, extension)
    if response := unchanged(request, etag):
        return response
    table = await to_thread.run_sync(_runs_table, query, settings)
    return await exports.respond(table, extension, cache_headers(etag), FILENAME)


def _etag(request: Request, settings: Settings, table_format: TableFormat) -> str:
    """ETag of an answer that changes with the run log."""
    try:
        seen = (settings.data_dir / run_log.FILE).stat()
        log = f"{seen.st_ino} {seen.st_mtime_ns} {seen.st_size}"
    except OSError:  # before the first run
        log = ""
    interval = str(settings.sync_interval_seconds)
    url = request.url
    return make_etag(VERSION, log, interval, url.path, url.query, table_format)


def _runs(query: SyncRunsQueryParameters, settings: Settings) -> tuple[list[Run], bool]:
    """The newest runs that *query* selects, and whether there are older ones."""
    found = _selected(query, run_log.read_log(settings.data_dir))
    newest = found.tail(query.limit).reverse()
    return run_log.runs_of(newest), len(found) > query.limit


def _selected(query: SyncRunsQueryParameters, log: pl.DataFrame) -> pl.DataFrame:
    if query.before is not None:
        log = log.filter(pl.col("ended_at") < query.before)
    if query.success is not None:
        log = log.filter(pl.col("success") == query.success)
    return log


def _next_link(request: Request, last: Run) -> str:
    """RFC 8288, relative to the request's address."""
    before = last.ended_at.isoformat()
    address = request.url.include_query_params(before=before)
    return f'<?{address.query}>; rel="next"'


def _runs_json(runs: Iterable[Run], settings: Settings) -> bytes:
    listed = [_sync_run(run) for run in runs]
    interval = settings.sync_interval_seconds
    return encode(SyncRuns(runs=listed, interval_seconds=interval))


def _runs_table(query: SyncRunsQueryParameters, settings: Settings) -> TableAnswer:
    """Columns as in SyncRun; ``tables`` is a list of structs."""
    log = _selected(query, run_log.read_log(settings.data_dir))
    newest: datetime | None = log["ended_at"].to_list()[-1] if len(log) else None
    return TableAnswer(
        title="sync-runs",
        rows=log.tail(query.limit).reverse(),
        columns=columns_of(SyncRun),
        description="A row per run of the updater, the newest first.",
        data_updated_at=newest,
        truncated=len(log) > query.limit,
    )


def _sync_run(run: Run) -> SyncRun:
    return SyncRun(
        started_at=run.started_at,
        ended_at=run.ended_at,
        milliseconds=round(run.took / timedelta(milliseconds=1)),
        success=run.success,
        message=run.message,
        tables=[
            SyncTable(table=name, **asdict(counts))
            for name, counts in run.tables.items()
        ],
    )
