"""Which names of events are allowed, and the JSON Schemas of their properties."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from config import Settings, listed
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
    def load(cls, settings: Settings) -> "EventSchemas":
        """Read EVENT_TYPES and EVENT_SCHEMAS_DIR.

        Raises SettingsError that names the schema that cannot be used.
        """
        folder = settings.event_schemas_dir
        return cls(
            frozenset(listed(settings.event_types)), _compile(folder) if folder else {}
        )

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


def _compile(folder: Path) -> dict[str, Validator]:
    import jsonschema_rs

    if not folder.is_dir():
        raise SettingsError(f"EVENT_SCHEMAS_DIR {folder} is not a folder")
    validators: dict[str, Validator] = {}
    for file in sorted(folder.glob("*.json")):
        try:
            text = file.read_text(encoding="utf-8")
            validators[file.stem] = jsonschema_rs.validator_for(text)
        except (OSError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise SettingsError(
                f"EVENT_SCHEMAS_DIR: {file.name} is not a JSON Schema: {reason}"
            ) from None
    return validators


def _violations(validator: Validator, properties: Mapping[str, Any]) -> str:
    """``properties.price: "x" is not of type "number"``, cut off if it is long."""
    found = []
    for error in validator.iter_errors(properties):
        path = ".".join(map(str, ("properties", *error.instance_path)))
        found.append(f"{path}: {error.message}")
    return "; ".join(found)[:LONGEST_MESSAGE]
