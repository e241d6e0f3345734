"""The cases that every engine computes, and the model of each answer.

An answer is one row as a mapping. Validated by its model and encoded as JSON, equal
answers are equal texts, whichever engine computed them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import BaseModel

from bench.data import NOW
from calculations import results
from calculations.analytics import SERIES
from calculations.period import Period
from readmodel.store import snapshot

type Answer = Mapping[str, Any]

PERIOD = Period(start=date(2024, 6, 3), now=NOW, zone=ZoneInfo("UTC"))

FEW_VOTES = 5
"""Votes of the room in the case ``room_stats``."""


class HistoricalAnswer(results.Result):
    """The historical section alone."""

    historical: list[results.HistoricalRow]


class ReoccurringAnswer(results.Result):
    """The reoccurring section alone."""

    reoccurring: list[results.ReoccurringRow]


_SECTIONS: Mapping[str, type[BaseModel]] = {
    "traffic": results.Traffic,
    "votes": results.Votes,
    "behaviour": results.Behaviour,
    "location_and_user_agent": results.LocationAndUserAgent,
    "historical": HistoricalAnswer,
    "reoccurring": ReoccurringAnswer,
}

SECTIONS = _SECTIONS.keys()
"""Cases that are a section of `GET /`."""

FILTERED_SECTIONS = ("traffic", "location_and_user_agent", "reoccurring")
"""Sections to which a filter of users applies as a whole."""

ALL = "analytics"
"""The case with all sections, as `GET /` returns them."""

MODELS: Mapping[str, type[BaseModel]] = {
    **_SECTIONS,
    "room_stats": results.RoomStats,
    "daily": results.Daily,
    ALL: results.Analytics,
}
"""Case -> model of its answer."""

TITLES = {
    "location_and_user_agent": "location",
    "room_stats": "room statistics",
    "daily": "last 24 hours",
    ALL: "**all of `GET /`**",
}
"""Case -> its title in tables, if that is not its name."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A read model, and the room whose statistics are computed."""

    data_dir: Path
    room_id: int


class Engine(Protocol):
    """Computes answers. Created once per process, with its files open."""

    def answer(self, case: str) -> Answer:
        """Compute the answer to one of MODELS."""
        ...


def dataset(data_dir: Path) -> Dataset:
    """The read model in *data_dir*, and the middle room among those with FEW_VOTES."""
    votes = snapshot.current(data_dir).scan("fpp_votes")
    rooms = votes.group_by("room_id").len().filter(pl.col("len") == FEW_VOTES)
    ids = rooms.sort("room_id").collect()["room_id"]
    return Dataset(data_dir, int(ids[len(ids) // 2]))


def combine(sections: Mapping[str, Answer]) -> Answer:
    """Combine the answers to SECTIONS into the answer to ALL."""
    return {
        name: answer[name] if name in SERIES else dict(answer)
        for name, answer in sections.items()
    }


def to_json(case: str, answer: Answer) -> str:
    """The JSON text that the API would send for *answer*."""
    return MODELS[case].model_validate(answer).model_dump_json()
