"""Counting rows that are new, changed and gone."""

import polars as pl
import pytest

from readmodel.sync.row_diff import RowDiff, diff

Rows = list[tuple[int, str | None]]


def frame(rows: Rows) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"id": pl.Int64, "name": pl.String}, orient="row")


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ([], [], RowDiff()),
        ([], [(1, "a"), (2, "b")], RowDiff(added=2)),
        ([(1, "a"), (2, "b")], [], RowDiff(removed=2)),
        ([(1, "a")], [(1, "a")], RowDiff()),
        ([(1, "a")], [(1, "b")], RowDiff(changed=1)),
        ([(1, None)], [(1, None)], RowDiff()),
        ([(1, None)], [(1, "")], RowDiff(changed=1)),
        ([(1, "a"), (2, "b")], [(2, "c"), (3, "a")], RowDiff(1, 1, 1)),
        ([(1, "a"), (2, "b")], [(1, "b"), (2, "a")], RowDiff(changed=2)),
    ],
)
def test_rows_are_told_apart_by_their_id(
    before: Rows, after: Rows, changes: RowDiff
) -> None:
    """NULL equals NULL; what stays does not count."""
    assert diff(frame(before), frame(after)) == changes


def test_without_an_id_a_change_is_a_removal_and_an_addition() -> None:
    """Nothing says that it is the same row."""
    before, after = (frame([(1, name)]).drop("id") for name in ("a", "b"))
    assert diff(before, after) == RowDiff(added=1, removed=1)


def test_changes_add_up() -> None:
    """Parts are counted one by one."""
    assert RowDiff(1, 2, 3) + RowDiff(10, 20, 30) == RowDiff(11, 22, 33)
