"""The difference between two states of the same rows, as counts."""

from dataclasses import dataclass

import polars as pl

from util.columns import column_named


@dataclass(frozen=True, slots=True)
class RowDiff:
    """Rows added, changed and removed; unchanged rows are not counted."""

    added: int = 0
    changed: int = 0
    removed: int = 0

    def __add__(self, other: "RowDiff") -> "RowDiff":
        return RowDiff(
            self.added + other.added,
            self.changed + other.changed,
            self.removed + other.removed,
        )


def diff(before: pl.DataFrame, after: pl.DataFrame) -> RowDiff:
    """Count the changes from *before* to *after*, two frames of the same columns.

    A row is changed when its ``id`` is in both; without that column, a changed row
    counts as one removed and one added. Null equals null.
    """
    if before.is_empty():
        return RowDiff(added=after.height)
    new, gone = _without(after, before), _without(before, after)
    changed = new.join(gone, on="id", how="semi").height if "id" in new.columns else 0
    return RowDiff(new.height - changed, changed, gone.height - changed)


def _without(rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    return rows.join(
        others, on=[*map(column_named, rows.columns)], how="anti", nulls_equal=True
    )
