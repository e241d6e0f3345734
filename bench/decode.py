"""Lower bound: decode the columns that a case needs, each once, and nothing else."""

from collections.abc import Mapping

import polars as pl

from bench.cases import ALL, Answer, Dataset
from calculations.analytics import engine_for
from readmodel.store import snapshot

_SESSIONS = {
    "fpp_page_views": {"user_id", "viewed_at"},
    "fpp_estimations": {"user_id", "estimated_at"},
}

NEEDED: Mapping[str, Mapping[str, set[str]]] = {
    "traffic": _SESSIONS,
    "votes": {
        "fpp_votes": {
            "avg_estimation",
            "min_estimation",
            "max_estimation",
            "amount_of_estimations",
            "amount_of_spectators",
            "duration",
            "voted_at",
        },
        "fpp_estimations": {"estimation"},
    },
    "behaviour": {
        "fpp_page_views": {"route", "source"},
        "fpp_events": {"event"},
        "fpp_votes": {"room_id"},
        "fpp_rooms": {"id", "name"},
    },
    "location_and_user_agent": {
        "fpp_users": {"device", "os", "browser", "country", "region", "city"}
    },
    "historical": {
        "fpp_users": {"created_at"},
        "fpp_page_views": {"viewed_at"},
        "fpp_rooms": {"first_used_at"},
        "fpp_estimations": {"estimated_at"},
        "fpp_votes": {"voted_at"},
    },
    "reoccurring": {"fpp_estimations": {"user_id", "room_id", "estimated_at"}},
    "room_stats": {
        "fpp_votes": {
            "room_id",
            "avg_estimation",
            "min_estimation",
            "max_estimation",
            "amount_of_estimations",
            "amount_of_spectators",
            "duration",
        }
    },
    "daily": {
        "fpp_votes": {"room_id", "amount_of_estimations", "voted_at"},
        "fpp_page_views": {"user_id", "viewed_at"},
    },
}
"""Case -> table -> the columns that it cannot be computed without."""


def needed(case: str) -> dict[str, set[str]]:
    """Table -> columns of *case*; ALL needs those of every section."""
    if case != ALL:
        return dict(NEEDED[case])
    columns: dict[str, set[str]] = {}
    for name in NEEDED.keys() - {"room_stats", "daily"}:
        for table, some in NEEDED[name].items():
            columns[table] = columns.get(table, set()) | some
    return columns


class DecodeEngine:
    """Reads whole columns into memory, by the engine that the API would choose.

    Its answers are empty.
    """

    def __init__(self, data: Dataset) -> None:
        self._snapshot = snapshot.current(data.data_dir)
        self._engine = engine_for(self._snapshot.rows)

    def answer(self, case: str) -> Answer:
        """Decode the needed columns; return an empty answer."""
        pl.collect_all(
            [
                self._snapshot.scan(table).select(sorted(columns))
                for table, columns in needed(case).items()
            ],
            engine=self._engine,
        )
        return {}
