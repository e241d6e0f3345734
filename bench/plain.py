"""Plain Polars: read the needed columns, then the obvious group-by."""

from datetime import timedelta

import polars as pl

from bench.cases import ALL, PERIOD, SECTIONS, Answer, Dataset, combine
from bench.decode import needed
from calculations.sources import SOURCES
from readmodel.store import snapshot

type DataFrames = dict[str, pl.DataFrame]
"""Table, without its prefix -> its needed columns."""


class PlainEngine:
    """One function per case over data frames that are read for each answer."""

    def __init__(self, data: Dataset) -> None:
        self._snapshot = snapshot.current(data.data_dir)
        self._room_id = data.room_id

    def answer(self, case: str) -> Answer:
        """Read the needed columns and compute *case*; for ALL, every section in turn."""
        if case == ALL:
            return combine({section: self.answer(section) for section in SECTIONS})
        frames = {
            table.removeprefix("fpp_"): pl.read_parquet(
                self._snapshot.files(table), columns=sorted(columns)
            )
            for table, columns in needed(case).items()
        }
        if case == "room_stats":
            return room_stats(frames, self._room_id)
        return ANSWERS[case](frames)


def traffic(frames: DataFrames) -> Answer:
    """Visitors, page views, bounce rate and mean session length."""
    views, estimations = frames["page_views"], frames["estimations"]
    after = estimations.filter(pl.col("estimated_at") > PERIOD.history_start)
    activity = pl.concat(
        [
            views.filter(pl.col("viewed_at") > PERIOD.history_start).rename(
                {"viewed_at": "at"}
            ),
            after.rename({"estimated_at": "at"}),
        ],
        how="diagonal",
    ).sort("user_id", "at")
    pause = pl.col("at").diff().over("user_id")
    number = (pause > timedelta(minutes=10)).fill_null(True).cum_sum()
    sessions = (
        activity.with_columns(session=number)
        .group_by("session")
        .agg(length=pl.col("at").max() - pl.col("at").min() + timedelta(seconds=10))
    )
    unique_users = views["user_id"].n_unique()
    return {
        "unique_users": unique_users,
        "page_views": views.height,
        "bounce_rate": max(1 - after["user_id"].n_unique() / unique_users, 0),
        "average_duration": sessions["length"].dt.total_seconds().mean() / 60,  # type: ignore[operator]
    }


def votes(frames: DataFrames) -> Answer:
    """Totals, means, votes per weekday and estimations per value."""
    votes = frames["votes"]
    means = {
        "avg_estimations_per_vote": "amount_of_estimations",
        "avg_spectators_per_vote": "amount_of_spectators",
        "avg_estimation": "avg_estimation",
        "avg_min_estimation": "min_estimation",
        "avg_max_estimation": "max_estimation",
    }
    weekdays = (
        votes.group_by(
            number=pl.col("voted_at").dt.weekday(),
            key=pl.col("voted_at").dt.strftime("%A"),
        )
        .len("count")
        .sort("number")
    )
    values = frames["estimations"].drop_nulls("estimation").group_by("estimation")
    return {
        "total_votes": votes.height,
        "total_estimations": votes["amount_of_estimations"].sum(),
        "avg_duration_per_vote": votes["duration"].mean() / 60,  # type: ignore[operator]
        **{name: votes[column].mean() for name, column in means.items()},
        "weekday_counts": weekdays.select("key", "count").to_dicts(),
        "estimation_counts": values.len("count")
        .sort("estimation")
        .rename({"estimation": "key"})
        .to_dicts(),
    }


def behaviour(frames: DataFrames) -> Answer:
    """Page views per route and source, events, and votes per room name."""
    views, source = frames["page_views"], pl.col("source")
    category = pl.coalesce(
        pl.when(source.str.contains(pattern)).then(pl.lit(name))
        for name, pattern in SOURCES.items()
    ).fill_null("Other")
    sources = views.drop_nulls("source").select(key=category)
    rooms = frames["votes"].join(
        frames["rooms"], left_on="room_id", right_on="id", how="left"
    )
    return {
        "routes": _counts(views, "route").sort("key").to_dicts(),
        "events": _top(_counts(frames["events"], "event"), "key"),
        "sources": _top(_counts(sources, "key"), "key"),
        "rooms": _top(_counts(rooms, "name"), "key", limit=40),
    }


def location_and_user_agent(frames: DataFrames) -> Answer:
    """Users per device, OS, browser, country, region and city."""
    users = frames["users"]
    short = {
        name: _top(_counts(users, name), "key") for name in ("device", "os", "browser")
    }
    places = {
        f"country_{place}": _top(
            users.group_by("country", place).len("count"), "country", place, limit=40
        )
        for place in ("region", "city")
    }
    country = _top(_counts(users, "country"), "key", limit=40)
    return {**short, "country": country, **places}


