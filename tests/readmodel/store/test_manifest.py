"""The manifest: what it refuses, and that every dtype survives it."""

import json

import polars as pl
import pytest

from readmodel.dtypes import INSTANT, dtype_name, parse_dtype
from readmodel.store.manifest import Manifest


def test_a_manifest_without_parts_or_with_an_unknown_dtype_is_refused() -> None:
    """A table is its parts; a dtype is one that a mirror can hold."""
    whole = {"taken_at": "2026-11-21T10:00:00Z", "version": 1}
    table = {"columns": {"id": "Int32"}, "parts": [], "changed_at": whole["taken_at"]}
    with pytest.raises(ValueError, match="neither parts nor columns"):
        Manifest.from_json(json.dumps(whole | {"tables": {"t": table}}).encode())
    with pytest.raises(ValueError, match="unknown dtype 'Object'"):
        parse_dtype("Object")


@pytest.mark.parametrize(
    "dtype",
    [
        pl.Binary(),
        pl.Boolean(),
        pl.Date(),
        INSTANT,
        pl.Decimal(38, 10),
        pl.Duration("us"),
        pl.Float32(),
        pl.Float64(),
        pl.Int8(),
        pl.Int64(),
        pl.UInt16(),
        pl.UInt64(),
        pl.String(),
    ],
)
def test_a_dtype_survives_its_name(dtype: pl.DataType) -> None:
    """snapshot.json holds the exact dtype."""
    assert parse_dtype(dtype_name(dtype)) == dtype
