"""Write the ledger of daily reports: claim a day before sending, settle it afterwards.

Every change is flushed to the disk before it is relied on, so that a process that is
killed anywhere leaves a claim, and the day is never sent again by itself.
"""

import json
import os
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from readmodel.store.report_ledger import (
    FOLDER,
    DailyReport,
    ReportState,
    claim_file,
    outcome_file,
)
from readmodel.sync.disk import (
    remove_unfinished,
    replacing,
    storage_errors,
    sync_folder,
    write_synced,
)
from readmodel.sync.lock import exclusive_lock
from util.json_types import JsonObject


def claim(data_dir: Path, report: DailyReport) -> bool:
    """Claim the attempt of *report*; return False if there is such a claim already.

    Raises SyncRunning while another process writes to DATA_DIR, and StorageError.
    """
    final = claim_file(data_dir, report.day, report.attempt)
    content = {
        "day": f"{report.day}",
        "claimed_at": report.claimed_at.isoformat(),
        "idempotency_key": report.idempotency_key,
        "why": report.why,
        "body": report.body.decode(),
        "body_sha256": sha256(report.body).hexdigest(),
    }
    with exclusive_lock(data_dir), storage_errors(data_dir):
        final.parent.mkdir(exist_ok=True)
        sync_folder(data_dir)
        remove_unfinished(final.parent)
        unfinished = final.with_name(f".{final.name}.part")
        write_synced(unfinished, _encode(content))
        try:
            # Unlike a rename, a link never replaces a claim.
            os.link(unfinished, final)
        except FileExistsError:
            return False
        finally:
            unfinished.unlink()
        sync_folder(final.parent)
    return True


def release(data_dir: Path, report: DailyReport) -> None:
    """Remove the claim of a report of which nothing was sent. Raises StorageError."""
    with storage_errors(data_dir):
        claim_file(data_dir, report.day, report.attempt).unlink()
        sync_folder(data_dir / FOLDER)


def settle(
    data_dir: Path, report: DailyReport, state: ReportState, at: datetime, detail: str
) -> None:
    """Write the outcome of a claimed report. Raises StorageError."""
    outcome = {"state": state, "settled_at": at.isoformat(), "detail": detail}
    final = outcome_file(data_dir, report.day, report.attempt)
    with storage_errors(data_dir):
        with replacing(final) as unfinished:
            write_synced(unfinished, _encode(outcome))
        sync_folder(final.parent)


def _encode(content: JsonObject) -> bytes:
    return json.dumps(content, ensure_ascii=False, indent=1).encode()
