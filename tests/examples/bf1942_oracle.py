"""The 14 definitions of examples/bf1942 once more, in plain Python, row by row.

It reads the source tables of either schema as they are in PostgreSQL.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from statistics import fmean, median, pstdev
from typing import Any

type Row = dict[str, Any]

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
UNKNOWN = "unknown"
BEGINNING = datetime.min.replace(tzinfo=UTC)


def first(row: Mapping[str, Any], *names: str) -> Any:
    """The first value that is there and not empty."""
    return next((row[n] for n in names if row.get(n) not in (None, "")), None)


def hour_of(at: datetime) -> datetime:
    """The hour of an instant, in UTC."""
    return at.replace(minute=0, second=0, microsecond=0)


def day_of(at: datetime) -> datetime:
    """Midnight of its day, in UTC."""
    return hour_of(at).replace(hour=0)


def grouped[K: Hashable, T](
    rows: Iterable[T], key: Callable[[T], K]
) -> dict[K, list[T]]:
    """Rows by key."""
    groups: dict[K, list[T]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of the values that are there."""
    present = [float(v) for v in values if v is not None]
    return fmean(present) if present else None


def most(values: Iterable[Any]) -> Any:
    """The largest of the values that are there."""
    return max((v for v in values if v is not None), default=None)


def ranks(amounts: Mapping[str, int]) -> list[tuple[str, int, int]]:
    """Name, amount and rank; the largest first, equals share a rank."""
    ordered = sorted(amounts.items(), key=lambda item: (-item[1], item[0]))
    return [(n, a, 1 + sum(b > a for b in amounts.values())) for n, a in ordered]


