"""Redaction of secrets in text and data that leaves the process."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

REDACTED: Final = "[hidden]"
SHORTEST_SECRET: Final = 4
"""Characters. Redacting a shorter secret would also redact ordinary words."""

_SECRET_FIELD: Final = re.compile(
    r"passw|secret|token|authori[sz]ation|api_?key|cookie|credential|(^|_)(dsn|key)$",
    re.IGNORECASE,
)
# Secrets recognised by their form, registered or not.
_PATTERNS: Final = (
    (re.compile(r"(\bBearer\s+)[^\s\"',;]+", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(r"(\w://[^\s/:@]*):[^\s/@]+@"), rf"\1:{REDACTED}@"),
    (re.compile(r"(https?://)[^\s/:@]+@", re.IGNORECASE), rf"\1{REDACTED}@"),
    (re.compile(r"(/api/push/)[^\s/?#\"']+", re.IGNORECASE), rf"\1{REDACTED}"),
)
_registered: set[str] = set()


def register_secrets(secrets: Iterable[str | None]) -> None:
    """Redact each of *secrets* from now on; empty and very short ones are skipped."""
    _registered.update(s for s in secrets if s and len(s) >= SHORTEST_SECRET)


def redact(text: str) -> str:
    """Replace every registered or recognisable secret in *text* by ``[hidden]``."""
    # Longest first: a secret that contains another one is replaced as a whole.
    for secret in sorted(_registered, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_value(value: Any, field: str = "") -> Any:
    """Convert *value* to plain JSON data without secrets.

    Text in a *field* with a name like ``password`` is redacted entirely. Values that
    JSON does not support (paths, timestamps, NaN) become text.
    """
    if isinstance(value, str):
        return REDACTED if value and _SECRET_FIELD.search(field) else redact(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(k): redact_value(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_value(item, field) for item in value]
    return redact_value(str(value), field)
