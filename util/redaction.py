"""Redaction: secrets are blanked in whatever leaves the process as text."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

HIDDEN = "[hidden]"
SHORTEST_SECRET = 4  # characters; a shorter one would blank ordinary words

_SECRET_FIELD = re.compile(
    r"passw|secret|token|authori[sz]ation|api_?key|cookie|credential|(^|_)(dsn|key)$",
    re.IGNORECASE,
)
# What looks like a secret, whether or not it was registered.
_PATTERNS = (
    (re.compile(r"(\bBearer\s+)[^\s\"',;]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"(\w://[^\s/:@]*):[^\s/@]+@"), rf"\1:{HIDDEN}@"),
    (re.compile(r"(https?://)[^\s/:@]+@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    (re.compile(r"(/api/push/)[^\s/?#\"']+", re.IGNORECASE), rf"\1{HIDDEN}"),
)
_known: set[str] = set()


def hide(secrets: Iterable[str | None]) -> None:
    """Blank each of *secrets* from now on, wherever it would be shown."""
    _known.update(s for s in secrets if s and len(s) >= SHORTEST_SECRET)


def clean(text: str) -> str:
    """*text* with every known or recognisable secret replaced by ``[hidden]``."""
    # The longest first, so that a secret which contains another leaves no rest.
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def clean_value(value: Any, name: str = "") -> Any:
    """*value* as plain JSON data without secrets; *name* is the field it stands in.

    What JSON does not know (paths, instants, NaN) becomes text.
    """
    if isinstance(value, str):
        return HIDDEN if value and _SECRET_FIELD.search(name) else clean(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(k): clean_value(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean_value(item, name) for item in value]
    return clean_value(str(value), name)
