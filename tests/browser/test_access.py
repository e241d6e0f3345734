"""Accessibility and loading: keyboard, screen reader, slow connections."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import CDPSession, Page, Request, expect

from tests.browser.visitor import FRAMES_PASS, Visitor, settled, show_view
from tests.support.effort import some_long
from tests.support.world import Server, World

pytestmark = pytest.mark.external

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
LARGEST_LOAD = 150_000  # bytes, compressed, without the data
MOST_ELEMENTS = 4_000  # of the page with the longest range
MOST_LAYOUTS = 20  # while it is rendered, and as many computations of styles
LARGEST_SHIFT = 0.02  # cumulative layout shift; up to 0.1 counts as good

SHIFTS = """() => {
  const observer = new PerformanceObserver(() => {});
  observer.observe({ type: "layout-shift", buffered: true });
  return observer.takeRecords().map(({ value }) => value);
}"""
"""Those since the page began to load."""


RUN_AXE = """async (root) => {
  // A rule gives its impact to all that it finds, so those of other impacts need not run.
  const others = axe._audit.rules.filter(({ impact }) => ["minor", "moderate"].includes(impact));
  const rules = Object.fromEntries(others.map(({ id }) => [id, { enabled: false }]));
  const { violations } = await axe.run(root, { rules, resultTypes: ["violations"] });
  return violations
    .filter(({ impact }) => ["serious", "critical"].includes(impact))
    .map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]);
}"""


def violations(page: Page, root: str = "html") -> list[Any]:
    """Serious and critical violations that axe-core finds in *root*."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    found: list[Any] = page.evaluate(RUN_AXE, root)
    return found


@pytest.mark.parametrize(
    ("scheme", "width"), some_long([("light", 1280), ("dark", 360)])
)
def test_axe_finds_no_serious_violation(
    visitor: Visitor, server: Server, scheme: Any, width: int
) -> None:
    """Signed out, and signed in with every table open."""
    screen = {"width": width, "height": 900}
    page = visitor.open_page(
        color_scheme=scheme, viewport=screen, reduced_motion="reduce"
    )
    page.goto(server.page)
    assert violations(page) == []
    visitor.sign_in(page, server, "?period=7d&filter=device:desktop")
    for summary in page.locator("summary").all():
        summary.click()
    assert violations(page) == []


@pytest.mark.long("test_axe_finds_no_serious_violation")
def test_axe_finds_no_serious_violation_in_dialogs_panels_and_rooms(
    page: Page, world: World
) -> None:
    """Each as a reader opens it; own dates to compare with, and a room."""
    page.locator("#range").click()
    assert violations(page, "#controls") == []
    page.keyboard.press("Escape")
    page.get_by_label("Compare with").select_option("custom")
    assert violations(page, "#controls") == []
    for button, dialog in (("Keys", "#keys"), ("Share", "#share-dialog")):
        page.get_by_role("button", name=button, exact=True).click()
        if button == "Share":
            expect(page.locator("#share-status")).to_contain_text("It works until")
        assert violations(page, dialog) == []
        page.keyboard.press("Escape")
    show_view(page, f"?period=all&room={world.busiest_room()}&tz=Mars/Phobos")
    assert violations(page) == []


FIELDS = 'a[href], button, input, select, summary, [tabindex="0"]'
WATCH_FOCUS = """() => {
  window.focused = new Set();
  window.unmarked = [];
  document.addEventListener("focusin", ({ target }) => {
    focused.add(target);
    const rings = [null, "::after"].map((part) => getComputedStyle(target, part).outlineStyle);
    if (rings.every((style) => style === "none")) unmarked.push(target.outerHTML.slice(0, 120));
  });
}"""
TAB_STOPS = """([root, fields]) => [...document.querySelectorAll(root)]
  .flatMap((each) => [...each.querySelectorAll(fields)])
  .filter((each) => each.checkVisibility({ checkVisibilityCSS: true }) && each.tabIndex >= 0 && !each.disabled)
  .filter((each) => !window.focused.has(each))
  .map((each) => each.outerHTML.slice(0, 120))"""
STOPS_OF_A_DATE = 4
"""Day, month, year and the calendar."""


def assert_keyboard_reaches(page: Page, root: str = "body") -> None:
    """Assert that Tab reaches all that one can use in *root*, and that one sees where."""
    page.evaluate(WATCH_FOCUS)
    expected = page.evaluate(TAB_STOPS, [root, FIELDS])
    dates = len([html for html in expected if 'type="date"' in html])
    assert len(expected) > 2
    for _ in range(len(expected) + dates * STOPS_OF_A_DATE + 3):
        page.keyboard.press("Tab")
    assert page.evaluate(TAB_STOPS, [root, FIELDS]) == []
    assert page.evaluate("window.unmarked") == []


