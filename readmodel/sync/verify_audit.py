"""Check the audit log: its chain of hashes, its files, and the sums of its counts."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from readmodel.store.audit import balance, chain_faults
from readmodel.store.damage import checksum
from readmodel.store.event_tables import AUDIT, AUDIT_SCHEMA, EVENTS, REJECTED
from readmodel.sync.carry_over import LastSnapshot, last_snapshot
from readmodel.sync.verify import Difference, TableComparison


def verify_audit(data_dir: Path) -> Iterator[TableComparison]:
    """Compare the audit log with itself and with the stored events; none without one.

    Raises StorageError if the snapshot is damaged.
    """
    last = last_snapshot(data_dir)
    stored = last.table(AUDIT) if last else None
    if last is None or stored is None:
        return
    differences = tuple(
        Difference(AUDIT, file, reason) for file, reason in _faults(last)
    )
    yield TableComparison(AUDIT, stored.rows, len(stored.parts), differences)


def _faults(last: LastSnapshot) -> Iterator[tuple[str | None, str]]:
    """The part, or None for the log as a whole, and what is wrong with it."""
    parts = [pl.DataFrame(schema=AUDIT_SCHEMA)]
    for part, file in zip(
        last.manifest.tables[AUDIT].parts, last.files(AUDIT), strict=True
    ):
        try:
            if checksum(file) != part.crc32:
                yield part.file, "is not the file that was written"
            parts.append(
                pl.read_parquet(file, glob=False).match_to_schema(AUDIT_SCHEMA)
            )
        except (OSError, pl.exceptions.PolarsError):
            yield part.file, "is damaged or missing on disk"
    log = pl.concat(parts)
    for fault in chain_faults(log):
        yield None, fault
    yield from _imbalance(last, log)


def _imbalance(
    last: LastSnapshot, log: pl.DataFrame
) -> Iterator[tuple[str | None, str]]:
    for name, expected in zip((EVENTS, REJECTED), balance(log), strict=True):
        rows = last.manifest.tables[name].rows
        if rows != expected:
            reason = (
                f"accounts for {expected:,} rows of {name}, and {rows:,} are stored"
            )
            yield None, reason
