"""What a chart draws, read from its elements."""

from typing import Any, NamedTuple

from playwright.sync_api import Locator, Page

MAIN = "#main-chart"


class Mark(NamedTuple):
    """A bar or a compared value: the row's date, the value, and whether it is unfinished."""

    date: str
    value: float
    unfinished: bool = False


class Tick(NamedTuple):
    """A label of an axis, in pixels of the page."""

    text: str
    at: str
    left: float
    right: float


def bars(page: Page, root: str = MAIN) -> list[Mark]:
    """Bars from left to right."""
    found = page.locator(f"{root} rect.bar").evaluate_all(
        "all => all.map(bar => [bar.dataset.date, Number(bar.dataset.value),"
        " bar.classList.contains('unfinished')])"
    )
    return [Mark(*each) for each in found]


def compared(page: Page, root: str = MAIN) -> list[Mark]:
    """Compared values, each with the date of the row that it is drawn at."""
    found = page.locator(f"{root} line.before").evaluate_all(
        "all => all.map(mark => [mark.dataset.date, Number(mark.dataset.value)])"
    )
    return [Mark(*each) for each in found]


def averages(page: Page, root: str = MAIN) -> list[float | None]:
    """Values of the average's line, row by row; an empty list without a line."""
    line = page.locator(f"{root} path.average")
    if not line.count():
        return []
    values = (line.get_attribute("data-values") or "").split(" ")
    return [float(value) if value else None for value in values]


def dates(page: Page, root: str = MAIN) -> list[Tick]:
    """Labels of the horizontal axis, from left to right."""
    return _ticks(page.locator(f"{root} .dates-axis .tick"), "date")


def values(page: Page, root: str = MAIN) -> list[float]:
    """Values that have a grid line, ascending."""
    return [
        float(tick.at)
        for tick in _ticks(page.locator(f"{root} .values .tick"), "value")
    ]


def legend(page: Page, root: str = MAIN) -> list[str]:
    """Entries of the legend."""
    return page.locator(f"{root} .legend li").all_inner_texts()


def _ticks(labels: Locator, name: str) -> list[Tick]:
    found: list[list[Any]] = labels.evaluate_all(
        "(all, name) => all.map(label => { const box = label.getBoundingClientRect();"
        " return [label.textContent, label.dataset[name], box.left, box.right]; })",
        name,
    )
    return [Tick(*each) for each in found]


def point_at(page: Page, index: int, root: str = MAIN) -> str:
    """Point at the row *index* with the mouse; the lines of the tooltip."""
    plot = page.locator(f"{root} .plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box
    rows = int(plot.get_attribute("aria-valuemax") or 0) + 1
    x = box["x"] + (index % rows + 0.5) / rows * box["width"]
    page.mouse.move(x, box["y"] + box["height"] / 2)
    return page.locator(f"{root} .tip").inner_text()
