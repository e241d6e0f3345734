"""CSV files of series and breakdowns, read by a strict parser."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from calculations.breakdown import Dimension
from routers.formats.table import CHUNK_ROWS, TableAnswer
from routers.formats.text import csv_lines
from tests.routers.conftest import client_of, make_settings
from tests.support.effort import some_long
from tests.support.frames import EMPTY, NOW, at
from tests.support.oracle import Row
from tests.support.sample import TAKEN_AT
from tests.support.snapshots import publish

FILES = ["/historical.csv", "/reoccurring.csv", "/breakdown/country.csv"]


@pytest.fixture(autouse=True)
def _published(read_model: Path) -> None:
    """Every test here has a read model."""
    assert read_model.exists()


def table(text: str) -> list[dict[str, str]]:
    """The rows that a strict CSV parser reads."""
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


@pytest.mark.parametrize("series", some_long(["historical", "reoccurring"], 4))
@pytest.mark.parametrize(
    "query",
    [
        "",
        "?from=2024-06-04&to=2024-07-31",
        "?period=30d&weekends=true",
        "?interval=week&tz=Asia/Kolkata",
        "?period=all&interval=month",
        "?from=2024-06-08&to=2024-06-09",
    ],
)
def test_a_series_has_the_rows_of_the_json(
    client: TestClient, series: str, query: str
) -> None:
    """Null is an empty cell; a range of one weekend gives a header and no rows."""
    got = client.get(f"/{series}.csv{query}")
    shown = client.get(f"/{query}").json()["data"][series]
    expected = [
        {name: "" if value is None else str(value) for name, value in row.items()}
        for row in shown
    ]
    assert table(got.text) == expected
    assert got.text.startswith("date,")


@pytest.mark.parametrize(
    ("dimension", "lines"),
    [
        ("route", ["route,count", "HOME,2", "ROADMAP,1", "ROOM,1"]),
        ("source", ["source,count", "Google Search,1", "Other,1", "Teams,1"]),
        ("event", ["event,count", "ENTERED_NEW_ROOM,1"]),
        ("room", ["room,count", "daily 🃏,2", "Unknown,1"]),
        ("country", ["country,count", "DE,2", "Unknown,1"]),
        ("region", ["country,region,count", "DE,,2", ",,1"]),
        ("city", ["country,city,count", "DE,Köln,2", ",,1"]),
        ("device", ["device,count", "desktop,3"]),
        ("os", ["os,count", "Windows,3"]),
        ("browser", ["browser,count", "Chrome,3"]),
        ("weekday", ["weekday,count", "Monday,1", "Thursday,2"]),
        ("estimation", ["estimation,count", "5,1", "8,1"]),
    ],
)
def test_every_dimension_is_a_file(
    client: TestClient, dimension: str, lines: list[str]
) -> None:
    """Every line ends with CRLF; text is UTF-8."""
    got = client.get(f"/breakdown/{dimension}.csv")
    assert got.status_code == 200
    assert got.content == "".join(f"{line}\r\n" for line in lines).encode()
    assert got.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"


def test_every_dimension_is_tested() -> None:
    """A new dimension needs a case above."""
    (marks,) = (
        mark
        for mark in test_every_dimension_is_a_file.pytestmark  # type: ignore[attr-defined]
        if mark.name == "parametrize"
    )
    assert [dimension for dimension, _ in marks.args[1]] == list(Dimension)


def test_a_breakdown_uses_range_and_zone(client: TestClient) -> None:
    """Votes at 09:06 and 10:06 UTC are on Thursday and Friday at UTC+14."""
    got = client.get(
        "/breakdown/weekday.csv",
        params={"from": "2024-08-01", "tz": "Pacific/Kiritimati"},
    )
    assert table(got.text) == [
        {"weekday": "Thursday", "count": "1"},
        {"weekday": "Friday", "count": "1"},
    ]
    got = client.get("/breakdown/weekday.csv?period=7d&tz=Pacific/Pago_Pago")
    assert table(got.text) == [{"weekday": "Wednesday", "count": "2"}]


CITIES: list[tuple[str | None, str, str]] = [
    ("comma, inside", '"comma, inside"', "comma, inside"),
    ('a "quote"', '"a ""quote"""', 'a "quote"'),
    ("two\nlines", '"two\nlines"', "two\nlines"),
    ("two\r\nlines", '"two\r\nlines"', "two\r\nlines"),
    ("東京 🃏", "東京 🃏", "東京 🃏"),
    (" space ", " space ", " space "),
    ("a=1", "a=1", "a=1"),
    ("", '""', ""),
    (None, "", ""),
    ("=1+1", "'=1+1", "'=1+1"),
    ("+49", "'+49", "'+49"),
    ("-5", "'-5", "'-5"),
    ("@SUM(A1)", "'@SUM(A1)", "'@SUM(A1)"),
    ("\tTAB", "'\tTAB", "'\tTAB"),
    ("\rCR", '"\'\rCR"', "'\rCR"),
    ("=cmd|' /C calc'!A0,\"", '"\'=cmd|\' /C calc\'!A0,"""', "'=cmd|' /C calc'!A0,\""),
    ("'=1", "'=1", "'=1"),
]


@pytest.mark.parametrize(("city", "written", "read"), some_long(CITIES, 5))
def test_text_is_quoted_and_never_a_formula(
    data_dir: Path, client: TestClient, city: str | None, written: str, read: str
) -> None:
    """Quoted as in RFC 4180; a formula gets a leading apostrophe."""
    user: Row = {"country": "DE", "city": city, "created_at": at("2024-06-04")}
    publish(data_dir, EMPTY | {"users": [user]}, TAKEN_AT)
    got = client.get("/breakdown/city.csv")
    assert got.content == f"country,city,count\r\nDE,{written},1\r\n".encode()
    assert table(got.text) == [{"country": "DE", "city": read, "count": "1"}]


