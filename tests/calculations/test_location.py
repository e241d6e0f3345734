"""Location and user agent: breakdowns of users."""

from calculations.analytics import answer
from calculations.location import location
from calculations.results import City, LocationAndUserAgent, Region
from tests.support.frames import frame
from tests.support.oracle import Rows


def figures(users: Rows) -> LocationAndUserAgent:
    return answer(LocationAndUserAgent, location(frame("users", users)))


def test_missing_names_are_unknown_in_objects_and_null_in_lists() -> None:
    """A country really called Unknown adds up with the missing ones."""
    got = figures([{"country": None}, {"country": "Unknown"}, {"device": "desktop"}])
    assert got.country == {"Unknown": 3}
    assert list(got.device.items()) == [("Unknown", 2), ("desktop", 1)]
    assert got.country_region == [
        Region(country=None, region=None, count=2),
        Region(country="Unknown", region=None, count=1),
    ]


def test_equal_counts_are_ordered_by_key_with_nulls_last() -> None:
    """Country first, then the city."""
    got = figures(
        [
            {"country": "US", "city": None},
            {"country": "US", "city": "Austin"},
            {"country": "DE", "city": "Ulm"},
            {"country": "DE", "city": "Köln"},
        ]
    )
    assert [(c.country, c.city) for c in got.country_city] == [
        ("DE", "Köln"),
        ("DE", "Ulm"),
        ("US", "Austin"),
        ("US", None),
    ]


def test_the_same_city_in_two_countries_is_two_cities() -> None:
    """Paris, France and Paris, Texas."""
    got = figures(
        [{"country": "FR", "city": "Paris"}, {"country": "US", "city": "Paris"}]
    )
    assert got.country_city == [
        City(country="FR", city="Paris", count=1),
        City(country="US", city="Paris", count=1),
    ]


def test_only_the_forty_largest_places_are_listed() -> None:
    """Devices are all listed, countries and places up to forty."""
    users: Rows = [
        {"country": f"{n:02}", "city": "x", "region": "y", "device": f"{n:02}"}
        for n in range(41)
    ]
    got = figures(users)
    assert len(got.device) == 41
    assert list(got.country) == [f"{n:02}" for n in range(40)]
    assert len(got.country_city) == len(got.country_region) == 40
