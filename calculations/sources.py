"""Source categories of page views."""

import polars as pl

SOURCES = {
    "Teams": r"teams\.",
    "Google Ads": r"ads\.|google_ads",
    "Google Search": r"www\.google\.com",
    "Free Planning Poker": r"free-planning-poker\.com",
    "CV": "cv",
    "Email": "email",
    "GitHub": r"github\.com",
    "Bing": r"bing\.com",
}
"""Category -> pattern to search for in the source. The first match wins."""

OTHER = "Other"


def category(source: pl.Expr) -> pl.Expr:
    """The category (String) of each *source*; null where it is null."""
    text = source.cast(pl.String)
    return pl.coalesce(
        *(
            pl.when(text.str.contains(pattern)).then(pl.lit(name))
            for name, pattern in SOURCES.items()
        ),
        pl.when(text.is_not_null()).then(pl.lit(OTHER)),
    )
