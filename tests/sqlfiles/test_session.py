"""Binding: what a definition's result must be."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from sqlfiles.catalogue import load
from sqlfiles.result_types import ResultColumn
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
    return dtypes(bind(definition, {}))


def test_only_json_has_the_unit_json(tmp_path: Path) -> None:
    """Any other text would break the answer that it is put into."""
    assert bound(tmp_path, "'[1]'::JSON") == ["String"]
    with pytest.raises(ValueError, match="the column is VARCHAR, cast it by ::JSON"):
        bound(tmp_path, "'[1'")


STATEMENT = """
-- @name {name}
-- @type materialized_view
-- @object {name}
SELECT id, part FROM things
"""


def test_definitions_are_bound_apart(tmp_path: Path) -> None:
    """Each sees its own inputs alone, also after one that fails."""
    for name in ("first", "second"):
        (tmp_path / f"{name}.sql").write_text(STATEMENT.format(name=name))
    first, second = load(tmp_path, ("things",)).definitions
    columns = {"id": "Int64", "part": "String"}
    assert dtypes(bind(first, {"things": columns})) == ["Int64", "String"]
    with pytest.raises(ValueError, match="part"):
        bind(second, {"things": {"id": "Int64", "first": "String"}})
    columns = {"id": "Int32", "part": "Float64"}
    assert dtypes(bind(second, {"things": columns})) == ["Int32", "Float64"]


def dtypes(columns: Sequence[ResultColumn]) -> list[str]:
    """The dtype of each column."""
    return [column.dtype for column in columns]
