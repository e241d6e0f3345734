"""Binding: what a definition's result must be."""

from pathlib import Path

import pytest

from sqlfiles.catalogue import load
from sqlfiles.session import bind

REPORT = """\
-- @name texts
-- @type report
-- @unit document json
SELECT {} AS document
"""


def bound(folder: Path, expression: str) -> list[str]:
    """The dtypes of a report's columns."""
    (folder / "a.sql").write_text(REPORT.format(expression))
    (definition,) = load(folder).definitions
    return [column.dtype for column in bind(definition, {})]


def test_only_json_has_the_unit_json(tmp_path: Path) -> None:
    """Any other text would break the answer that it is put into."""
    assert bound(tmp_path, "'[1]'::JSON") == ["String"]
    with pytest.raises(ValueError, match="the column is VARCHAR, cast it by ::JSON"):
        bound(tmp_path, "'[1'")