def test_numbers_are_not_changed(data_dir: Path, client: TestClient) -> None:
    """A negative estimation is not taken for a formula."""
    row: Row = {"estimation": -1, "estimated_at": at("2024-06-04")}
    publish(data_dir, EMPTY | {"estimations": [row]}, TAKEN_AT)
    assert client.get("/breakdown/estimation.csv").text.splitlines()[1] == "-1,1"


def test_a_file_has_all_rows_not_only_the_40_largest(
    data_dir: Path, client: TestClient
) -> None:
    """The JSON has 40 of them."""
    users: list[Row] = [
        {"country": f"C{n:03}", "created_at": at("2024-06-04")} for n in range(100)
    ]
    publish(data_dir, EMPTY | {"users": users}, TAKEN_AT)
    assert len(table(client.get("/breakdown/country.csv").text)) == 100
    shown = client.get("/").json()["data"]["location_and_user_agent"]["country"]
    assert len(shown) == 40


def test_a_large_file_comes_in_chunks() -> None:
    """The header first, then CHUNK_ROWS lines at a time, and no line is lost."""
    names = [f"{n}" for n in range(CHUNK_ROWS + 1)]
    sent = list(csv_lines(TableAnswer("x", pl.DataFrame({"name": names}))))
    assert [piece.count(b"\r\n") for piece in sent] == [1, CHUNK_ROWS, 1]
    assert b"".join(sent).decode().split() == ["name", *names]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/historical.csv", "fpp-historical-all.csv"),
        (
            "/reoccurring.csv?from=2024-06-03&to=2024-06-09",
            "fpp-reoccurring-2024-06-03-to-2024-06-09.csv",
        ),
        (
            "/breakdown/city.csv?period=today",
            "fpp-city-2024-08-01-to-2024-08-01.csv",
        ),
    ],
)
def test_the_filename_names_the_content_and_the_range(
    client: TestClient, path: str, name: str
) -> None:
    """The name says "all" without a range."""
    got = client.get(path).headers["Content-Disposition"]
    assert got == f'attachment; filename="{name}"'


@pytest.mark.parametrize("path", FILES)
def test_an_unchanged_file_is_304_without_computing(
    client: TestClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ETag depends on the query, too."""
    etag = client.get(path).headers["ETag"]
    other = client.get(f"{path}?period=7d").headers["ETag"]
    assert other != etag

    def computed(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(pl.LazyFrame, "collect", computed)
    again = client.get(path, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("path", FILES)
def test_a_file_requires_the_token(client: TestClient, path: str) -> None:
    """Like every statistic."""
    assert client.get(path, headers={"Authorization": "wrong"}).status_code == 401


def test_before_the_first_sync_the_response_is_503(tmp_path: Path) -> None:
    """Like every statistic."""
    with client_of(make_settings(data_dir=tmp_path / "none"), NOW) as client:
        for path in FILES:
            assert client.get(path).status_code == 503


def test_a_damaged_part_is_503_and_not_a_short_file(
    read_model: Path, client: TestClient
) -> None:
    """All data is read before the first line is sent."""
    part = next((read_model / "fpp_users.parquet").resolve().iterdir())
    part.write_bytes(part.read_bytes()[:-20])
    assert client.get("/breakdown/city.csv").status_code == 503


@pytest.mark.parametrize("dimension", ["x", "ROUTE", "route%00", "%FF", "=1", "routes"])
def test_an_unknown_dimension_is_422_and_lists_all_dimensions(
    client: TestClient, dimension: str
) -> None:
    """`msg` lists them; `loc` names the path parameter."""
    got = client.get(f"/breakdown/{dimension}.csv")
    (problem,) = got.json()["errors"]
    assert (got.status_code, problem["parameter"]) == (422, "dimension")
    assert all(known in problem["message"] for known in Dimension)


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/historical.csv", "compare"),
        ("/historical.csv", "sections"),
        ("/breakdown/route.csv", "compare"),
        ("/breakdown/route.csv", "interval"),
        ("/breakdown/route.csv", "weekends"),
    ],
)
def test_a_parameter_of_other_routes_is_422(
    client: TestClient, path: str, parameter: str
) -> None:
    """It is not ignored."""
    got = client.get(path, params={parameter: "previous"})
    assert got.status_code == 422
    assert [each["parameter"] for each in got.json()["errors"]] == [parameter]


def test_the_openapi_document_describes_csv(client: TestClient) -> None:
    """It lists the dimensions as an enumeration."""
    api = client.get("/openapi.json").json()
    for path, header in _csv_routes(api):
        assert header.startswith(("date,", "route,")), path
    parameters = api["paths"]["/breakdown/{dimension}.csv"]["get"]["parameters"]
    (dimension,) = (each for each in parameters if each["name"] == "dimension")
    listed = api["components"]["schemas"]["Dimension"]["enum"]
    assert listed == list(Dimension)
    assert dimension["schema"]["$ref"].endswith("/Dimension")


def _csv_routes(api: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for path, methods in api["paths"].items():
        if path.endswith(".csv"):
            (kind,) = methods["get"]["responses"]["200"]["content"].items()
            assert kind[0] == "text/csv"
            assert kind[1]["schema"] == {"type": "string"}
            yield path, kind[1]["example"]
