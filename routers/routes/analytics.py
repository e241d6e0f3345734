"""`GET /`, all statistics, and `GET /daily-analytics`, those of the last 24 hours."""

from datetime import datetime
from typing import Final

import polars as pl
from fastapi import HTTPException, Response
from pydantic import Field

from calculations.applicability import not_applicable_daily
from calculations.comparison import PercentChanges, collect_figures
from calculations.daily import daily
from calculations.period import Period
from calculations.results import Analytics, Daily
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
    AnalyticsQuery,
    DailyParameters,
    DailyQuery,
    require_range,
)
from routers.readings import reading_of_daily
from routers.responses import (
    ACCEPT,
    STATISTICS_RESPONSES,
    cache_headers,
    encode,
    etag_by_day,
    etag_by_minute,
    json_response,
    uncached_json_response,
    unchanged,
)
from routers.sections import ANALYTICS, respond_sections
from routers.strict_query import NoParameters, NoRepeatedParameters
from util.api_routes import ApiRoutes
from util.http_client import encode_daily, send_daily
from util.json_types import JsonObject
from util.problems import Error
from util.rights import Right

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


_NOT_DELIVERED: Final[JsonObject] = {
    "model": Error,
    "description": "The e-mail service did not accept the figures.",
}


@router.get("/", response_model=AnalyticsAnswer, responses=STATISTICS_RESPONSES)
async def get_analytics(query: AnalyticsQuery, context: Context) -> Response:
    """All statistics, section by section.

    Without a range they cover all rows of the database; series begin at START_DATE.
    """
    return await respond_sections(query, context, ANALYTICS)


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


def _daily_figures(
    query: DailyParameters, period: Period, snapshot: Snapshot, plans: PlanCache
) -> JsonObject:
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


def _last_day(period: Period, snapshot: Snapshot, plans: PlanCache) -> JsonObject:
    """The figures of the last 24 hours."""
    tables = plans.tables(snapshot)
    plan = daily(tables.votes, tables.page_views, period)
    return collect_figures(Daily, plan, None)


router.routes.extend(delivery.routes)
