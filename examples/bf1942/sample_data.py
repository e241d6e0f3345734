"""Fill the database at SOURCE_URL with two weeks of Battlefield 1942.

The same days give the same rows, up to the hour in which they end: SAMPLE_DAYS (14) and
SAMPLE_END (now). SAMPLE_SCHEMA chooses the tables: `ingest`, those that bf1942-ingest
writes, or `expected`, those that the original's views look for.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, LiteralString, cast

import psycopg
from psycopg import sql

FOLDER = Path(__file__).parent
MINUTE = timedelta(minutes=1)
STEP = 10 * MINUTE
"""Between two reports of a server; one is written only if something changed."""

MAPS = (
    *("El Alamein", "Wake Island", "Stalingrad", "Omaha Beach", "Bocage", "Berlin"),
    *("Battle of the Bulge", "Gazala", "Guadalcanal", "Operation Market Garden"),
)
MODS = ("bf1942", "dc_final", "xpack1", "fh")
COUNTRIES = ("DE", "US", "NL", None, "FI")
TEAMS = ("axis", "allied")
NAMES = (
    *("Sgt.Pepper", "[BoF] Anna", "zed", "Müller", "o'Brien", 'The "Duke"', "~kiwi~"),
    *("猫", "Rommel_44", "tank;DROP", "a", "=cmd", "Tester", "nobody", "Ace", "Bea"),
    *("Cleo", "Dirk", "Ewa", "Finn", "Gus", "Hana", "Ivo", "Jun", "Kim", "Lars"),
    *("Mia", "Nils", "Olga", "Pim", "Quin", "Rosa", "Sven", "Tove", "Udo", "Vera"),
    *("Wim", "Xena", "Yves", "Zoe"),
)


@dataclass(frozen=True)
class Round:
    """A round of a map on a server."""

    id: int
    server: int
    map: str
    mod: str
    start: datetime
    end: datetime | None
    winner: str | None


@dataclass(frozen=True)
class Session:
    """A player on a server; open without an end."""

    id: int
    server: int
    player: str
    team: str
    start: datetime
    end: datetime | None
    skill: float

    def is_at(self, at: datetime) -> bool:
        """True if the player is there."""
        return self.start <= at and (self.end is None or at <= self.end)

    def state(self, at: datetime, since: datetime) -> dict[str, Any]:
        """What the server says about the player at an instant of the round *since*."""
        minutes = (at - max(self.start, since)) / MINUTE
        kills = int(minutes * self.skill)
        return {
            "name": self.player,
            "keyhash": f"{abs(sum(map(ord, self.player)) * 7919) % 2**32:08x}",
            "score": kills * 2 + int(minutes / 9),
            "ping": 20 + (self.id * 37 + int(minutes)) % 130,
            "team": self.team,
            "kills": kills,
            "deaths": int(minutes * 0.12) if self.player != "Ace" else 0,
        }


@dataclass
class World:
    """Servers, rounds and sessions of some days up to *end*."""

    end: datetime
    days: int
    random: Random = field(default_factory=lambda: Random(1942))
    servers: int = 3

    def __post_init__(self) -> None:
        """Make the rounds, then the sessions."""
        self.begin = self.end - timedelta(days=self.days)
        self.rounds = list(self._rounds())
        self.sessions = list(self._sessions())

    def _rounds(self) -> Iterator[Round]:
        number = 0
        for server in range(1, self.servers + 1):
            start = self.begin
            while start < self.end:
                number += 1
                length = self.random.randrange(12, 41) * MINUTE
                end = start + length
                winner = self.random.choice([*TEAMS, *TEAMS, None])
                is_open = end >= self.end or self.random.random() < 0.02
                yield Round(
                    number,
                    server,
                    self.random.choice(MAPS[: 4 + server]),
                    MODS[(server + number // 40) % len(MODS)],
                    start,
                    None if is_open else end,
                    None if is_open else winner,
                )
                start = end + self.random.randrange(1, 3) * MINUTE

    def _sessions(self) -> Iterator[Session]:
        skills = {name: self.random.uniform(0.05, 1.2) for name in NAMES}
        number = 0
        for day in range(self.days):
            for name in (*NAMES, *NAMES):
                if self.random.random() > 0.7:
                    continue
                number += 1
                hour = min(23.5, max(0.0, self.random.gauss(19, 4)))
                start = self.begin + timedelta(days=day, hours=hour)
                end = start + self.random.randrange(6, 150) * MINUTE
                is_open = end > self.end or self.random.random() < 0.03
                yield Session(
                    number,
                    self.random.randrange(1, self.servers + 1),
                    name,
                    self.random.choice(TEAMS),
                    start,
                    None if is_open else end,
                    skills[name],
                )
        for place in range(9):  # somebody is playing right now
            number += 1
            start = self.end - (20 + place) * MINUTE
            server = 1 + place % 3
            yield Session(
                number, server, NAMES[-1 - place], TEAMS[place % 2], start, None, 0.4
            )

    def reports(self) -> Iterator[tuple[int, datetime, str, str, list[dict[str, Any]]]]:
        """Server, instant, map, mod and players, where something changed.

        Server 3 was silent for three hours, one of which nobody may count as online.
        """
        longest = timedelta(hours=4)
        for server in range(1, self.servers + 1):
            rounds = [r for r in self.rounds if r.server == server]
            sessions = [s for s in self.sessions if s.server == server]
            at, position, before = self.begin, 0, None
            silent = self.end - timedelta(hours=9)
            while at <= self.end:
                while position + 1 < len(rounds) and rounds[position + 1].start <= at:
                    position += 1
                present = [
                    s for s in sessions if s.is_at(at) and at - s.start < longest
                ]
                players = [s.state(at, rounds[position].start) for s in present]
                now = (rounds[position].map, rounds[position].mod, players)
                is_silent = server == 3 and silent < at < silent + timedelta(hours=3)
                if now != before and not is_silent:
                    yield server, at, *now
                before = now
                at += STEP


def main() -> None:
    """Create the tables and fill them."""
    text = os.environ.get("SAMPLE_END")
    end = datetime.fromisoformat(text) if text else datetime.now(UTC)
    end = end.replace(second=0, microsecond=0) - MINUTE
    world = World(end, int(os.environ.get("SAMPLE_DAYS", "14")))
    schema = os.environ.get("SAMPLE_SCHEMA", "ingest")
    with psycopg.connect(os.environ["SOURCE_URL"]) as connection:
        statements = (FOLDER / f"{schema}.sql").read_text(encoding="utf-8")
        connection.execute(cast("LiteralString", statements))
        fill = {"ingest": fill_ingest, "expected": fill_expected}[schema]
        fill(connection, world)


def copy(
    connection: psycopg.Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    """Write *rows* to a table."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copying:
        for row in rows:
            copying.write_row(row)