@pytest.mark.long("test_the_keyboard_reaches_everything")
def test_tab_reaches_all_that_one_can_use(page: Page, world: World) -> None:
    """The page with every table open, its panel, its dialogs, and a room's page."""
    page.get_by_label("Compare with").select_option("custom")
    for summary in page.locator("summary").all():
        summary.click()
    assert_keyboard_reaches(page)
    page.locator("#range").press("Enter")
    assert_keyboard_reaches(page, "#range-panel")
    page.keyboard.press("Escape")
    for button, dialog in (("Keys", "#keys"), ("Share", "#share-dialog")):
        opener = page.get_by_role("button", name=button, exact=True)
        opener.press("Enter")
        if button == "Share":
            expect(page.locator("#share-status")).to_contain_text("It works until")
            assert_keyboard_reaches(page, dialog)
        page.keyboard.press("Escape")
        expect(opener).to_be_focused()
    show_view(page, f"?period=all&room={world.busiest_room()}")
    assert_keyboard_reaches(page)


def test_the_chart_says_which_keys_it_knows(page: Page) -> None:
    """Screen readers get them as the slider's description."""
    slider = page.get_by_role("slider").first
    described = slider.get_attribute("aria-describedby") or ""
    expect(page.locator(f"#{described}")).to_contain_text("Arrow keys")


def test_the_keyboard_reaches_everything(page: Page) -> None:
    """The skip link comes first; arrow keys move through a series, + zooms it."""
    page.reload()
    settled(page)
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    slider = page.get_by_role("slider", name="Page views")
    slider.focus()
    newest = slider.get_attribute("aria-valuetext")
    last = int(slider.get_attribute("aria-valuenow") or 0)
    page.keyboard.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuenow", str(last - 1))
    assert slider.get_attribute("aria-valuetext") != newest
    expect(page.locator("#main-chart .tip")).to_be_visible()
    page.keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuenow", "0")
    page.keyboard.press("+")
    expect(page.get_by_role("button", name="Reset zoom")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Reset zoom")).to_be_hidden()


def test_ranges_are_chosen_by_keyboard_alone(page: Page) -> None:
    """Enter opens the panel, Escape closes it, and the focus stays in reach."""
    button = page.locator("#range")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#range-panel")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#range-panel")).to_be_hidden()
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="30 days").focus()
    with page.expect_response("**/?period=30d**"):
        page.keyboard.press("Enter")
    settled(page)
    expect(button).to_be_focused()
    expect(button).to_contain_text("30 days")


VIEWS_OF_KEYS = {
    "t": "period=today",
    "e": "period=yesterday",
    "w": "period=7d",
    "m": "period=month",
    "p": "period=last_month",
    "y": "period=year",
    "l": "period=12m",
    "a": "period=all",
    "x": "compare=none",
    "k": "kiosk=true",
}


@pytest.mark.long("test_ranges_are_chosen_by_keyboard_alone")
def test_keys_change_the_view(page: Page, subtests: pytest.Subtests) -> None:
    """A key changes the address; it does nothing while one types."""
    for key, query in VIEWS_OF_KEYS.items():
        with subtests.test(key=key):
            assert query not in page.url
            page.keyboard.press(key)
            settled(page)
            assert query in page.url


def test_keys_are_listed_and_do_nothing_while_typing(page: Page) -> None:
    """The sheet opens with a question mark or its button, and closes with Escape."""
    before = page.url
    page.get_by_label("Search rooms").focus()
    page.keyboard.type("twa?")
    assert page.url == before
    expect(page.locator("#keys")).to_be_hidden()
    page.get_by_label("Search rooms").blur()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("a")
    assert page.url == before
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.get_by_label("Search rooms")).to_be_focused()
    page.get_by_label("Search rooms").blur()
    page.get_by_role("button", name="Keys").click()
    expect(page.locator("#keys")).to_be_visible()


@pytest.mark.long("test_ranges_are_chosen_by_keyboard_alone")
def test_arrow_keys_step_and_leave_one_entry_in_the_history(
    visitor: Visitor, server: Server
) -> None:
    """A quick series of steps is one entry and few requests."""
    page = visitor.sign_in(visitor.open_page(fresh=True), server)
    entries = page.evaluate("history.length")
    page.keyboard.press("w")
    settled(page)
    page.wait_for_timeout(700)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    settled(page)
    assert page.evaluate("history.length") <= entries + 2
    assert len([url for url in asked if "interval=" in url]) <= 3
    assert "from=" in page.url


