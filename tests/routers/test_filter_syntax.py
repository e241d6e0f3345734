"""Syntax of filters: quoting, several values, and what an error lists."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calculations.filters import FilterDimension, Filters
from routers.filter_syntax import MAX_TERMS, format_filters, format_term, parse_filters
from tests.support.oracle import Term
from tests.support.strategies import filters_of

_texts = st.text(st.sampled_from('ab ,:!"\n%+&é😀'), max_size=6)
_values = st.none() | _texts | st.just("null")


@given(
    terms=st.lists(
        st.tuples(st.sampled_from(["country", "room"]), st.booleans(), _values),
        min_size=1,
        max_size=5,
    )
)
def test_any_value_survives_formatting_and_parsing(terms: list[Term]) -> None:
    """Commas, colons, quotation marks, exclamation marks, null and blanks as well."""
    filters = filters_of(terms)
    assert parse_filters(format_filters(filters)) == filters
    written = ",".join(
        format_term(FilterDimension(dimension), value, excluded=excluded)
        for dimension, excluded, value in terms
    )
    assert parse_filters(written) == filters


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("country:DE", [("country", False, "DE")]),
        (
            "country:DE,source:Google Search",
            [("country", False, "DE"), ("source", False, "Google Search")],
        ),
        (
            "country:DE,country:AT,country:!null",
            [
                ("country", False, "DE"),
                ("country", False, "AT"),
                ("country", True, None),
            ],
        ),
        ('room:"Sprint, 14"', [("room", False, "Sprint, 14")]),
        ('room:!"!x"', [("room", True, "!x")]),
        ('room:"the ""old"" one"', [("room", False, 'the "old" one')]),
        ("room:12:30", [("room", False, "12:30")]),
        ('room:"null",city:""', [("room", False, "null"), ("city", False, "")]),
        ("room_id:007", [("room_id", False, "7")]),
    ],
)
def test_terms_are_read_as_documented(text: str, terms: list[Term]) -> None:
    """Quotes are needed only where a value would be ambiguous."""
    assert parse_filters(text) == filters_of(terms)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("", "use dimension:value"),
        ("country", "use dimension:value"),
        ("country:DE,", "use dimension:value"),
        ('room:"a"b', "quotation marks"),
        ('room:"a', "quotation marks"),
        ("colour:red", "use country, region, city, device, os, browser, source"),
        (" country:DE", "unknown dimension ' country'"),
        ("city:", '"" for an empty text'),
        ("city:!", '"" for an empty text'),
        ("city:!!x", "exclamation mark"),
        ("source:Google", "Google Ads, Google Search"),
        ("room_state:gone", "named, unnamed, deleted"),
        ("room_id:0", "from 1 to 4294967295"),
        ("room_id:4294967296", "from 1 to 4294967295"),
        ("room_id:null", "from 1 to 4294967295"),
        ("room_id:٣", "from 1 to 4294967295"),
        (",".join(["country:DE"] * (MAX_TERMS + 1)), f"at most {MAX_TERMS} terms"),
    ],
)
def test_an_error_lists_what_is_allowed(text: str, allowed: str) -> None:
    """The message is for a person."""
    with pytest.raises(ValueError, match=re.escape(allowed)):
        parse_filters(text)


def test_equal_filters_are_equal_values_in_any_order() -> None:
    """Plans are kept by this value."""
    one = parse_filters("country:DE,country:AT,os:Linux")
    other = parse_filters("os:Linux,country:AT,country:DE")
    assert one == other
    assert hash(one) == hash(other)
    assert format_filters(one) == format_filters(other)
    assert one != Filters()
