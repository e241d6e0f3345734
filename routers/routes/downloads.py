"""Series and breakdowns as tables: files for spreadsheets and programs."""

from typing import Annotated, Final, Literal

from fastapi import Path, Response
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
    AcceptedFormat,
    Context,
    FormatExtension,
    RequestContext,
    RequireStatistics,
)
from routers.direct_route import DirectRoute
from routers.formats.answer import file_stem
from routers.formats.documents import columns_of, table_responses
from routers.formats.media import TableFormat
from routers.formats.table import TableAnswer, TableColumn
from routers.plan_cache import PlanCache
from routers.query import (
    FilteredRangeParameters,
    FilteredRangeQuery,
    FilteredSeriesParameters,
    FilteredSeriesQuery,
    inapplicable_filter,
)
from routers.readings import reading_of_dimension, reading_of_sections
from routers.responses import (
    ACCEPT,
    STATISTICS_RESPONSES,
    DocumentedResponses,
    cache_headers,
    unchanged,
)
from routers.strict_query import NoRepeatedParameters, invalid_parameter
from util.api_routes import ApiRoutes

type SeriesName = Literal["historical", "reoccurring"]

SERIES_ROWS: Final[dict[SeriesName, type]] = {
    "historical": HistoricalRow,
    "reoccurring": ReoccurringRow,
}

COUNTED: Final = {
    Dimension.ROUTE: "page views",
    Dimension.SOURCE: "page views",
    Dimension.EVENT: "events",
    Dimension.ROOM: "votes",
    Dimension.WEEKDAY: "votes",
    Dimension.ESTIMATION: "estimations",
}
"""What a breakdown counts; the others count users."""

DimensionPath = Annotated[Dimension, Path(description="The attribute to count by.")]

router = ApiRoutes(
    tags=["downloads"],
    dependencies=[RequireToken, NoRepeatedParameters, RequireStatistics],
    route_class=DirectRoute,
)


def _documented(header: str) -> DocumentedResponses:
    """The responses of a CSV route whose first line is *header*."""
    file = {
        "description": "A CSV file: RFC 4180, UTF-8, with a header line.",
        "content": {"text/csv": {"schema": {"type": "string"}, "example": header}},
    }
    return STATISTICS_RESPONSES | {200: file}


def _add_series_routes(name: SeriesName) -> None:
    """Add the routes of one series: as CSV, by extension and by Accept."""
    description = (
        f"A row per listed day, week or month, as in `{name}` of `GET /`. Listed "
        "days are Monday to Friday, or all with `weekends`."
    )
    tables = STATISTICS_RESPONSES | table_responses()
    row = SERIES_ROWS[name]
    header = ",".join(name for name in row.__annotations__ if name != "hour")

    @router.get(
        f"/{name}.csv",
        name=f"get_{name}_csv",
        description=description,
        response_class=StreamingResponse,
        responses=_documented(header),
    )
    async def get_series_csv(query: FilteredSeriesQuery, context: Context) -> Response:
        return await _respond_series(name, query, context, TableFormat.CSV)

    @router.get(
        f"/{name}.{{extension}}",
        name=f"get_{name}_file",
        description=description,
        response_class=Response,
        responses=tables,
    )
    async def get_series_file(
        extension: FormatExtension, query: FilteredSeriesQuery, context: Context
    ) -> Response:
        return await _respond_series(name, query, context, extension)

    @router.get(
        f"/{name}",
        name=f"get_{name}",
        description=description,
        response_class=Response,
        responses=tables,
    )
    async def get_series(
        accepted: AcceptedFormat, query: FilteredSeriesQuery, context: Context
    ) -> Response:
        return await _respond_series(name, query, context, accepted, ACCEPT)


for _name in SERIES_ROWS:
    _add_series_routes(_name)


