"""`GET /`, all statistics, and `GET /daily-analytics`, those of the last 24 hours."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from fastapi import HTTPException, Response
from pydantic import Field
from pydantic_core import to_json

from calculations.analytics import (
    SECTIONS,
    SERIES,
    collect,
    engine_for,
    validate_row,
)
from calculations.applicability import (
    Reasons,
    not_applicable,
    not_applicable_daily,
)
from calculations.comparison import (
    PercentChanges,
    collect_both,
    collect_figures,
    percent_changes,
)
from calculations.daily import daily
from calculations.period import Period
from calculations.results import Analytics, Daily
from calculations.shapes import rows_of
from calculations.tables import Tables
from config import EmailService
from readmodel.store.snapshot import Snapshot
from routers.auth import RequireDelivery, RequireToken, principal_of
from routers.dependencies import (
    AcceptedFormat,
    Context,
    FormatExtension,
    RequestContext,
    RequireStatistics,
)
from routers.direct_route import DirectRoute
from routers.envelope import FilteredAnswer, RangeAnswer, encode_figures
from routers.formats.documents import also_as_table, table_responses
from routers.formats.figures import figures_table
from routers.formats.media import TableFormat
from routers.middleware.methods import IS_HEAD
from routers.plan_cache import PlanCache
from routers.query import (
    AnalyticsParameters,
    AnalyticsQuery,
    DailyParameters,
    DailyQuery,
    describe,
    require_range,
)
from routers.readings import reading_of_daily, reading_of_sections
from routers.responses import (
    ACCEPT,
    STATISTICS_RESPONSES,
    cache_headers,
    encode,
    etag_by_day,
    etag_by_minute,
    json_object,
    json_response,
    uncached_json_response,
    unchanged,
)
from routers.strict_query import NoParameters, NoRepeatedParameters
from util.access import Right
from util.api_routes import ApiRoutes
from util.http_client import encode_daily, send_daily
from util.problems import Error

if TYPE_CHECKING:
    from routers.cluster_answers import ClusterAnswers  # only with ENGINE_URL

COMPARED_SECTIONS: Final = ("traffic", "votes")
"""The sections that consist of single figures."""

router = ApiRoutes(
    tags=["statistics"],
    dependencies=[RequireToken, NoRepeatedParameters, RequireStatistics],
    route_class=DirectRoute,
)


# Whoever lacks the right is refused before it is looked at what there is.
delivery = ApiRoutes(
    tags=["statistics"],
    dependencies=[RequireDelivery, NoParameters, RequireStatistics],
    route_class=DirectRoute,
)


class _AnalyticsData(FilteredAnswer):
    data: Analytics


class AnalyticsAnswer(
    RangeAnswer[Analytics, dict[str, PercentChanges]], _AnalyticsData
):
    """All statistics of one snapshot."""

    data_updated_at: datetime = Field(
        description="The instant (UTC) at which the snapshot equals the database.",
        examples=["2026-11-21T23:10:00.123456Z"],
    )


class DailyAnswer(RangeAnswer[Daily, PercentChanges], FilteredAnswer, Daily):
    """Figures of the last 24 hours, or of the range."""


_NOT_DELIVERED: Final[dict[str, Any]] = {
    "model": Error,
    "description": "The e-mail service did not accept the figures.",
}


@router.get("/", response_model=AnalyticsAnswer, responses=STATISTICS_RESPONSES)
async def get_analytics(query: AnalyticsQuery, context: Context) -> Response:
    """All statistics, section by section.

    Without a range they cover all rows of the database; series begin at START_DATE.
    """
    period = context.resolve(query)
    require_range(query, period)
    etag = context.etag_by_day(period)
    if response := unchanged(context.request, etag):
        return response
    body = await context.computations.run(
        reading_of_sections(query.requested_sections, period, query.filters),
        context.snapshot,
        _analytics_json,
        query,
        period,
        context.snapshot,
        context.plans,
        context.cluster,
    )
    return json_response(body, etag)


@router.get(
    "/daily-analytics",
    response_model=DailyAnswer,
    responses=STATISTICS_RESPONSES | also_as_table() | {502: _NOT_DELIVERED},
)
async def get_daily_analytics(
    accepted: AcceptedFormat, query: DailyQuery, context: Context
) -> Response:
    """Figures of the last 24 hours, or of the range.

    If BEA_BASE_URL and BEA_SECRET_KEY are set, every call without parameters also
    posts the figures to the e-mail service, and its answer must not be cached. The
    requests of one day have one `Idempotency-Key`, so the service can tell a retry. A
    table in another format than JSON is never posted, nor is anything with another
    REPORT_SENDER than `api`, or with a token that only reads.
    """
    if accepted is not TableFormat.JSON:
        return await _respond_daily_table(query, context, accepted, ACCEPT)
    snapshot, plans = context.snapshot, context.plans
    period = _resolve_daily(query, context)
    service = _recipient(query, context)
    if service and getattr(context.request.state, IS_HEAD, False):
        # A HEAD request must have no effect (RFC 9110).
        return uncached_json_response(b"")
    if service:
        return await _deliver_daily(service, period, context)
    etag = _daily_etag(period, context, accepted)
    if response := unchanged(context.request, etag, ACCEPT):
        return response
    reading = reading_of_daily(period, query.filters)
    figures = await context.computations.run(
        reading, snapshot, _daily_figures, query, period, snapshot, plans
    )
    reasons = not_applicable_daily(query.filters, plans.tables(snapshot))
    body = encode_figures(DailyAnswer, figures, query, period, snapshot, reasons)
    return json_response(body, etag, ACCEPT)


@delivery.post(
    "/daily-analytics",
    response_model=Daily,
    responses=STATISTICS_RESPONSES
    | {
        409: {
            "model": Error,
            "description": "There is no e-mail service, or the updater posts to it.",
        },
        502: _NOT_DELIVERED,
    },
)
async def post_daily_analytics(context: Context) -> Response:
    """Post the figures of the last 24 hours to the e-mail service, and answer them.

    The requests of one day have one `Idempotency-Key`, so the service can tell a retry.
    """
    settings = context.settings
    if settings.report_sender == "updater":
        raise HTTPException(409, "With REPORT_SENDER=updater, the updater posts them")
    if settings.email_service is None:
        raise HTTPException(409, "BEA_BASE_URL or BEA_SECRET_KEY is not set")
    period = context.resolve(DailyParameters())
    return await _deliver_daily(settings.email_service, period, context)


async def _deliver_daily(
    service: EmailService, period: Period, context: RequestContext
) -> Response:
    """Post the figures. Raises DeliveryError."""
    figures = await context.computations.run(
        reading_of_daily(period),
        context.snapshot,
        _last_day,
        period,
        context.snapshot,
        context.plans,
    )
    key = context.settings.idempotency_key(f"last-24-hours/{period.today}")
    await context.deliveries.run(
        send_daily, service.base_url, service.key, encode_daily(figures), key
    )
    return uncached_json_response(encode(DailyAnswer.model_construct(**figures)))


@router.get(
    "/daily-analytics.{extension}",
    response_class=Response,
    responses=STATISTICS_RESPONSES | table_responses(),
)
async def get_daily_analytics_file(
    extension: FormatExtension, query: DailyQuery, context: Context
) -> Response:
    """Figures of the last 24 hours, or of the range, as a table of one row.

    They are never posted to the e-mail service.
    """
    return await _respond_daily_table(query, context, extension, None)


async def _respond_daily_table(
    query: DailyParameters,
    context: RequestContext,
    table_format: TableFormat,
    vary: str | None,
) -> Response:
    period = _resolve_daily(query, context)
    etag = _daily_etag(period, context, table_format)
    if response := unchanged(context.request, etag, vary):
        return response
    snapshot = context.snapshot
    reading = reading_of_daily(period, query.filters)
    figures = await context.computations.run(
        reading, snapshot, _daily_figures, query, period, snapshot, context.plans
    )
    table = figures_table("daily", Daily, figures, period, context.snapshot)
    days = "{}-to-{}".format(*period.range) if period.range else "last-24-hours"
    headers, filename = cache_headers(etag, vary), f"fpp-daily-{days}"
    return await context.exports.respond(table, table_format, headers, filename)


def _recipient(query: DailyParameters, context: RequestContext) -> EmailService | None:
    """The service that the figures are posted to; None if they are only answered."""
    settings = context.settings
    if query.is_customised or query.preview or settings.report_sender != "api":
        return None
    may_deliver = Right.DELIVER in principal_of(context.request).rights
    return settings.email_service if may_deliver else None


def _resolve_daily(query: DailyParameters, context: RequestContext) -> Period:
    """The period. Raises RequestValidationError (422)."""
    period = context.resolve(query)
    if query.is_beyond_previous:
        require_range(query, period)
    query.compared(period)
    return period


def _daily_etag(
    period: Period, context: RequestContext, table_format: TableFormat
) -> str:
    etag_of = etag_by_day if period.range else etag_by_minute
    request, settings = context.request, context.settings
    return etag_of(request, context.snapshot, settings, period, table_format)


def _analytics_json(
    query: AnalyticsParameters,
    period: Period,
    snapshot: Snapshot,
    plans: PlanCache,
    cluster: "ClusterAnswers | None",
) -> bytes:
    envelope = {"data_updated_at": to_json(snapshot.taken_at)}
    if query.is_customised:
        envelope["query"] = encode(describe(query, period, snapshot.taken_at))
    if reasons := _reasons(query, plans.tables(snapshot), period):
        envelope["not_applicable"] = to_json(reasons)
    earlier_period = query.compared(period, snapshot.taken_at)
    periods = [period, earlier_period] if earlier_period else [period]
    rows = _rows(query, periods, snapshot, plans, cluster)
    figures, data = _encode_sections(rows[0])
    if len(rows) == 1:
        return json_object({"data": data, **envelope})
    earlier, previous = _encode_sections(rows[1])
    changes = to_json(_changes(figures, earlier))
    return json_object(
        {"data": data, **envelope, "previous": previous, "change": changes}
    )


def _rows(
    query: AnalyticsParameters,
    periods: Sequence[Period],
    snapshot: Snapshot,
    plans: PlanCache,
    cluster: "ClusterAnswers | None",
) -> Sequence[pl.DataFrame]:
    """The row of each of *periods*: a range, and the one before it."""
    question = (query.requested_sections, query.filters)
    if cluster and (found := cluster.rows(snapshot, periods, *question)):
        return found
    engine = engine_for(snapshot.rows, periods[0].fraction)
    current, *earlier = [plans.analytics(snapshot, one, *question) for one in periods]
    if not earlier:
        return [collect(current, engine)]
    return collect_both(current, earlier[0], engine)


def _reasons(query: AnalyticsParameters, tables: Tables, period: Period) -> Reasons:
    """Reasons for what is missing in the requested sections."""
    reasons = not_applicable(query.filters, tables, period)
    return {
        place: reason
        for place, reason in reasons.items()
        if place.partition(".")[0] in query.requested_sections
    }


def _changes(figures: Analytics, earlier: Analytics) -> dict[str, PercentChanges]:
    return {
        name: percent_changes(getattr(figures, name), getattr(earlier, name))
        for name in COMPARED_SECTIONS
        if getattr(figures, name) is not None
    }


def _encode_sections(row: pl.DataFrame) -> tuple[Analytics, bytes]:
    """The sections of *row* except series, validated; and all of them as JSON.

    Series are most of the answer. Polars encodes them: creating Python objects first
    kept the interpreter from requests for /health several times as long. The columns
    of their plan are the fields of their model, in its order.
    """
    figures = validate_row(Analytics, row.drop(SERIES, strict=False))
    sections = {
        name: rows_of(row[name]).write_json().encode()
        if name in SERIES
        else encode(getattr(figures, name))
        for name in SECTIONS
        if name in row.columns
    }
    return figures, json_object(sections)


def _daily_figures(
    query: DailyParameters, period: Period, snapshot: Snapshot, plans: PlanCache
) -> dict[str, Any]:
    tables = plans.tables(snapshot)
    reasons = not_applicable_daily(query.filters, tables)

    def figures_of(days: Period, *, day_before: bool) -> pl.LazyFrame:
        chosen = query.filters.apply(tables, days)
        return daily(
            chosen.votes,
            chosen.page_views,
            days,
            day_before=day_before,
            without=reasons,
        )

    earlier = query.compared(period, snapshot.taken_at)
    before = figures_of(earlier, day_before=True) if earlier else None
    return collect_figures(Daily, figures_of(period, day_before=False), before)


def _last_day(period: Period, snapshot: Snapshot, plans: PlanCache) -> dict[str, Any]:
    """The figures of the last 24 hours."""
    tables = plans.tables(snapshot)
    plan = daily(tables.votes, tables.page_views, period)
    return collect_figures(Daily, plan, None)


router.routes.extend(delivery.routes)
