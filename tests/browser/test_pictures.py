"""The README's screenshots; `make test SCREENSHOTS=1` retakes them."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Playwright

from tests.browser.conftest import chromium
from tests.browser.visitor import Tabs, Visitor, visiting
from tests.support.effort import some_long
from tests.support.programs import ROOT
from tests.support.world import Server, World

pytestmark = pytest.mark.external

WANTED = bool(os.environ.get("SCREENSHOTS"))
SCREENS = {"desktop": (1280, 960), "phone": (360, 780)}
NUMBER = 2 if WANTED else 1
"""Of screens, and of colour schemes, in a usual run."""


@pytest.fixture(scope="module")
def shown(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """For the README, an API with the full sample; otherwise the shared API."""
    if not WANTED:
        yield server
        return
    world = World(tmp_path_factory.mktemp("pictures"), scale=1)
    world.sync()
    server = Server(world.data_dir)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def visitor(playwright: Playwright) -> Iterator[Visitor]:
    """A visitor with a browser that draws."""
    with chromium(playwright) as browser, visiting(Tabs(browser)) as visitor:
        yield visitor


@pytest.mark.parametrize("scheme", some_long(["light", "dark"], NUMBER))
@pytest.mark.parametrize("screen", some_long(SCREENS, NUMBER))
def test_a_screenshot_has_the_size_of_its_screen(
    visitor: Visitor, shown: Server, tmp_path: Path, screen: str, scheme: Any
) -> None:
    """Desktop and phone, light and dark."""
    width, height = SCREENS[screen]
    viewport = {"width": width, "height": height}
    options = {"viewport": viewport, "color_scheme": scheme, "reduced_motion": "reduce"}
    page = visitor.sign_in(visitor.open_page(**options), shown)
    folder = ROOT / "docs" / "images" if WANTED else tmp_path
    picture = folder / f"dashboard-{screen}-{scheme}.png"
    page.locator("body").click(position={"x": 1, "y": 1})  # no focus ring
    page.screenshot(path=picture)
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (width, height)


def test_the_readme_shows_the_screenshots() -> None:
    """Each file exists."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for screen in SCREENS:
        for scheme in ("light", "dark"):
            name = f"docs/images/dashboard-{screen}-{scheme}.png"
            assert name in readme
            assert (ROOT / name).is_file()
