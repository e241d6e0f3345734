"""Signing in and out, and where the token is stored."""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.visitor import Visitor, held_back, settled, show_view
from tests.support.world import TOKEN, Server

pytestmark = pytest.mark.external

LINK = re.compile(r"/link\?")


def stored(page: Page) -> list[str]:
    """Values in session storage, local storage and cookies."""
    values: list[str] = page.evaluate(
        "[...Object.values(sessionStorage), ...Object.values(localStorage),"
        " document.cookie].filter(Boolean)"
    )
    return values


def test_the_page_is_public_and_empty(visitor: Visitor, server: Server) -> None:
    """Without a token the page sends no request to the API and shows no figures."""
    page = visitor.record_requests(visitor.open_page())
    page.goto(server.page)
    expect(page.get_by_role("heading", name="FPP Analytics")).to_be_visible()
    expect(page.get_by_label("Access token")).to_be_focused()
    assert page.locator("#view").is_hidden()
    assert {url.removeprefix(server.url)[:10] for url in visitor.requests} == {
        "/dashboard"
    }


def test_the_token_stays_in_the_tab(page: Page) -> None:
    """It survives a reload and is stored nowhere else, neither in the URL nor the page."""
    assert stored(page) == [TOKEN]
    assert page.reload()
    settled(page)
    assert TOKEN not in page.url
    assert TOKEN not in page.content()


def test_signing_out_removes_the_token_and_all_figures(page: Page) -> None:
    """The next person at this screen sees nothing."""
    shown = page.locator("#tiles .value").first.inner_text()
    assert page.locator("tbody tr").count() > 0
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Access token")).to_be_focused()
    assert stored(page) == []
    assert page.locator("#view").is_hidden()
    assert f">{shown}<" not in page.content()
    assert page.locator("tbody tr").count() == 0


def test_a_wrong_token_shows_an_error(visitor: Visitor, server: Server) -> None:
    """The token is not stored, and the field has the focus."""
    page = visitor.open_page()
    page.goto(server.page)
    page.get_by_label("Access token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text(
        "This token is not accepted. Check it and try again."
    )
    expect(page.get_by_label("Access token")).to_be_focused()
    assert stored(page) == []
    visitor.expect_problem("401")


def test_an_invalid_token_is_not_sent(visitor: Visitor, server: Server) -> None:
    """Covers an empty token, and characters that a header cannot contain."""
    page = visitor.open_page()
    page.goto(server.page)
    for given, said in (("", "Enter the token."), ("zwölf Boxkämpfer", "no spaces")):
        page.get_by_label("Access token").fill(given)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text(said)


@pytest.mark.long("test_signing_out_removes_the_token_and_all_figures")
def test_a_revoked_token_signs_out_and_removes_the_figures(
    visitor: Visitor, own_server: Server
) -> None:
    """It happens at the next refresh, without any input."""
    page = visitor.open_page(fresh=True)
    page.clock.install()
    visitor.sign_in(page, own_server)
    own_server.stop()
    own_server.start(ANALYTICS_SECRET_TOKEN="another-one")
    page.clock.run_for(30_000)
    expect(page.get_by_role("alert")).to_have_text(
        "The token is no longer accepted. Sign in with a valid one."
    )
    assert stored(page) == []
    assert page.locator("tbody tr").count() == 0
    visitor.expect_problem("401")


def test_signing_in_does_not_scroll_the_page(visitor: Visitor, server: Server) -> None:
    """Name, freshness and menu stay in sight on a phone."""
    page = visitor.sign_in(
        visitor.open_page(viewport={"width": 360, "height": 780}), server
    )
    assert page.evaluate("scrollY") == 0
    expect(page.locator(".brand")).to_be_in_viewport()


def test_a_pasted_header_signs_in(visitor: Visitor, server: Server) -> None:
    """The word Bearer, which curl needs, is removed."""
    page = visitor.open_page()
    page.goto(server.page)
    page.get_by_label("Access token").fill(f"Bearer {TOKEN}")
    page.get_by_role("button", name="Sign in").click()
    settled(page)
    assert stored(page) == [TOKEN]


def test_password_managers_may_keep_the_token(visitor: Visitor, server: Server) -> None:
    """The field is a password of a user name."""
    page = visitor.open_page()
    page.goto(server.page)
    field = page.get_by_label("Access token")
    expect(field).to_have_attribute("autocomplete", "current-password")
    expect(page.locator('[autocomplete="username"]')).to_have_count(1)


def test_a_token_in_the_fragment_signs_in_and_leaves_the_address(
    visitor: Visitor, server: Server
) -> None:
    """Servers never see a fragment, and the history must not keep it."""
    page = visitor.open_page()
    page.goto(f"{server.page}?period=7d#token={TOKEN}")
    settled(page)
    assert page.url.endswith("/dashboard?period=7d")
    assert stored(page) == [TOKEN]
    assert TOKEN not in page.content()


