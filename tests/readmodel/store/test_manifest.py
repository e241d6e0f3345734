"""The manifest: its exact JSON, and which texts are refused."""

import json
from typing import Any

import polars as pl
import pytest

from readmodel.store.manifest import Manifest, VisitsFile

TEXT = """{
 "taken_at": "2026-11-21T10:00:00.000001Z",
 "tables": {
  "fpp_page_views": {
   "columns": {
    "id": "Int32",
    "price": "Decimal(4,2)"
   },
   "parts": [
    {
     "file": "part-00000.parquet",
     "rows": 3,
     "bytes": 900,
     "crc32": 1,
     "checked_at": "2026-11-21T10:00:00Z",
     "visits": {
      "bytes": 90,
      "crc32": 2,
      "hashing": "00-01"
     }
    },
    {
     "file": "part-00001.parquet",
     "rows": 4,
     "bytes": 100,
     "crc32": 3,
     "checked_at": "2026-11-20T10:00:00Z",
     "visits": null
    }
   ],
   "changed_at": "2026-11-19T10:00:00Z"
  }
 },
 "version": 1
}"""


def test_the_keys_of_snapshot_json_stay_the_same() -> None:
    """Snapshots of earlier versions are read, and written as they were."""
    manifest = Manifest.from_json(TEXT.encode())
    assert manifest.to_json().decode() == TEXT
    first, _ = manifest.tables["fpp_page_views"].parts
    assert first.visits == VisitsFile(90, 2, hash_fingerprint="00-01")


def test_a_table_adds_up_its_parts() -> None:
    """Its check is the oldest of its parts."""
    table = Manifest.from_json(TEXT.encode()).tables["fpp_page_views"]
    assert (table.rows, table.bytes) == (7, 1000)
    assert table.checked_at == table.parts[1].checked_at
    assert table.schema == {"id": pl.Int32, "price": pl.Decimal(4, 2)}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"parts": []}, "neither parts nor columns"),
        ({"columns": {}}, "neither parts nor columns"),
        ({"columns": {"id": "Object"}}, "unknown dtype 'Object'"),
    ],
)
def test_a_table_without_parts_or_with_an_unknown_dtype_is_refused(
    change: dict[str, Any], reason: str
) -> None:
    """Such a snapshot cannot be scanned."""
    content = json.loads(TEXT)
    content["tables"]["fpp_page_views"] |= change
    with pytest.raises(ValueError, match=reason):
        Manifest.from_json(json.dumps(content).encode())


def test_another_version_is_refused() -> None:
    """Its meaning is not known."""
    text = TEXT.replace('"version": 1', '"version": 2').encode()
    with pytest.raises(ValueError, match="snapshot format 2 is not known"):
        Manifest.from_json(text)
