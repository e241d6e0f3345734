"""What the answers are compared with gives the same answers."""

from collections.abc import Iterator

import polars as pl
import pytest
from polars.io.plugins import register_io_source

from bench.cases import ALL, FEW_VOTES, SHAPES, Asked, told
from bench.decode import needed
from bench.duck import Duck
from bench.ours import Ours
from bench.plain import Plain
from readmodel.store import snapshot, visits


@pytest.mark.parametrize("question", SHAPES)
def test_duckdb_gives_our_answer(small: Asked, question: str) -> None:
    """To the last byte of JSON, as one SQL statement per statistic."""
    ours = told(question, Ours(small).ask(question))
    assert told(question, Duck(small, threads=2).ask(question)) == ours


@pytest.mark.parametrize("question", SHAPES)
def test_plain_polars_gives_our_answer(small: Asked, question: str) -> None:
    """To the last byte of JSON, by the obvious group-by."""
    ours = told(question, Ours(small).ask(question))
    assert told(question, Plain(small).ask(question)) == ours


@pytest.mark.parametrize("question", SHAPES)
@pytest.mark.parametrize("engine", [pl.InMemoryEngine(), pl.StreamingEngine()])
def test_either_polars_engine_gives_our_answer(
    small: Asked, question: str, engine: pl.Engine
) -> None:
    """Whichever the amount of data chooses."""
    ours = told(question, Ours(small).ask(question))
    assert told(question, Ours(small, engine=engine).ask(question)) == ours


def test_decoding_reads_the_columns_that_the_answer_reads(small: Asked) -> None:
    """All of them and no other, so that it is what the whole answer costs at least."""
    read: dict[str, set[str]] = {}
    current = snapshot.current(small.data_dir)

    def spied(table: str) -> pl.LazyFrame:
        rows = current.scan(table).collect()

        def scan(
            columns: list[str] | None,
            predicate: pl.Expr | None,
            n_rows: int | None,
            batch_size: int | None,  # noqa: ARG001 - a batch may have any size
        ) -> Iterator[pl.DataFrame]:
            # Where rows are only counted, it is asked for a first column, an id;
            # Parquet's footer says how many there are.
            if columns != ["id"]:
                read.setdefault(table, set()).update(columns or rows.columns)
            found = rows if predicate is None else rows.filter(predicate)
            yield found.select(columns or pl.all()).head(n_rows or found.height)

        return register_io_source(scan, schema=rows.schema)

    Ours(small, spied, lambda table: visits.derive(spied(table), table)).ask(ALL)
    assert read == needed(ALL)


def test_the_sample_has_something_to_say(small: Asked) -> None:
    """Answers that are all empty would be equal without meaning anything."""
    engine = Ours(small)
    assert engine.ask("daily")["votes"] > 0
    assert engine.ask("room_stats")["votes"] == FEW_VOTES
    assert engine.ask(ALL)["reoccurring"][-1]["adjusted_reoccurring_rooms"] > 0


def test_the_sample_is_laid_out_by_the_sync(small: Asked) -> None:
    """Its snapshot is a whole one, with a manifest."""
    manifest = snapshot.current(small.data_dir).manifest
    assert manifest is not None
    assert manifest.tables["fpp_votes"].rows > 0
