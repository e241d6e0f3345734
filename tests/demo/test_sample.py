"""The sample: realistic, consistent and repeatable."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from demo.dice import Dice
from demo.sample import sample
from demo.schema import COLUMNS
from demo.workdays import OPENING
from readmodel.tables import TABLES
from tests.support.effort import some_long

NOW = datetime(2026, 11, 20, 15, 30, 12, tzinfo=UTC)
TIME_COLUMNS = {
    "fpp_estimations": "estimated_at",
    "fpp_events": "event_at",
    "fpp_page_views": "viewed_at",
    "fpp_rooms": "first_used_at",
    "fpp_users": "created_at",
    "fpp_votes": "voted_at",
}


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    """The sample at scale 1."""
    return sample(NOW)


def test_random_bits_are_splitmix64() -> None:
    """The numbers are those of the published algorithm, from a state of zero."""
    bits = Dice(0).bits("", counter=pl.lit(pl.Series([1, 2, 3])))
    assert pl.select(bits).to_series().to_list() == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
    ]


def test_the_tables_have_the_sizes_that_the_benchmark_assumes(
    tables: dict[str, pl.DataFrame],
) -> None:
    """At scale 1 there are about 130,000 rows, spread as in the real database."""
    sizes = {name: rows.height for name, rows in tables.items()}
    assert sizes == pytest.approx(
        {
            "fpp_estimations": 45_000,
            "fpp_events": 20_000,
            "fpp_page_views": 42_000,
            "fpp_rooms": 2_500,
            "fpp_users": 9_000,
            "fpp_votes": 12_000,
        },
        rel=0.08,
    )
    assert sum(sizes.values()) == pytest.approx(130_000, rel=0.02)


def test_scale_multiplies_the_rows() -> None:
    """A tenth of the scale gives about a tenth of the rows."""
    rows = sum(table.height for table in sample(NOW, scale=0.1).values())
    assert rows == pytest.approx(13_000, rel=0.1)


def test_a_seed_gives_the_same_sample_and_another_seed_another() -> None:
    """The sample is a function of now, scale and seed."""
    first, again = sample(NOW, 0.05, seed=7), sample(NOW, 0.05, seed=7)
    for name in TABLES:
        assert_frame_equal(first[name], again[name])
    assert not first["fpp_votes"].equals(sample(NOW, 0.05, seed=8)["fpp_votes"])


def test_all_six_tables_have_their_columns(tables: dict[str, pl.DataFrame]) -> None:
    """Names and order are those of the database; the statistics need some of them."""
    assert {name: rows.columns for name, rows in tables.items()} == {
        name: list(columns) for name, columns in COLUMNS.items()
    }
    for name, table in TABLES.items():
        schema = tables[name].schema
        assert all(kind.fits(schema[column]) for column, kind in table.needs.items())


@pytest.mark.parametrize("name", TABLES)
def test_rows_are_in_order_of_time_between_opening_and_now(
    tables: dict[str, pl.DataFrame], name: str
) -> None:
    """Ids ascend with time; the first days have rows and the future has none."""
    at = tables[name][TIME_COLUMNS[name]]
    assert at.is_sorted()
    assert at.dtype == pl.Datetime("us", "UTC")
    assert (at.dt.microsecond() == 0).all()
    first, last = at[0], at[-1]
    assert OPENING <= first < OPENING + timedelta(days=2)
    assert NOW - timedelta(days=1) < last <= NOW
    key = tables[name]["id"]
    assert key.n_unique() == len(key)
    assert name == "fpp_users" or key.is_sorted()


@pytest.mark.parametrize("days", some_long(range(7), 2))
def test_the_last_24_hours_are_busy_on_every_weekday(days: int) -> None:
    """Even on a Sunday morning there is activity."""
    now = datetime(2026, 11, 16, 4, 30, tzinfo=UTC) + timedelta(days=days)
    recent = now - timedelta(hours=24)
    tables = sample(now)
    for name in ("fpp_votes", "fpp_estimations", "fpp_page_views", "fpp_users"):
        at = tables[name][TIME_COLUMNS[name]]
        assert (at > recent).sum() >= 10, name


def test_activity_grows_and_follows_office_hours(
    tables: dict[str, pl.DataFrame],
) -> None:
    """Later quarters are busier; weekends and nights are quiet but not empty."""
    at = tables["fpp_votes"]["voted_at"]
    quarter = timedelta(days=91)
    assert (
        at.filter(at > NOW - quarter).len()
        > 1.8 * at.filter(at < OPENING + quarter).len()
    )
    weekend = (at.dt.weekday() > 5).mean()
    night = (at.dt.hour() < 5).mean()
    assert isinstance(weekend, float)
    assert isinstance(night, float)
    assert 0.005 < weekend < 0.1
    assert 0 < night < 0.03


def test_votes_sum_up_their_estimations(tables: dict[str, pl.DataFrame]) -> None:
    """Estimations and spectators of all votes are the rows of fpp_estimations."""
    votes, estimations = tables["fpp_votes"], tables["fpp_estimations"]
    values = estimations["estimation"]
    # A vote may be in progress: its estimations exist, the vote does not yet.
    pending = 2 * 7
    assert 0 <= values.count() - votes["amount_of_estimations"].sum() <= pending
    assert 0 <= values.null_count() - votes["amount_of_spectators"].sum() <= pending
    assert (estimations["spectator"] == values.is_null()).all()
    between = votes["avg_estimation"].is_between(
        votes["min_estimation"], votes["max_estimation"]
    )
    assert between.all()


def test_users_and_rooms_come_back(tables: dict[str, pl.DataFrame]) -> None:
    """Many users estimate on several days, and many rooms vote on several days."""
    estimations = tables["fpp_estimations"]
    for who in ("user_id", "room_id"):
        days = estimations.group_by(who).agg(
            pl.col("estimated_at").dt.date().n_unique()
        )["estimated_at"]
        assert (days > 1).sum() > 800
        assert (days == 1).sum() > 500


def test_some_votes_belong_to_deleted_rooms(
    tables: dict[str, pl.DataFrame],
) -> None:
    """The votes of a deleted room stay, as in the real database."""
    votes, rooms = tables["fpp_votes"], tables["fpp_rooms"]
    orphans = votes.join(rooms, left_on="room_id", right_on="id", how="anti")
    assert 0 < orphans.height < votes.height / 20


def test_texts_contain_difficult_characters(tables: dict[str, pl.DataFrame]) -> None:
    """Nulls, empty strings, accents, 4-byte characters, quotes and backslashes."""
    sources = tables["fpp_page_views"]["source"]
    names = tables["fpp_rooms"]["name"]
    cities = tables["fpp_users"]["city"]
    for texts in (sources, names, cities):
        assert texts.null_count() > 0
        assert texts.str.contains("[à-ÿ]").any()
        assert texts.str.contains("[🃏🎰🚀]").any()
        assert texts.str.contains("['\"]").any()
    assert (sources == "").any()
    assert (names == "").any()
    assert names.str.contains(r"\\").any()
    longest = names.str.len_chars().max()
    assert isinstance(longest, int)
    assert longest <= 15


@pytest.mark.parametrize(
    "pattern",
    [
        r"teams\.",
        r"ads\.|google_ads",
        r"www\.google\.com",
        r"free-planning-poker\.com",
        "cv",
        "email",
        r"github\.com",
        r"bing\.com",
        r"duckduckgo\.com",
    ],
)
def test_every_kind_of_source_occurs(
    tables: dict[str, pl.DataFrame], pattern: str
) -> None:
    """Each source category has page views, and others are there too."""
    assert tables["fpp_page_views"]["source"].str.contains(pattern).any()


def test_everyone_who_does_something_is_a_user(
    tables: dict[str, pl.DataFrame],
) -> None:
    """Each user id occurs in fpp_users, created at the first page view."""
    users = tables["fpp_users"].select("id", "created_at")
    assert users["id"].str.contains(r"^[A-Za-z0-9_-]{21}$").all()
    for name in ("fpp_page_views", "fpp_estimations", "fpp_events"):
        actions = tables[name].join(users, left_on="user_id", right_on="id", how="left")
        assert actions["created_at"].null_count() == 0
    first = tables["fpp_page_views"].group_by("user_id").agg(pl.col("viewed_at").min())
    joined = users.join(first, left_on="id", right_on="user_id")
    assert (joined["created_at"] == joined["viewed_at"]).all()


def test_a_time_before_the_opening_is_refused() -> None:
    """The history begins on the first day."""
    with pytest.raises(ValueError, match="begins at 2024-06-03"):
        sample(OPENING)