@dataclass(frozen=True)
class Oracle:
    """The derived tables of some source tables as of *now*."""

    server_snapshots: Sequence[Row]
    player_sessions: Sequence[Row]
    rounds: Sequence[Row]
    now: datetime
    _seen: dict[str, datetime] = field(default_factory=dict)

    # --- the source tables in one shape ---------------------------------------------

    @cached_property
    def samples(self) -> list[Row]:
        """Reports of servers, without those of the future."""
        found = []
        for row in self.server_snapshots:
            at, data = first(row, "snapshot_time", "timestamp"), row.get("data")
            if at > self.now:
                continue
            players = data["players"] if data else []
            count = len(players) if data else row["player_count"]
            online = True if data else None
            if first(row, "status") is not None:
                online = row["status"].lower() == "online"
            names = first(row, "map_name", "map") or (data or {}).get("mapname")
            found.append(
                {
                    "server_id": str(row["server_id"]),
                    "at": at.astimezone(UTC),
                    "online": online,
                    "player_count": count,
                    "map_name": names or UNKNOWN,
                    "mod_name": first(row, "mod_name", "mod") or UNKNOWN,
                    "region": first(row, "country", "country_code", "region")
                    or UNKNOWN,
                    "players": players,
                }
            )
        return found

    def last_seen(self, server: str) -> datetime | None:
        """The newest report of a server."""
        if not self._seen:
            for sample in self.samples:
                before = self._seen.get(sample["server_id"], BEGINNING)
                self._seen[sample["server_id"]] = max(before, sample["at"])
        return self._seen.get(server)

    @cached_property
    def matches(self) -> list[Row]:
        """Rounds by server and start, each with its bounded end."""
        found: list[Row] = [
            {
                "round_id": str(row["id"]),
                "server_id": str(row["server_id"]),
                "map_name": first(row, "map_name", "mapname") or UNKNOWN,
                "mod_name": first(row, "mod_name") or UNKNOWN,
                "started_at": first(row, "started_at", "start_ts").astimezone(UTC),
                "ended_at": first(row, "ended_at", "end_ts"),
                "winner": first(row, "winning_team"),
            }
            for row in self.rounds
        ]
        found.sort(key=lambda r: (r["server_id"], r["started_at"], r["round_id"]))
        for rounds in grouped(found, lambda r: r["server_id"]).values():
            for row, following in zip(rounds, [*rounds[1:], None], strict=True):
                until = row["ended_at"] or self._bound(row, following)
                row["until"] = max(row["started_at"], until or row["started_at"])
                row["seconds"] = (row["until"] - row["started_at"]) // SECOND
        return found

    def _bound(self, row: Row, following: Row | None) -> datetime | None:
        """The latest that something without an end may have lasted."""
        if row["started_at"] is None:
            return None
        limits = [
            following and following["started_at"],
            self.last_seen(row["server_id"]),
            row["started_at"] + DAY,
        ]
        known: list[datetime] = [limit for limit in limits if limit is not None]
        return min(known)

    @cached_property
    def sessions(self) -> list[Row]:
        """Sessions by player and start, with their lengths."""
        found = [self._session(row) for row in self.player_sessions]
        found = [row for row in found if row["player_id"]]
        found.sort(key=lambda r: (r["player_id"], r["started_at"], r["session_id"]))
        for sessions in grouped(found, lambda r: r["player_id"]).values():
            for row, following in zip(sessions, [*sessions[1:], None], strict=True):
                length = row["length"]
                if length is None:
                    until = row["ended_at"] or self._bound(row, following)
                    length = until and (until - row["started_at"]) // SECOND
                row["seconds"] = max(60, math.floor(length or 0))
        return found

    @staticmethod
    def _session(row: Row) -> Row:
        start = first(row, "session_start", "join_ts")
        end = first(row, "session_end", "leave_ts")
        length = row.get("duration_seconds")
        if length is not None and not abs(float(length)) <= 1e9:
            length = None  # NUMERIC has NaN, too
        if end is None and length is not None:
            end = start + timedelta(seconds=float(length))
        ping = first(row, "average_ping_ms", "avg_ping_ms", "max_ping_ms")
        round_id = first(row, "round_id")
        return {
            "session_id": str(row["id"]),
            "server_id": str(row["server_id"]),
            "player_id": first(
                row, "player_id", "player_guid", "player_hash", "player_name"
            ),
            "name": row.get("player_name"),
            "started_at": start.astimezone(UTC),
            "ended_at": end and end.astimezone(UTC),
            "length": None if length is None else float(length),
            "round_id": None if round_id is None else str(round_id),
            "map_name": first(row, "map_name"),
            "mod_name": first(row, "mod_name"),
            "team": first(row, "team"),
            **{name: row.get(name) for name in ("kills", "deaths", "score")},
            "pings": [] if ping is None else [float(ping)],
        }

    @cached_property
    def parts(self) -> list[Row]:
        """Sessions by round."""
        sightings: dict[tuple[str, str], list[tuple[datetime, str, Row]]]
        sightings = defaultdict(list)
        for sample in sorted(self.samples, key=lambda s: s["at"]):
            # A name that is there twice is the one with the higher score.
            best: dict[str, Row] = {}
            for player in sorted(sample["players"], key=_standing):
                best.setdefault(player["name"], player)
            for player in best.values():
                key = (sample["server_id"], player["name"])
                sightings[key].append((sample["at"], sample["map_name"], player))
        rounds = {match["round_id"]: match for match in self.matches}
        by_server = grouped(self.matches, lambda m: m["server_id"])
        by_player = grouped(self.sessions, lambda s: (s["server_id"], s["name"]))
        found: list[Row] = []
        for key, sessions in by_player.items():
            for session in sessions:
                seen = [
                    sighting
                    for sighting in sightings[key]
                    if _latest(sessions, sighting[0]) is session
                    and sighting[0] <= (session["ended_at"] or sighting[0])
                ]
                if seen:
                    found += _seen_parts(session, seen, by_server[key[0]])
                else:
                    own = {**session, "first_at": session["started_at"]}
                    found.append({**own, "session": session})
        for part in found:
            played = rounds.get(part["round_id"] or "", {})
            known = played.get("map_name", UNKNOWN), played.get("mod_name", UNKNOWN)
            session = part["session"]
            part["map_name"] = _known(known[0]) or part["map_name"] or UNKNOWN
            part["mod_name"] = _known(known[1]) or session["mod_name"] or UNKNOWN
            winner = played.get("winner")
            part["won"] = part["team"] == winner if part["team"] and winner else None
        return found

    @cached_property
    def facts(self) -> list[Row]:
        """Sessions with all that was done in them."""
        by_session = grouped(self.parts, lambda p: p["session_id"])
        found = []
        for session in self.sessions:
            parts = sorted(
                by_session[session["session_id"]], key=lambda p: p["first_at"]
            )
            pings = [ping for part in parts for ping in part["pings"]]
            won = [part["won"] for part in parts if part["won"] is not None]
            sums = {
                name: sum(part[name] or 0 for part in parts)
                for name in ("kills", "deaths", "score")
            }
            last = {"ping": mean(pings), "won": won[-1] if won else None}
            found.append({**session, **sums, **last})
        return found

    # --- the definitions ------------------------------------------------------------

    def mv_player_summaries(self) -> list[Row]:
        """001."""
        return [
            {
                "player_id": player,
                "sessions_played": len(rows),
                "seconds_played": sum(r["seconds"] for r in rows),
                **_totals(rows),
                "kill_death_ratio": _ratio(rows),
                "last_seen_at": _last_seen(rows),
            }
            for player, rows in grouped(self.facts, lambda r: r["player_id"]).items()
        ]

    def mv_server_uptime(self) -> list[Row]:
        """002."""
        online: Counter[tuple[str, datetime]] = Counter()
        for server, rows in grouped(self.samples, lambda r: r["server_id"]).items():
            rows.sort(key=lambda r: (r["at"], bool(r["online"])))
            for before, after in pairwise(rows):
                begin, end = before["at"], after["at"]
                if before["online"] and after["online"] and end - begin <= HOUR:
                    edge = min(end, hour_of(begin) + HOUR)
                    online[server, hour_of(begin)] += _microseconds(edge - begin)
                    if edge < end:
                        online[server, hour_of(end)] += _microseconds(end - edge)
        hours = grouped(self.samples, lambda r: (r["server_id"], hour_of(r["at"])))
        return [
            {
                "server_id": key[0],
                "hour_bucket": key[1],
                "online_samples": sum(r["online"] is True for r in rows),
                "offline_samples": sum(r["online"] is False for r in rows),
                "online_seconds": online[key] // 1_000_000,
            }
            for key, rows in hours.items()
        ]

    def mv_map_mod_trends(self) -> list[Row]:
        """003."""
        groups = grouped(
            self.samples, lambda r: (day_of(r["at"]), r["map_name"], r["mod_name"])
        )
        names = ("day_bucket", "map_name", "mod_name")
        return [
            {
                **dict(zip(names, key, strict=True)),
                "samples": len(rows),
                "average_players": mean(r["player_count"] for r in rows),
                "peak_players": most(r["player_count"] for r in rows),
            }
            for key, rows in groups.items()
        ]

    def server_snapshot_rollups(self) -> list[Row]:
        """004."""
        hours = grouped(self.samples, lambda r: (r["server_id"], hour_of(r["at"])))
        return [
            {
                "bucket_start": hour,
                "bucket_end": hour + HOUR,
                "server_id": server,
                "payload": {
                    "samples": len(rows),
                    "average_players": mean(r["player_count"] for r in rows),
                    "peak_players": most(r["player_count"] for r in rows),
                    "map_samples": dict(Counter(r["map_name"] for r in rows)),
                    "mod_samples": dict(Counter(r["mod_name"] for r in rows)),
                },
                "updated_at": max(r["at"] for r in rows),
            }
            for (server, hour), rows in hours.items()
        ]

    def mv_player_advanced_metrics(self) -> list[Row]:
        """005, first."""
        kpms = [_per_minute(r, "kills") for r in self.facts]
        centre, spread = fmean(kpms), pstdev(kpms) or 1
        teams: dict[str, Counter[str]] = defaultdict(Counter)
        for part in self.parts:
            if part["team"]:
                teams[part["player_id"]][part["team"]] += part["seconds"]
        found = []
        for player, rows in grouped(self.facts, lambda r: r["player_id"]).items():
            rows.sort(key=lambda r: (r["started_at"], r["session_id"]), reverse=True)
            recent, seconds = rows[:5], sum(r["seconds"] for r in rows)
            totals, wins = _totals(rows), [r["won"] for r in recent]
            kpm = totals["total_kills"] / (seconds / 60)
            shares = {
                team: spent / teams[player].total()
                for team, spent in sorted(teams[player].items())
            }
            preferred = max(shares, key=lambda team: shares[team], default=None)
            score = math.floor(50 + 15 * (kpm - centre) / spread + 0.5)
            found.append(
                {
                    "player_id": player,
                    "sessions_played": len(rows),
                    "total_seconds_played": seconds,
                    **totals,
                    "kill_death_ratio": _ratio(rows),
                    "kills_per_minute": kpm,
                    "score_per_minute": totals["total_score"] / (seconds / 60),
                    "win_rate": sum(r["won"] is True for r in rows) / len(rows),
                    "recent_kd_ratio": mean(_ratio([r]) for r in recent),
                    "recent_win_rate": mean(wins),
                    "recent_kpm": mean(_per_minute(r, "kills") for r in recent),
                    "recent_spm": mean(_per_minute(r, "score") for r in recent),
                    "last_session_start": rows[0]["started_at"],
                    "last_session_end": rows[0]["ended_at"],
                    "last_seen_at": _last_seen(rows),
                    "preferred_team": preferred,
                    "team_loyalty_ratio": shares.get(preferred or ""),
                    "team_distribution": shares,
                    "aggressiveness_score": min(100, max(0, score)),
                }
            )
        return found

    def mv_player_map_mod_breakdowns(self) -> list[Row]:
        """005, second."""
        names = ("player_id", "map_name", "mod_name")
        groups = grouped(self.parts, lambda p: tuple(p[n] for n in names))
        found = []
        for key, rows in groups.items():
            seconds, totals = sum(r["seconds"] for r in rows), _totals(rows)
            minutes = seconds / 60 or None
            found.append(
                {
                    **dict(zip(names, key, strict=True)),
                    "sessions_played": len({r["session_id"] for r in rows}),
                    "total_seconds_played": seconds,
                    **totals,
                    "kills_per_minute": minutes and totals["total_kills"] / minutes,
                    "score_per_minute": minutes and totals["total_score"] / minutes,
                    "win_rate": sum(r["won"] is True for r in rows) / len(rows),
                }
            )
        return found

    def player_session_heatmaps(self) -> list[Row]:
        """005, third."""
        groups = grouped(
            self.facts, lambda r: (r["player_id"], hour_of(r["started_at"]))
        )
        return [
            {
                "player_id": player,
                "hour_bucket": hour,
                "sessions_started": len(rows),
                "seconds_played": sum(r["seconds"] for r in rows),
                "updated_at": _last_seen(rows),
            }
            for (player, hour), rows in groups.items()
        ]

    def mv_server_population_trends(self) -> list[Row]:
        """006, first."""
        days = grouped(self.samples, lambda r: (r["server_id"], day_of(r["at"])))
        found = []
        for server, samples in grouped(self.samples, lambda r: r["server_id"]).items():
            hours = sorted(grouped(samples, lambda r: hour_of(r["at"])).items())
            averages: list[float | None] = []
            for hour, rows in hours:
                counts = [
                    r["player_count"] for r in rows if r["player_count"] is not None
                ]
                averages.append(mean(counts))
                day, week = mean(averages[-24:]), mean(averages[-168:])
                states = [r["online"] for r in days[server, day_of(hour)]]
                known = [state for state in states if state is not None]
                online = sum(r["online"] is True for r in rows)
                found.append(
                    {
                        "server_id": server,
                        "hour_bucket": hour,
                        "average_players": averages[-1],
                        "peak_players": most(counts),
                        "minimum_players": min(counts, default=None),
                        "online_samples": online,
                        "total_samples": len(rows),
                        "hour_uptime_ratio": online / len(rows),
                        "rolling_24h_avg": day,
                        "rolling_7d_avg": week,
                        "population_trend": (
                            None if day is None or week is None else day - week
                        ),
                        "daily_uptime_ratio": mean(known),
                    }
                )
        return found

    def mv_server_rotation_statistics(self) -> list[Row]:
        """006, second."""
        found = []
        for server, rounds in grouped(self.matches, lambda r: r["server_id"]).items():
            names = [None, *(r["map_name"] for r in rounds), None]
            numbered = list(enumerate(rounds, 1))
            groups = grouped(numbered, lambda n: (n[1]["map_name"], n[1]["mod_name"]))
            for (played, mod), group in groups.items():
                lengths = [r["seconds"] for _, r in group]
                found.append(
                    {
                        "server_id": server,
                        "map_name": played,
                        "mod_name": mod,
                        "rounds_played": len(group),
                        "average_round_minutes": fmean(lengths) / 60,
                        "median_round_seconds": float(median(lengths)),
                        "map_entry_count": sum(
                            names[i - 1] != played for i, _ in group
                        ),
                        "map_exit_count": sum(names[i + 1] != played for i, _ in group),
                        "rounds_recorded": max(len(rounds) - i + 1 for i, _ in group),
                    }
                )
        return found

    def mv_server_ping_distributions(self) -> list[Row]:
        """006, third."""
        sampled = [r for r in self.facts if r["ping"] is not None]
        groups = grouped(sampled, lambda r: (r["server_id"], day_of(r["started_at"])))
        return [
            {
                "server_id": server,
                "day_bucket": day,
                "samples": len(rows),
                "ping_percentiles": [
                    _percentile(sorted(r["ping"] for r in rows), share)
                    for share in (0.1, 0.25, 0.5, 0.75, 0.9)
                ],
                "average_ping_ms": mean(r["ping"] for r in rows),
            }
            for (server, day), rows in groups.items()
        ]

    def mv_server_leaderboards(self) -> list[Row]:
        """006, fourth."""
        found = []
        for server, facts in grouped(self.facts, lambda r: r["server_id"]).items():
            board = [
                {
                    "server_id": server,
                    "player_id": player,
                    **_totals(rows),
                    "win_rate": sum(r["won"] is True for r in rows) / len(rows),
                    "last_seen_at": _last_seen(rows),
                }
                for player, rows in grouped(facts, lambda r: r["player_id"]).items()
            ]
            for name, column in (
                ("score_rank", "total_score"),
                ("kill_rank", "total_kills"),
                ("win_rate_rank", "win_rate"),
            ):
                for row in board:
                    row[name] = 1 + sum(other[column] > row[column] for other in board)
            found += board
        return found

    def mv_global_activity_rollups(self) -> list[Row]:
        """007, first."""
        newest: dict[str, Row] = {}
        for sample in sorted(self.samples, key=lambda s: s["at"]):
            newest[sample["server_id"]] = sample
        live = [
            {**s, "players": s["player_count"] or 0}
            for s in newest.values()
            if s["at"] > self.now - HOUR and s["online"] is not False
        ]
        counts = [s["players"] for s in live]
        by: dict[str, dict[str, int]] = {
            column: {
                name: sum(s["players"] for s in rows)
                for name, rows in grouped(live, lambda s: s[column]).items()  # noqa: B023
            }
            for column in ("map_name", "mod_name", "region")
        }
        return [
            {
                "live_players": sum(counts),
                "average_players_per_server": mean(counts) or 0,
                "peak_server_players": max(counts, default=0),
                "live_map_leaderboard": _board(by["map_name"], "map", "players"),
                "live_mod_leaderboard": _board(by["mod_name"], "mod", "players"),
                "regional_player_counts": by["region"],
            }
        ]

    def mv_global_daily_trends(self) -> list[Row]:
        """007, second."""
        found: list[Row] = []
        for day, rows in sorted(
            grouped(self.samples, lambda r: day_of(r["at"])).items()
        ):
            boards = {}
            for column, name in (("map_name", "map"), ("mod_name", "mod")):
                minutes = {
                    value: sum(r["player_count"] or 0 for r in group)
                    for value, group in grouped(rows, lambda r: r[column]).items()  # noqa: B023
                }
                boards[f"{name}_leaderboard"] = _board(minutes, name, "player_minutes")
            found.append({"day_bucket": day, **_counts(rows), **boards})
            week = found[-7:]
            found[-1] |= {
                "seven_day_players": sum(r["total_players"] for r in week),
                "rolling_average_players": mean(r["average_players"] for r in week),
            }
        return found

    def mv_global_region_activity(self) -> list[Row]:
        """007, third."""
        found: list[Row] = []
        for region, samples in grouped(self.samples, lambda r: r["region"]).items():
            days: list[Row] = []
            groups = sorted(grouped(samples, lambda r: day_of(r["at"])).items())
            for day, rows in groups:
                days.append({"day_bucket": day, "region": region, **_counts(rows)})
                week = sum(r["total_players"] for r in days[-7:])
                days[-1]["rolling_weekly_players"] = week
            found += days
        return found