def historical(frames: DataFrames) -> Answer:
    """Counts per listed day, running sums and moving averages."""
    days = _listed_days()
    for name, table, at in (
        ("new_users", "users", "created_at"),
        ("page_views", "page_views", "viewed_at"),
        ("rooms", "rooms", "first_used_at"),
        ("estimations", "estimations", "estimated_at"),
        ("votes", "votes", "voted_at"),
    ):
        counts = frames[table].group_by(date=pl.col(at).dt.date()).len(name)
        days = days.join(counts, on="date", how="left")
    counts_only = pl.exclude("date")
    rows = (
        days.sort("date")
        .with_columns(counts_only.fill_null(0).cast(pl.Int64))
        .with_columns(
            counts_only.cum_sum().name.prefix("acc_"),
            counts_only.rolling_mean(30).round(2).name.prefix("ma_"),
        )
    )
    return {"historical": rows.to_dicts()}


def reoccurring(frames: DataFrames) -> Answer:
    """Users and rooms that have returned, all and active, per listed day."""
    estimations = frames["estimations"].with_columns(
        date=pl.col("estimated_at").dt.date()
    )
    days = _listed_days()
    for key, name in (("user_id", "users"), ("room_id", "rooms")):
        days = days.join(_returns(estimations, key, name), on="date", how="left")
    return {"reoccurring": days.sort("date").with_columns(_zeros).to_dicts()}


_zeros = pl.exclude("date").fill_null(0)


def _returns(estimations: pl.DataFrame, key: str, name: str) -> pl.DataFrame:
    """Per calendar day: number of *key* that have returned, and that are active."""
    date = pl.col("date")
    visits = (
        estimations.select(key, "date")
        .unique()
        .join(_listed_days(), on="date", how="semi")
        .sort(key, "date")
        .with_columns(
            visit=pl.int_range(pl.len()).over(key),
            before=date.shift(1).over(key),
            after=date.shift(-1).over(key),
        )
        .filter(pl.col("visit") > 0)
    )
    lapse = timedelta(days=30)
    second = pl.col("visit") == 1
    came = visits.filter(second | (date - pl.col("before") > lapse))
    left = visits.filter((pl.col("after") - date > lapse).fill_null(True))
    changes = pl.concat(
        [
            came.select("date", known=second.cast(pl.Int64), active=pl.lit(1)),
            left.select(
                date + timedelta(days=31),
                known=pl.lit(0, pl.Int64),
                active=pl.lit(-1),
            ),
        ]
    )
    calendar_days = pl.date_range(PERIOD.start, PERIOD.today, eager=True).alias("date")
    return (
        calendar_days.to_frame()
        .join(changes.group_by("date").sum(), on="date", how="left")
        .sort("date")
        .select(
            "date",
            pl.col("known").fill_null(0).cum_sum().alias(f"reoccurring_{name}"),
            pl.col("active")
            .fill_null(0)
            .cum_sum()
            .alias(f"adjusted_reoccurring_{name}"),
        )
    )


def room_stats(frames: DataFrames, room_id: int) -> Answer:
    """Statistics of one room."""
    votes = frames["votes"].filter(pl.col("room_id") == room_id)
    return {
        "votes": votes.height,
        "duration": votes["duration"].mean(),
        "estimations": votes["amount_of_estimations"].sum(),
        "estimations_per_vote": votes["amount_of_estimations"].mean(),
        "avg_min_estimation": votes["min_estimation"].mean(),
        "avg_avg_estimation": votes["avg_estimation"].mean(),
        "avg_max_estimation": votes["max_estimation"].mean(),
        "spectators": votes["amount_of_spectators"].sum(),
        "spectators_per_vote": votes["amount_of_spectators"].mean(),
    }


def daily(frames: DataFrames) -> Answer:
    """Figures of the last 24 hours."""
    since = PERIOD.now - timedelta(hours=24)
    votes = frames["votes"].filter(pl.col("voted_at") > since)
    views = frames["page_views"].filter(pl.col("viewed_at") > since)
    return {
        "votes": votes.height,
        "estimations": votes["amount_of_estimations"].sum(),
        "rooms": votes["room_id"].n_unique(),
        "unique_users": views["user_id"].n_unique(),
        "page_views": views.height,
    }


def _listed_days() -> pl.DataFrame:
    days = pl.date_range(PERIOD.start, PERIOD.today, eager=True).alias("date")
    return days.to_frame().filter(pl.col("date").dt.weekday() <= 5)


def _counts(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    key = pl.col(column).fill_null("Unknown")
    return rows.group_by(key=key).len("count")


def _top(
    counts: pl.DataFrame, *keys: str, limit: int | None = None
) -> list[dict[str, object]]:
    descending = [True, *(False for _ in keys)]
    return (
        counts.sort("count", *keys, descending=descending, nulls_last=True)
        .head(limit or counts.height)
        .to_dicts()
    )


ANSWERS = {
    "traffic": traffic,
    "votes": votes,
    "behaviour": behaviour,
    "location_and_user_agent": location_and_user_agent,
    "historical": historical,
    "reoccurring": reoccurring,
    "daily": daily,
}
