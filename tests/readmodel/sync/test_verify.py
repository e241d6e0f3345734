"""Comparing the read model with the database: names what differs, changes nothing."""

from readmodel.sync.verify import verify
from tests.support.mirror import OTHERS, THINGS, Mirror


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
