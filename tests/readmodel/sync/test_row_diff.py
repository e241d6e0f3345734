"""Counting rows that were added, changed and removed."""

import polars as pl
import pytest

from readmodel.sync.row_diff import RowDiff, diff

Rows = list[tuple[int, str | None]]


def frame(rows: Rows) -> pl.DataFrame:
    """A frame of ids and names."""
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
def test_rows_are_matched_by_their_id(
    before: Rows, after: Rows, changes: RowDiff
) -> None:
    """Null equals null; unchanged rows are not counted."""
    assert diff(frame(before), frame(after)) == changes


def test_without_an_id_a_change_is_a_removal_and_an_addition() -> None:
    """No column identifies the row."""
    before, after = (frame([(1, name)]).drop("id") for name in ("a", "b"))
    assert diff(before, after) == RowDiff(added=1, removed=1)


def test_names_are_never_patterns() -> None:
    """Both would stand for all columns."""
    before, after = (frame([(1, name)]) for name in ("a", "b"))
    names = {"id": "*", "name": "^.*$"}
    changes = diff(before.rename(names), after.rename(names))
    assert changes == RowDiff(added=1, removed=1)


def test_changes_add_up() -> None:
    """Each part of a table is compared by itself."""
    assert RowDiff(1, 2, 3) + RowDiff(10, 20, 30) == RowDiff(11, 22, 33)
