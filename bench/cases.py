"""The questions that every engine is asked, and the shape of each answer.

An answer is one row as a dict; validated as its shape it is the same whoever gave it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import BaseModel

from bench.data import NOW
from calculations import results
from calculations.period import Period
from readmodel.store import snapshot

type Row = Mapping[str, Any]

PERIOD = Period(start=date(2024, 6, 3), now=NOW, zone=ZoneInfo("UTC"))
OPENS = datetime.combine(PERIOD.start, time(), PERIOD.zone)

FEW_VOTES = 5


class Historical(results.Result):
    """The historical section by itself."""

    historical: list[results.HistoricalRow]


class Reoccurring(results.Result):
    """The reoccurring section by itself."""

    reoccurring: list[results.ReoccurringRow]


_SECTIONS: Mapping[str, type[BaseModel]] = {
    "traffic": results.Traffic,
    "votes": results.Votes,
    "behaviour": results.Behaviour,
    "location_and_user_agent": results.LocationAndUserAgent,
    "historical": Historical,
    "reoccurring": Reoccurring,
}

SECTIONS = _SECTIONS.keys()
"""What `GET /` is made of."""

FLAT = {"historical", "reoccurring"}
"""Sections that are one list, and no object, in the answer to ALL."""

ALL = "analytics"
"""All sections side by side, as `GET /` answers them."""

SHAPES: Mapping[str, type[BaseModel]] = {
    **_SECTIONS,
    "room_stats": results.RoomStats,
    "daily": results.Daily,
    ALL: results.Analytics,
}
"""Every question, and the shape of its answer."""

TITLES = {
    "location_and_user_agent": "location",
    "room_stats": "room statistics",
    "daily": "last 24 hours",
    ALL: "**all of `GET /`**",
}
"""What people call a question, where its name does not do."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Where the answers are to be found, and what is asked for besides PERIOD."""

    data_dir: Path
    room_id: int


class Engine(Protocol):
    """Something that can answer; made once per process, with its files open."""

    def ask(self, question: str) -> Row:
        """The answer to one of SHAPES, computed anew."""
        ...


def asked(data_dir: Path) -> Asked:
    """Ask for a room in the middle with FEW_VOTES votes."""
    votes = snapshot.current(data_dir).scan("fpp_votes")
    rooms = votes.group_by("room_id").len().filter(pl.col("len") == FEW_VOTES)
    ids = rooms.sort("room_id").collect()["room_id"]
    return Asked(data_dir, int(ids[len(ids) // 2]))


def together(section: Mapping[str, Row]) -> Row:
    """The answers to SECTIONS as the answer to ALL."""
    return {
        name: row[name] if name in FLAT else dict(row) for name, row in section.items()
    }


def told(question: str, row: Row) -> str:
    """*row* as the JSON that the API would send: equal texts are equal answers."""
    return SHAPES[question].model_validate(row).model_dump_json()