def test_a_browser_at_the_root_is_led_to_the_page(
    visitor: Visitor, server: Server
) -> None:
    """Clients of the API, which send a token or want JSON, are not."""
    page = visitor.open_page()
    page.goto(f"{server.url}/")
    expect(page.get_by_label("Access token")).to_be_focused()
    assert page.url == server.page
    assert httpx.get(f"{server.url}/").status_code == 401
    html = {"Accept": "text/html", "Authorization": f"Bearer {TOKEN}"}
    answer = httpx.get(f"{server.url}/?sections=votes", headers=html)
    assert answer.headers["content-type"] == "application/json"


def test_one_stays_signed_in_without_a_token_in_reach_of_scripts(
    visitor: Visitor, server: Server
) -> None:
    """A cookie replaces it, in new tabs and for files, until one signs out."""
    page = visitor.open_page()
    page.goto(server.page)
    page.get_by_label("Access token").fill(TOKEN)
    page.get_by_label("Keep me signed in").check()
    page.get_by_role("button", name="Sign in").click()
    settled(page)
    assert stored(page) == ["true"]
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    tab = page.context.new_page()
    tab.goto(server.page)
    settled(tab)
    with tab.expect_download() as saved:
        tab.get_by_role("button", name="Activity as CSV").click()
    assert saved.value.suggested_filename.endswith(".csv")
    tab.get_by_role("button", name="Sign out").click()
    expect(tab.get_by_label("Access token")).to_be_focused()
    tab.wait_for_function("() => document.cookie === ''")
    assert stored(tab) == []
    expect(tab.get_by_label("Access token")).to_be_visible()
    tab.close()
    page.reload()
    expect(page.get_by_label("Access token")).to_be_visible()
    assert page.context.cookies() == []


def test_a_wrong_token_begins_no_session(visitor: Visitor, server: Server) -> None:
    """The form says so, and nothing is kept."""
    page = visitor.open_page()
    page.goto(server.page)
    page.get_by_label("Access token").fill("wrong")
    page.get_by_label("Keep me signed in").check()
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not accepted")
    assert stored(page) == []
    assert page.context.cookies() == []
    visitor.expect_problem("401")


def test_a_link_shows_one_view_to_a_reader_without_a_token(
    any_view: Page, visitor: Visitor, server: Server
) -> None:
    """The same numbers, dates and filters, and no way on; it survives a reload."""
    query = "?period=30d&filter=device:desktop&compare=year"
    page = show_view(any_view, query)
    page.get_by_role("button", name="Share").click()
    field = page.get_by_label("Link to this view")
    expect(page.locator("#share-status")).to_contain_text("It works until")
    address = field.input_value()
    assert TOKEN not in address
    page.get_by_label("Works for").select_option("30 days")
    expect(field).not_to_have_value(address)
    expect(page.locator("#share-status")).to_contain_text("It works until")
    address = field.input_value()
    reader = visitor.record_requests(visitor.open_page())
    reader.goto(address)
    reader.wait_for_selector("#view:not([aria-busy])")
    expect(reader.locator("#shared")).to_contain_text("A shared view, until")
    for where in ("#tiles", "#figures", "#range-text"):
        expect(reader.locator(where)).to_have_text(
            page.locator(where).text_content() or ""
        )
    for hidden in ("#controls", "#returning", "#rooms", "#explore", "#sync", "#daily"):
        expect(reader.locator(hidden)).to_be_hidden()
    expect(reader.locator("button.name")).to_have_count(0)
    reader.get_by_role("link", name="Skip to the content").focus()
    reader.keyboard.press("Enter")
    reader.keyboard.press("w")
    reader.locator('[data-metric="votes"]').click()
    reader.reload()
    reader.wait_for_selector("#view:not([aria-busy])")
    expect(reader.locator("#range-text")).to_have_text(
        page.locator("#range-text").inner_text()
    )
    expect(reader.locator('[data-metric="votes"]')).to_have_attribute(
        "aria-pressed", "true"
    )
    assert stored(reader) == []
    paths = {url.removeprefix(server.url)[:9] for url in visitor.requests}
    assert paths <= {"/dashboard"[:9], "/session", "/?period="}


@pytest.mark.long("test_a_link_shows_one_view_to_a_reader_without_a_token")
def test_the_link_ends_after_the_days_chosen_last(
    visitor: Visitor, server: Server
) -> None:
    """Also if the link for an earlier choice arrives later."""
    page = visitor.sign_in(visitor.open_page(), server)
    links = held_back(page, LINK)
    with page.expect_request(LINK):
        page.get_by_role("button", name="Share").click()
    with page.expect_request(LINK):
        page.get_by_label("Works for").select_option("1 day")
    status = page.locator("#share-status")
    expect(status).to_have_text("Making the link …")
    for route in reversed(links):
        with page.expect_response(LINK) as answered:
            route.continue_()
        answered.value.finished()
    expect(status).to_contain_text("It works until")
    tomorrow = datetime.now(ZoneInfo("Europe/Berlin")) + timedelta(days=1)
    expect(status).to_contain_text(f"{tomorrow:%-d %b %Y}")


def test_a_link_that_ended_says_so(visitor: Visitor, server: Server) -> None:
    """In the reader's words, above the sign-in form."""
    page = visitor.open_page()
    page.goto(f"{server.page}#link=eyJ.e30.x")
    expect(page.get_by_role("alert")).to_contain_text("This link has ended")
    visitor.expect_problem("401")
