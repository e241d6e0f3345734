"""Divided plans: the same row as the whole plan, into however many parts it is divided."""

import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calculations.analytics import NO_COLUMNS, SECTIONS, analytics, collect
from calculations.divided import collect_divided, divided_analytics
from calculations.filters import NO_FILTERS
from tests.calculations.test_plans import scans
from tests.support.effort import examples
from tests.support.frames import EMPTY, at, period, tables, visits_frame
from tests.support.oracle import Term
from tests.support.strategies import (
    FILTER_VALUES,
    Scenario,
    filters_of,
    scenarios_with_range,
    scenarios_without_range,
    terms_of,
)


class ElsewhereEngine(pl.StreamingEngine):
    """Runs plans apart, as other machines do: each travels as bytes, and so do its rows."""

    def collect_all(
        self,
        lfs: Iterable[pl.LazyFrame],
        *,
        optimizations: pl.QueryOptFlags,  # noqa: ARG002 - part of the interface
    ) -> list[pl.DataFrame]:
        """The rows of each plan."""
        return [self._there(plan.serialize()) for plan in lfs]

    def _there(self, plan: bytes) -> pl.DataFrame:
        rows = io.BytesIO()
        pl.LazyFrame.deserialize(io.BytesIO(plan)).collect(engine=self).write_ipc(rows)
        return pl.read_ipc(io.BytesIO(rows.getvalue()))


@settings(max_examples=examples(25, 300), deadline=None)
@given(
    scenario=st.one_of(scenarios_with_range, scenarios_without_range),
    terms=st.just([]) | terms_of(FILTER_VALUES),
    ranges=st.integers(1, 5),
    sections=st.sets(st.sampled_from(SECTIONS), min_size=1),
)
def test_the_parts_make_the_row_of_the_whole(
    scenario: Scenario, terms: list[Term], ranges: int, sections: set[str]
) -> None:
    """For any rows, days, zone, interval and filters; names, types and values."""
    drawn, filters = tables(scenario.database), filters_of(terms)
    question = (drawn, scenario.period, sections, filters)
    whole = collect(analytics(*question), pl.StreamingEngine())
    divided = divided_analytics(*question, ranges)
    (row,) = collect_divided([divided], ElsewhereEngine())
    assert row.schema == whole.schema
    assert row.equals(whole)


def test_two_answers_are_computed_at_once() -> None:
    """A range and the one before: their parts do not get mixed up."""
    views = [{"user_id": "a", "viewed_at": at("2024-06-03 12:00")}]
    some = tables({**EMPTY, "page_views": views})
    plans = [
        divided_analytics(of, period(), {"traffic"}, NO_FILTERS, 2)
        for of in (some, tables(EMPTY))
    ]
    rows = collect_divided(plans, ElsewhereEngine())
    assert [row["traffic"].struct["page_views"].item() for row in rows] == [1, 0]


def test_an_answer_without_sections_has_no_part() -> None:
    """Filters may leave no section."""
    plan = divided_analytics(tables(EMPTY), period(), (), NO_FILTERS, 2)
    assert plan.parts == ()
    assert plan.combine([]) is NO_COLUMNS


@pytest.mark.parametrize("ranges", [1, 2, 3, 7])
def test_each_visitor_is_in_one_range(ranges: int) -> None:
    """Also the lowest and the highest hash; visits without a visitor are in the first."""
    step = 2**64 // ranges
    bounds = {bound + offset for bound in range(0, 2**64, step) for offset in (-1, 0)}
    hashes = sorted(b for b in {*bounds, 2**64 - 1} if 0 <= b < 2**64)
    visitors = pl.Series("visitor", [None, *hashes], pl.UInt64)
    viewed = pl.LazyFrame({"visitor": visitors})
    split = replace(tables(EMPTY), viewed=viewed)
    found = [
        collect(split.of_visitors(number, ranges).viewed)["visitor"].to_list()
        for number in range(ranges)
    ]
    assert found[0][0] is None
    assert [one for part in found for one in part] == [None, *hashes]


def test_the_range_of_visitors_reaches_the_scan(tmp_path: Path) -> None:
    """Other visitors' rows are not decoded."""
    file = tmp_path / "visits.parquet"
    collect(visits_frame("page_views", [{"user_id": "a"}])).write_parquet(file)
    drawn = replace(tables(EMPTY), viewed=pl.scan_parquet(file))
    part = divided_analytics(drawn, period(), {"traffic"}, NO_FILTERS, 2).parts[1]
    ((_, predicate),) = scans(part)
    assert (
        'col("visitor").fill_null([0]).is_between([9223372036854775808, ' in predicate
    )


def test_literal_sessions_are_the_same_in_ranges() -> None:
    """Two visitors with a session of ten minutes each, whatever range they are in."""
    rows = [
        {"user_id": user, "viewed_at": at(f"2024-06-04 12:{minute}")}
        for user in "abcdef"
        for minute in ("00", "10")
    ]
    drawn = tables({**EMPTY, "page_views": rows})
    plan = divided_analytics(drawn, period(), {"traffic"}, NO_FILTERS, 4)
    (row,) = collect_divided([plan], ElsewhereEngine())
    figures = row["traffic"].struct.unnest().row(0, named=True)
    assert (figures["unique_users"], figures["page_views"]) == (6, 12)
    assert figures["average_duration"] == pytest.approx((600 + 10) / 60)
