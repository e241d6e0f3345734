"""Plan cache: what it keeps, for how long, and what it never keeps."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from calculations.analytics import SECTIONS
from calculations.period import DateRange, Interval, Period
from readmodel.store.side_files import TALLIES, VISITS
from readmodel.store.snapshot import Snapshot, current
from routers.plan_cache import MAX_PLANS, MAX_SNAPSHOTS, PlanCache
from tests.support.frames import EMPTY, at, period
from tests.support.sample import SAMPLE, TAKEN_AT
from tests.support.snapshots import publish

WEEK = DateRange(date(2024, 7, 22), date(2024, 7, 28))


@pytest.fixture
def plans() -> PlanCache:
    """An empty cache."""
    return PlanCache()


@pytest.fixture
def snapshot(read_model: Path) -> Snapshot:
    """The sample's snapshot."""
    return current(read_model)


def votes(plan: pl.LazyFrame) -> int:
    """The number of votes that the plan of a whole answer counts."""
    count: int = plan.collect()["votes"].struct.field("total_votes").item()
    return count


def test_a_plan_is_kept_for_its_day_whatever_the_time(
    plans: PlanCache, snapshot: Snapshot
) -> None:
    """Requests for the same sections, in any order, share a plan until midnight."""
    morning, evening = (
        period(now=at(f"2024-08-01 {time}")) for time in ("08:00", "23:59")
    )
    first = plans.analytics(snapshot, morning, SECTIONS)
    assert plans.analytics(snapshot, evening, SECTIONS[::-1]) is first


TODAY = period(now=at("2024-08-01 08:00"))


@pytest.mark.parametrize(
    ("day", "sections"),
    [
        (replace(TODAY, now=at("2024-08-02 00:00")), SECTIONS),
        (replace(TODAY, zone=ZoneInfo("Europe/Berlin")), SECTIONS),
        (replace(TODAY, range=WEEK), SECTIONS),
        (replace(TODAY, interval=Interval.WEEK), SECTIONS),
        (replace(TODAY, weekends=True), SECTIONS),
        (replace(TODAY, start=date(2024, 6, 4)), SECTIONS),
        (TODAY, ["votes"]),
    ],
)
def test_each_parameter_has_a_plan_of_its_own(
    plans: PlanCache, snapshot: Snapshot, day: Period, sections: list[str]
) -> None:
    """Day, zone, range, interval, weekends, start and sections are in the key."""
    first = plans.analytics(snapshot, TODAY, SECTIONS)
    assert plans.analytics(snapshot, day, sections) is not first


def test_a_new_snapshot_has_a_plan_of_its_own(plans: PlanCache, data_dir: Path) -> None:
    """Its rows are counted, not those of the snapshot before."""
    old = publish(data_dir, EMPTY, TAKEN_AT)
    assert votes(plans.analytics(old, period(), SECTIONS)) == 0
    new = publish(data_dir, SAMPLE, TAKEN_AT + timedelta(minutes=10))
    assert votes(plans.analytics(new, period(), SECTIONS)) == len(SAMPLE["votes"])


def test_snapshots_of_two_folders_do_not_share_plans(
    plans: PlanCache, tmp_path: Path
) -> None:
    """The path is in the key, since their ids can be equal."""
    empty = publish(tmp_path / "empty", EMPTY, TAKEN_AT)
    full = publish(tmp_path / "full", SAMPLE, TAKEN_AT)
    assert empty.id == full.id
    assert votes(plans.analytics(empty, period(), SECTIONS)) == 0
    assert votes(plans.analytics(full, period(), SECTIONS)) == len(SAMPLE["votes"])


def test_a_kept_plan_reads_the_files_each_time(
    plans: PlanCache, snapshot: Snapshot
) -> None:
    """The plan is cached, the answer is not."""
    plans.analytics(snapshot, period(), SECTIONS).collect()
    for file in snapshot.files("fpp_rooms"):
        Path(file).unlink()
    with pytest.raises(FileNotFoundError):
        plans.analytics(snapshot, period(), SECTIONS).collect()


def test_visits_that_vanish_are_noticed(plans: PlanCache, snapshot: Snapshot) -> None:
    """They are derived from their table then, with the same figures."""
    before = plans.analytics(snapshot, period(), SECTIONS)
    figures = before.collect()
    tables = plans.tables(snapshot)
    for file in snapshot.side_files("fpp_page_views", VISITS):
        file.unlink()
    after = plans.analytics(snapshot, period(), SECTIONS)
    assert after is not before
    assert plans.tables(snapshot) is not tables
    assert after.collect().equals(figures)


def test_an_activity_that_vanishes_is_noticed(
    plans: PlanCache, snapshot: Snapshot
) -> None:
    """The visits are sorted then, with the same figures."""
    before = plans.analytics(snapshot, period(), SECTIONS)
    figures = before.collect()
    assert plans.tables(snapshot).sorted_activity
    for file in (snapshot.path / "activity").iterdir():
        file.unlink()
    after = plans.analytics(snapshot, period(), SECTIONS)
    assert plans.tables(snapshot).sorted_activity is None
    assert after.collect().equals(figures)


