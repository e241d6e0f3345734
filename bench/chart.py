"""Line charts with logarithmic axes, side by side, as SVG."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 460, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 92, 56, 44

type Panel = tuple[str, Sequence["Line"]]
"""Caption and lines."""


@dataclass(frozen=True, slots=True)
class Line:
    """A name, a colour, and points with both coordinates above 0."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axis:
    """Whole powers of ten around *low* to *high*, spread from *begin* to *end* pixels."""

    low: int
    high: int
    begin: float
    end: float

    @classmethod
    def around(cls, values: Sequence[float], begin: float, end: float) -> "Axis":
        """The shortest axis that contains all *values*."""
        low, high = (
            math.floor(math.log10(min(values))),
            math.ceil(math.log10(max(values))),
        )
        return cls(low, max(high, low + 1), begin, end)

    def at(self, value: float) -> float:
        """The pixel of *value*."""
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """All powers of ten on the axis."""
        return [10.0**power for power in range(self.low, self.high + 1)]


def render(title: str, *panels: Panel) -> str:
    """An SVG document; the x axis of each panel is the number of rows."""
    width = WIDTH * len(panels)
    inside = "\n".join(
        f'<g transform="translate({WIDTH * i} 0)">\n{chr(10).join(_panel(*panel))}\n</g>'
        for i, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12" role="img" '
        f'aria-label="{escape(title)}">\n'
        f'<rect width="{width}" height="{HEIGHT}" fill="white"/>\n'
        f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>\n'
        f"{inside}\n</svg>\n"
    )


def _panel(caption: str, lines: Sequence[Line]) -> Iterator[str]:
    xs, ys = zip(*(point for line in lines for point in line.points), strict=True)
    x = Axis.around(xs, LEFT, WIDTH - RIGHT)
    y = Axis.around(ys, HEIGHT - BOTTOM, TOP)
    yield f'<text x="{LEFT}" y="{TOP - 12}" fill="#555">{escape(caption)}</text>'
    for tick in x.ticks():
        yield _rule(x.at(tick), y.begin, x.at(tick), y.end)
        yield _label(x.at(tick), HEIGHT - BOTTOM + 18, "middle", _short(tick))
    for tick in y.ticks():
        yield _rule(x.begin, y.at(tick), x.end, y.at(tick))
        yield _label(LEFT - 8, y.at(tick) + 4, "end", _short(tick))
    yield _label((x.begin + x.end) / 2, HEIGHT - 8, "middle", "rows")
    yield from _lines(lines, x, y)


def _lines(lines: Sequence[Line], x: Axis, y: Axis) -> Iterator[str]:
    for line in lines:
        path = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in line.points)
        yield (
            f'<polyline points="{path}" fill="none" stroke="{line.colour}" '
            'stroke-width="2"/>'
        )
        for a, b in line.points:
            yield f'<circle cx="{x.at(a):.1f}" cy="{y.at(b):.1f}" r="3" fill="{line.colour}"/>'
    yield from _names(lines, x, y)


def _names(lines: Sequence[Line], x: Axis, y: Axis) -> Iterator[str]:
    """The name of each line at its end, moved down if it would overlap the one above."""
    next_free = float(TOP)
    for line in sorted(lines, key=lambda line: -line.points[-1][1]):
        right, value = line.points[-1]
        place = max(y.at(value) + 4, next_free)
        next_free = place + 14
        yield (
            f'<text x="{x.at(right) + 8:.1f}" y="{place:.1f}" fill="{line.colour}">'
            f"{escape(line.name)}</text>"
        )


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#e5e5e5"/>'


def _label(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#555">{text}</text>'


def _short(value: float) -> str:
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"
