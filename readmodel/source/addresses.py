"""Addresses of database servers."""

from ipaddress import ip_address


def is_local(host: str) -> bool:
    """True if *host* is this one, so that nobody is in between.

    It is a name, an address, or the path of a socket; libpq takes several, separated by
    commas.
    """
    return all(map(_is_one_local, host.split(",")))


def _is_one_local(host: str) -> bool:
    bare = host.removeprefix("[").removesuffix("]")
    if bare.startswith(("/", "@")) or bare == "localhost":
        return True
    try:
        return ip_address(bare).is_loopback
    except ValueError:
        return False
