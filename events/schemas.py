"""Which names of events are allowed, and the JSON Schemas of their properties."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from events.codes import RejectionCode
from events.rejection import EventRejected
from util.errors import SettingsError

LONGEST_MESSAGE: Final = 300


class Validator(Protocol):
    """A compiled schema of jsonschema-rs."""

    def is_valid(self, instance: Any) -> bool:
        """True if *instance* fits the schema."""

    def iter_errors(self, instance: Any) -> Any:
        """Each violation, with `message` and `instance_path`."""


class EventSchemas:
    """The allowed names, and a schema for some of them.

    Without EVENT_TYPES every name is allowed. A name that has a schema is allowed, too.
    """

    def __init__(
        self, allowed: frozenset[str], validators: Mapping[str, Validator]
    ) -> None:
        self._allowed = allowed and allowed | validators.keys()
        self._validators = validators

    @classmethod
    def of(cls, names: Iterable[str], schemas: Mapping[str, str]) -> "EventSchemas":
        """Allow *names*, or all if there are none; *schemas* are texts by name.

        Raises SettingsError that names the schema that cannot be used.
        """
        return cls(frozenset(names), _compile(schemas))

    @property
    def is_active(self) -> bool:
        """True if some events may be refused."""
        return bool(self._allowed or self._validators)

    def check(self, name: str, properties: Mapping[str, Any]) -> None:
        """Raise EventRejected unless *name* is allowed and its *properties* fit."""
        if self._allowed and name not in self._allowed:
            raise EventRejected(
                RejectionCode.UNKNOWN_NAME, "EVENT_TYPES does not list this name"
            )
        validator = self._validators.get(name)
        if validator is not None and not validator.is_valid(properties):
            raise EventRejected(
                RejectionCode.SCHEMA,
                _violations(validator, properties),
                schema=f"{name}.json",
            )


def read_schemas(folder: Path) -> dict[str, str]:
    """The texts of the schemas in *folder*, by the names of their events.

    Raises SettingsError that names the file that cannot be read.
    """
    if not folder.is_dir():
        raise SettingsError(f"EVENT_SCHEMAS_DIR {folder} is not a folder")
    return {file.stem: _read(file) for file in sorted(folder.glob("*.json"))}


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _unusable(file.stem, error) from None


def _compile(schemas: Mapping[str, str]) -> dict[str, Validator]:
    if not schemas:
        return {}
    import jsonschema_rs

    validators: dict[str, Validator] = {}
    for name, text in schemas.items():
        try:
            validators[name] = jsonschema_rs.validator_for(text)
        except ValueError as error:
            raise _unusable(name, error) from None
    return validators


def _unusable(name: str, error: Exception) -> SettingsError:
    reason = str(error).partition("\n")[0]
    return SettingsError(
        f"EVENT_SCHEMAS_DIR: {name}.json is not a JSON Schema: {reason}"
    )


def _violations(validator: Validator, properties: Mapping[str, Any]) -> str:
    """``properties.price: "x" is not of type "number"``, cut off if it is long."""
    found = []
    for error in validator.iter_errors(properties):
        path = ".".join(map(str, ("properties", *error.instance_path)))
        found.append(f"{path}: {error.message}")
    return "; ".join(found)[:LONGEST_MESSAGE]