def test_small_tallies_and_quarters_are_read_once(
    plans: PlanCache, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large ones are read for each answer, with the same figures."""
    small = plans.analytics(snapshot, period(), SECTIONS)
    monkeypatch.setattr("routers.tables.MOST_KEPT_BYTES", 0)
    large = PlanCache().analytics(snapshot, period(), SECTIONS)
    for folder in (".tallies/", ".quarters/"):
        assert folder not in small.explain()
        assert folder in large.explain()
    assert small.collect().equals(large.collect())


def test_a_tally_that_vanishes_is_noticed(plans: PlanCache, snapshot: Snapshot) -> None:
    """Although it was read before: the rows are counted then, with the same figures."""
    before = plans.analytics(snapshot, period(), SECTIONS)
    figures = before.collect()
    for file in snapshot.side_files("fpp_users", TALLIES):
        file.unlink()
    after = plans.analytics(snapshot, period(), SECTIONS)
    assert after is not before
    assert "/fpp_users.parquet/" in after.explain()
    assert after.collect().equals(figures)


def test_an_unreadable_tally_harms_only_what_needs_it(
    plans: PlanCache, snapshot: Snapshot
) -> None:
    """Once it can be read again, so can the others."""
    (file,) = snapshot.side_files("fpp_users", TALLIES)
    content = file.read_bytes()
    file.write_bytes(b"PAR1")
    assert votes(plans.analytics(snapshot, period(), ["votes"])) == len(SAMPLE["votes"])
    with pytest.raises(pl.exceptions.PolarsError):
        plans.analytics(snapshot, period(), SECTIONS).collect()
    file.write_bytes(content)
    assert votes(plans.analytics(snapshot, period(), SECTIONS)) == len(SAMPLE["votes"])


def test_tables_are_opened_once_per_snapshot(
    plans: PlanCache, read_model: Path
) -> None:
    """However often the snapshot itself is opened."""
    assert plans.tables(current(read_model)) is plans.tables(current(read_model))


def test_plain_files_are_never_kept(plans: PlanCache, read_model: Path) -> None:
    """Files of the earlier system can be replaced at any time."""
    place = read_model.parent / "plain"
    place.mkdir()
    for name in SAMPLE:
        rows = current(read_model).scan(f"fpp_{name}")
        rows.sink_parquet(place / f"fpp_{name}.parquet")
    plain = current(place)
    assert plain.manifest is None
    assert plans.tables(plain) is not plans.tables(plain)
    first = plans.analytics(plain, period(), SECTIONS)
    assert plans.analytics(plain, period(), SECTIONS) is not first
    current(read_model).scan("fpp_votes").clear().sink_parquet(
        place / "fpp_votes.parquet"
    )
    assert votes(plans.analytics(plain, period(), SECTIONS)) == 0


def test_the_least_recently_used_plan_is_dropped(
    plans: PlanCache, snapshot: Snapshot
) -> None:
    """At most MAX_PLANS are kept."""
    days = [period(now=at("2024-08-01 12:00") + timedelta(n)) for n in range(MAX_PLANS)]
    kept = [plans.analytics(snapshot, day, ["votes"]) for day in days]
    assert plans.analytics(snapshot, days[0], ["votes"]) is kept[0]
    for section in ("traffic", "behaviour"):
        plans.analytics(snapshot, period(), [section])
    assert plans.analytics(snapshot, days[0], ["votes"]) is kept[0]
    assert plans.analytics(snapshot, days[1], ["votes"]) is not kept[1]


def test_the_snapshot_before_is_kept_and_older_ones_are_dropped(
    plans: PlanCache, data_dir: Path
) -> None:
    """A request that began before a sync still finds its plan."""
    snapshots = [
        publish(data_dir, SAMPLE, TAKEN_AT + timedelta(minutes=minutes))
        for minutes in range(MAX_SNAPSHOTS + 1)
    ]
    first, second, third = (
        plans.analytics(one, period(), ["votes"]) for one in snapshots
    )
    assert plans.analytics(snapshots[2], period(), ["votes"]) is third
    assert plans.analytics(snapshots[1], period(), ["votes"]) is second
    assert plans.analytics(snapshots[0], period(), ["votes"]) is not first


def test_concurrent_requests_build_a_plan_once(
    plans: PlanCache, snapshot: Snapshot
) -> None:
    """The others wait for it."""

    def plan(_: int) -> pl.LazyFrame:
        return plans.analytics(snapshot, period(), SECTIONS)

    with ThreadPoolExecutor(8) as pool:
        first, *others = pool.map(plan, range(32))
    assert all(other is first for other in others)


def test_the_votes_of_the_last_snapshots_are_kept(
    plans: PlanCache, snapshot: Snapshot, data_dir: Path
) -> None:
    """A room's statistics open them once; an older snapshot's are forgotten."""
    first = plans.votes(snapshot)
    assert plans.votes(snapshot) is first
    for days in range(1, MAX_SNAPSHOTS + 1):
        publish(data_dir, SAMPLE, TAKEN_AT + timedelta(days=days))
        plans.votes(current(data_dir))
    assert plans.votes(snapshot) is not first
