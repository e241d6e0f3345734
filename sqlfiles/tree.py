"""The parse tree of a SELECT, by DuckDB's own parser, and a walk over it."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

BARE_VALUES: Final = frozenset(
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
"""SQL's values without parentheses, which look like columns in the tree."""

_LOCATION: Final = "query_location"


class SqlFault(Exception):
    """A statement that is not allowed; `offset` counts bytes into its text."""

    def __init__(self, message: str, offset: int = 0) -> None:
        """Keep *message*, a sentence, and *offset*."""
        super().__init__(message)
        self.message = message
        self.offset = offset


type Node = Mapping[str, Any]


def select_tree(text: str, connection: "DuckDBPyConnection | None" = None) -> Node:
    """The parse tree of *text*, exactly one SELECT.

    It is parsed by *connection*, or by one for parsing alone. Raises SqlFault for
    anything else.
    """
    parser = connection or parsing_connection()
    serialized = parser.execute("SELECT json_serialize_sql(?::VARCHAR)", [text])
    ((tree_json,),) = serialized.fetchall()
    try:
        tree: Node = json.loads(tree_json)
    except RecursionError:
        raise SqlFault("the statement is nested too deeply") from None
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


@cache
def parsing_connection() -> "DuckDBPyConnection":
    """A connection for parsing alone."""
    import duckdb

    return duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "64MB"})


def fault_at(node: Node, message: str) -> SqlFault:
    """A fault at the place of *node*."""
    offset = node.get(_LOCATION, 0)
    return SqlFault(
        message, offset if isinstance(offset, int) and offset < 2**31 else 0
    )


def function_path(node: Node) -> list[str]:
    """Catalog, schema and name of the function that *node* calls, in lower case."""
    return [str(part).lower() for part in node["qualified_name"]["path"]]


@dataclass(slots=True)
class TreeWalker(ABC):
    """Collects the tables of a tree; subclasses look at its other nodes.

    A name that WITH defines is a table only outside of its scope.
    """

    tables: set[str] = field(default_factory=set)

    def walk(self, tree: Node) -> None:
        """Walk over *tree*, in the order of its text. Raises SqlFault."""
        # No recursion: how deep a tree is depends on whoever wrote the statement.
        todo: list[tuple[Any, frozenset[str]]] = [(tree, frozenset())]
        while todo:
            value, ctes = todo.pop()
            if isinstance(value, list):
                todo += [(item, ctes) for item in reversed(value)]
            elif isinstance(value, dict):
                self.look_at(value)
                if value.get("type") == "BASE_TABLE":
                    self._table(value, ctes)
                todo += reversed(list(_children(value, ctes)))

    @abstractmethod
    def look_at(self, node: Node) -> None:
        """Look at one node. Raises SqlFault for one that is not allowed."""

    def _table(self, node: Node, ctes: frozenset[str]) -> None:
        path = [str(name).lower() for name in node["qualified_name"]["path"]]
        if path[:-1] not in ([], ["main"]):
            raise fault_at(node, f"unknown table {'.'.join(path)}")
        if len(path) > 1 or path[-1] not in ctes:
            self.found_table(path[-1], node)

    def found_table(self, name: str, _node: Node) -> None:
        """Collect the table *name*, in lower case."""
        self.tables.add(name)


def _children(node: Node, ctes: frozenset[str]) -> Iterator[tuple[Any, frozenset[str]]]:
    """The children of *node*, each with the names in its scope."""
    for entry in (node.get("cte_map") or {}).get("map", ()):
        name, query = entry["key"].lower(), entry["value"]
        recursive = query["query_node"]["type"] == "RECURSIVE_CTE_NODE"
        yield query, ctes | {name} if recursive else ctes
        ctes |= {name}
    yield from ((child, ctes) for key, child in node.items() if key != "cte_map")
