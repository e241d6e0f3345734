"""A prototype: partial aggregates per part, combined to two statistics.

    python -m bench.partials SCALE [TIMES]

Measures them beside the plans of `calculations`, on the sample at SCALE with each part
repeated TIMES times by hard links. The product has the counts, as `quarters`, and not the
visitors: docs/decisions/partial-aggregates.md says why.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import polars as pl

from bench import report
from bench.cases import PERIOD
from bench.data import CACHE, sample_dir
from calculations.historical import MOVING_AVERAGE_ROWS, historical
from calculations.period import QUARTER, Period
from calculations.shapes import as_list, instant, ratio
from readmodel.store import snapshot
from readmodel.store.side_files import VISITS
from readmodel.store.snapshot import Snapshot
from readmodel.sync.lock import exclusive_lock
from readmodel.sync.snapshot_writer import SnapshotWriter
from routers.tables import open_tables

MOMENTS: Final = {
    "new_users": ("fpp_users", "created_at"),
    "page_views": ("fpp_page_views", "viewed_at"),
    "rooms": ("fpp_rooms", "first_used_at"),
    "estimations": ("fpp_estimations", "estimated_at"),
    "votes": ("fpp_votes", "voted_at"),
}
"""Figure of the historical section -> its table and column."""

COUNTS: Final = "counts"
VISITORS: Final = "visitors"
RUNS: Final = 3


def build(source: Snapshot, folder: Path) -> None:
    """Write the partial aggregates of each part of *source* below *folder*.

    ``counts`` are rows per quarter of an hour, ``visitors`` each visitor of page views or
    estimations with the last time. The name of a file tells its table and part.
    """
    for kind in (COUNTS, VISITORS):
        (folder / kind).mkdir(parents=True)
    for figure, (table, at) in MOMENTS.items():
        for file in map(Path, source.files(table)):
            counts = count_quarters(pl.scan_parquet(file), at)
            _write(counts, folder / COUNTS / f"{figure}-{file.name}")
    for table in ("fpp_page_views", "fpp_estimations"):
        _, at = MOMENTS["page_views" if table == "fpp_page_views" else "estimations"]
        for file in source.side_files(table, VISITS):
            seen = last_seen(pl.scan_parquet(file), at)
            _write(seen, folder / VISITORS / f"{table}-{file.name}")


def count_quarters(rows: pl.LazyFrame, at: str) -> pl.LazyFrame:
    """Rows per quarter of an hour: ``at`` (its begin, null for none), ``rows``.

    No zone's days begin within a quarter, so these add up to the days of any zone.
    """
    return (
        rows.group_by(at=pl.col(at).dt.truncate(QUARTER))
        .agg(rows=pl.len().cast(pl.Int64))
        .sort("at")
    )


def last_seen(visits: pl.LazyFrame, at: str) -> pl.LazyFrame:
    """Each ``visitor`` of *visits* with the last time, ``at``; sorted."""
    return (
        visits.drop_nulls("visitor")
        .group_by("visitor")
        .agg(at=pl.col(at).max())
        .sort("visitor")
    )


def _write(rows: pl.LazyFrame, file: Path) -> None:
    rows.collect().write_parquet(file)


def historical_of(folder: Path, period: Period) -> pl.LazyFrame:
    """The plan of `historical` without a range, from the counts in *folder*."""
    dated = pl.concat(
        pl.scan_parquet(folder / COUNTS / f"{figure}-*.parquet").select(
            "rows", date=period.day_of("at"), figure=pl.lit(number)
        )
        for number, figure in enumerate(MOMENTS)
    )
    zeros = period.listed_days().select(
        pl.lit(0, pl.Int64).alias("rows"), "date", figure=pl.lit(-1)
    )
    rows, figure, counts = pl.col("rows"), pl.col("figure"), pl.exclude("date")
    sums = (
        rows.filter(figure == n).sum().alias(name) for n, name in enumerate(MOMENTS)
    )
    listed = (
        pl.concat([dated.filter(period.reports("date")), zeros])
        .group_by("date")
        .agg(sums)
        .sort("date")
    )
    averages = counts.rolling_sum(MOVING_AVERAGE_ROWS) / MOVING_AVERAGE_ROWS
    return as_list(
        "historical",
        listed.with_columns(
            counts.cum_sum().name.prefix("acc_"), averages.round(2).name.prefix("ma_")
        ),
    )


def visitors_of(folder: Path, period: Period) -> pl.LazyFrame:
    """One row: ``unique_users``, ``bounce_rate``, from the visitors in *folder*."""
    viewed, estimated = (
        pl.scan_parquet(folder / VISITORS / f"{table}-*.parquet")
        for table in ("fpp_page_views", "fpp_estimations")
    )
    return unique_visitors(viewed, estimated, "at", period)


def unique_visitors(
    viewed: pl.LazyFrame, estimated: pl.LazyFrame, estimated_at: str, period: Period
) -> pl.LazyFrame:
    """The same from visits, of whole tables or of parts: a set needs no other form."""
    after = pl.col(estimated_at) > instant(period.history_start)
    distinct = pl.col("visitor").drop_nulls().n_unique().cast(pl.Int64)
    unique, estimators = pl.col("unique_users"), pl.col("estimators")
    return pl.concat(
        [
            viewed.select(unique_users=distinct),
            estimated.filter(after).select(estimators=distinct),
        ],
        how="horizontal",
    ).select("unique_users", bounce_rate=ratio((unique - estimators).clip(0), unique))


def direct_historical(source: Snapshot, period: Period) -> pl.LazyFrame:
    """The product's plan of the same section."""
    tables = open_tables(source)
    return historical(
        users=tables.users,
        page_views=tables.viewed,
        rooms=tables.rooms,
        estimations=tables.estimated,
        votes=tables.votes,
        period=period,
    )


