"""Tables, functions and parameters of a statement, by DuckDB's own parser."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from sqlfiles.definition import Statement
from sqlfiles.tree import (
    BARE_VALUES,
    Node,
    SqlFault,
    TreeWalker,
    fault_at,
    function_path,
    parsing_connection,
    select_tree,
)

CLOCK: Final = frozenset(
    {
        "now",
        "current_timestamp",
        "get_current_timestamp",
        "transaction_timestamp",
        "current_date",
        "today",
        "localtimestamp",
        "current_localtimestamp",
    }
)
"""Functions that a session binds to one instant."""

TABLE_FUNCTIONS: Final = frozenset(
    {"range", "generate_series", "unnest", "json_each", "json_tree", "repeat"}
)
"""Table functions that read nothing but their arguments."""

# Macros and functions that DuckDB does not mark as volatile, though they read the clock,
# a random number, the session or a file. The names that it marks are found at run time.
_UNMARKED: Final = frozenset(
    {
        "ago",
        "reservoir_quantile",
        "current_time",
        "localtime",
        "get_current_time",
        "current_localtime",
        "current_user",
        "current_role",
        "session_user",
        "user",
        "current_catalog",
        "version",
        "getenv",
        "get_block_size",
        "in_search_path",
        "add_parquet_key",
        "json_execute_serialized_sql",
    }
)
_UNMARKED_PREFIXES: Final = ("pg_", "inet_", "has_", "duckdb_", "pragma_")
# Each is a macro of values alone.
_HARMLESS_PREFIXED: Final = frozenset({"pg_typeof", "pg_size_pretty"})
_QUERY_NODES: Final = frozenset(
    {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
)
_LOCATIONS: Final = frozenset({"query_location", "query_location_length"})


def parse(text: str) -> Statement:
    """Parse *text*, one SELECT that always gives the same rows for the same tables.

    Raises SqlFault for anything else.
    """
    node = select_tree(text)
    found = _FileWalker()
    found.walk(node)
    return Statement(
        text=text,
        tables=tuple(sorted(found.tables)),
        functions=tuple(sorted(found.functions)),
        parameters=tuple(sorted(found.parameters)),
        uses_clock=bool(found.functions & CLOCK),
        digest=hashlib.sha256(_canonical(node)).hexdigest(),
        warnings=tuple(dict.fromkeys(found.warnings)),
    )


def _canonical(node: Node) -> bytes:
    """The tree without positions, as bytes."""
    return json.dumps(_without_positions(node), sort_keys=True).encode()


def _without_positions(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            k: _without_positions(v) for k, v in value.items() if k not in _LOCATIONS
        }
    if isinstance(value, list):
        return [_without_positions(item) for item in value]
    return value


@dataclass(slots=True)
class _FileWalker(TreeWalker):
    """Collects what a statement of a file uses, and refuses what it may not use."""

    functions: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)

    def look_at(self, node: Node) -> None:
        """Look at one node. Raises SqlFault for one that is not allowed."""
        kind = str(node.get("type", ""))
        if kind.endswith("_NODE") and kind not in _QUERY_NODES:
            raise SqlFault("only SELECT is allowed, also in WITH")
        if node.get("sample"):
            raise fault_at(node, "a sample differs from run to run")
        match kind:
            case "TABLE_FUNCTION":
                require_table_function(node)
            case "SHOW_REF":
                raise SqlFault("SHOW, DESCRIBE and SUMMARIZE are not SELECT")
            case "VALUE_PARAMETER":
                self.parameters.add(str(node["identifier"]).lower())
            case "COLUMN_REF":
                self._column(node)
            case "OPERATOR_CAST":
                self._cast(node)
        if "function_name" in node:
            self._function(node)

    def _function(self, node: Node) -> None:
        name = str(node["function_name"]).lower()
        if function_path(node)[:-1] not in ([], ["main"]):
            raise fault_at(node, f"call {name} without a schema")
        if _is_volatile(name):
            raise fault_at(
                node, f"{name}() gives another result at each call or session"
            )
        if name == "age" and len(node.get("arguments", ())) == 1:
            raise fault_at(node, "age(x) reads the clock: write age(current_date, x)")
        self.functions.add(name)

    def _column(self, node: Node) -> None:
        names = node["column_names"]
        if len(names) == 1 and (name := names[0].lower()) in BARE_VALUES:
            if _is_volatile(name):
                raise fault_at(
                    node, f"{name} gives another result at each call or session"
                )
            self.functions.add(name)

    def _cast(self, node: Node) -> None:
        target = node["type_expr"]
        if target.get("type_name", "").upper() == "DECIMAL" and not target["children"]:
            self.warnings.append(
                "DECIMAL or NUMERIC without precision is DECIMAL(18,3) and rounds"
            )


def _is_volatile(name: str) -> bool:
    if name in CLOCK or name in _HARMLESS_PREFIXED:
        return False
    return (
        name in _UNMARKED
        or name.startswith(_UNMARKED_PREFIXES)
        or name in _marked_volatile()
    )


@cache
def _marked_volatile() -> frozenset[str]:
    """Functions that DuckDB itself does not call consistent."""
    rows = parsing_connection().execute(
        "SELECT DISTINCT function_name FROM duckdb_functions()"
        " WHERE stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')"
    )
    return frozenset(str(name).lower() for (name,) in rows.fetchall())


def require_table_function(node: Node) -> None:
    """Raise SqlFault unless the table function of *node* is one of TABLE_FUNCTIONS."""
    name = str(node["function"]["function_name"]).lower()
    if name not in TABLE_FUNCTIONS:
        allowed = ", ".join(sorted(TABLE_FUNCTIONS))
        raise fault_at(node, f"the table function {name} is not allowed: use {allowed}")
