"""The manifest: its exact JSON, and which texts are refused."""

import json
import zlib
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
    text = manifest.to_json().decode()
    body = TEXT.removesuffix("\n}")
    assert text == f'{body},\n "crc32": {zlib.crc32(body.encode())}\n}}'
    assert Manifest.from_json(text.encode()) == manifest
    first, _ = manifest.tables["fpp_page_views"].parts
    assert first.visits == VisitsFile(90, 2, version="00-01")


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


HOSTILE_FILES = [
    "../../etc/passwd",
    "/etc/passwd",
    "a/b",
    "",
    ".",
    "..",
    "a\x00b",
    "\n",
]


@pytest.mark.parametrize("file", HOSTILE_FILES)
def test_a_part_in_another_folder_is_refused(file: str) -> None:
    """Others may write to the file, and nothing outside of the snapshot is ours."""
    content = json.loads(TEXT)
    content["tables"]["fpp_page_views"]["parts"][0]["file"] = file
    with pytest.raises(ValueError, match="file"):
        Manifest.from_json(json.dumps(content).encode())


@pytest.mark.parametrize("key", ["rows", "bytes", "crc32"])
@pytest.mark.parametrize("figure", [-1, 10**18, "many", None, 1.5])
def test_an_impossible_figure_is_refused(key: str, figure: object) -> None:
    """No table has 10^18 rows."""
    content = json.loads(TEXT)
    content["tables"]["fpp_page_views"]["parts"][0][key] = figure
    with pytest.raises(ValueError, match=key):
        Manifest.from_json(json.dumps(content).encode())


@pytest.mark.parametrize("moment", ["2026-11-21T10:00:00", "now", 10**20, None])
def test_an_instant_without_a_zone_is_refused(moment: object) -> None:
    """Its age could not be computed."""
    content = json.loads(TEXT) | {"taken_at": moment}
    with pytest.raises(ValueError, match="taken_at"):
        Manifest.from_json(json.dumps(content).encode())


@pytest.mark.parametrize(
    "dtype",
    [
        "List(" * 10_000 + "Int8" + ")" * 10_000,
        "Decimal(99999999999999999999,0)",
        'Struct({"a": 1})',
        "Struct({1})",
    ],
)
def test_a_hostile_dtype_is_refused(dtype: str) -> None:
    """Whatever parsing it raises, the manifest is damaged and nothing else."""
    content = json.loads(TEXT)
    content["tables"]["fpp_page_views"]["columns"]["id"] = dtype
    with pytest.raises(ValueError, match="dtype"):
        Manifest.from_json(json.dumps(content).encode())


def test_a_manifest_with_one_other_byte_is_refused() -> None:
    """A flipped digit would be another figure, and still be JSON."""
    text = Manifest.from_json(TEXT.encode()).to_json()
    changed = text.replace(b'"rows": 3', b'"rows": 7')
    with pytest.raises(ValueError, match="checksum"):
        Manifest.from_json(changed)
