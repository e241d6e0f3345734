"""Comparing the read model with the database: names what differs, changes nothing."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from sqlite3 import connect

import polars as pl

from readmodel.store.damage import checksum
from readmodel.sync.part_footer import KEY
from readmodel.sync.verify import verify
from readmodel.tables import Table
from tests.support.mirror import OTHERS, PAGE_VIEWS, THINGS, Mirror, mirror_of
from tests.support.snapshots import damage_manifest, flip_a_bit

ESTIMATIONS = Table("fpp_estimations", key="id")


def test_verify_names_the_part_that_differs_and_changes_nothing(mirror: Mirror) -> None:
    """By its file, with the rows on both sides."""
    before = mirror.snapshot
    mirror.run("UPDATE things SET n = 9 WHERE id = 3")
    mirror.run("INSERT INTO things VALUES (100001, 1)")
    first, last = mirror.verify().differences
    assert (first.part, last.part) == ("part-00000.parquet", "part-00002.parquet")
    assert "2 digests differ" in first.reason
    assert "the database 1,697" in last.reason
    assert mirror.snapshot == before
    mirror.sync()
    assert mirror.verify().differences == ()


def test_verify_names_a_table_with_other_columns_and_one_that_is_missing(
    mirror: Mirror,
) -> None:
    """They have no parts to compare."""
    mirror.run("ALTER TABLE things ADD COLUMN more INT")
    found = list(verify(mirror.source, mirror.data_dir, [THINGS, OTHERS]))
    assert [str(d) for comparison in found for d in comparison.differences] == [
        "things/*: has other columns in the database",
        "others/*: is not in the read model",
    ]


def test_an_empty_table_equals_an_empty_one(mirror: Mirror) -> None:
    """It is one part without rows; a new row is a difference."""
    mirror.sync(OTHERS)
    comparison = mirror.verify(OTHERS)
    assert (comparison.rows, comparison.parts) == (0, 1)
    assert comparison.differences == ()
    mirror.run("INSERT INTO others VALUES (1, 1)")
    (difference,) = mirror.verify(OTHERS).differences
    assert difference.reason == "holds 0 rows, the database 1, and 1 digests differ"


def test_verify_names_a_damaged_activity(mirror: Mirror) -> None:
    """It belongs to the estimations, which whatever reads it reads, too."""
    mirror.run(
        "CREATE TABLE fpp_page_views"
        " (id INT, user_id TEXT, viewed_at DATETIME, route TEXT, source TEXT)"
    )
    mirror.run(
        "CREATE TABLE fpp_estimations"
        " (id INT, user_id TEXT, estimated_at DATETIME, room_id INT)"
    )
    mirror.run("INSERT INTO fpp_estimations VALUES (1, 'a', '2026-11-20 10:00:00', 1)")
    mirror.sync(PAGE_VIEWS, ESTIMATIONS)
    assert mirror.verify(ESTIMATIONS).differences == ()
    flip_a_bit(mirror.snapshot.path / "activity" / "part-00000.parquet")
    (difference,) = mirror.verify(ESTIMATIONS).differences
    assert difference.part == "activity/part-00000.parquet"
    assert difference.reason == "is damaged or missing on disk"
    mirror.sync(PAGE_VIEWS, ESTIMATIONS)
    assert mirror.verify(ESTIMATIONS).differences == ()


def test_verify_compares_the_rows_that_the_files_hold(mirror: Mirror) -> None:
    """A fault of the updater: digests, size and checksum fit, but not the rows."""
    file = mirror.parts()[2]
    footer = {KEY: pl.read_parquet_metadata(file)[KEY]}
    rows = pl.read_parquet(file)
    wrong = rows.with_columns(pl.when(id=99_000).then(-1).otherwise("n").alias("n"))
    for held, reason in (
        (wrong, "1 rows differ from the database's"),
        (pl.concat([rows, rows]), "holds 3,392 rows, the database counts 1,696"),
    ):
        replace_part(mirror, file, held, footer)
        (difference,) = mirror.verify().differences
        assert difference.part == file.name
        assert reason in difference.reason


def replace_part(
    mirror: Mirror, file: Path, rows: pl.DataFrame, footer: dict[str, str]
) -> None:
    """Put *rows* in place of a part, and into the manifest what describes them."""
    file.unlink()
    rows.write_parquet(file, metadata=footer)
    manifest = mirror.manifest
    table = manifest.tables["things"]
    parts = tuple(
        replace(part, bytes=file.stat().st_size, crc32=checksum(file))
        if part.file == file.name
        else part
        for part in table.parts
    )
    changed = replace(manifest, tables={"things": replace(table, parts=parts)})
    damage_manifest(mirror.snapshot.path, changed.to_json())


def test_a_column_may_be_called_like_anything_in_our_queries(tmp_path: Path) -> None:
    """Every row is copied once, whatever the columns are called."""
    names = ("block", "rows", "digest", "number", "1", "rowid", "count", "key")
    with closing(connect(tmp_path / "source.db")) as database:
        columns = ", ".join(f'"{name}" INT' for name in names)
        database.execute(f"CREATE TABLE things (id INT PRIMARY KEY, {columns})")
        places = ", ".join("?" for _ in range(len(names) + 1))
        database.executemany(
            f"INSERT INTO things VALUES ({places})",
            ([n, *(n % 3 for _ in names)] for n in range(100)),
        )
        database.commit()
        mirror = mirror_of(database, tmp_path)
        mirror.sync()
        assert mirror.is_exact()
        assert mirror.verify().differences == ()
