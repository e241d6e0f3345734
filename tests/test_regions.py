"""Names of regions: complete, in English, and in the form that the page reads."""

import re

import pytest

from scripts.regions import FORMER, TARGET, format_lines

NAMES = {
    f"{country}-{code}": name
    for country, *regions in (
        line.split("\t") for line in TARGET.read_text(encoding="utf-8").splitlines()
    )
    for code, _, name in (region.partition(" ") for region in regions)
}


def test_every_country_with_regions_has_them() -> None:
    """ISO 3166-2 divides about two hundred countries into about five thousand."""
    assert len({code[:2] for code in NAMES}) >= 200
    assert len(NAMES) > 5_000


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("AE-DU", "Dubai"),
        ("DE-BY", "Bavaria"),
        ("JP-13", "Tokyo"),
        ("KR-11", "Seoul"),
        ("PL-MA", "Lesser Poland"),
        ("RU-MOW", "Moscow"),
        ("SE-AB", "Stockholm"),
        ("TR-34", "Istanbul"),
        ("UA-30", "Kyiv"),
        ("ZA-GP", "Gauteng"),
    ],
)
def test_a_region_has_the_name_that_english_speakers_know(code: str, name: str) -> None:
    """From every continent; a former code has the name of the present one."""
    assert NAMES[code].startswith(name)


def test_codes_and_names_have_the_form_that_the_page_reads() -> None:
    """Two letters and one to three letters or digits; no marks of footnotes."""
    for code, name in NAMES.items():
        assert re.fullmatch("[A-Z]{2}-[A-Z0-9]{1,4}", code)
        assert name == name.strip()
        assert not re.search(r"[²†*\[\]]", name), name


def test_lines_have_a_country_and_its_regions() -> None:
    """Sorted, so that a new version of the list has a small difference."""
    lines = format_lines({"DEBY": "Bavaria", "AD02": "Canillo", "DEBE": "Berlin"})
    assert lines == "AD\t02 Canillo\nDE\tBE Berlin\tBY Bavaria\n"
    assert all(f"{old[:2]}-{old[2:]}" in NAMES for old in FORMER)
