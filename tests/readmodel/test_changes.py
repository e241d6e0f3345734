"""Counting rows that are new, changed and gone."""

import polars as pl
import pytest

from readmodel.changes import Changes, between

Rows = list[tuple[int, str | None]]


def frame(rows: Rows) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"id": pl.Int64, "name": pl.String}, orient="row")


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ([], [], Changes()),
        ([], [(1, "a"), (2, "b")], Changes(added=2)),
        ([(1, "a"), (2, "b")], [], Changes(removed=2)),
        ([(1, "a")], [(1, "a")], Changes()),
        ([(1, "a")], [(1, "b")], Changes(changed=1)),
        ([(1, None)], [(1, None)], Changes()),
        ([(1, None)], [(1, "")], Changes(changed=1)),
        ([(1, "a"), (2, "b")], [(2, "c"), (3, "a")], Changes(1, 1, 1)),
        ([(1, "a"), (2, "b")], [(1, "b"), (2, "a")], Changes(changed=2)),
    ],
)
def test_rows_are_told_apart_by_their_id(
    before: Rows, after: Rows, changes: Changes
) -> None:
    """NULL equals NULL; what stays does not count."""
    assert between(frame(before), frame(after)) == changes


def test_without_an_id_a_change_is_a_removal_and_an_addition() -> None:
    """Nothing says that it is the same row."""
    before, after = (frame([(1, name)]).drop("id") for name in ("a", "b"))
    assert between(before, after) == Changes(added=1, removed=1)


def test_changes_add_up() -> None:
    """Parts are counted one by one."""
    assert Changes(1, 2, 3) + Changes(10, 20, 30) == Changes(11, 22, 33)