def direct_visitors(source: Snapshot, period: Period) -> pl.LazyFrame:
    """The same figures from all visits."""
    tables = open_tables(source)
    return unique_visitors(tables.viewed, tables.estimated, "estimated_at", period)


def repeat_parts(source: Snapshot, data_dir: Path, times: int) -> Snapshot:
    """Publish *source* in *data_dir*, on the same disk, with each part *times* times."""
    assert source.manifest is not None
    with exclusive_lock(data_dir), SnapshotWriter(data_dir, source.taken_at) as writer:
        for name, stored in source.manifest.tables.items():
            table = writer.table(name, stored.columns, stored.changed_at)
            for _ in range(times):
                for part, file in zip(stored.parts, source.files(name), strict=True):
                    table.link(part, Path(file))
        writer.publish()
    return snapshot.current(data_dir)


def repeat_partials(folder: Path, times: int) -> None:
    """Make *times* of each partial aggregate in *folder*, by hard links."""
    for file in list(folder.glob("*/*.parquet")):
        for number in range(1, times):
            file.with_name(f"{file.stem}-{number}.parquet").hardlink_to(file)


def measure(scale: float, times: int) -> Iterator[str]:
    """Markdown: milliseconds of processor time of both ways, and the bytes."""
    CACHE.mkdir(exist_ok=True)
    source = snapshot.current(sample_dir(scale))
    with TemporaryDirectory(dir=CACHE) as name:
        folder = Path(name)
        began = time.process_time()
        build(source, folder / "partials")
        built = time.process_time() - began
        size = sum(file.stat().st_size for file in folder.glob("partials/*/*"))
        repeat_partials(folder / "partials", times)
        large = repeat_parts(source, folder / "data", times)
        yield (
            f"{large.rows:,} rows; partial aggregates of {source.rows:,} rows have "
            f"{size:,} bytes and take {built:.2f} s of processor time"
        )
        partials = folder / "partials"
        yield report.markdown(
            ["", "from partial aggregates", "from the rows"],
            [
                _row(
                    "historical",
                    historical_of(partials, PERIOD),
                    direct_historical(large, PERIOD),
                ),
                _row(
                    "unique users, bounce rate",
                    visitors_of(partials, PERIOD),
                    direct_visitors(large, PERIOD),
                ),
            ],
        )
        shutil.rmtree(folder / "data")


def _row(title: str, combined: pl.LazyFrame, direct: pl.LazyFrame) -> list[str]:
    return [
        title,
        *(report.milliseconds(_seconds(plan)) for plan in (combined, direct)),
    ]


def _seconds(plan: pl.LazyFrame) -> float:
    """The least processor time of some runs, each by the streaming engine."""

    def run() -> float:
        began = time.process_time()
        plan.collect(engine=pl.StreamingEngine())
        return time.process_time() - began

    return _least(run)


def _least(run: Callable[[], float]) -> float:
    return min(run() for _ in range(RUNS))


if __name__ == "__main__":
    for text in measure(float(sys.argv[1]), int((sys.argv[2:] or ["1"])[0])):
        print(text, end="\n\n")
