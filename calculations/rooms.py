"""Rooms: a list with figures to search, and one room over time."""

from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from calculations.filters import RoomState
from calculations.period import Interval, Period
from calculations.shapes import as_list, as_struct, hstack, mean, ratio, total
from calculations.tables import Tables

_INSTANT = pl.Datetime("us", "UTC")


class RoomOrder(StrEnum):
    """Order of rooms: ascending, or descending with a minus."""

    LAST_VOTE = "last_vote"
    LAST_VOTE_DESCENDING = "-last_vote"
    VOTES = "votes"
    VOTES_DESCENDING = "-votes"
    NAME = "name"
    NAME_DESCENDING = "-name"


@dataclass(frozen=True, slots=True)
class RoomSearch:
    """Which rooms to return.

    Attributes:
        text: part of a name, in any case, or a number or an id; empty for all rooms.
        limit: number of rooms at most.
        offset: rooms to skip.
    """

    text: str
    order: RoomOrder
    limit: int
    offset: int


def room_list(tables: Tables, period: Period, search: RoomSearch) -> pl.LazyFrame:
    """One row: ``total`` (Int64), and the list ``rows`` shaped like RoomRow.

    All rooms that are in the table of rooms or in votes, with figures of the range;
    ``last_vote_at`` is of all time.
    """
    found = _known_rooms(tables).filter(_finds(search.text)).cache()
    votes = tables.votes
    last = votes.group_by("room_id").agg(last_vote_at=pl.col("voted_at").max())
    figures = (
        period.filter(votes, "voted_at")
        .group_by("room_id")
        .agg(votes=pl.len().cast(pl.Int64), **_agreement())
    )
    members = (
        period.filter(tables.estimated, "estimated_at")
        .group_by("room_id")
        .agg(members=pl.col("visitor").drop_nulls().n_unique().cast(pl.Int64))
    )
    rows = found
    for columns in (last, figures, members):
        with_id = columns.with_columns(_id("room_id"))
        rows = rows.join(with_id, on="room_id", how="left")
    order = search.order.removeprefix("-").replace("last_vote", "last_vote_at")
    listed = (
        rows.with_columns(pl.col("votes", "members").fill_null(0))
        .sort(
            order,
            "room_id",
            descending=[search.order.startswith("-"), False],
            nulls_last=True,
        )
        .slice(search.offset, search.limit)
        .select(
            "room_id",
            "name",
            "number",
            "state",
            "votes",
            "members",
            "avg_spread",
            "unanimous",
            "last_vote_at",
        )
    )
    return hstack(found.select(total=pl.len().cast(pl.Int64)), as_list("rows", listed))


def room_details(tables: Tables, room_id: int, period: Period) -> pl.LazyFrame:
    """One row about one room; shaped like RoomAnswer's figures, without ``stats``.

    ``known`` (Boolean) is false if the room is in no table. Columns of the room itself
    are null then, or if it is deleted.
    """
    rooms = tables.rooms.filter(pl.col("id") == room_id)
    votes = _of_room(tables.votes, room_id)
    estimated = _of_room(tables.estimated, room_id)
    in_range = period.filter(votes, "voted_at")
    columns = rooms.collect_schema()
    room = rooms.select(
        in_rooms=pl.len() > 0,
        name=pl.col("name").cast(pl.String).first(),
        number=_number(columns).first(),
        first_used_at=pl.col("first_used_at").first(),
    )
    history = hstack(
        votes.select(
            all_votes=pl.len().cast(pl.Int64),
            first_vote_at=pl.col("voted_at").min(),
            last_vote_at=pl.col("voted_at").max(),
        ),
        estimated.select(all_estimations=pl.len().cast(pl.Int64)),
    )
    members = period.filter(estimated, "estimated_at").select(
        members=pl.col("visitor").drop_nulls().n_unique().cast(pl.Int64)
    )
    agreement = in_range.select(
        **_agreement(), max_spread=_spread().max().cast(pl.Float64)
    )
    return hstack(
        room,
        history,
        members,
        as_struct("agreement", agreement),
        as_struct("pace", _pace(in_range, period)),
        as_list("series", _series(in_range, period)),
    )


def _known_rooms(tables: Tables) -> pl.LazyFrame:
    """Every room: ``room_id`` (Int128), ``name``, ``number``, ``state``."""
    name = pl.col("name").cast(pl.String)
    named = pl.when(name.is_null()).then(pl.lit(RoomState.UNNAMED.value))
    rooms = tables.rooms.select(
        room_id=_id("id"),
        name=name,
        number=_number(tables.rooms.collect_schema()),
        state=named.otherwise(pl.lit(RoomState.NAMED.value)),
    )
    deleted = (
        tables.votes.select("room_id")
        .drop_nulls()
        .unique()
        .select(_id("room_id"))
        .join(rooms, on="room_id", how="anti")
        .select(
            "room_id",
            name=pl.lit(None, pl.String),
            number=pl.lit(None, pl.Int128),
            state=pl.lit(RoomState.DELETED.value),
        )
    )
    return pl.concat([rooms, deleted])


def _finds(text: str) -> pl.Expr:
    if not text:
        return pl.lit(True)
    name = pl.col("name").str.to_lowercase()
    by_name = name.str.contains(text.lower(), literal=True).fill_null(False)
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        return by_name
    number = int(text)
    by_number = (pl.col("number") == number).fill_null(False)
    return by_name | by_number | (pl.col("room_id") == number)


def _id(column: str) -> pl.Expr:
    """An id as Int128, which holds every integer of a database."""
    return pl.col(column).cast(pl.Int128)


def _number(columns: pl.Schema) -> pl.Expr:
    """The number in a room's address; null if it is not mirrored."""
    if "number" in columns:
        return pl.col("number").cast(pl.Int128)
    return pl.lit(None, pl.Int128)


def _of_room(rows: pl.LazyFrame, room_id: int) -> pl.LazyFrame:
    return rows.filter(pl.col("room_id") == room_id)


def _spread() -> pl.Expr:
    """Highest minus lowest estimation of a vote."""
    highest, lowest = (
        pl.col(name).cast(pl.Float64) for name in ("max_estimation", "min_estimation")
    )
    return highest - lowest


def _agreement() -> dict[str, pl.Expr]:
    """Mean spread, and share of votes without any; null without votes."""
    return {
        "avg_spread": _spread().mean(),
        "unanimous": (_spread() == 0).mean(),
    }


def _pace(votes: pl.LazyFrame, period: Period) -> pl.LazyFrame:
    """One row: ``meetings`` (days with a vote) and the means of RoomPace."""
    days = votes.select(day=period.day_of("voted_at")).drop_nulls()
    meetings = pl.col("day").n_unique().cast(pl.Int64)
    gap = (pl.col("day").max() - pl.col("day").min()).dt.total_days()
    return days.select(
        meetings=meetings,
        votes_per_meeting=ratio(pl.len(), meetings),
        days_between_meetings=pl.when(meetings > 1).then(gap / (meetings - 1)),
    )


def _series(votes: pl.LazyFrame, period: Period) -> pl.LazyFrame:
    """Votes per day, week or month with a vote, ascending by ``date``."""
    day = period.day_of("voted_at")
    lengths = {Interval.WEEK: "1w", Interval.MONTH: "1mo"}
    if length := lengths.get(period.interval):
        day = day.dt.truncate(length)
    return (
        votes.with_columns(date=day)
        .drop_nulls("date")
        .group_by("date")
        .agg(
            votes=pl.len().cast(pl.Int64),
            estimations=total("amount_of_estimations"),
            **_agreement(),
            duration=mean("duration"),
        )
        .sort("date")
    )
