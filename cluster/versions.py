"""What must be equal on both sides before a plan is sent."""

import platform
from collections.abc import Mapping
from functools import cache

import config

type Versions = Mapping[str, str]
"""Name -> version of a process that builds or runs plans, as any version sends it."""


@cache
def own_versions() -> Versions:
    """Those of this process. Python's patch release does not matter.

    ``hash`` identifies the hash function of visitors, which may depend on the processor.
    """
    import polars as pl

    from readmodel.store.visits import hash_fingerprint

    return {
        "fpp-analytics": config.VERSION,
        "polars": pl.__version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "hash": hash_fingerprint(),
    }


def differences(own: Versions, other: Versions) -> str:
    """What *other* has in place of *own*, as text; empty if they are equal."""
    return ", ".join(
        f"{name} {other.get(name, 'none')} instead of {own.get(name, 'none')}"
        for name in dict.fromkeys((*own, *other))
        if own.get(name) != other.get(name)
    )
