"""Answer with the rows of a derived table or a report."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

import polars as pl
from anyio import to_thread
from fastapi import HTTPException, Request, Response

from readmodel.store.manifest import Manifest
from readmodel.store.snapshot import Snapshot
from routers.dependencies import RequestContext
from routers.formats.media import TableFormat
from routers.formats.table import iso_instant
from routers.formats.text import one_object
from routers.readings import reading_of_table
from routers.responses import JSON, cache_headers, unchanged
from routers.views.answers import answer_of, definition_etag
from routers.views.kept import is_kept, kept_since
from routers.views.loaded import LoadedViews
from routers.views.page import Page, select_page
from routers.views.parameters import (
    NO_VALUES,
    ReportRequest,
    report_request,
    table_page,
)
from sqlfiles.definition import JSON_UNIT, Definition
from util.errors import ReadModelMissing

DATA_UPDATED_AT: Final = "X-Data-Updated-At"
"""Header with the instant of the snapshot, on a 304 as well."""

STALE_SINCE: Final = "X-Stale-Since"
"""Header of rows that are older than the snapshot since then.

The table could not be built, its definition has an error, or a table that a report
reads could not be read.
"""

FORMAT: Final = "format"
"""Parameter of a `@route` that chooses the format, unless it is one of its own."""


class Manner(NamedTuple):
    """How rows are sent.

    With `rows_only`, JSON is the array of rows without definitions. With `is_route`,
    the definition's `@missing` applies as well, and `@one` with `gives_one`.
    """

    table_format: TableFormat
    vary: str | None = None
    rows_only: bool = False
    is_route: bool = False
    gives_one: bool = False


def names_of(definition: Definition) -> set[str]:
    """The parameters and columns of a definition that callers name."""
    filters = (each.name for each in definition.filters)
    return {*(each.name for each in definition.parameters), *filters}


def _sent(request: Request, manner: Manner, definition: Definition) -> dict[str, str]:
    """The query parameters, without the format of a route."""
    sent = dict(request.query_params)
    if manner.is_route and FORMAT not in names_of(definition):
        sent.pop(FORMAT, None)
    return sent


async def respond_table(
    definition: Definition,
    context: RequestContext,
    manner: Manner,
    path_values: Mapping[str, str] = NO_VALUES,
) -> Response:
    """A page of a derived table, or 304.

    Raises HTTPException (404, 503) and RequestValidationError (422).
    """
    name, snapshot = str(definition.object), context.snapshot
    manifest = _manifest(snapshot)
    state = manifest.derived.get(name)
    stored = manifest.tables.get(name)
    if stored is None or state is None:
        because = state.failed_because if state else None
        reason = because or "the next sync builds it"
        raise HTTPException(503, f"The table {name} was not built yet: {reason}")
    sent = _sent(context.request, manner, definition)
    asked = table_page(definition, stored.schema, sent, path_values)
    headers = _headers(definition, context, manner, manifest)
    if response := _unchanged(context.request, headers, manner):
        return response
    page = await context.compute(
        reading_of_table(snapshot, name),
        select_page,
        snapshot.scan(name),
        asked,
    )
    return await _send(definition, page, context, manner, headers)


async def respond_report(
    definition: Definition,
    loaded: LoadedViews,
    context: RequestContext,
    manner: Manner,
    path_values: Mapping[str, str] = NO_VALUES,
) -> Response:
    """A page of a report for the parameters of the address, or 304.

    Raises HTTPException (404, 503, 504) and RequestValidationError (422).
    """
    manifest = _manifest(context.snapshot)
    sent = _sent(context.request, manner, definition)
    schema = loaded.schema(definition)
    asked = report_request(definition, schema, sent, path_values)
    _require_inputs(definition, manifest)
    headers = _headers(definition, context, manner, manifest)
    if response := _unchanged(context.request, headers, manner):
        return response
    return await run_report(definition, asked, context, manner, headers)


async def run_report(
    definition: Definition,
    asked: ReportRequest,
    context: RequestContext,
    manner: Manner,
    headers: dict[str, str],
) -> Response:
    """A page of a report for the parameters *asked*.

    Raises HTTPException (404, 503, 504).
    """
    _require_inputs(definition, _manifest(context.snapshot))
    inputs = reading_of_table(context.snapshot, *definition.inputs)
    await to_thread.run_sync(context.intact.require, context.snapshot, inputs.columns)
    async with context.reports.rows(
        context.request,
        definition,
        asked,
        context.snapshot,
        context.settings,
        context.now,
    ) as rows:
        page = await to_thread.run_sync(select_page, rows, asked.page)
        return await _send(definition, page, context, manner, headers)


def _manifest(snapshot: Snapshot) -> Manifest:
    """The manifest. Raises ReadModelMissing for files of the earlier system."""
    if snapshot.manifest is None:
        raise ReadModelMissing("There is no snapshot yet: run update_readmodel.py")
    return snapshot.manifest


def _require_inputs(definition: Definition, manifest: Manifest) -> None:
    """Raise HTTPException (503) if a table that a report reads is not there."""
    for name in definition.inputs:
        if name in manifest.tables:
            continue
        if failure := manifest.failed.get(name):
            because = failure.failed_because
            raise HTTPException(503, f"The table {name} was not read yet: {because}")
        raise HTTPException(503, f"The table {name} was not built yet")


def _headers(
    definition: Definition,
    context: RequestContext,
    manner: Manner,
    manifest: Manifest,
) -> dict[str, str]:
    snapshot = context.snapshot
    etag = definition_etag(
        context.request,
        definition,
        manner.table_format,
        snapshot,
        manifest,
        context.now,
    )
    headers = cache_headers(etag, manner.vary)
    headers[DATA_UPDATED_AT] = iso_instant(snapshot.taken_at)
    if stale_since := _stale_since(definition, manifest):
        headers[STALE_SINCE] = iso_instant(stale_since)
    return headers


def _stale_since(definition: Definition, manifest: Manifest) -> datetime | None:
    """Since when the rows are older than the snapshot; None if they are not."""
    if is_kept(definition):
        return kept_since(manifest.derived[str(definition.object)], manifest)
    read = (definition.object,) if definition.object else definition.inputs
    states = [manifest.derived.get(n) or manifest.failed.get(n) for n in read]
    since = (state.stale_since for state in states if state is not None)
    return min(filter(None, since), default=None)


def _unchanged(
    request: Request, headers: Mapping[str, str], manner: Manner
) -> Response | None:
    """304 with the headers that say how fresh the unchanged rows are."""
    response = unchanged(request, headers["ETag"], manner.vary)
    if response is not None:
        for name in (DATA_UPDATED_AT, STALE_SINCE):
            if name in headers:
                response.headers[name] = headers[name]
    return response


async def _send(
    definition: Definition,
    page: Page,
    context: RequestContext,
    manner: Manner,
    headers: dict[str, str],
) -> Response:
    if manner.is_route:
        page = await to_thread.run_sync(_as_route, definition, page, manner.gives_one)
    next_url = None
    if page.token is not None and context.request.method == "GET":
        url = context.request.url.include_query_params(after=page.token)
        next_url = f"{url.path}?{url.query}"
        headers = {**headers, "Link": f'<{next_url}>; rel="next"'}
    if manner.gives_one and manner.table_format is TableFormat.JSON:
        assert isinstance(page.rows, pl.DataFrame)
        body = one_object(page.rows, _json_columns(definition))
        return Response(body, media_type=JSON, headers=headers)
    table = answer_of(definition, page, context.snapshot, next_url)
    return await context.exports.respond(
        table,
        manner.table_format,
        headers,
        f"fpp-{table.title}",
        rows_only=manner.rows_only,
    )


def _json_columns(definition: Definition) -> frozenset[str]:
    notes = definition.columns
    return frozenset(note.name for note in notes if note.unit == JSON_UNIT)


def _as_route(definition: Definition, page: Page, gives_one: bool) -> Page:
    """*page* as `@one` and `@missing` want it. Raises HTTPException (404)."""
    if gives_one:
        page = Page(page.rows.lazy().head(1).collect())
    is_list = definition.one_with is not None and not gives_one
    needs_rows = gives_one or (definition.missing is not None and not is_list)
    if needs_rows and page.rows.lazy().head(1).collect().is_empty():
        raise HTTPException(404, definition.missing)
    return page
