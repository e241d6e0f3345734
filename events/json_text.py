"""JSON as clients send it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import from_json


def parse_json(text: bytes) -> Any:
    """Parse *text*. Raises ValueError.

    Half of a surrogate pair is kept, so that one event is rejected for it and not its
    whole batch.
    """
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        if rb"\u" not in text:
            raise
        return _parse_leniently(text)


def parse_all(texts: Iterable[bytes | None]) -> list[Any]:
    """Parse each of *texts*; None for one that is not JSON, or null."""
    parsed: list[Any] = []
    for text in texts:
        # In this loop and not by `parse_json`: a call costs as much as a short text.
        try:
            parsed.append(from_json(text or b"", allow_inf_nan=False))
        except ValueError:
            parsed.append(_parse_or_none(text or b""))
    return parsed


def _parse_or_none(text: bytes) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return None


def _parse_leniently(text: bytes) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(constant: str) -> Mapping[str, Any]:
    raise ValueError(constant)