def test_touch_targets_are_large_enough(visitor: Visitor, server: Server) -> None:
    """44 pixels on a phone."""
    screen = {"width": 360, "height": 780}
    page = visitor.open_page(viewport=screen, has_touch=True, is_mobile=True)
    visitor.sign_in(page, server)
    page.locator("#range").click()
    heights = page.locator("button:visible").evaluate_all(
        "all => all.map(button => [button.getBoundingClientRect().height, button.outerHTML])"
    )
    assert [html for height, html in heights if height < 43.9] == []


def test_reduced_motion_disables_animations(visitor: Visitor, server: Server) -> None:
    """Nothing is animated, not even while the page loads."""
    page = visitor.open_page(reduced_motion="reduce")
    page.goto(server.page)
    page.locator("#view").evaluate("view => { view.hidden = false; }")
    assert page.evaluate("document.getAnimations().length") == 0


@pytest.mark.parametrize("width", some_long([360, 1280]))
def test_the_layout_is_stable_while_figures_arrive(
    visitor: Visitor, server: Server, width: int
) -> None:
    """The page reserves space for missing figures."""
    screen = {"width": width, "height": 900}
    page = visitor.open_page(viewport=screen, reduced_motion="no-preference")
    visitor.sign_in(page, server)
    shifts = page.evaluate(SHIFTS)
    assert sum(shifts) < LARGEST_SHIFT
    page.locator("#tiles").evaluate("tiles => { tiles.style.marginTop = '300px'; }")
    page.evaluate(FRAMES_PASS)
    assert sum(page.evaluate(SHIFTS)) > LARGEST_SHIFT, "shifts are not noticed"


def test_the_first_load_is_small(visitor: Visitor, server: Server) -> None:
    """Total transfer size of all files that the first view needs, signed in.

    Without the API's answers, and without what is fetched later: names of regions.
    """
    page = visitor.open_page(fresh=True)
    sizes: dict[str, int] = {}

    def note(request: Request) -> None:
        if "/dashboard" in request.url:
            sizes[request.url.rpartition("/")[2]] = request.sizes()["responseBodySize"]

    page.on("requestfinished", note)
    visitor.sign_in(page, server)
    page.wait_for_load_state("networkidle")
    assert len(sizes) > 10
    later = sizes.pop("regions.txt")
    assert sum(sizes.values()) < LARGEST_LOAD - 30_000
    assert sum(sizes.values()) + later < LARGEST_LOAD


def test_the_longest_range_needs_few_elements_and_layouts(page: Page) -> None:
    """What rendering all charts and tables costs, on however busy a machine."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")
    before = counters(devtools)
    with page.expect_response("**/?period=all&**"):
        page.keyboard.press("a")
    settled(page)
    after = counters(devtools)
    for name in ("LayoutCount", "RecalcStyleCount"):
        assert after[name] - before[name] <= MOST_LAYOUTS, name
    assert page.locator("*").count() < MOST_ELEMENTS


def counters(devtools: CDPSession) -> dict[str, float]:
    """What the browser has done so far for a page."""
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return {each["name"]: each["value"] for each in metrics}


def test_files_have_an_etag_and_are_served_compressed(server: Server) -> None:
    """Without the version in the address, too."""
    for path in ("/dashboard", "/dashboard/assets/app.js"):
        first = httpx.get(server.url + path, headers={"Accept-Encoding": "gzip"})
        assert first.headers["content-encoding"] == "gzip"
        assert first.headers["cache-control"] == "no-cache"
        tag = {"If-None-Match": first.headers["etag"]}
        assert httpx.get(server.url + path, headers=tag).status_code == 304


def test_the_page_can_load_only_its_own_files(server: Server) -> None:
    """The policy forbids inline scripts and styles, other hosts, and framing."""
    policy = httpx.get(server.page).headers["content-security-policy"]
    assert policy == (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


def test_only_files_of_the_page_are_served(server: Server) -> None:
    """Files outside the folder, folders and missing files are 404."""
    for path in ("../main.py", "%2e%2e/main.py", "vendor", "nothing.js"):
        got = httpx.get(f"{server.url}/dashboard/assets/{path}")
        assert got.status_code == 404, path
