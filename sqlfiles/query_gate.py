"""The gate of people's queries: one SELECT of known tables and reviewed functions.

It has lists of what is allowed, down to the kinds of nodes in the parse tree, and none
of what is not: whatever a later version of DuckDB adds is refused until it is reviewed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlfiles.functions import ALLOWED
from sqlfiles.parse_tree import require_table_function
from sqlfiles.tree import (
    BARE_VALUES,
    Node,
    TreeWalker,
    fault_at,
    function_path,
    select_tree,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_EXPRESSIONS: Final = frozenset(
    {
        "BETWEEN",
        "CASE",
        "CAST",
        "COLLATE",
        "COLUMN_REF",
        "COMPARISON",
        "CONJUNCTION",
        "CONSTANT",
        "FUNCTION",
        "LAMBDA",
        "OPERATOR",
        "PARAMETER",
        "POSITIONAL_REFERENCE",
        "STAR",
        "SUBQUERY",
        "TYPE",
        "WINDOW",
    }
)
"""Classes of expressions."""

_OTHER_NODES: Final = frozenset(
    {
        # Queries
        "SELECT_NODE",
        "SET_OPERATION_NODE",
        "RECURSIVE_CTE_NODE",
        "CTE_NODE",
        # What FROM reads
        "BASE_TABLE",
        "EMPTY",
        "EXPRESSION_LIST",
        "JOIN",
        "PIVOT",
        "SUBQUERY",
        "TABLE_FUNCTION",
        # Order and number of rows
        "ASCENDING",
        "DESCENDING",
        "DISTINCT_MODIFIER",
        "LIMIT_MODIFIER",
        "LIMIT_PERCENT_MODIFIER",
        "ORDER_DEFAULT",
        "ORDER_MODIFIER",
    }
)

_EXPLANATIONS: Final[Mapping[str, str]] = {
    "SHOW_REF": "SHOW, DESCRIBE and SUMMARIZE are not SELECT",
    "INSERT_QUERY_NODE": "only SELECT is allowed, also in WITH",
    "UPDATE_QUERY_NODE": "only SELECT is allowed, also in WITH",
    "DELETE_QUERY_NODE": "only SELECT is allowed, also in WITH",
    "MERGE_QUERY_NODE": "only SELECT is allowed, also in WITH",
}


def check_query(
    text: str, tables: Collection[str], connection: "DuckDBPyConnection | None" = None
) -> frozenset[str]:
    """The names, as in *tables*, of the tables that *text* reads.

    *text* must be one SELECT of these tables, with allowed functions. Raises SqlFault.
    """
    gate = _Gate(known={name.lower() for name in tables})
    gate.walk(select_tree(text, connection))
    return frozenset(name for name in tables if name.lower() in gate.tables)


@dataclass(slots=True)
class _Gate(TreeWalker):
    """Collects the tables of a tree, and refuses all that is not allowed."""

    known: Collection[str] = field(kw_only=True)

    def look_at(self, node: Node) -> None:
        """Look at one node. Raises SqlFault for one that is not allowed."""
        kind = node.get("type")
        if "class" in node:
            _require(node, str(node["class"]), _EXPRESSIONS)
        elif isinstance(kind, str):
            _require(node, kind, _OTHER_NODES)
        if kind == "TABLE_FUNCTION":
            _require_table_function(node)
        if kind == "COLUMN_REF":
            _require_column(node)
        if kind == "TYPE":
            _require_plain_type(node)
        if node.get("at_clause"):
            raise fault_at(node, "AT is not allowed: a snapshot is of one instant")
        if "function_name" in node:
            _require_function(node)

    def found_table(self, name: str, node: Node) -> None:
        """Collect the table *name*. Raises SqlFault for one that there is not."""
        if name not in self.known:
            raise fault_at(node, f"unknown table {name}")
        self.tables.add(name)


def _require(node: Node, kind: str, allowed: Collection[str]) -> None:
    if kind not in allowed:
        known = _EXPLANATIONS.get(kind)
        raise fault_at(node, known or f"{kind.lower()} is not allowed in a query")


def _require_table_function(node: Node) -> None:
    called = node["function"]
    if called.get("class") != "FUNCTION":
        raise fault_at(node, "only functions are allowed here")
    require_table_function(node)


def _require_function(node: Node) -> None:
    name = str(node["function_name"]).lower()
    if function_path(node)[:-1] not in ([], ["main"]):
        raise fault_at(node, f"call {name}(…) without a schema or a column before it")
    _require_allowed(node, name)
    if name == "age" and len(node.get("arguments", ())) == 1:
        raise fault_at(node, "age(x) reads the clock: write age(current_date, x)")


def _require_column(node: Node) -> None:
    names = node["column_names"]
    name = names[0].lower()
    if len(names) == 1 and name in BARE_VALUES and name not in ALLOWED:
        raise fault_at(
            node, f"{name} is not allowed in a query; of a column, write table.{name}"
        )


def _require_allowed(node: Node, name: str) -> None:
    if name not in ALLOWED:
        raise fault_at(node, f"the function {name} is not allowed in a query")


def _require_plain_type(node: Node) -> None:
    if len(node["qualified_name"]["path"]) > 1:
        raise fault_at(node, f"write the type {node['type_name']} without a schema")
