"""Relate the definitions of a folder to each other: names, inputs, cycles, order."""

import graphlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from readmodel.tables import TABLES
from sqlfiles import keys
from sqlfiles.definition import Definition, DefinitionError
from sqlfiles.reader import Draft

AS_OF: Final = "as_of"
RESERVED_REPORTS: Final = frozenset({"daily"})
"""Names, in lower case, of reports at whose address the API answers something else."""


@dataclass(slots=True)
class Linker:
    """Rejects definitions that cannot stand beside the others, and orders the rest."""

    mirrored: Collection[str]
    drafts: list[Draft]
    errors: list[DefinitionError] = field(default_factory=list)
    unmirrored: list[DefinitionError] = field(default_factory=list)

    def link(self) -> tuple[Definition, ...]:
        """The definitions without an error: tables, inputs first; then reports by name.

        Afterwards `errors` and `unmirrored` contain the others.
        """
        self._refuse_duplicates("name", lambda d: d.name)
        self._refuse_duplicates("object", lambda d: d.object)
        self._refuse_duplicates("route", lambda d: d.route and _shape(d.route))
        self._refuse_reserved()
        self._refuse_mirrored()
        self._link_inputs()
        order = self._order()
        tables = [draft.definition for draft in order]
        reports = [d.definition for d in self.drafts if not d.definition.is_table]
        return (*tables, *sorted(reports, key=lambda d: d.name))

    def _reject(self, draft: Draft, message: str, key: str = "name") -> None:
        self.errors.append(draft.error(message, key))
        self.drafts.remove(draft)

    def _refuse_duplicates(
        self, key: str, value_of: Callable[[Definition], str | None]
    ) -> None:
        """Reject all but the first definition with the same value of *key*."""
        first: dict[str, Definition] = {}
        for draft in list(self.drafts):
            value = value_of(draft.definition)
            if value is None:
                continue
            other = first.setdefault(value.lower(), draft.definition)
            if other is not draft.definition:
                where = f"{other.file}:{other.line}"
                self._reject(draft, f"@{key} {value} is taken by {where}", key)

    def _refuse_reserved(self) -> None:
        """Reject names of reports and of parameters that the API uses itself."""
        for draft in list(self.drafts):
            definition = draft.definition
            name = definition.name
            if not definition.is_table and name.lower() in RESERVED_REPORTS:
                reason = f"@name {name}: /reports/{name} is the daily report"
                self._reject(draft, reason)
            elif AS_OF in {parameter.name for parameter in definition.parameters}:
                reason = f"@param {AS_OF}: every answer has a parameter of that name"
                self._reject(draft, reason, "param")

    def _refuse_mirrored(self) -> None:
        mirrored = {name.lower() for name in self.mirrored}
        for draft in list(self.drafts):
            name = draft.definition.object
            if name is not None and name.lower() in mirrored:
                self._reject(draft, f"@object {name} is a mirrored table", "object")

    def _link_inputs(self) -> None:
        """Spell inputs as they are defined; reject what reads an unknown table."""
        rejected = True
        while rejected:
            known = {name.lower(): name for name in (*self.mirrored, *self._objects())}
            rejected = False
            for draft in list(self.drafts):
                unknown = [t for t in draft.definition.inputs if t.lower() not in known]
                if unknown:
                    self._reject_inputs(draft, unknown)
                    rejected = True
                    continue
                inputs = tuple(known[t.lower()] for t in draft.definition.inputs)
                draft.definition = replace(draft.definition, inputs=inputs)

    def _reject_inputs(self, draft: Draft, unknown: Sequence[str]) -> None:
        """Reject *draft*, which reads the *unknown* tables."""
        left_out = {e.object.lower() for e in self.unmirrored if e.object}
        absent = [t for t in unknown if t in TABLES or t in left_out]
        if len(absent) < len(unknown):
            other = next(t for t in unknown if t not in absent)
            self._reject(draft, self._explain(other), "sql")
            return
        why = (
            "which TABLES does not mirror"
            if absent[0] in TABLES
            else "which is not built"
        )
        message = f"reads {absent[0]}, {why}"
        self.unmirrored.append(draft.error(message, "sql"))
        self.drafts.remove(draft)

    def _objects(self) -> list[str]:
        return [d.definition.object for d in self.drafts if d.definition.object]

    def _explain(self, table: str) -> str:
        for error in self.errors:
            if error.object and error.object.lower() == table:
                return f"its input {table} has an error: {error.file}:{error.line}"
        return f"unknown table {table}"

    def _order(self) -> list[Draft]:
        """Derived tables, inputs first and otherwise by file and line; no cycles."""
        tables = {d.definition.object: d for d in self.drafts if d.definition.is_table}
        while True:
            sorter = graphlib.TopologicalSorter[str | None]()
            for name, draft in tables.items():
                inputs = (i for i in draft.definition.inputs if i in tables)
                sorter.add(name, *inputs)
            try:
                return [tables[name] for name in sorter.static_order()]
            except graphlib.CycleError as error:
                self._reject_cycle(tables, error.args[1])

    def _reject_cycle(
        self, tables: dict[str | None, Draft], cycle: list[str | None]
    ) -> None:
        """Reject the definitions of *cycle*, and all that read them."""
        path = " -> ".join(str(name) for name in reversed(cycle))
        for name in set(cycle):
            self._reject(tables[name], f"a cycle: {path}", "object")
        self._link_inputs()
        for name in [n for n, draft in tables.items() if draft not in self.drafts]:
            del tables[name]


def _shape(route: str) -> str:
    """*route* with anonymous placeholders: two of one shape are indistinguishable."""
    for name in keys.placeholders(route):
        route = route.replace(f"{{{name}}}", "{}")
    return route
