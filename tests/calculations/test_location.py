"""Location and user agent: users per place, device, OS and browser."""

from calculations.analytics import collect_as
from calculations.location import location
from calculations.results import City, LocationAndUserAgent, Region
from tests.support.frames import frame
from tests.support.oracle import Rows


def figures(users: Rows) -> LocationAndUserAgent:
    """LocationAndUserAgent computed from literal users."""
    return collect_as(LocationAndUserAgent, location(frame("users", users)))


def test_missing_names_are_unknown_in_objects_and_null_in_lists() -> None:
    """Missing countries are added to a country really named Unknown."""
    result = figures([{"country": None}, {"country": "Unknown"}, {"device": "desktop"}])
    assert result.country == {"Unknown": 3}
    assert list(result.device.items()) == [("Unknown", 2), ("desktop", 1)]
    assert result.country_region == [
        Region(country=None, region=None, count=2),
        Region(country="Unknown", region=None, count=1),
    ]


def test_equal_counts_are_ordered_by_key_with_nulls_last() -> None:
    """By country first, then by city."""
    result = figures(
        [
            {"country": "US", "city": None},
            {"country": "US", "city": "Austin"},
            {"country": "DE", "city": "Ulm"},
            {"country": "DE", "city": "Köln"},
        ]
    )
    assert [(c.country, c.city) for c in result.country_city] == [
        ("DE", "Köln"),
        ("DE", "Ulm"),
        ("US", "Austin"),
        ("US", None),
    ]


def test_the_same_city_in_two_countries_is_two_cities() -> None:
    """Paris in France and Paris in Texas."""
    result = figures(
        [{"country": "FR", "city": "Paris"}, {"country": "US", "city": "Paris"}]
    )
    assert result.country_city == [
        City(country="FR", city="Paris", count=1),
        City(country="US", city="Paris", count=1),
    ]


def test_only_the_forty_largest_places_are_listed() -> None:
    """Devices are not limited; countries, regions and cities are limited to forty."""
    users: Rows = [
        {"country": f"{n:02}", "city": "x", "region": "y", "device": f"{n:02}"}
        for n in range(41)
    ]
    result = figures(users)
    assert len(result.device) == 41
    assert list(result.country) == [f"{n:02}" for n in range(40)]
    assert len(result.country_city) == len(result.country_region) == 40
