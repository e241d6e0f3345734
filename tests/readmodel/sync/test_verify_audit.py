"""Checking the audit log: a chain of hashes, and sums that equal the stored rows."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from readmodel.store import snapshot
from readmodel.store.event_tables import AUDIT
from readmodel.sync.verify_audit import verify_audit
from tests.support.effort import some_long
from tests.support.events import line, rejected_line
from tests.support.stored_events import rows, store

type Tampering = Callable[[pl.DataFrame], pl.DataFrame]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Five drains, of two senders."""
    data_dir = tmp_path / "data"
    for number in range(5):
        sender = f"token-{number % 2}"
        letter = rejected_line(f"r{number}", sender=sender)
        again = line("e0", sender=sender)
        store(data_dir, [line(f"e{number}", sender=sender), again, letter])
    return data_dir


def reasons(data_dir: Path) -> list[str]:
    """What is wrong, without the files' own checksums."""
    (found,) = verify_audit(data_dir)
    files = "is not the file that was written"
    return [each.reason for each in found.differences if each.reason != files]


def tamper(data_dir: Path, change: Tampering) -> None:
    """Write the whole log anew after *change*, as its first part."""
    files = [Path(file) for file in snapshot.latest(data_dir).files(AUDIT)]
    log = change(rows(data_dir, AUDIT))
    for file in files:
        log.clear().write_parquet(file)
    log.write_parquet(files[0])


def test_a_log_that_nobody_changed_is_whole(data: Path) -> None:
    """Counts are those of each drain and sender."""
    assert reasons(data) == []
    log = rows(data, AUDIT)
    assert log["number"].to_list() == [1, 2, 3, 4, 5]
    counts = log.select("sender", "batches", "accepted", "repeated", "rejected")
    assert counts.row(0) == ("token-0", 1, 1, 1, 1)
    assert counts.row(1) == ("token-1", 1, 1, 1, 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    some_long(
        [
            (lambda log: log.with_columns(repeated=pl.col("repeated") + 1), "changed"),
            (
                lambda log: log.with_columns(at=pl.col("at").dt.offset_by("1us")),
                "changed",
            ),
            (
                lambda log: log.with_columns(sender=pl.lit("token-9")),
                "row 2 was changed",
            ),
            (
                lambda log: log.filter(pl.col("number") != 3),
                "between 2 and 4 are missing",
            ),
            (
                lambda log: log.head(4),
                "accounts for 4 rows of events, and 5 are stored",
            ),
            (lambda log: pl.concat([log, log.tail(1)]), "row 5 is there twice"),
            (lambda log: log.with_columns(row_hash=pl.lit("0")), "row 1 was changed"),
        ],
        2,
    ),
)
def test_what_somebody_changed_is_found(
    change: Tampering, reason: str, data: Path
) -> None:
    """A value, a sender, a row that is missing, one too many, the last one."""
    tamper(data, change)
    assert any(reason in each for each in reasons(data)), reasons(data)


def test_a_damaged_file_is_a_difference(data: Path) -> None:
    """The others are checked all the same."""
    Path(snapshot.latest(data).files(AUDIT)[0]).write_bytes(b"garbage")
    (found,) = verify_audit(data)
    assert "is damaged or missing on disk" in {d.reason for d in found.differences}


def test_without_events_there_is_no_log(tmp_path: Path) -> None:
    """Nothing is verified then."""
    assert list(verify_audit(tmp_path)) == []
