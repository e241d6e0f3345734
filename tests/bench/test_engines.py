"""All engines compute equal answers."""

from collections.abc import Iterator
from dataclasses import replace

import polars as pl
import pytest
from polars.io.plugins import register_io_source

from bench.cases import ALL, FEW_VOTES, MODELS, Dataset, to_json
from bench.decode import needed
from bench.duck import DuckEngine
from bench.ours import OurEngine
from bench.plain import PlainEngine
from readmodel.store import snapshot, visits
from readmodel.store.snapshot import Snapshot
from tests.support.effort import some_long


@pytest.mark.parametrize("case", some_long(MODELS, 3))
def test_duckdb_gives_our_answer(small: Dataset, case: str) -> None:
    """Equal JSON to the last byte, from one SQL statement per case."""
    ours = to_json(case, OurEngine(small).answer(case))
    assert to_json(case, DuckEngine(small, threads=2).answer(case)) == ours


@pytest.mark.parametrize("case", MODELS)
def test_plain_polars_gives_our_answer(small: Dataset, case: str) -> None:
    """Equal JSON to the last byte, from the obvious group-by."""
    ours = to_json(case, OurEngine(small).answer(case))
    assert to_json(case, PlainEngine(small).answer(case)) == ours


@pytest.mark.parametrize("case", MODELS)
@pytest.mark.parametrize("engine", [pl.InMemoryEngine(), pl.StreamingEngine()])
def test_either_polars_engine_gives_our_answer(
    small: Dataset, case: str, engine: pl.Engine
) -> None:
    """The amount of data decides between them."""
    ours = to_json(case, OurEngine(small).answer(case))
    assert to_json(case, OurEngine(small, engine=engine).answer(case)) == ours


def test_decoding_reads_the_columns_that_the_answer_reads(small: Dataset) -> None:
    """Exactly these columns: a lower bound for whoever has no tallies."""
    spied = SpiedSnapshot(snapshot.current(small.data_dir))
    OurEngine(small, spied).answer(ALL)
    assert spied.read == needed(ALL)


class SpiedSnapshot(Snapshot):
    """A snapshot that records the columns read of each table."""

    read: dict[str, set[str]]

    def __init__(self, wrapped: Snapshot) -> None:
        assert wrapped.manifest is not None
        # The columns of rows are recorded, from which the activity is made.
        manifest = replace(wrapped.manifest, activity=None)
        super().__init__(wrapped.id, wrapped.taken_at, wrapped.path, manifest)
        object.__setattr__(self, "read", {})

    def tally(self, table: str) -> None:
        """None: the columns of the rows are recorded, from which a tally is made."""

    def quarters(self, table: str) -> None:
        """None, as well."""

    def scan(self, table: str) -> pl.LazyFrame:
        """All columns of *table*; each column that a plan reads is recorded."""
        rows = super().scan(table).collect()

        def generate(
            columns: list[str] | None,
            predicate: pl.Expr | None,
            n_rows: int | None,
            batch_size: int | None,
        ) -> Iterator[pl.DataFrame]:
            # To count rows, Polars requests the first column, an id; with Parquet files
            # it takes the number from the footer.
            if columns != ["id"]:
                self.read.setdefault(table, set()).update(columns or rows.columns)
            matching = rows if predicate is None else rows.filter(predicate)
            yield matching.select(columns or pl.all()).head(n_rows or matching.height)

        return register_io_source(generate, schema=rows.schema)

    def visits(self, table: str) -> pl.LazyFrame:
        """Visits derived from the recorded scan."""
        return visits.derive(self.scan(table), table)


def test_the_sample_makes_answers_non_empty(small: Dataset) -> None:
    """Empty answers would be equal, too, and prove nothing."""
    engine = OurEngine(small)
    assert engine.answer("daily")["votes"] > 0
    assert engine.answer("room_stats")["votes"] == FEW_VOTES
    assert engine.answer(ALL)["reoccurring"][-1]["adjusted_reoccurring_rooms"] > 0


def test_the_sample_is_written_by_the_sync(small: Dataset) -> None:
    """It is a complete snapshot with a manifest."""
    manifest = snapshot.current(small.data_dir).manifest
    assert manifest is not None
    assert manifest.tables["fpp_votes"].rows > 0
