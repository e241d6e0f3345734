"""The note in a part's footer: its exact text, and what is not accepted as one."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from readmodel.source.blocking import Block, Blocking, KeyKind
from readmodel.sync.part_footer import KEY, decode_footer, encode_footer
from tests.support.mirror import Mirror

BY_ID = Blocking("id", KeyKind.NUMBER, 16_384)
BLOCKS = (Block(None, 1, 7), Block(-1, 3, 2**63), Block(3, 2, 99))


def write(file: Path, footer: dict[str, str]) -> Path:
    """A Parquet file with *footer* as its key-value metadata."""
    pl.DataFrame({"id": [1]}).write_parquet(file, metadata=footer)
    return file


def test_the_text_of_a_footer_stays_the_same() -> None:
    """A data directory of an earlier version is continued without a fetch."""
    assert dict(encode_footer(BY_ID, BLOCKS)) == {
        "fpp-analytics": '{"cut":[1,"id","NUMBER",16384],'
        '"blocks":[[null,1,7],[-1,3,9223372036854775808],[3,2,99]]}'
    }


@pytest.mark.parametrize(
    "blocking", [BY_ID, Blocking("created_at", KeyKind.TIME, 86_400)]
)
def test_a_footer_is_decoded_as_it_was_encoded(
    tmp_path: Path, blocking: Blocking
) -> None:
    """It matches the blocking it was made by, and no other."""
    file = write(tmp_path / "part", dict(encode_footer(blocking, BLOCKS)))
    footer = decode_footer(file)
    assert footer is not None
    assert (footer.block_width, footer.blocks) == (blocking.width, BLOCKS)
    assert footer.matches(blocking)
    assert not footer.matches(Blocking(blocking.key, blocking.key_kind, 1))
    assert not footer.matches(Blocking("other", blocking.key_kind, blocking.width))


def test_a_footer_of_another_format_does_not_match(tmp_path: Path) -> None:
    """Its digests cannot be compared; its width still can be kept."""
    note = {"cut": [1 + 1, *BY_ID.signature], "blocks": []}
    footer = decode_footer(write(tmp_path / "part", {KEY: json.dumps(note)}))
    assert footer is not None
    assert not footer.matches(BY_ID)
    assert not footer.can_be_renewed(BY_ID)
    assert footer.can_be_renewed(replace(BY_ID, digest_format=3, earlier_format=2))
    assert footer.block_width == BY_ID.width


@pytest.mark.parametrize(
    "note",
    [
        "",
        "{",
        "[]",
        "null",
        '{"cut": []}',
        '{"cut": [], "blocks": []}',
        '{"cut": [1, "id", "NUMBER", 2]}',
        '{"cut": [1, "id", "NUMBER", "x"], "blocks": []}',
        '{"cut": [1, "id", "NUMBER", 2], "blocks": [[1, 2]]}',
        '{"cut": [1, "id", "NUMBER", 2], "blocks": 5}',
    ],
)
def test_any_other_note_is_none(tmp_path: Path, note: str) -> None:
    """Damage is not an error: the rows are fetched again."""
    assert decode_footer(write(tmp_path / "part", {KEY: note})) is None


def test_a_file_without_a_note_has_none(tmp_path: Path) -> None:
    """Nor has one that is not Parquet, or is not there."""
    assert decode_footer(write(tmp_path / "part", {})) is None
    (tmp_path / "text").write_text("no Parquet")
    assert decode_footer(tmp_path / "text") is None
    assert decode_footer(tmp_path / "missing") is None


def test_a_part_with_another_note_is_fetched_again(mirror: Mirror) -> None:
    """And no other part."""
    file = mirror.parts()[0]
    frame = pl.read_parquet(file)
    file.unlink()
    frame.write_parquet(file, metadata={KEY: json.dumps({"cut": []})})
    assert 0 < mirror.sync().rows_fetched < 100_000
    assert mirror.is_exact()
