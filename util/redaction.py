"""Redaction of secrets in text and data that leaves the process."""

import html
import json
import math
import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from itertools import batched
from typing import Any, Final
from urllib.parse import unquote

REDACTED: Final = "[hidden]"
SHORTEST_SECRET: Final = 4
"""Characters. Redacting a shorter secret would also redact ordinary words."""

_SECRET_FIELD: Final = re.compile(
    r"passw|secret|token|authori[sz]ation|api[-_]?key|cookie|credential|(^|_)(dsn|key)$",
    re.IGNORECASE,
)
# Secrets recognised by their form, registered or not.
_PATTERNS: Final = (
    (re.compile(r"(\bBearer\s+)[^\s\"',;]+", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(r"(\w://[^\s/:@]*):[^\s/@]+@"), rf"\1:{REDACTED}@"),
    (re.compile(r"(https?://)[^\s/:@]+@", re.IGNORECASE), rf"\1{REDACTED}@"),
    (re.compile(r"(/api/push/)[^\s/?#\"']+", re.IGNORECASE), rf"\1{REDACTED}"),
)
_MARKS: Final = re.compile(r"bearer|:/|/api/push/", re.IGNORECASE)
"""Without one of these, none of the patterns matches: most texts are searched once."""

_registered: dict[str, None] = {}
"""Secrets, the longest first: one that contains another is replaced as a whole."""

_ESCAPES: Final = re.compile(r"[%\\&]")
"""Without one of these, a text has each secret as it is, or with + for blanks."""


def register_secrets(secrets: Iterable[str | None]) -> None:
    """Redact each of *secrets* from now on, in every spelling.

    A percent-encoded secret is also redacted decoded. Empty and very short ones are
    skipped.
    """
    found = set(_registered)
    for secret in filter(None, secrets):
        found |= {secret, unquote(secret), secret.replace(" ", "+")}
    long_enough = (s for s in found if len(s) >= SHORTEST_SECRET)
    ordered = sorted(long_enough, key=len, reverse=True)
    _registered.clear()
    _registered.update(dict.fromkeys(ordered))


@cache
def _spellings(secret: str) -> re.Pattern[str]:
    """Matches *secret* with any of its characters escaped, as URLs, JSON or HTML do."""
    return re.compile("".join(map(_spellings_of_character, secret)))


@cache
def _spellings_of_character(character: str) -> str:
    encoded = character.encode("utf-8", "surrogatepass")
    units = character.encode("utf-16-be", "surrogatepass")
    code = f"{ord(character):x}"
    percent = "".join(f"%{byte:02x}" for byte in encoded)
    escaped = {
        percent,
        percent.replace("%", "%25"),
        "".join(rf"\u{a:02x}{b:02x}" for a, b in batched(units, 2)),
    }
    named = {character}
    if not (character.isascii() and character.isalnum()):
        escaped |= {
            rf"\x{code:>02}",
            rf"\u{code:>04}",
            rf"\u{code:>08}",
            f"&#{ord(character)};",
            f"&#x{code};",
            percent.replace("%", "%2525"),
        }
        named |= {
            html.escape(character),
            repr(character)[1:-1],
            json.dumps(character, ensure_ascii=False)[1:-1],
            f"\\{character}",
        }
    # The longest first, since the first that matches is taken.
    spellings = sorted(escaped, key=len, reverse=True)
    others = sorted(named, key=len, reverse=True)
    return "(?:{})".format(
        "|".join([*map(_any_case, spellings), *map(re.escape, others)])
    )


def _any_case(text: str) -> str:
    """A pattern of *text* in which letters have any case."""
    return "".join(
        f"[{c}{c.upper()}]" if c.isalpha() else re.escape(c) for c in text.lower()
    )


def redact(text: str) -> str:
    """Replace every registered or recognisable secret in *text* by ``[hidden]``."""
    is_escaped = _ESCAPES.search(text)
    for secret in _registered:
        if is_escaped:
            text = _spellings(secret).sub(REDACTED, text)
        else:
            text = text.replace(secret, REDACTED)
    if _MARKS.search(text):
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
    return text


@lru_cache
def _is_secret_field(field: str) -> bool:
    return bool(_SECRET_FIELD.search(field))


def redact_value(value: Any, field: str = "") -> Any:
    """Convert *value* to plain JSON data without secrets.

    Text in a *field* with a name like ``password`` is redacted entirely. Values that
    JSON does not support (paths, timestamps, NaN) become text.
    """
    if isinstance(value, str):
        return REDACTED if value and _is_secret_field(field) else redact(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(k): redact_value(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_value(item, field) for item in value]
    return redact_value(str(value), field)
