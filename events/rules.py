"""What the settings demand of events, as values that another process can be given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from events.clock import ClockBounds
from events.schemas import read_schemas

if TYPE_CHECKING:
    from config import Settings


@dataclass(frozen=True, slots=True)
class EventRules:
    """All that a verdict depends on. It can be pickled, which a compiled schema cannot.

    `schemas` are the texts of the JSON Schemas by the names of their events.
    """

    names: tuple[str, ...]
    schemas: Mapping[str, str]
    bounds: ClockBounds
    user_id_key: bytes | None = field(repr=False)
    user_id_epoch: str

    @classmethod
    def of(cls, settings: "Settings") -> Self:
        """Read EVENT_TYPES, EVENT_SCHEMAS_DIR, bounds and keys.

        Raises SettingsError that names the schema that cannot be read.
        """
        from util.setting_values import (
            listed,  # A process that is given rules has no settings.
        )

        folder, key = settings.event_schemas_dir, settings.user_id_key
        return cls(
            names=listed(settings.event_types),
            schemas=read_schemas(folder) if folder else {},
            bounds=ClockBounds.of(settings),
            user_id_key=key.get_secret_value().encode() if key else None,
            user_id_epoch=settings.user_id_epoch,
        )
