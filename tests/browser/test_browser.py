"""What the other tests rely on: nothing that goes wrong in the browser stays unnoticed."""

import pytest

from tests.browser.shared_page import SharedPage
from tests.browser.visitor import DESKTOP, Visitor, show_view
from tests.support.effort import some_long

pytestmark = pytest.mark.external


@pytest.mark.parametrize("host", ["192.0.2.1", "localhost", "example.org"])
def test_a_request_to_another_host_fails_and_is_a_problem(
    visitor: Visitor, host: str
) -> None:
    """By name and by address; the rules of the system's resolver do not matter."""
    page = visitor.open_page()
    assert page.evaluate(f"fetch('http://{host}/').then(() => 1, () => 0)") == 0
    visitor.expect_problem("ERR_NAME_NOT_RESOLVED")


def test_an_error_of_a_script_is_a_problem(visitor: Visitor) -> None:
    """Also one that nobody waits for."""
    page = visitor.open_page()
    with page.expect_event("pageerror"):
        page.evaluate("setTimeout(() => { throw new Error('unexpected'); })")
    visitor.expect_problem("unexpected")


def test_the_shared_page_is_shown_as_it_was_at_first(shared_page: SharedPage) -> None:
    """Without a load, if its default view undoes all that was done."""
    page = shared_page.untouched()
    loaded_at = page.evaluate("performance.timeOrigin")
    show_view(page, "?period=7d")
    page.locator("#activity-table summary").click()
    page.set_viewport_size({"width": 360, "height": 780})
    page.emulate_media(media="print")
    assert shared_page.untouched().evaluate("performance.timeOrigin") == loaded_at
    assert page.url.endswith("/dashboard")
    assert page.locator("details[open]").count() == 0
    assert page.evaluate("innerWidth") == DESKTOP["width"]
    assert page.evaluate("matchMedia('screen').matches")


@pytest.mark.parametrize(
    "change",
    [
        "window.left = 1",
        *some_long(
            [
                "localStorage.left = 1",
                "document.querySelector('h1').title = 'left'",
                "document.querySelector('#token').value = 'left'",
                "sessionStorage.clear()",
            ]
        ),
    ],
)
def test_the_shared_page_is_loaded_anew_if_something_is_left(
    shared_page: SharedPage, change: str
) -> None:
    """A variable, something stored, an element's attribute or a field's value."""
    page = shared_page.untouched()
    loaded_at = page.evaluate("performance.timeOrigin")
    page.evaluate(change)
    anew = shared_page.untouched()
    assert anew.evaluate("performance.timeOrigin") > loaded_at
    assert anew.evaluate("[window.left, localStorage.left]") == [None, None]
    assert anew.locator("[title=left]").count() == 0
