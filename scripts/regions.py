"""Write ``static/regions.txt``, the English names of regions, from Unicode's CLDR.

    npm pack cldr-subdivisions-full && python scripts/regions.py cldr-subdivisions-full-*.tgz

CLDR names every subdivision of ISO 3166-2; its licence is docs/licenses/unicode-cldr.txt.
The file has a line for each country, with a
tab before each of its regions: ``AD<tab>02 Canillo<tab>03 Encamp``.
"""

import json
import sys
import tarfile
from itertools import groupby
from pathlib import Path
from typing import Final

NAMES: Final = "package/subdivisions/en/en.json"
TARGET: Final = Path(__file__).parents[1] / "static" / "regions.txt"

FORMER: Final = {
    "INCT": "INCG",
    "INOR": "INOD",
    "PLDS": "PL02",
    "PLKP": "PL04",
    "PLLU": "PL06",
    "PLLB": "PL08",
    "PLLD": "PL10",
    "PLMA": "PL12",
    "PLMZ": "PL14",
    "PLOP": "PL16",
    "PLPK": "PL18",
    "PLPD": "PL20",
    "PLPM": "PL22",
    "PLSL": "PL24",
    "PLSK": "PL26",
    "PLWN": "PL28",
    "PLWP": "PL30",
    "PLZP": "PL32",
}
"""Codes that ISO 3166-2 has replaced, and that older rows still have."""

PREFERRED: Final = {
    "ESMC": "Murcia",
    "ESMD": "Madrid",
    "ESNC": "Navarre",
    "PL20": "Podlaskie",
    "PL26": "Świętokrzyskie",
    "USDC": "District of Columbia",
}
"""Names that people know better than CLDR's."""


def _cleaned(name: str) -> str:
    """The *name* without marks of footnotes, on one line."""
    return " ".join(name.strip("²†").split())


def read_names(package: Path) -> dict[str, str]:
    """Names by code without a hyphen, such as ``DEBY``."""
    with tarfile.open(package) as archive:
        file = archive.extractfile(NAMES)
        assert file is not None
        display_names = json.load(file)["subdivisions"]["localeDisplayNames"]
    subdivisions = display_names["subdivisions"]
    names = {code.upper(): _cleaned(name) for code, name in subdivisions.items()}
    names |= PREFERRED
    return {code: names[new] for code, new in FORMER.items()} | names


def format_lines(names: dict[str, str]) -> str:
    """The content of the file."""
    by_country = groupby(sorted(names.items()), key=lambda item: item[0][:2])
    return "".join(
        "\t".join([country, *(f"{code[2:]} {name}" for code, name in regions)]) + "\n"
        for country, regions in by_country
    )


if __name__ == "__main__":
    TARGET.write_text(format_lines(read_names(Path(sys.argv[1]))), encoding="utf-8")
