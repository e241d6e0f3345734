"""The sections of all statistics as JSON, in the names of `GET /` or of `/v1`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched
from typing import TYPE_CHECKING, Final

import polars as pl
from fastapi import Response
from pydantic import BaseModel
from pydantic_core import to_json

from calculations.analytics import (
    SECTIONS,
    SERIES,
    collect,
    collect_side_by_side,
    engine_for,
    halves,
    optimizations_for,
    validate_row,
)
from calculations.applicability import Reasons, not_applicable
from calculations.comparison import PercentChanges, collect_both, percent_changes
from calculations.period import Period
from calculations.results import Analytics
from calculations.results_v1 import COLUMN_NAMES, SECTION_NAMES, Statistics
from calculations.shapes import rows_of
from calculations.tables import Tables
from readmodel.store.snapshot import Snapshot
from routers.dependencies import RequestContext
from routers.plan_cache import PlanCache
from routers.query import AnalyticsParameters, describe, require_range
from routers.readings import reading_of_sections
from routers.responses import encode, json_object, json_response, unchanged

if TYPE_CHECKING:
    from routers.cluster_answers import ClusterAnswers  # only with ENGINE_URL

COMPARED_SECTIONS: Final = ("traffic", "votes")
"""The sections that consist of single figures. All vocabularies call them so."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names in an answer, where they differ from those of the plan.

    `model` has the sections; `columns` are those of its series.
    """

    model: type[BaseModel]
    sections: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def section(self, name: str) -> str:
        """The name of a section."""
        return self.sections.get(name, name)

    def place(self, place: str) -> str:
        """The name of a section, or of a figure: historical.rooms is one."""
        section, dot, figure = place.partition(".")
        columns = self.columns.get(section, {})
        return f"{self.section(section)}{dot}{columns.get(figure, figure)}"


ANALYTICS: Final = Vocabulary(Analytics)
STATISTICS: Final = Vocabulary(Statistics, SECTION_NAMES, COLUMN_NAMES)


async def respond_sections(
    query: AnalyticsParameters, context: RequestContext, names: Vocabulary
) -> Response:
    """All statistics of *query*. Raises RequestValidationError (422)."""
    period = context.resolve(query)
    require_range(query, period)
    etag = context.etag_by_day(period)
    if response := unchanged(context.request, etag):
        return response
    body = await context.computations.run(
        reading_of_sections(query.requested_sections, period, query.filters),
        context.snapshot,
        _sections_json,
        query,
        period,
        context.snapshot,
        context.plans,
        context.cluster,
        names,
    )
    return json_response(body, etag)


def _sections_json(
    query: AnalyticsParameters,
    period: Period,
    snapshot: Snapshot,
    plans: PlanCache,
    cluster: "ClusterAnswers | None",
    names: Vocabulary,
) -> bytes:
    envelope = {"data_updated_at": to_json(snapshot.taken_at)}
    if query.is_customised:
        envelope["query"] = encode(describe(query, period, snapshot.taken_at))
    if reasons := _reasons(query, plans.tables(snapshot), period, names):
        envelope["not_applicable"] = to_json(reasons)
    earlier_period = query.compared(period, snapshot.taken_at)
    periods = [period, earlier_period] if earlier_period else [period]
    rows = _rows(query, periods, snapshot, plans, cluster)
    figures, data = encode_sections(rows[0], names)
    if len(rows) == 1:
        return json_object({"data": data, **envelope})
    earlier, previous = encode_sections(rows[1], names)
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
    if isinstance(engine, pl.InMemoryEngine):
        return _rows_in_memory(query, periods, snapshot, plans)
    current, *earlier = [plans.analytics(snapshot, one, *question) for one in periods]
    if not earlier:
        return [collect(current, engine, optimizations_for(snapshot.rows))]
    return collect_both(current, earlier[0], engine)


def _rows_in_memory(
    query: AnalyticsParameters,
    periods: Sequence[Period],
    snapshot: Snapshot,
    plans: PlanCache,
) -> Sequence[pl.DataFrame]:
    groups = halves(query.requested_sections)
    rows = collect_side_by_side(
        [
            plans.analytics(snapshot, period, sections, query.filters)
            for period in periods
            for sections in groups
        ],
        optimizations_for(snapshot.rows),
    )
    return [pl.concat(row, how="horizontal") for row in batched(rows, len(groups))]


def _reasons(
    query: AnalyticsParameters, tables: Tables, period: Period, names: Vocabulary
) -> Reasons:
    """Reasons for what is missing in the requested sections."""
    reasons = not_applicable(query.filters, tables, period)
    return {
        names.place(place): reason
        for place, reason in reasons.items()
        if place.partition(".")[0] in query.requested_sections
    }


def _changes(figures: BaseModel, earlier: BaseModel) -> dict[str, PercentChanges]:
    return {
        name: percent_changes(getattr(figures, name), getattr(earlier, name))
        for name in COMPARED_SECTIONS
        if getattr(figures, name) is not None
    }


def encode_sections(row: pl.DataFrame, names: Vocabulary) -> tuple[BaseModel, bytes]:
    """The sections of *row* except series, validated; and all of them as JSON.

    Series are most of the answer. Polars encodes them: creating Python objects first
    kept the interpreter from requests for /health several times as long. The columns
    of their plan are the fields of their model, in its order.
    """
    figures = validate_row(names.model, row.drop(SERIES, strict=False))
    sections = {
        names.section(name): _series_json(row[name], names)
        if name in SERIES
        else encode(getattr(figures, names.section(name)))
        for name in SECTIONS
        if name in row.columns
    }
    return figures, json_object(sections)


def _series_json(series: pl.Series, names: Vocabulary) -> bytes:
    columns = names.columns.get(series.name, {})
    return rows_of(series).rename(columns, strict=False).write_json().encode()
