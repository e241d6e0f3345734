"""Types of JSON, as parsed or about to be written."""

from collections.abc import Mapping
from typing import Any

type JsonObject = dict[str, Any]
type JsonMapping = Mapping[str, Any]
"""A JSON object that is only read."""
