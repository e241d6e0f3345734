"""Signing in and out: the token, and who holds it."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor, settled
from tests.support.world import TOKEN, Server


def stored(page: Page) -> list[str]:
    """Everything that the page keeps, in this tab and beyond it."""
    kept: list[str] = page.evaluate(
        "[...Object.values(sessionStorage), ...Object.values(localStorage),"
        " document.cookie].filter(Boolean)"
    )
    return kept


def test_the_page_is_public_and_empty(visitor: Visitor, server: Server) -> None:
    """Without the token nothing is asked of the API, and nothing is shown."""
    page = visitor.comes()
    page.goto(server.page)
    expect(page.get_by_role("heading", name="FPP Analytics")).to_be_visible()
    expect(page.get_by_label("Access token")).to_be_focused()
    assert page.locator("#view").is_hidden()
    assert {url.removeprefix(server.url)[:10] for url in visitor.requests} == {
        "/dashboard"
    }


def test_the_token_stays_in_the_tab(page: Page) -> None:
    """It survives a reload, and is in no other place of the browser's or the page's."""
    assert stored(page) == [TOKEN]
    settled_again = page.reload()
    assert settled_again
    settled(page)
    assert TOKEN not in page.url
    assert TOKEN not in page.content()


def test_signing_out_forgets_the_token_and_every_number(page: Page) -> None:
    """Who comes next to this screen sees none of it."""
    shown = page.locator("#tiles .value").first.inner_text()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Access token")).to_be_focused()
    assert stored(page) == []
    assert page.locator("#view").is_hidden()
    assert f">{shown}<" not in page.content()
    assert page.locator("tbody tr").count() == 0


def test_a_wrong_token_says_so(visitor: Visitor, server: Server) -> None:
    """It is forgotten at once, and the field waits for another."""
    page = visitor.comes()
    page.goto(server.page)
    page.get_by_label("Access token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text(
        "This token is not accepted. Check it and try again."
    )
    expect(page.get_by_label("Access token")).to_be_focused()
    assert stored(page) == []
    visitor.expects_complaint("401")


def test_what_can_be_no_token_is_not_sent(visitor: Visitor, server: Server) -> None:
    """Neither nothing nor what no header can carry."""
    page = visitor.comes()
    page.goto(server.page)
    for given, said in (("", "Enter the token."), ("zwölf Boxkämpfer", "no spaces")):
        page.get_by_label("Access token").fill(given)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text(said)


def test_a_revoked_token_is_told_and_the_numbers_go(
    visitor: Visitor, own_server: Server
) -> None:
    """At the next refresh, without anybody doing anything."""
    page = visitor.comes()
    page.clock.install()
    visitor.signs_in(page, own_server)
    own_server.stop()
    own_server.start(ANALYTICS_SECRET_TOKEN="another-one")
    page.clock.run_for(30_000)
    expect(page.get_by_role("alert")).to_have_text(
        "The token is no longer accepted. Sign in with a valid one."
    )
    assert stored(page) == []
    assert page.locator("tbody tr").count() == 0
    visitor.expects_complaint("401")
