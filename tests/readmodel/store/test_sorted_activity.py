"""The sorted activity of a snapshot: what is in its files, and when they can be read."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from calculations.activity import activity as sorted_visits
from calculations.analytics import SECTIONS, analytics, collect
from readmodel.store import sorted_activity, visits
from readmodel.store.manifest import ActivityFiles, Manifest, Part
from readmodel.store.snapshot import Snapshot
from readmodel.store.sorted_activity import open_activity, other_parts
from readmodel.sync import activity_files
from routers.tables import open_tables
from tests.support.effort import examples
from tests.support.frames import EMPTY, at
from tests.support.oracle import Database
from tests.support.snapshots import TEN, publish
from tests.support.strategies import Scenario, scenarios_without_range

DATABASE: Database = {
    **EMPTY,
    "page_views": [
        {"user_id": "ada", "viewed_at": at("2024-06-04 12:00")},
        {"user_id": None, "viewed_at": at("2024-06-04 12:00")},
        {"user_id": "bob", "viewed_at": None},
        {"user_id": "ada", "viewed_at": at("2024-06-04 10:00")},
    ],
    "estimations": [
        {"user_id": "ada", "estimated_at": at("2024-06-04 11:00")},
        {"user_id": "cyd", "estimated_at": at("2024-06-04 09:00")},
        {"user_id": "ada", "estimated_at": at("2024-06-04 12:00")},
    ],
}


@pytest.fixture
def published(tmp_path: Path) -> Snapshot:
    """A snapshot of DATABASE in two parts a table."""
    return publish(tmp_path, DATABASE, TEN, parts=2)


def manifest_of(snapshot: Snapshot) -> Manifest:
    """Its manifest."""
    assert snapshot.manifest is not None
    return snapshot.manifest


def record_of(snapshot: Snapshot) -> ActivityFiles:
    """The record of its activity."""
    record = manifest_of(snapshot).activity
    assert record is not None
    return record


def test_the_file_has_the_rows_of_each_visitor_in_order_of_time(
    published: Snapshot,
) -> None:
    """A missing time is 1970, a row without a visitor is left out."""
    rows = pl.read_parquet(published.path / "activity" / "part-00000.parquet")
    names = dict(zip(pl.Series(["ada", "bob", "cyd"]).hash(), "abc", strict=True))
    assert rows.columns == ["visitor", "at", "estimated"]
    assert rows["visitor"].is_sorted()
    found = [
        (names[visitor], f"{time:%H:%M}", est) for visitor, time, est in rows.rows()
    ]
    assert sorted(found, key=lambda row: row[0]) == [
        ("a", "10:00", False),
        ("a", "11:00", True),
        ("a", "12:00", False),
        ("a", "12:00", True),
        ("b", "00:00", False),
        ("c", "09:00", True),
    ]


def test_several_files_follow_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has the visitors of one range."""
    monkeypatch.setattr(activity_files, "FILE_ROWS", 3)
    published = publish(tmp_path, DATABASE, TEN, parts=2)
    assert len(record_of(published).files) == 3
    opened = open_activity(published)
    assert opened is not None
    assert_frame_equal(
        opened.rows.collect(),
        sorted_visits(
            published.visits("fpp_page_views"), published.visits("fpp_estimations")
        ).collect(),
    )


@settings(max_examples=examples(30), deadline=None)
@given(
    scenario=scenarios_without_range,
    parts=st.integers(1, 4),
    few=st.booleans(),
    small_share=st.integers(1, 6),
    file_rows=st.integers(1, 40),
    sections=st.sets(st.sampled_from(SECTIONS), min_size=1),
)
def test_answers_are_those_without_it(
    tmp_path_factory: pytest.TempPathFactory,
    scenario: Scenario,
    parts: int,
    few: bool,
    small_share: int,
    file_rows: int,
    sections: set[str],
) -> None:
    """Whatever parts it has, in however many files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(activity_files, "FEW_ROWS", 1000 if few else 0)
        patch.setattr(activity_files, "SMALL_SHARE", small_share)
        patch.setattr(activity_files, "FILE_ROWS", file_rows)
        folder = tmp_path_factory.mktemp("published")
        opened = open_tables(publish(folder, scenario.database, TEN, parts))
    without = replace(opened, sorted_activity=None)
    for engine in (pl.InMemoryEngine(), pl.StreamingEngine()):
        found, right = (
            collect(analytics(tables, scenario.period, sections), engine)
            for tables in (opened, without)
        )
        assert found.equals(right)


def test_a_missing_file_is_not_read(published: Snapshot) -> None:
    """All is sorted as before."""
    assert open_activity(published)
    (published.path / "activity" / "part-00000.parquet").unlink()
    assert open_activity(published) is None
    assert open_tables(published).sorted_activity is None


def test_an_activity_of_another_version_is_not_read(
    published: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another format, or visitors of another hash function."""
    record, tables = record_of(published), manifest_of(published).tables
    assert other_parts(record, tables) == {"fpp_page_views": [], "fpp_estimations": []}
    with monkeypatch.context() as patch:
        patch.setattr(sorted_activity, "FORMAT", 0)
        assert other_parts(record, tables) is None
    monkeypatch.setattr(visits, "version", lambda: "another")
    assert other_parts(record, tables) is None


def test_an_activity_needs_all_of_its_parts(published: Snapshot) -> None:
    """Those that it lacks are unsorted; each of two equal parts counts."""
    record, tables = record_of(published), dict(manifest_of(published).tables)
    views = tables["fpp_page_views"]
    first, second = views.parts

    def others(*parts: Part) -> list[Part] | None:
        changed = {**tables, "fpp_page_views": replace(views, parts=parts)}
        found = other_parts(record, changed)
        return found["fpp_page_views"] if found else None

    assert others(second, first) == []
    assert others(first) is None
    moved = replace(first, file="part-00002.parquet")
    assert others(first, second, moved) == [moved]
    assert others(first, first) is None


def test_a_table_without_a_time_has_none(published: Snapshot) -> None:
    """There is nothing to sort by."""
    tables = dict(manifest_of(published).tables)
    views = tables["fpp_page_views"]
    assert sorted_activity.applies_to(tables)
    columns = {**views.columns, "viewed_at": "Date"}
    tables["fpp_page_views"] = replace(views, columns=columns)
    assert not sorted_activity.applies_to(tables)
    del tables["fpp_page_views"]
    assert not sorted_activity.applies_to(tables)