@router.get(
    "/breakdown/{dimension}.csv",
    response_class=StreamingResponse,
    responses=_documented("route,count"),
)
async def get_breakdown_csv(
    dimension: DimensionPath, query: FilteredRangeQuery, context: Context
) -> Response:
    """A row per value of one dimension with its count. `GET /` has the largest only."""
    return await _respond_breakdown(dimension, query, context, TableFormat.CSV)


@router.get(
    "/breakdown/{dimension}.{extension}",
    response_class=Response,
    responses=STATISTICS_RESPONSES | table_responses(),
)
async def get_breakdown_file(
    dimension: DimensionPath,
    extension: FormatExtension,
    query: FilteredRangeQuery,
    context: Context,
) -> Response:
    """A row per value of one dimension with its count. `GET /` has the largest only."""
    return await _respond_breakdown(dimension, query, context, extension)


async def _respond_series(
    name: SeriesName,
    query: FilteredSeriesParameters,
    context: RequestContext,
    table_format: TableFormat,
    vary: str | None = None,
) -> Response:
    period = context.resolve(query)
    etag = context.etag_by_day(period, table_format)
    if response := unchanged(context.request, etag, vary):
        return response
    table = await context.compute(
        reading_of_sections([name], period, query.filters),
        _series_table,
        name,
        period,
        query.filters,
        context.snapshot,
        context.plans,
    )
    headers, filename = cache_headers(etag, vary), file_stem(name, period)
    return await context.exports.respond(table, table_format, headers, filename)


async def _respond_breakdown(
    dimension: Dimension,
    query: FilteredRangeParameters,
    context: RequestContext,
    table_format: TableFormat,
) -> Response:
    period = context.resolve(query)
    etag = context.etag_by_day(period, table_format)
    if response := unchanged(context.request, etag):
        return response
    table = await context.compute(
        reading_of_dimension(dimension, period, query.filters),
        _breakdown_table,
        dimension,
        period,
        query.filters,
        context.snapshot,
        context.plans,
    )
    headers, filename = cache_headers(etag), file_stem(dimension, period)
    return await context.exports.respond(table, table_format, headers, filename)


def _series_table(
    name: SeriesName,
    period: Period,
    filters: Filters,
    snapshot: Snapshot,
    plans: PlanCache,
) -> TableAnswer:
    """Raises RequestValidationError (422) for a series without meaning."""
    if reason := not_applicable(filters, plans.tables(snapshot), period).get(name):
        if period.interval is Interval.HOUR:
            raise invalid_parameter("interval", "hour", reason)
        raise inapplicable_filter(filters, reason)
    plan = plans.analytics(snapshot, period, [name], filters)
    row = collect(plan, engine_for(snapshot.rows, period.fraction))
    return TableAnswer(
        title=name,
        rows=rows_of(row[name]),
        columns=columns_of(SERIES_ROWS[name]),
        description=str(SERIES_ROWS[name].__doc__),
        range=period.range,
        zone=period.zone.key,
        data_updated_at=snapshot.taken_at,
    )


def _breakdown_table(
    dimension: Dimension,
    period: Period,
    filters: Filters,
    snapshot: Snapshot,
    plans: PlanCache,
) -> TableAnswer:
    """Raises RequestValidationError (422) for a filter without meaning."""
    tables = plans.tables(snapshot)
    if reason := not_applicable_breakdown(filters, tables, dimension):
        raise inapplicable_filter(filters, reason)
    plan = breakdown(tables, dimension, period, filters)
    counted = COUNTED.get(dimension, "users")
    return TableAnswer(
        title=dimension,
        rows=collect(plan, engine_for(snapshot.rows, period.fraction)),
        columns=[
            TableColumn("country", "ISO 3166-1 code of the country."),
            TableColumn(dimension, f"The {dimension}."),
            TableColumn("count", f"Number of {counted}."),
        ],
        description=f"A row per {dimension} with its {counted}.",
        range=period.range,
        zone=period.zone.key,
        data_updated_at=snapshot.taken_at,
    )
