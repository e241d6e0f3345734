"""How far the server has written InnoDB's log: what has not moved since has not changed.

Every change of a row, and every commit, adds to the log. Let a view leave behind the
position before it was opened. If the position is still the same after a later view was
opened, then nothing was committed in between, and both see the same rows.

That holds for one run of one server, since a crash may lose the end of the log. It says
nothing about tables of other storage engines.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from readmodel.source.wire import Row

type Query = Callable[[str], list[Row]]

START_TOLERANCE_SECONDS: Final = 2
"""The start of a server is computed from two figures in whole seconds."""

_STATUS: Final = (
    "SHOW GLOBAL STATUS WHERE variable_name IN ('Innodb_lsn_current', 'Uptime')"
)
_SERVER: Final = (
    "SHOW GLOBAL VARIABLES WHERE variable_name IN "
    "('server_id', 'server_uid', 'hostname', 'port', 'datadir', 'innodb_force_recovery')"
)


@dataclass(frozen=True, slots=True)
class LogPosition:
    """The number of the last byte of the log, of a server that started at `started`.

    `server` names the server; `started` is in seconds since 1970, by its own clock.
    """

    server: str
    started: int
    lsn: int

    def encode(self) -> str:
        """As a text to store."""
        return json.dumps([self.server, self.started, self.lsn])

    @classmethod
    def decode(cls, text: str) -> Self | None:
        """Parse *text*; None for one of another kind of source."""
        try:
            server, started, lsn = json.loads(text)
            return cls(str(server), int(started), int(lsn))
        except (TypeError, ValueError):
            return None

    def is_same(self, later: "LogPosition") -> bool:
        """Whether nothing was written between this position and a *later* one."""
        return (
            self.server == later.server
            and abs(self.started - later.started) <= START_TOLERANCE_SECONDS
            and self.lsn == later.lsn
        )


def read_position(query: Query) -> LogPosition | None:
    """Ask the server; None if it is MySQL, which does not name its position.

    Raises what *query* raises.
    """
    status = _variables(query(_STATUS))
    if len(status) < 2:
        return None
    ((now,),) = query("SELECT UNIX_TIMESTAMP(SYSDATE())")
    started = int(now) - int(status["uptime"])
    server = json.dumps(sorted(_variables(query(_SERVER)).items()))
    return LogPosition(server, started, int(status["innodb_lsn_current"]))


def _variables(found: list[Row]) -> Mapping[str, str]:
    return {_text(name).lower(): _text(value) for name, value in found}


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes | bytearray) else str(value)
