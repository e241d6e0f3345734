"""The ledger of daily reports: which day's figures were posted, and what became of them.

    DATA_DIR/reports/2026-11-25.1.claim.json      written before anything is sent
    DATA_DIR/reports/2026-11-25.1.outcome.json    written when the service has answered

A claim without an outcome is one whose sender died, or could not write: nobody knows
whether the service received it. This module reads; `sync.report_claims` writes.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final

from util.errors import StorageError
from util.json_types import JsonMapping

FOLDER: Final = "reports"
CLAIM: Final = re.compile(r"(\d{4}-\d\d-\d\d)\.([1-9]\d{0,3})\.claim\.json")


class ReportState(StrEnum):
    """What is known about a report: accepted, answered with an error, or nothing."""

    SENT = "sent"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DailyReport:
    """One attempt to post the figures of *day*; instants are UTC.

    Attributes:
        attempt: 1 for the automatic one, more for those that a person asked for.
        body: exactly the bytes of the request.
        why: the reason that the person gave; empty for the automatic attempt.
        settled_at: when the outcome was written; None while it is unknown.
        detail: why it was not accepted; empty otherwise.
    """

    day: date
    attempt: int
    claimed_at: datetime
    idempotency_key: str
    body: bytes
    why: str
    state: ReportState = ReportState.UNKNOWN
    settled_at: datetime | None = None
    detail: str = ""


def claim_file(data_dir: Path, day: date, attempt: int) -> Path:
    """The file that claims *attempt* to report *day*."""
    return data_dir / FOLDER / f"{day}.{attempt}.claim.json"


def outcome_file(data_dir: Path, day: date, attempt: int) -> Path:
    """The file with the outcome of *attempt* to report *day*."""
    return data_dir / FOLDER / f"{day}.{attempt}.outcome.json"


def claimed(data_dir: Path) -> dict[date, int]:
    """Each day that was claimed and its last attempt, in order of the days.

    Only names count, so that a damaged claim is still one. Raises StorageError if the
    folder cannot be listed.
    """
    return dict(sorted(_claims(data_dir)))


def _claims(data_dir: Path) -> Iterator[tuple[date, int]]:
    folder = data_dir / FOLDER
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(
            f"The ledger {folder} cannot be read: {error.strerror or error}"
        ) from error
    for name in names:
        if match := CLAIM.fullmatch(name):
            try:
                yield date.fromisoformat(match[1]), int(match[2])
            except ValueError:  # such as 2026-02-30
                continue


def read_report(data_dir: Path, day: date, attempt: int) -> DailyReport:
    """The report of *day*. Raises StorageError if its claim is missing or damaged."""
    path = claim_file(data_dir, day, attempt)
    try:
        claim = _read_object(path)
        body = claim["body"].encode()
        if sha256(body).hexdigest() != claim["body_sha256"]:
            raise ValueError("its checksum differs")
        report = DailyReport(
            day,
            attempt,
            _instant(claim["claimed_at"]),
            str(claim["idempotency_key"]),
            body,
            str(claim["why"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(
            f"The report of {day} cannot be read: {path.name} is damaged"
        ) from error
    return _with_outcome(report, outcome_file(data_dir, day, attempt))


def _with_outcome(report: DailyReport, path: Path) -> DailyReport:
    """Add the outcome in *path*. Damaged, it says nothing: the state stays unknown."""
    try:
        outcome = _read_object(path)
        state = ReportState(outcome["state"])
        settled_at, detail = _instant(outcome["settled_at"]), str(outcome["detail"])
    except FileNotFoundError:
        return report
    except (OSError, ValueError, KeyError, TypeError):
        return replace(report, detail=f"{path.name} is damaged")
    return replace(report, state=state, settled_at=settled_at, detail=detail)


def _read_object(path: Path) -> JsonMapping:
    # Of another shape than an object, the first use of it raises TypeError.
    found: JsonMapping = json.loads(path.read_bytes())
    return found


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("an instant without an offset")
    return found
