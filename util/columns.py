"""Columns of a frame by names that come from data."""

import polars as pl
import polars.selectors as cs


def column_named(name: str) -> pl.Expr:
    """The column called *name*, whatever the name looks like.

    `pl.col` would read ``*`` as all columns and ``^a.*$`` as a regular expression, as
    do methods that take names of columns, such as `sort`.
    """
    return cs.by_name(name).as_expr()
