"""A sample of Free Planning Poker's six tables, of any size, from one seed.

Teams hold meetings in rooms. Guests of a meeting open pages and estimate in its votes;
other visitors only look around. All tables derive from these meetings and casual
visits, so that they are consistent as in the real database.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import polars as pl

from demo.dice import Dice
from demo.vocabulary import (
    BROWSERS,
    DEVICES,
    FURTHER_SOURCES,
    PLACES,
    ROOM_NAMES,
    SIDE_ROUTES,
    SOURCES,
    SYSTEMS,
)
from demo.workdays import OPENING, instants

SEED: Final = 20240603
"""The sample depends on it and on the names of the dice's streams."""

MEETINGS: Final = 5_050
CASUAL_VISITS: Final = 6_500
"""At scale 1."""

NEW_TEAM: Final = 0.22
NEW_ROOM_OF_OLD_TEAM: Final = 0.37
"""Shares of the meetings."""

LARGEST_TEAM: Final = 7
SECONDS_PER_VOTE: Final = 210
CARDS: Final = pl.Series([1, 2, 3, 5, 8, 13, 21, 34, 55], dtype=pl.Int16)


@dataclass(frozen=True, slots=True)
class _History:
    """The events that every table derives from."""

    now: datetime
    dice: Dice
    ids: pl.Series
    """User ids by guest number."""

    meetings: pl.DataFrame
    """Columns meeting, at, team, room, new_room, size, votes."""

    visits: pl.DataFrame
    """A row per meeting and guest: its columns, slot, visit, guest, arrived, spectator."""

    casual: pl.DataFrame
    """Visits without a meeting: columns arrived, guest."""


def sample(
    now: datetime, scale: float = 1, seed: int = SEED
) -> dict[str, pl.DataFrame]:
    """Return the six tables by name, about 130,000 rows times *scale*, until *now*.

    Timestamps are ``Datetime("us", "UTC")`` in whole seconds; integer ids ascend with
    time. *now* must be aware. Raises ValueError if it is not later than OPENING.
    """
    now = now.astimezone(UTC).replace(microsecond=0)
    if now <= OPENING:
        raise ValueError(f"the sample begins at {OPENING}, so now must be later")
    history = _history(now, scale, Dice(seed))
    participants = _vote_participants(history)
    votes = _votes(history, participants)
    views = _page_views(history)
    return {
        "fpp_estimations": _estimations(history, participants),
        "fpp_events": _events(history),
        "fpp_page_views": views,
        "fpp_rooms": _rooms(history, votes),
        "fpp_users": _users(history, views),
        "fpp_votes": votes,
    }


def _history(now: datetime, scale: float, dice: Dice) -> _History:
    meetings = _meetings(max(1, round(MEETINGS * scale)), now, dice)
    team_guests = (meetings["team"].n_unique()) * LARGEST_TEAM
    casual = _casual_visits(
        max(1, round(CASUAL_VISITS * scale)), team_guests, now, dice
    )
    guests = team_guests + len(casual)
    ids = pl.select(n=pl.int_range(guests)).select(dice.nanoid(pl.col("n")))
    return _History(
        now, dice, ids.to_series(), meetings, _visits(meetings, dice), casual
    )


def _meetings(count: int, now: datetime, dice: Dice) -> pl.DataFrame:
    """Meetings of old and new teams, in the latest room of the team or in a new one."""
    first = pl.int_range(pl.len()) == 0
    founded = pl.col("founded").cum_sum().cast(pl.Int64)
    recent = 1 - dice.share("which old team") ** 2
    size = 2 + dice.share("team size", pl.col("team")) ** 1.2 * (LARGEST_TEAM - 1)
    return (
        pl.DataFrame({"at": instants(count, now, dice, "meetings")})
        .with_columns(founded=first | (dice.share("new team") < NEW_TEAM))
        .with_columns(
            team=pl.when("founded")
            .then(founded - 1)
            .otherwise((founded * recent).floor().cast(pl.Int64).clip(0, founded - 1)),
            new_room=pl.col("founded")
            | (dice.share("another room") < NEW_ROOM_OF_OLD_TEAM),
        )
        .with_columns(opened=pl.col("new_room").cum_sum().cast(pl.Int32))
        .with_columns(
            room=pl.when("new_room").then("opened").forward_fill().over("team"),
            size=size.floor().cast(pl.Int64).clip(2, LARGEST_TEAM),
            votes=1 + (dice.share("votes") ** 2 * 5.3).floor().cast(pl.Int64),
            meeting=pl.int_range(pl.len()),
        )
        .drop("founded", "opened")
    )


def _visits(meetings: pl.DataFrame, dice: Dice) -> pl.DataFrame:
    host = pl.col("slot") == 0
    arrival = dice.below(150, "arrival", pl.col("visit"))
    return (
        meetings.with_columns(slot=pl.int_ranges("size"))
        .explode("slot")
        .with_columns(
            visit=pl.col("meeting") * LARGEST_TEAM + pl.col("slot"),
            guest=pl.col("team") * LARGEST_TEAM + pl.col("slot"),
        )
        .filter(host | (dice.share("came", pl.col("visit")) < 0.85))
        .with_columns(
            arrived=pl.col("at") + pl.duration(seconds=arrival),
            spectator=~host & (dice.share("spectates", pl.col("visit")) < 0.1),
        )
    )


