"""SQL for names, texts, and the blocks of a key."""

from typing import Final

from readmodel.source.blocking import SECONDS_TO_1970, Blocking, BlockRange, KeyKind

MISFIT: Final = "misfit"
"""No number and no date: a value of another type than declared fails to parse."""


def identifier(name: str) -> str:
    """*name* as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """*text* as SQL."""
    return "'" + text.replace("'", "''") + "'"


def in_range(blocking: Blocking, block_range: BlockRange) -> str:
    """SQL that is true for exactly the rows of *block_range*."""
    first, last = block_range.first, block_range.last
    if first is None and last is None:
        return "TRUE"
    number = block_number(blocking)
    lower = "TRUE" if first is None else f"{number} >= {first}"
    upper = "TRUE" if last is None else f"{number} <= {last}"
    unnumbered = f" OR {number} IS NULL" if first is None else ""
    return f"(({lower} AND {upper}){unnumbered})"


def block_number(blocking: Blocking) -> str:
    """SQL for the number of a row's block; NULL for rows without a key."""
    key = identifier(blocking.key)
    if blocking.key_kind is KeyKind.TIME:
        # Without the fraction, which SQLite rounds, up to the next day at worst.
        whole = f"strftime('%s', substr({key}, 1, 19))"
        seconds = f"CAST({whole} AS INTEGER) + {SECONDS_TO_1970}"
        return f"(CASE WHEN {is_date(key)} THEN ({seconds}) / {blocking.width} END)"
    return f"({key} >> {blocking.width.bit_length() - 1})"


def is_date(sql: str) -> str:
    """SQL that is true if the value begins with a day of the years 1 to 9999.

    With a modifier, strftime() turns 2023-02-31 into 2023-03-03.
    """
    day = f"substr({sql}, 1, 10)"
    return f"({day} > '0001' AND strftime('%Y-%m-%d', {day}, '+0 days') = {day})"
