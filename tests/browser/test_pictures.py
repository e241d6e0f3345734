"""The pictures in the README: `make test SCREENSHOTS=1` makes them anew."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Visitor
from tests.support.programs import ROOT
from tests.support.world import Server, World

WANTED = bool(os.environ.get("SCREENSHOTS"))
SCREENS = {"desktop": (1280, 960), "phone": (360, 780)}


@pytest.fixture(scope="module")
def shown(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """For the README the demonstration's whole sample; else what is there already."""
    if not WANTED:
        yield server
        return
    world = World(tmp_path_factory.mktemp("pictures"), scale=1)
    world.sync()
    server = Server(world.data_dir)
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_the_page_is_pictured(
    visitor: Visitor, shown: Server, tmp_path: Path, screen: str, scheme: Any
) -> None:
    """On a desk and on a phone, light and dark."""
    width, height = SCREENS[screen]
    viewport = {"width": width, "height": height}
    how = {"viewport": viewport, "color_scheme": scheme, "reduced_motion": "reduce"}
    page = visitor.signs_in(visitor.comes(**how), shown)
    folder = ROOT / "docs" / "images" if WANTED else tmp_path
    picture = folder / f"dashboard-{screen}-{scheme}.png"
    page.locator("body").click(position={"x": 1, "y": 1})  # no focus ring
    page.screenshot(path=picture)
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (width, height)


def test_the_readme_shows_the_pictures() -> None:
    """Each of them is there."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for screen in SCREENS:
        for scheme in ("light", "dark"):
            name = f"docs/images/dashboard-{screen}-{scheme}.png"
            assert name in readme
            assert (ROOT / name).is_file()