def _casual_visits(
    count: int, first_guest: int, now: datetime, dice: Dice
) -> pl.DataFrame:
    """Visits of people who only look around; some of them come back."""
    met = pl.int_range(pl.len())
    back = dice.share("strolls again") < 0.35
    old = (met * dice.share("which stroller")).floor().cast(pl.Int64)
    return pl.DataFrame(
        {"arrived": instants(count, now, dice, "strolls")}
    ).with_columns(guest=first_guest + pl.when(back).then(old).otherwise(met))


def _vote_participants(history: _History) -> pl.DataFrame:
    """A row per vote and participant: time, estimation (null for spectators)."""
    dice, key = history.dice, pl.col("vote") * LARGEST_TEAM + pl.col("slot")
    card = (
        (dice.share("difficulty", pl.col("vote")) ** 1.3 * 7).cast(pl.Int64)
        + dice.below(3, "opinion", key)
    ).clip(0, len(CARDS) - 1)
    early = (dice.share("thought", key) * pl.col("duration") * 0.8).cast(pl.Int64)
    people = history.visits.select("meeting", "room", "slot", "guest", "spectator")
    return (
        _ballots(history)
        .join(people, on="meeting", maintain_order="left_right")
        .select(
            "vote",
            "room",
            "voted_at",
            "duration",
            "guest",
            "spectator",
            estimation=pl.when(~pl.col("spectator")).then(pl.lit(CARDS).gather(card)),
            at=pl.col("voted_at") - pl.duration(seconds=early),
        )
    )


def _ballots(history: _History) -> pl.DataFrame:
    """A row per vote of a meeting: vote, meeting, voted_at, duration in seconds."""
    turn, vote = pl.col("turn"), pl.col("vote")
    jitter = history.dice.below(120, "pause", vote)
    after = (turn + 1) * SECONDS_PER_VOTE + jitter
    thinking = 6 + history.dice.share("thinking", vote) ** 3 * 200
    return (
        history.meetings.select("meeting", "at", turn=pl.int_ranges("votes"))
        .explode("turn")
        .with_row_index("vote")
        .select(
            pl.col("vote").cast(pl.Int64),
            "meeting",
            duration=thinking.cast(pl.Int16),
            voted_at=pl.col("at") + pl.duration(seconds=after),
        )
    )


def _votes(history: _History, participants: pl.DataFrame) -> pl.DataFrame:
    guess = pl.col("estimation")
    tallied = (
        participants.group_by("vote")
        .agg(
            pl.col("room").first().alias("room_id"),
            guess.mean().round(2).cast(pl.Decimal(4, 2)).alias("avg_estimation"),
            guess.max().alias("max_estimation"),
            guess.min().alias("min_estimation"),
            guess.count().cast(pl.Int16).alias("amount_of_estimations"),
            guess.null_count().cast(pl.Int16).alias("amount_of_spectators"),
            pl.col("duration").first(),
            pl.col("voted_at").first(),
        )
        .sort("vote")
    )
    return _numbered(tallied.drop("vote"), "voted_at", history.now)


def _estimations(history: _History, participants: pl.DataFrame) -> pl.DataFrame:
    rows = participants.select(
        user_id=pl.lit(history.ids).gather("guest"),
        room_id="room",
        estimation="estimation",
        spectator="spectator",
        estimated_at="at",
    )
    return _numbered(rows, "estimated_at", history.now)


def _page_views(history: _History) -> pl.DataFrame:
    """Guests open the room, often from the home page; others open a few pages."""
    dice = history.dice
    before = (dice.share("came by home page") < 0.46).cast(pl.Int64)
    after = (dice.share("looked around") < 0.13).cast(pl.Int64)
    guests = history.visits.select(
        "guest", "room", "arrived", lead=before, count=before + 1 + after
    )
    wandering = 1 + (dice.share("wandered") ** 1.5 * 3.6).floor().cast(pl.Int64)
    others = history.casual.select(
        "guest",
        pl.lit(None, pl.Int32).alias("room"),
        "arrived",
        lead=pl.lit(-1, pl.Int64),
        count=wandering,
    )
    return _numbered(
        _opened(pl.concat([guests, others]), history), "viewed_at", history.now
    )


