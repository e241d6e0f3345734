"""Every table can be saved as a CSV file."""

import csv
import re
from itertools import batched
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.visitor import Visitor
from tests.support.effort import some_long
from tests.support.world import HOSTILE, Server

pytestmark = pytest.mark.external

RANGE = {"period": "90d"}
SERIES = {"interval": "day", "weekends": "true", "average": "7"}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
API_FILES = {
    "Activity": "/historical.csv",
    "Weekdays": "/breakdown/weekday.csv",
    "Estimation values": "/breakdown/estimation.csv",
    "Pages": "/breakdown/route.csv",
    "Sources": "/breakdown/source.csv",
    "Events": "/breakdown/event.csv",
    "Countries": "/breakdown/country.csv",
    "Regions": "/breakdown/region.csv",
    "Cities": "/breakdown/city.csv",
    "Devices": "/breakdown/device.csv",
    "Systems": "/breakdown/os.csv",
    "Browsers": "/breakdown/browser.csv",
    "Rooms": "/breakdown/room.csv",
}


def saved(page: Page, what: str) -> bytes:
    """Content of the file that the button for table *what* saves."""
    with page.expect_download() as download:
        page.get_by_role("button", name=f"{what} as CSV", exact=True).click()
    return Path(download.value.path()).read_bytes()


@pytest.mark.parametrize(
    "tables",
    some_long([pytest.param(each) for each in batched(API_FILES, 7)]),
    ids=["first", "rest"],
)
def test_a_table_of_the_api_is_saved_as_the_api_returns_it(
    page: Page, server: Server, tables: tuple[str, ...], subtests: pytest.Subtests
) -> None:
    """The bytes are equal, after a mark that tells Excel their encoding.

    Chromium asks for permission after a page has saved ten files.
    """
    for what in tables:
        with subtests.test(what=what):
            query = RANGE | (SERIES if what == "Activity" else {})
            expected = server.ask(API_FILES[what], **query).content
            assert saved(page, what) == BYTE_ORDER_MARK + expected


def test_a_file_has_the_name_that_the_api_gives_it(page: Page, server: Server) -> None:
    """It contains the range."""
    headers = server.ask("/breakdown/country.csv", **RANGE).headers
    with page.expect_download() as download:
        page.get_by_role("button", name="Countries as CSV", exact=True).click()
    name = download.value.suggested_filename
    assert f'filename="{name}"' in headers["content-disposition"]
    assert re.fullmatch(r"fpp-country-.*\d{4}-\d{2}-\d{2}\.csv", name)


@pytest.mark.long("test_a_table_of_the_api_is_saved_as_the_api_returns_it")
def test_other_tables_are_saved_as_shown(page: Page, server: Server) -> None:
    """Files contain unformatted numbers and the API's field names."""
    answer = server.ask("/", **RANGE).json()
    overview = list(
        csv.reader(saved(page, "Overview").decode("utf-8-sig").splitlines())
    )
    assert overview[0] == ["figure", "value", "before", "change_per_cent"]
    views = answer["data"]["traffic"]["page_views"]
    assert overview[1][:2] == ["page_views", str(views)]
    (run,) = server.ask("/sync/runs", limit=1).json()["runs"]
    page.get_by_text("Details of the last runs").click()
    runs = list(csv.reader(saved(page, "Recent runs").decode("utf-8-sig").splitlines()))
    assert runs[1][0] == run["started_at"]
    assert runs[1][-1] == run["message"]
    daily = saved(page, "Last 24 hours")
    assert daily.startswith(BYTE_ORDER_MARK + b"figure,value,before")
    assert b"avg_estimation," in saved(page, "Vote figures")


@pytest.mark.long(
    "tests/browser/test_explore.py::test_failures_are_shown_in_the_apis_words"
)
def test_a_failed_download_shows_an_error(visitor: Visitor, own_server: Server) -> None:
    """The error is a line of text, and the button stays enabled."""
    page = visitor.sign_in(visitor.open_page(), own_server)
    own_server.stop()
    button = page.get_by_role("button", name="Pages as CSV", exact=True)
    button.click()
    page.get_by_text("Pages could not be saved. The API is not responding.").wait_for()
    assert button.is_enabled()
    visitor.expect_problem("ERR_CONNECTION_REFUSED")


def test_hostile_names_are_plain_text_in_files(page: Page) -> None:
    """Names are quoted and otherwise unchanged."""
    rows = csv.reader(saved(page, "Pages").decode("utf-8-sig").splitlines())
    assert HOSTILE in {row[0] for row in rows}
