"""The same answers by plain Polars: read the columns, group by the obvious thing."""

from datetime import timedelta

import polars as pl

from bench.cases import ALL, OPENS, PERIOD, SECTIONS, Asked, Row, together
from bench.decode import needed
from calculations.behaviour import SOURCES
from readmodel.store import snapshot

type Frames = dict[str, pl.DataFrame]


class Plain:
    """A function per question over the frames that it needs, read anew each time."""

    def __init__(self, asked: Asked) -> None:
        self._snapshot = snapshot.current(asked.data_dir)
        self._room_id = asked.room_id

    def ask(self, question: str) -> Row:
        if question == ALL:
            return together({section: self.ask(section) for section in SECTIONS})
        frames = {
            table.removeprefix("fpp_"): pl.read_parquet(
                self._snapshot.files(table), columns=sorted(columns)
            )
            for table, columns in needed(question).items()
        }
        match question:
            case "room_stats":
                return room_stats(frames, self._room_id)
            case _:
                return ANSWERS[question](frames)


def traffic(frames: Frames) -> Row:
    views, estimations = frames["page_views"], frames["estimations"]
    after = estimations.filter(pl.col("estimated_at") > OPENS)
    activity = pl.concat(
        [
            views.filter(pl.col("viewed_at") > OPENS).rename({"viewed_at": "at"}),
            after.rename({"estimated_at": "at"}),
        ],
        how="diagonal",
    ).sort("user_id", "at")
    pause = pl.col("at").diff().over("user_id")
    number = (pause > timedelta(minutes=10)).fill_null(True).cum_sum()
    sessions = (
        activity.with_columns(session=number)
        .group_by("session")
        .agg(lasting=pl.col("at").max() - pl.col("at").min() + timedelta(seconds=10))
    )
    unique_users = views["user_id"].n_unique()
    return {
        "unique_users": unique_users,
        "page_views": views.height,
        "bounce_rate": max(1 - after["user_id"].n_unique() / unique_users, 0),
        "average_duration": sessions["lasting"].dt.total_seconds().mean() / 60,  # type: ignore[operator]
    }


def votes(frames: Frames) -> Row:
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


def behaviour(frames: Frames) -> Row:
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
        "events": _largest(_counts(frames["events"], "event"), "key"),
        "sources": _largest(_counts(sources, "key"), "key"),
        "rooms": _largest(_counts(rooms, "name"), "key", top=40),
    }


def location_and_user_agent(frames: Frames) -> Row:
    users = frames["users"]
    short = {
        name: _largest(_counts(users, name), "key")
        for name in ("device", "os", "browser")
    }
    places = {
        f"country_{place}": _largest(
            users.group_by("country", place).len("count"), "country", place, top=40
        )
        for place in ("region", "city")
    }
    country = _largest(_counts(users, "country"), "key", top=40)
    return {**short, "country": country, **places}


def historical(frames: Frames) -> Row:
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


def reoccurring(frames: Frames) -> Row:
    estimations = frames["estimations"].with_columns(
        date=pl.col("estimated_at").dt.date()
    )
    days = _listed_days()
    for who, name in (("user_id", "users"), ("room_id", "rooms")):
        days = days.join(_returns(estimations, who, name), on="date", how="left")
    return {"reoccurring": days.sort("date").with_columns(_zeros).to_dicts()}


_zeros = pl.exclude("date").fill_null(0)


def _returns(estimations: pl.DataFrame, who: str, name: str) -> pl.DataFrame:
    """Per calendar day: who is known to return by then, and who is still active."""
    date = pl.col("date")
    seen = (
        estimations.select(who, "date")
        .unique()
        .join(_listed_days(), on="date", how="semi")
        .sort(who, "date")
        .with_columns(
            visit=pl.int_range(pl.len()).over(who),
            before=date.shift(1).over(who),
            after=date.shift(-1).over(who),
        )
        .filter(pl.col("visit") > 0)
    )
    lapse = timedelta(days=30)
    second = pl.col("visit") == 1
    came = seen.filter(second | (date - pl.col("before") > lapse))
    went = seen.filter((pl.col("after") - date > lapse).fill_null(True))
    changes = pl.concat(
        [
            came.select("date", known=second.cast(pl.Int64), active=pl.lit(1)),
            went.select(
                date + timedelta(days=31),
                known=pl.lit(0, pl.Int64),
                active=pl.lit(-1),
            ),
        ]
    )
    every_day = pl.date_range(PERIOD.start, PERIOD.today, eager=True).alias("date")
    return (
        every_day.to_frame()
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


def room_stats(frames: Frames, room_id: int) -> Row:
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


def daily(frames: Frames) -> Row:
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


def _largest(
    counts: pl.DataFrame, *keys: str, top: int | None = None
) -> list[dict[str, object]]:
    descending = [True, *(False for _ in keys)]
    return (
        counts.sort("count", *keys, descending=descending, nulls_last=True)
        .head(top or counts.height)
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
