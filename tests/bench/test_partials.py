"""The prototype of partial aggregates: equal to the statistics, whatever the parts."""

from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from polars.testing import assert_frame_equal

from bench import partials
from bench.cases import PERIOD, Dataset
from calculations.activity import activity
from calculations.traffic import traffic
from readmodel.store import snapshot
from routers.tables import open_tables
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.snapshots import publish


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu"])
def test_counts_of_quarters_add_up_to_the_days_of_any_zone(
    small: Dataset, tmp_path: Path, zone: str
) -> None:
    """Kathmandu is 5:45 ahead of UTC, so hours would not."""
    source = snapshot.current(small.data_dir)
    partials.build(source, tmp_path / "partials")
    period = replace(PERIOD, zone=ZoneInfo(zone))
    assert_frame_equal(
        partials.historical_of(tmp_path / "partials", period).collect(),
        partials.direct_historical(source, period).collect(),
    )


def test_visitors_of_parts_are_those_of_the_table(tmp_path: Path) -> None:
    """Those in several parts count once, as in the section traffic."""
    source = publish(tmp_path / "data", SAMPLE, TAKEN_AT, parts=3)
    partials.build(source, tmp_path / "partials")
    found = partials.visitors_of(tmp_path / "partials", PERIOD).collect()
    tables = open_tables(source)
    visits = activity(tables.viewed, tables.estimated)
    wanted = traffic(tables.page_views, visits, PERIOD).collect()
    assert_frame_equal(found, wanted.select(found.columns))


def test_repeated_parts_have_their_rows_again(small: Dataset, tmp_path: Path) -> None:
    """By links, so that they need no room; sets stay as they are."""
    source = snapshot.current(small.data_dir)
    large = partials.repeat_parts(source, tmp_path / "data", 2)
    assert large.rows == 2 * source.rows
    partials.build(source, tmp_path / "partials")
    partials.repeat_partials(tmp_path / "partials", 2)
    for combined, direct in (
        (partials.historical_of, partials.direct_historical),
        (partials.visitors_of, partials.direct_visitors),
    ):
        assert_frame_equal(
            combined(tmp_path / "partials", PERIOD).collect(),
            direct(large, PERIOD).collect(),
        )
    views = partials.direct_visitors(large, PERIOD).collect()
    assert_frame_equal(views, partials.direct_visitors(source, PERIOD).collect())
