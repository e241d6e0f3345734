"""The choice of a format by the Accept header."""

import pytest

from routers.formats.media import TableFormat, accepted_format


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ([], "json"),
        (["*/*"], "json"),
        (["text/csv"], "csv"),
        (["TEXT/CSV; charset=utf-8"], "csv"),
        (["text/*"], "csv"),
        (["application/x-ndjson"], "ndjson"),
        (["application/vnd.apache.parquet"], "parquet"),
        (
            ["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"],
            "xlsx",
        ),
        (["text/html,application/xhtml+xml,*/*;q=0.8"], "json"),
        (["text/csv;q=0.5, application/json"], "json"),
        (["text/csv, application/json"], "csv"),
        (["application/json;q=0.1, text/csv;q=0.2"], "csv"),
        (["text/csv;q=0"], "json"),
        (["text/csv;q=x"], "json"),
        (["image/png", "text/csv"], "csv"),
        ([";;,,=;q"], "json"),
    ],
)
def test_the_most_preferred_format_is_chosen(accept: list[str], chosen: str) -> None:
    """JSON if the header names no format of ours; of equals the first one."""
    assert accepted_format(accept) == TableFormat(chosen)