def fill_ingest(connection: psycopg.Connection, world: World) -> None:
    """The tables of the ingest, with a server that is gone and a report of 2099."""
    gone = world.end - timedelta(days=400)
    copy(
        connection,
        "servers",
        ("ip", "port", "hostname", "status", "last_seen", "first_seen", "active_mod"),
        [
            (
                f"10.0.0.{n}",
                14567,
                f"Server {n}",
                "online",
                world.end,
                gone,
                MODS[n % 4],
            )
            for n in range(1, world.servers + 1)
        ]
        + [("10.0.0.9", 14567, "Gone", "offline", gone, gone, "bf1942")],
    )
    reports = [
        (server, at, json.dumps({"mapname": played, "players": players}), "{}")
        for server, at, played, _, players in world.reports()
    ]
    dead = [{"name": f"ghost {n}", "score": n, "ping": 50} for n in range(40)]
    content = json.dumps({"mapname": "Kursk", "players": dead})
    reports.append((world.servers + 1, gone, content, "{}"))
    late = reports.pop(len(reports) // 3)
    future = datetime(2099, 1, 1, tzinfo=UTC)
    reports += [
        (1, future, json.dumps({"mapname": "Kursk", "players": []}), "{}"),
        late,
    ]
    copy(
        connection,
        "server_snapshots",
        ("server_id", "timestamp", "data", "raw"),
        reports,
    )
    copy(
        connection,
        "player_sessions",
        (
            *("server_id", "player_name", "player_name_norm", "keyhash"),
            *("join_ts", "leave_ts"),
        ),
        [
            (s.server, s.player, s.player.lower(), f"{s.id:08x}", s.start, s.end)
            for s in world.sessions
        ]
        + [(1, None, None, None, world.begin, world.begin + MINUTE)],
    )
    copy(
        connection,
        "rounds",
        ("id", "server_id", "mapname", "start_ts", "end_ts", "duration_seconds"),
        [
            (r.id, r.server, r.map, r.start, r.end, r.end and (r.end - r.start).seconds)
            for r in world.rounds
        ],
    )


def fill_expected(connection: psycopg.Connection, world: World) -> None:
    """The tables that the original's views expect, with all that may be missing."""
    samples = []
    for number, (server, at, played, mod, players) in enumerate(world.reports()):
        status = (
            ("offline", None, "ONLINE")[number % 3] if number % 17 == 0 else "online"
        )
        count = None if status == "offline" else len(players)
        country = COUNTRIES[server % len(COUNTRIES)]
        samples.append((f"s{server}", at, status, count, played, mod, country))
    gone = world.end - timedelta(days=400)
    samples.append(("gone", gone, "online", 40, None, "", "DE"))
    late = samples.pop(len(samples) // 3)
    samples += [
        ("s1", datetime(2099, 1, 1, tzinfo=UTC), "online", 64, "Kursk", "fh", "US"),
        late,
    ]
    copy(
        connection,
        "server_snapshots",
        (
            *("server_id", "snapshot_time", "status", "player_count", "map_name"),
            *("mod_name", "country_code"),
        ),
        samples,
    )
    copy(
        connection,
        "rounds",
        (
            *("id", "server_id", "map_name", "mod_name"),
            *("started_at", "ended_at", "winning_team"),
        ),
        [
            (r.id, f"s{r.server}", r.map, r.mod, r.start, r.end, r.winner)
            for r in world.rounds
        ],
    )
    copy(
        connection,
        "player_sessions",
        (
            *("server_id", "player_id", "player_guid", "player_hash", "player_name"),
            *("session_start", "session_end", "duration_seconds", "round_id", "team"),
            *("map_name", "mod_name", "kills", "deaths", "score"),
            *("average_ping_ms", "max_ping_ms"),
        ),
        (_expected_session(s, world) for s in world.sessions),
    )


def _expected_session(session: Session, world: World) -> tuple[Any, ...]:
    number = session.id
    rounds = (r for r in world.rounds if r.server == session.server)
    found = next(
        (r for r in rounds if r.end and r.start <= session.start <= r.end), None
    )
    end = session.end or min(world.end, session.start + timedelta(hours=1))
    state = session.state(end, session.start)
    identity: tuple[str | None, ...] = (f"id-{session.player}", None, None)
    if session.player in ("zed", "a"):
        identity = (None, f"guid-{session.player}", "hash")
    if session.player == "猫":
        identity = (None, None, None)
    length = (end - session.start).total_seconds() + 0.5
    return (
        f"s{session.server}",
        *identity,
        None if number % 53 == 0 and session.player == "猫" else session.player,
        session.start,
        session.end if number % 5 else None,
        length if session.end and number % 5 == 0 else None,
        found.id if found and number % 7 else None,
        session.team if number % 11 else None,
        "Aberdeen" if number % 4 else None,
        None if number % 6 else "bf1942",
        state["kills"] if number % 13 else None,
        state["deaths"] if number % 13 else None,
        state["score"] if number % 13 else None,
        state["ping"] + 0.25 if number % 3 else None,
        state["ping"] * 2 if number % 9 else None,
    )


if __name__ == "__main__":
    main()
