"""What people are told about their query: sentences of the engine, without paths."""

import json
import re
from typing import Final

LONGEST_MESSAGE: Final = 2000

PATH: Final = "[path]"

# Two steps at least, since 'a' /b is a division: /var/lib, ./data/x, file:///etc/x.
_PATHS: Final = re.compile(r"(?<!\w)(?:file:/*)?\.{0,2}(?:/[^\s/'\"`()\[\],;:]+){2,}/?")


def cut(message: str) -> str:
    """The first characters of *message*."""
    if len(message) <= LONGEST_MESSAGE:
        return message
    return f"{message[:LONGEST_MESSAGE]}…"


def without_paths(message: str) -> str:
    """*message* with ``[path]`` in place of what looks like the path of a file."""
    return _PATHS.sub(PATH, message)


_JSON: Final = '{"exception_type":'
"""How an error of the engine begins, after its kind."""


def parse_error(text: str) -> tuple[str, int | None]:
    """The sentence of an error of the engine, and its place in bytes, if there is one.

    *text* is the error with `errors_as_json`: ``Binder Error: {"exception_type":…}``.
    """
    kind, _, _ = text.partition(_JSON)
    try:
        found, _ = json.JSONDecoder().raw_decode(text, len(kind))
        message, place = f"{kind}{found['exception_message']}", found.get("position")
        offset = int(place) if place is not None else None
    except (ValueError, TypeError, LookupError, RecursionError):
        message, offset = text, None
    return " ".join(message.split()), offset
