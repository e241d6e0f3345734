"""The examples: folders of settings, SQL files and sample data, without code of ours.

    examples/NAME/README.md        with lines of curl, which are printed
    examples/NAME/settings.env     settings of all programs; an empty secret gets a value
    examples/NAME/sql/*.sql        VIEWS_DIR
    examples/NAME/sample_data.py   fills the source, and sends events

`sample_data.py` runs once, before the first sync, with the settings in its environment:
SOURCE_URL is an empty database that it may write, KAFKA_BOOTSTRAP_SERVERS an empty
broker, COLLECTOR_URL and COLLECTOR_TOKEN are for sending events.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from config import Settings
from demo.errors import DemoError
from demo.processes import PROJECT
from demo.steps import new_token

EXAMPLES: Final = PROJECT / "examples"
SECRETS: Final = ("jwt_secret_key", "user_id_key", "sql_tokens")
"""Settings that get a random value where an example leaves them empty."""

PATHS: Final = ("event_schemas_dir", "jwt_jwks_file")
"""Settings that are relative to the example's folder."""


@dataclass(frozen=True)
class Example:
    """One of the examples."""

    name: str
    folder: Path

    @cached_property
    def settings(self) -> Mapping[str, str]:
        """The settings of settings.env, with values for secrets that it leaves empty."""
        read = dotenv_values(self.folder / "settings.env", interpolate=False)
        settings = {name: value or "" for name, value in read.items()}
        for name in filter(settings.__contains__, map(str.upper, SECRETS)):
            settings[name] = settings[name] or new_token()
        for name in filter(settings.__contains__, map(str.upper, PATHS)):
            settings[name] = str(self.folder / settings[name])
        return settings

    @property
    def views_dir(self) -> Path:
        """VIEWS_DIR."""
        return self.folder / "sql"

    @property
    def sample_data(self) -> Path:
        """The script that fills the source and sends events."""
        return self.folder / "sample_data.py"

    @property
    def needs_postgres(self) -> bool:
        """True if its tables are in PostgreSQL."""
        return self.settings.get("SOURCE_URL", "").startswith("postgres")

    @property
    def needs_broker(self) -> bool:
        """True if its events come through Kafka."""
        return "KAFKA_BOOTSTRAP_SERVERS" in self.settings

    @property
    def needs_collector(self) -> bool:
        """True if it takes events by HTTP."""
        return "SPOOL_DIR" in self.settings

    def curl_lines(self, values: Mapping[str, str]) -> list[str]:
        """The README's lines of curl, with *values* in place of ``$NAME``."""
        text = (self.folder / "README.md").read_text(encoding="utf-8")
        return [
            re.sub(r"\$([A-Z]+)", lambda found: values[found[1]], line)
            for line in re.findall(r"^curl .*$", text, re.MULTILINE)
        ]


def find_example(name: str) -> Example:
    """The example called *name*. Raises DemoError, which names those there are."""
    names = sorted(path.parent.name for path in EXAMPLES.glob("*/settings.env"))
    if name not in names:
        listed = ", ".join(names)
        raise DemoError(f"there is no example {name!r}, use one of {listed}")
    return Example(name, EXAMPLES / name)


def unknown_settings(example: Example) -> list[str]:
    """The names in its settings.env that no program knows."""
    return sorted(n for n in example.settings if n.lower() not in Settings.model_fields)
