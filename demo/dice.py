"""Pseudorandom columns that depend on the seed alone, not on the version of Polars."""

import zlib
from collections.abc import Iterable
from typing import Final

import polars as pl

from demo.vocabulary import Weighted

_WORD: Final = 1 << 64
_GAMMA: Final = 0x9E3779B97F4A7C15
_MIXERS: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
_ALPHABET: Final = "useandom-26T198340PX75pxJACKVERYMINDBUSHWOLF_GQZbfghjklqvwyzrict"
_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]


class Dice:
    """Random columns from one seed: SplitMix64 over a counter, one stream per name."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def bits(self, stream: str, counter: pl.Expr | None = None) -> pl.Expr:
        """UInt64 per row, a pure function of seed, *stream* and *counter*.

        *counter* defaults to the position of the row.
        """
        if counter is None:
            counter = pl.int_range(pl.len())
        start = (zlib.crc32(stream.encode()) * _MIXERS[0][1] + self._seed) % _WORD
        z = counter.cast(pl.UInt64) * _word(_GAMMA) + _word(start)
        for shift, factor in _MIXERS:
            z = (z ^ (z // _word(1 << shift))) * _word(factor)
        return z

    def share(self, stream: str, counter: pl.Expr | None = None) -> pl.Expr:
        """Float64 per row in [0, 1)."""
        return (self.bits(stream, counter) // _word(1 << 11)).cast(pl.Float64) / (
            1 << 53
        )

    def below(self, limit: int, stream: str, counter: pl.Expr | None = None) -> pl.Expr:
        """Int64 per row in [0, *limit*)."""
        return (self.bits(stream, counter) % _word(limit)).cast(pl.Int64)

    def position(
        self, weights: Iterable[int], stream: str, counter: pl.Expr | None = None
    ) -> pl.Expr:
        """Index into *weights* per row, with a probability proportional to its weight."""
        table = [i for i, weight in enumerate(weights) for _ in range(weight)]
        return _at(table, self.below(len(table), stream, counter))

    def word(
        self, words: Weighted, stream: str, counter: pl.Expr | None = None
    ) -> pl.Expr:
        """One of *words* per row, with a probability proportional to its weight."""
        return _at(list(words), self.position(words.values(), stream, counter))

    def nanoid(self, counter: pl.Expr) -> pl.Expr:
        """Id of 21 characters in nanoid's alphabet per *counter*."""
        pairs: list[pl.Expr] = []
        for half in ("first", "second"):
            bits = self.bits(f"{half} half of id", counter)
            digits = (bits // _word(1 << 12 * i) % _word(1 << 12) for i in range(5))
            pairs += [_at(_PAIRS, digit.cast(pl.UInt32)) for digit in digits]
        last = self.below(len(_ALPHABET), "end of id", counter)
        return pl.concat_str(*pairs, _at(list(_ALPHABET), last))


def _at(table: list[str | None] | list[str] | list[int], position: pl.Expr) -> pl.Expr:
    return pl.lit(pl.Series(table)).gather(position)


def _word(value: int) -> pl.Expr:
    return pl.lit(value, pl.UInt64)
