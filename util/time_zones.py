"""IANA time zones by their names."""

from functools import cache
from zoneinfo import ZoneInfo, available_timezones


def parse_zone(name: object) -> object:
    """Parse an IANA zone name. Non-string values pass through unchanged.

    Raises ValueError for an unknown name. "localtime" and "Factory" count as unknown:
    zoneinfo reads them, Polars does not.
    """
    if isinstance(name, str):
        if name not in _zone_names():
            hint = ""
            if name.replace(" ", "+", 1) in _zone_names():
                hint = ", and write + as %2B in an address"
            elif meant := _similar_zone(name):
                hint = f", such as {meant}"
            raise ValueError(f"unknown time zone {name!r}, use an IANA name{hint}")
        return ZoneInfo(name)
    return name


def _similar_zone(name: str) -> str | None:
    """The zone that differs from *name* in capitals and blanks, or by its region alone.

    ``new york`` is America/New_York.
    """
    wanted = name.strip().lower().replace(" ", "_")
    for zone in sorted(_zone_names(), key=lambda zone: (zone.count("/"), zone)):
        if wanted in (zone.lower(), zone.lower().rpartition("/")[2]):
            return zone
    return None


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones() - {"Factory", "localtime"})
