"""Visits: the narrow second copy, and its rows when the copy cannot be used."""

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from readmodel.dtypes import INSTANT
from readmodel.store import visits
from readmodel.store.side_files import VISITS
from readmodel.store.snapshot import Snapshot
from tests.support.visits import TABLE, publish_visits, visits_of


@pytest.fixture
def published(tmp_path: Path) -> Snapshot:
    """A snapshot whose estimations are two parts."""
    return publish_visits(tmp_path)


def test_visits_are_the_rows_in_order_with_their_visitors(published: Snapshot) -> None:
    """Equal names are equal visitors; null is none; an empty text is a name."""
    found = published.visits(TABLE).collect()
    assert found.schema == {
        "visitor": pl.UInt64,
        "estimated_at": INSTANT,
        "room_id": pl.Int32,
    }
    names = published.scan(TABLE).select("user_id").collect()["user_id"]
    assert found["visitor"].to_list() == [
        None if name is None else pl.Series([name]).hash()[0] for name in names
    ]
    assert_frame_equal(
        found.drop("visitor"),
        published.scan(TABLE).select("estimated_at", "room_id").collect(),
    )


def test_visits_are_read_from_their_own_files(published: Snapshot) -> None:
    """Tables without visits have no such files."""
    assert "fpp_estimations.visits" in published.visits(TABLE).explain()
    folders = {path.name for path in published.path.glob("*.visits")}
    assert folders == {"fpp_estimations.visits", "fpp_page_views.visits"}


def test_missing_visits_are_derived_from_the_rows(published: Snapshot) -> None:
    """The API goes on until the next sync writes them again."""
    right = published.visits(TABLE).collect()
    visits_of(published)[1].unlink()
    assert published.side_files(TABLE, VISITS) == []
    assert_frame_equal(published.visits(TABLE).collect(), right)


def test_a_table_without_the_columns_has_no_visits() -> None:
    """Nor has any other table."""
    needed = ["user_id", "viewed_at", "route", "source"]
    assert visits.applies_to("fpp_page_views", ["id", *needed])
    assert not visits.applies_to("fpp_page_views", ["id", *needed[1:]])
    assert not visits.applies_to("fpp_votes", ["id", *needed])


def test_the_hash_fingerprint_is_stable_within_a_process() -> None:
    """Two 64-bit hashes in hexadecimal."""
    assert visits.hash_fingerprint() == visits.hash_fingerprint()
    assert [len(part) for part in visits.hash_fingerprint().split("-")] == [16, 16]
