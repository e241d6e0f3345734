"""The tokens of callers, and the confinement of their SQL queries."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from config import Settings
from updater.doctor.check_result import CheckResult, passed, warning
from util.access_tokens import parse_token
from util.confinement import confinement_of
from util.landlock import LandlockUnavailable

SHORTEST: Final = 24
"""Characters of a token."""
FEWEST_CHARACTERS: Final = 6
"""Different characters of a token."""


def check_tokens(settings: Settings) -> Iterator[CheckResult]:
    """Warn of tokens that can be guessed, and of those that two callers share."""
    found = [parse_token(entry) for entry in settings.tokens]
    for token in found:
        if len(set(token.secret)) < FEWEST_CHARACTERS or len(token.secret) < SHORTEST:
            yield warning(
                "tokens",
                f"{token.name} is weak: use at least {SHORTEST} random characters, "
                "such as the output of openssl rand -hex 24",
            )
    for secret, count in Counter(token.secret for token in found).items():
        if count > 1:
            names = ", ".join(t.name for t in found if t.secret == secret)
            yield warning("tokens", f"{names} are equal: give each caller its own")


def check_confinement(data_dir: Path) -> CheckResult:
    """Whether the API can confine queries: it answers them with 503 otherwise."""
    try:
        found = confinement_of(data_dir)
    except (LandlockUnavailable, OSError) as error:
        return warning(
            "SQL_TOKENS",
            f"queries are answered with 503: {error}. Use a kernel with Landlock, or "
            "mount DATA_DIR read-only for the API",
        )
    return passed("SQL_TOKENS", f"queries are confined by {found.value}")
