"""The result of a check, and its output: a line of text, or JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """Result of one check; the value is the mark at the start of its line."""

    PASSED = "✓"
    WARNING = "!"
    FAILED = "✗"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line: the subject of a check, and what was found or is to be done."""

    outcome: Outcome
    name: str
    text: str

    @property
    def failed(self) -> bool:
        """True if a sync would fail."""
        return self.outcome is Outcome.FAILED

    def __str__(self) -> str:
        return f"{self.outcome.value} {self.name:<12} {self.text}"


def as_json(results: Sequence[CheckResult]) -> str:
    """One object: ``passed``, False if a sync would fail, and all ``checks``.

    Each has its ``name``, the ``outcome`` (passed, warning or failed) and the ``text``.
    """
    checks = [
        {"name": each.name, "outcome": each.outcome.name.lower(), "text": each.text}
        for each in results
    ]
    all_passed = not any(each.failed for each in results)
    return json.dumps({"passed": all_passed, "checks": checks}, ensure_ascii=False)


def passed(name: str, text: str) -> CheckResult:
    """Nothing to do."""
    return CheckResult(Outcome.PASSED, name, text)


def warning(name: str, text: str) -> CheckResult:
    """Something to do, without which a sync succeeds."""
    return CheckResult(Outcome.WARNING, name, text)


def failed(name: str, text: str) -> CheckResult:
    """Something without which a sync fails."""
    return CheckResult(Outcome.FAILED, name, text)
