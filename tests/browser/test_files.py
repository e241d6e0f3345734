"""Every table can be taken home as a CSV file."""

import csv
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Visitor
from tests.support.world import HOSTILE, Server

RANGE = {"period": "90d"}
API_FILES = {
    "Activity": "/historical.csv",
    "Returning users and rooms": "/reoccurring.csv",
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
    "Top rooms": "/breakdown/room.csv",
}


@pytest.fixture
def page(visitor: Visitor, server: Server) -> Page:
    """The dashboard, signed in. Each test has its own: Chromium lets one tab save ten
    files, and then asks."""
    return visitor.signs_in(visitor.comes(accept_downloads=True), server)


def saved(page: Page, what: str) -> bytes:
    """The file that the button hstack *what* saves."""
    with page.expect_download() as download:
        page.get_by_role("button", name=f"{what} as CSV", exact=True).click()
    return Path(download.value.path()).read_bytes()


@pytest.mark.parametrize("what", API_FILES)
def test_tables_of_the_api_are_saved_as_it_gives_them(
    page: Page, server: Server, what: str
) -> None:
    """Byte by byte, of the range that is shown."""
    assert saved(page, what) == server.ask(API_FILES[what], **RANGE).content


def test_the_other_tables_are_saved_as_they_are_shown(
    page: Page, server: Server
) -> None:
    """With plain numbers and the API's names."""
    answer = server.ask("/", **RANGE, compare="previous").json()
    overview = list(csv.reader(saved(page, "Overview").decode().splitlines()))
    assert overview[0] == ["figure", "value", "before", "change_per_cent"]
    views = answer["data"]["traffic"]["page_views"]
    assert overview[2][:2] == ["page_views", str(views)]
    (run,) = server.ask("/sync/runs", limit=1).json()["runs"]
    runs = list(csv.reader(saved(page, "Recent runs").decode().splitlines()))
    assert runs[1][0] == run["started_at"]
    assert runs[1][-1] == run["message"]
    assert saved(page, "Last 24 hours").startswith(b"figure,value,before")
    assert b"avg_estimation," in saved(page, "Vote figures")


def test_a_file_that_cannot_be_had_is_told(
    visitor: Visitor, own_server: Server
) -> None:
    """In a line of text; the button can be pressed again."""
    page = visitor.signs_in(visitor.comes(), own_server)
    own_server.stop()
    button = page.get_by_role("button", name="Pages as CSV", exact=True)
    button.click()
    page.get_by_text("Pages could not be saved. The API is not responding.").wait_for()
    assert button.is_enabled()
    visitor.expects_complaint("ERR_CONNECTION_REFUSED")


def test_hostile_names_are_only_text_in_files(page: Page) -> None:
    """Quoted, and nothing else."""
    rows = csv.reader(saved(page, "Pages").decode().splitlines())
    assert HOSTILE in {row[0] for row in rows}
