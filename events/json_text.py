"""JSON as clients send it."""

import json
from collections.abc import Mapping
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


def _parse_leniently(text: bytes) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(constant: str) -> Mapping[str, Any]:
    raise ValueError(constant)
