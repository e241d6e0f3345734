"""Tables, functions and parameters of a statement, by DuckDB's own parser."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from sqlfiles.definition import Statement

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
# SQL's values without parentheses look like columns.
_BARE_VALUES: Final = frozenset(
    {
        "current_timestamp",
        "current_date",
        "localtimestamp",
        "current_time",
        "localtime",
        "current_user",
        "current_role",
        "session_user",
        "user",
        "current_catalog",
        "current_schema",
    }
)
_QUERY_NODES: Final = frozenset(
    {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
)
_LOCATIONS: Final = frozenset({"query_location", "query_location_length"})
_LOCATION: Final = "query_location"


class SqlFault(Exception):
    """A statement that is not allowed; `offset` counts bytes into its text."""

    def __init__(self, message: str, offset: int = 0) -> None:
        """Keep *message*, a sentence, and *offset*."""
        super().__init__(message)
        self.message = message
        self.offset = offset


type Node = Mapping[str, Any]


def parse(text: str) -> Statement:
    """Parse *text*, one SELECT that always gives the same rows for the same tables.

    Raises SqlFault for anything else.
    """
    node = _select(text)
    found = _Walker()
    found.walk(node, frozenset())
    return Statement(
        text=text,
        tables=tuple(sorted(found.tables)),
        functions=tuple(sorted(found.functions)),
        parameters=tuple(sorted(found.parameters)),
        uses_clock=bool(found.functions & CLOCK),
        digest=hashlib.sha256(_canonical(node)).hexdigest(),
        warnings=tuple(dict.fromkeys(found.warnings)),
    )


def _select(text: str) -> Node:
    """The parse tree of *text*."""
    serialized = _parser().execute("SELECT json_serialize_sql(?::VARCHAR)", [text])
    ((tree_json,),) = serialized.fetchall()
    tree: Node = json.loads(tree_json)
    if tree.get("error", True):
        raise _syntax_fault(tree)
    statements = tree["statements"]
    if len(statements) != 1:
        count = len(statements) or "no"
        raise SqlFault(
            f"there must be exactly one SELECT, and there are {count} statements"
        )
    node: Node = statements[0]["node"]
    return node


def _syntax_fault(tree: Node) -> SqlFault:
    if tree.get("error_type") == "not implemented":
        return SqlFault(
            "there must be exactly one SELECT, and this is another statement"
        )
    return SqlFault(str(tree.get("error_message")), int(tree.get("position") or 0))


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
class _Walker:
    """Collects names over a tree; *ctes* are the names that WITH defines in scope."""

    tables: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)

    def walk(self, value: Any, ctes: frozenset[str]) -> None:
        if isinstance(value, list):
            for item in value:
                self.walk(item, ctes)
        elif isinstance(value, dict):
            self._look_at(value, ctes)
            for child, scope in self._children(value, ctes):
                self.walk(child, scope)

    def _children(
        self, node: Node, ctes: frozenset[str]
    ) -> Iterator[tuple[Any, frozenset[str]]]:
        """The children of *node*, each with the names in its scope."""
        for entry in (node.get("cte_map") or {}).get("map", ()):
            name, query = entry["key"].lower(), entry["value"]
            recursive = query["query_node"]["type"] == "RECURSIVE_CTE_NODE"
            yield query, ctes | {name} if recursive else ctes
            ctes |= {name}
        yield from ((child, ctes) for key, child in node.items() if key != "cte_map")

    def _look_at(self, node: Node, ctes: frozenset[str]) -> None:
        kind = str(node.get("type", ""))
        if kind.endswith("_NODE") and kind not in _QUERY_NODES:
            raise SqlFault("only SELECT is allowed, also in WITH")
        if node.get("sample"):
            raise _fault(node, "a sample differs from run to run")
        match kind:
            case "BASE_TABLE":
                self._table(node, ctes)
            case "TABLE_FUNCTION":
                self._table_function(node)
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

    def _table(self, node: Node, ctes: frozenset[str]) -> None:
        path = [str(name).lower() for name in node["qualified_name"]["path"]]
        if path[:-1] not in ([], ["main"]):
            raise _fault(node, f"unknown table {'.'.join(path)}")
        if len(path) > 1 or path[-1] not in ctes:
            self.tables.add(path[-1])

    def _table_function(self, node: Node) -> None:
        name = str(node["function"]["function_name"]).lower()
        if name not in TABLE_FUNCTIONS:
            allowed = ", ".join(sorted(TABLE_FUNCTIONS))
            raise _fault(
                node, f"the table function {name} is not allowed: use {allowed}"
            )

    def _function(self, node: Node) -> None:
        name = str(node["function_name"]).lower()
        path = [str(part).lower() for part in node["qualified_name"]["path"]]
        if path[:-1] not in ([], ["main"]):
            raise _fault(node, f"call {name} without a schema")
        if _is_volatile(name):
            raise _fault(node, f"{name}() gives another result at each call or session")
        if name == "age" and len(node.get("arguments", ())) == 1:
            raise _fault(node, "age(x) reads the clock: write age(current_date, x)")
        self.functions.add(name)

    def _column(self, node: Node) -> None:
        names = node["column_names"]
        if len(names) == 1 and (name := names[0].lower()) in _BARE_VALUES:
            if _is_volatile(name):
                raise _fault(
                    node, f"{name} gives another result at each call or session"
                )
            self.functions.add(name)

    def _cast(self, node: Node) -> None:
        target = node["type_expr"]
        if target.get("type_name", "").upper() == "DECIMAL" and not target["children"]:
            self.warnings.append(
                "DECIMAL or NUMERIC without precision is DECIMAL(18,3) and rounds"
            )


def _fault(node: Node, message: str) -> SqlFault:
    offset = node.get(_LOCATION, 0)
    return SqlFault(
        message, offset if isinstance(offset, int) and offset < 2**31 else 0
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
def _parser() -> Any:
    """A connection for parsing alone."""
    import duckdb

    return duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "64MB"})


@cache
def _marked_volatile() -> frozenset[str]:
    """Functions that DuckDB itself does not call consistent."""
    rows = _parser().execute(
        "SELECT DISTINCT function_name FROM duckdb_functions()"
        " WHERE stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')"
    )
    return frozenset(str(name).lower() for (name,) in rows.fetchall())