DEFINITIONS = (
    "mv_player_summaries",
    "mv_server_uptime",
    "mv_map_mod_trends",
    "server_snapshot_rollups",
    "mv_player_advanced_metrics",
    "mv_player_map_mod_breakdowns",
    "player_session_heatmaps",
    "mv_server_population_trends",
    "mv_server_rotation_statistics",
    "mv_server_ping_distributions",
    "mv_server_leaderboards",
    "mv_global_activity_rollups",
    "mv_global_daily_trends",
    "mv_global_region_activity",
)


def _latest(rows: Sequence[Row], at: datetime) -> Row | None:
    """The last of *rows*, in order of their starts, that had begun at *at*."""
    begun = [row for row in rows if row["started_at"] <= at]
    return begun[-1] if begun else None


def _standing(player: Row) -> tuple[Any, ...]:
    figures = (-player[name] for name in ("score", "kills") if name in player)
    others = (player.get(name, 0) for name in ("deaths", "team", "ping"))
    return (*figures, *others)


def _known(name: str) -> str | None:
    return None if name == UNKNOWN else name


def _seen_parts(
    session: Row, seen: Sequence[tuple[datetime, str, Row]], rounds: Sequence[Row]
) -> list[Row]:
    """The parts of a session whose player was seen in reports."""
    groups: dict[tuple[str | None, str | None], list[tuple[datetime, str, Row]]]
    groups = defaultdict(list)
    for sighting in seen:
        begun = _latest(rounds, sighting[0])
        is_in = begun is not None and sighting[0] <= begun["until"]
        round_id = begun["round_id"] if is_in and begun else None
        groups[round_id, None if round_id else sighting[1]].append(sighting)
    ordered = sorted(groups.items(), key=lambda item: item[1][0][0])
    starts = [
        max(0, min(session["seconds"], (g[0][0] - session["started_at"]) // SECOND))
        for _, g in ordered
    ]
    starts = [0, *starts[1:], session["seconds"]]
    found = []
    for number, ((round_id, _), group) in enumerate(ordered):
        _, played, last = group[-1]
        found.append(
            {
                **session,
                "session": session,
                "round_id": round_id,
                "first_at": group[0][0],
                "map_name": played,
                **{n: last.get(n) for n in ("team", "kills", "deaths", "score")},
                "pings": [
                    float(g[2]["ping"]) for g in group if g[2]["ping"] is not None
                ],
                "seconds": starts[number + 1] - starts[number],
            }
        )
    return found


def _totals(rows: Sequence[Row]) -> Row:
    return {
        f"total_{name}": sum(r[name] or 0 for r in rows)
        for name in ("kills", "deaths", "score")
    }


def _ratio(rows: Sequence[Row]) -> float | None:
    totals = _totals(rows)
    deaths = totals["total_deaths"]
    return float(totals["total_kills"] / deaths) if deaths else None


def _per_minute(row: Row, name: str) -> float:
    return float(row[name] / (row["seconds"] / 60))


def _last_seen(rows: Iterable[Row]) -> datetime:
    ends: list[datetime] = [r["ended_at"] or r["started_at"] for r in rows]
    return max(ends)


def _counts(rows: Sequence[Row]) -> Row:
    counts = [r["player_count"] for r in rows]
    return {
        "total_players": sum(count or 0 for count in counts),
        "average_players": mean(counts),
        "peak_players": most(counts),
    }


def _board(amounts: Mapping[str, int], name: str, amount: str) -> list[Row]:
    return [{name: n, amount: a, "rank": rank} for n, a, rank in ranks(amounts)]


def _microseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _percentile(ordered: Sequence[float], share: float) -> float:
    """Interpolated between the two nearest values."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