def _opened(paths: pl.DataFrame, history: _History) -> pl.DataFrame:
    """A row per page view of each path (columns guest, room, arrived, lead, count)."""
    dice, step = history.dice, pl.col("step")
    in_room = step == pl.col("lead")
    reading = step * (8 + dice.share("reading") ** 2 * 220)
    return (
        paths.with_columns(step=pl.int_ranges("count"))
        .explode("step")
        .select(
            user_id=pl.lit(history.ids).gather("guest"),
            source=pl.when(step == 0)
            .then(dice.word(SOURCES, "source"))
            .otherwise(dice.word(FURTHER_SOURCES, "further source")),
            route=pl.when(in_room)
            .then(pl.lit("ROOM"))
            .when((step == 0) & (dice.share("deep link") < 0.9))
            .then(pl.lit("HOME"))
            .otherwise(dice.word(SIDE_ROUTES, "side route")),
            room_id=pl.when(in_room).then("room"),
            viewed_at=pl.col("arrived") + pl.duration(seconds=reading.cast(pl.Int64)),
        )
    )


def _events(history: _History) -> pl.DataFrame:
    dice, visits, casual = history.dice, history.visits, history.casual
    host_of_new = (pl.col("slot") == 0) & pl.col("new_room")
    return _numbered(
        pl.concat(
            [
                _event(
                    visits.filter(dice.share("enters") < 0.62),
                    _entrance(dice),
                    25,
                    history,
                ),
                _event(
                    visits.filter(dice.share("leaves") < 0.28),
                    "LEFT_ROOM",
                    1500,
                    history,
                ),
                _event(
                    visits.filter(host_of_new & (dice.share("copies") < 0.75)),
                    "COPIED_ROOM_LINK",
                    40,
                    history,
                ),
                _event(
                    visits.filter(host_of_new & (dice.share("renames") < 0.45)),
                    "CHANGED_ROOM_NAME",
                    60,
                    history,
                ),
                _event(
                    casual.filter(dice.share("writes") < 0.02),
                    "CONTACT_FORM_SUBMISSION",
                    120,
                    history,
                ),
            ]
        ),
        "event_at",
        history.now,
    )


def _event(
    people: pl.DataFrame, event: str | pl.Expr, delay_seconds: int, history: _History
) -> pl.DataFrame:
    delay = history.dice.below(delay_seconds, "delay", pl.col("guest")) + 5
    return people.select(
        user_id=pl.lit(history.ids).gather("guest"),
        event=pl.lit(event) if isinstance(event, str) else event,
        event_at=pl.col("arrived") + pl.duration(seconds=delay),
    )


def _entrance(dice: Dice) -> pl.Expr:
    host = pl.col("slot") == 0
    half = dice.share("kind of entrance") < 0.5
    return (
        pl.when(host & pl.col("new_room") & half)
        .then(pl.lit("ENTERED_RANDOM_ROOM"))
        .when(host & pl.col("new_room"))
        .then(pl.lit("ENTERED_NEW_ROOM"))
        .when(~pl.col("new_room") & half)
        .then(pl.lit("ENTERED_RECENT_ROOM"))
        .otherwise(pl.lit("ENTERED_EXISTING_ROOM"))
    )


def _rooms(history: _History, votes: pl.DataFrame) -> pl.DataFrame:
    """All rooms but one in a hundred, which was deleted while its votes remain."""
    dice, room = history.dice, pl.col("id")
    last_vote = votes.group_by(id="room_id").agg(voted=pl.col("voted_at").max())
    return (
        history.meetings.group_by(id="room")
        .agg(first_used_at=pl.col("at").min(), met=pl.col("at").max())
        .filter(dice.share("gone", room) >= 0.01)
        .join(last_vote, on="id", how="left")
        .sort("id")
        .select(
            "id",
            number=100_000 + dice.below(900_000, "number", room).cast(pl.Int32),
            name=dice.word(ROOM_NAMES, "room name", room),
            first_used_at="first_used_at",
            last_used_at=pl.max_horizontal("met", "voted"),
        )
    )


def _users(history: _History, views: pl.DataFrame) -> pl.DataFrame:
    """A row per user who opened a page, created at the first page view."""
    dice = history.dice
    desktop = pl.col("device").fill_null("desktop") == "desktop"
    country, region, city, weights = zip(*PLACES, strict=True)
    place = dice.position(weights, "place")
    return (
        views.group_by("user_id", maintain_order=True)
        .agg(created_at=pl.col("viewed_at").min())
        .with_columns(device=dice.word(DEVICES, "device"), place=place)
        .select(
            "device",
            *(
                pl.when(desktop)
                .then(dice.word(words["desktop"], name))
                .otherwise(dice.word(words["mobile"], name))
                .alias(name)
                for name, words in (("os", SYSTEMS), ("browser", BROWSERS))
            ),
            *(
                pl.lit(pl.Series(name, column)).gather("place").alias(name)
                for name, column in (
                    ("country", country),
                    ("region", region),
                    ("city", city),
                )
            ),
            "created_at",
            id="user_id",
        )
        .select("id", pl.exclude("id"))
    )


def _numbered(rows: pl.DataFrame, at: str, now: datetime) -> pl.DataFrame:
    """Rows until *now*, with ascending ids in order of time."""
    return (
        rows.filter(pl.col(at) <= now)
        .sort(at, maintain_order=True)
        .select(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).alias("id"), pl.all())
    )
