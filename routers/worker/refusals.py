"""Why a job has no result."""

from datetime import timedelta
from typing import ClassVar, Final


class JobTimeout(Exception):
    """A job was killed at its deadline."""

    def __init__(self, deadline: timedelta) -> None:
        """State the *deadline*."""
        super().__init__(f"It took longer than {deadline.total_seconds():g} seconds")


class JobCrashed(Exception):
    """A job's process failed unexpectedly; the message is its traceback."""


class JobKilled(JobCrashed):
    """A job's process ended without a result: by its limits, a signal or a fault."""


class JobRefusal(Exception):
    """A job cannot give a result; the message is a sentence for the caller."""

    REFUSAL: ClassVar[str] = "refused"


class SheetTooLarge(JobRefusal):
    """The rows do not fit into a worksheet."""

    REFUSAL = "sheet_too_large"


class OutOfMemory(JobRefusal):
    """The job needs more memory than it may take."""

    REFUSAL = "out_of_memory"


class StatementFailed(JobRefusal):
    """A statement failed on its rows; the message is the engine's."""

    REFUSAL = "statement_failed"


class StatementRefused(JobRefusal):
    """A statement is not allowed, or is no SQL."""

    REFUSAL = "statement_refused"


class NotConfined(JobRefusal):
    """The system cannot confine the process of a statement."""

    REFUSAL = "not_confined"


REFUSALS: Final = {
    kind.REFUSAL: kind
    for kind in (
        JobRefusal,
        SheetTooLarge,
        OutOfMemory,
        StatementFailed,
        StatementRefused,
        NotConfined,
    )
}
"""Refusals by their code between the processes."""
