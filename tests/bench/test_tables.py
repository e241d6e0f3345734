"""The benchmark's tables, targets and pictures."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench import chart, growth, report, targets
from bench.chart import Axis, Line
from bench.growth import Point
from bench.worker import Timing


def timed(*milliseconds: float) -> Timing:
    """A timing with one run per argument, and a peak of 1 MB."""
    seconds = [ms / 1000 for ms in milliseconds]
    return Timing(wall=seconds, cpu=seconds, peak_bytes=2**20)


def test_a_timing_has_a_best_and_a_median_run() -> None:
    """The best is the smallest value, the median the middle one."""
    timing = timed(5, 1, 3)
    assert (timing.runs, timing.best, timing.median) == (3, 0.001, 0.003)


def test_the_columns_of_a_table_are_aligned() -> None:
    """Names are left-aligned, figures right-aligned."""
    text = report.markdown(["", "ms"], [["votes", "1"], ["all", "1,000"]])
    assert text.splitlines() == [
        "|       |    ms |",
        "| ----- | ----: |",
        "| votes |     1 |",
        "| all   | 1,000 |",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0001234, "0.123"), (0.01234, "12.3"), (0.0999, "99.9"), (1.2346, "1,235")],
)
def test_milliseconds_have_three_digits(seconds: float, text: str) -> None:
    """Large numbers have all their digits."""
    assert report.milliseconds(seconds) == text


def test_new_figures_replace_old_ones(tmp_path: Path) -> None:
    """Only text between the markers of the part changes."""
    document = tmp_path / "performance.md"
    other = tmp_path / "measurements.md"
    other.write_text("<!-- bench:y -->\nold\n<!-- /bench:y -->\n")
    document.write_text("a\n<!-- bench:x -->\nold\n<!-- /bench:x -->\nb\n")
    report.insert("x", "new \\1", [other, document])
    assert document.read_text() == (
        "a\n<!-- bench:x -->\n\nnew \\1\n\n<!-- /bench:x -->\nb\n"
    )
    assert "old" in other.read_text()


def test_figures_without_markers_are_refused(tmp_path: Path) -> None:
    """An error is raised instead of losing them."""
    document = tmp_path / "performance.md"
    document.write_text("<!-- bench:x -->")
    with pytest.raises(ValueError, match=r"performance.md must have <!-- bench:x -->"):
        report.insert("x", "new", [document])


@pytest.mark.parametrize(("measured", "met"), [(9.9, True), (10, True), (10.1, False)])
def test_at_most_includes_the_bound(measured: float, met: bool) -> None:
    """A bound may be met exactly."""
    assert targets.at_most("waits", measured, 10, " ms").met is met


@pytest.mark.parametrize(("measured", "met"), [(1.9, False), (2, True), (2.1, True)])
def test_at_least_includes_the_bound(measured: float, met: bool) -> None:
    """A bound may be met exactly."""
    assert targets.at_least("faster", measured, 2, "").met is met


def test_a_missed_target_is_bold() -> None:
    """Its row shows the bound and the measured figure."""
    text = targets.table([targets.at_most("memory", 130, 120, " MB")])
    assert "| memory | at most 120 MB |   130 MB | **no** |" in text


def test_an_axis_spans_whole_powers_of_ten() -> None:
    """Equal factors have equal distances."""
    axis = Axis.around([2, 800], 0, 300)
    assert axis.ticks() == [1, 10, 100, 1000]
    assert [axis.at(tick) for tick in axis.ticks()] == [0, 100, 200, 300]


def test_an_axis_of_one_power_has_a_length() -> None:
    """All values may be equal; the axis still has two ticks."""
    assert Axis.around([10], 0, 100).ticks() == [10, 100]


def test_a_picture_is_well_formed_and_labels_its_lines() -> None:
    """Names are escaped, and each line has all its points."""
    line = Line("a < b", "#000", [(1, 1), (10, 5), (100, 9)])
    root = ET.fromstring(chart.render("T & t", ("ms", [line])))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"T & t", "ms", "a < b", "100", "rows"} <= set(texts)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 3


def points(*timings: tuple[int, float, float]) -> list[Point]:
    """Points from (rows, in-memory ms, streaming ms); other engines take 1 ms."""
    return [
        Point(
            scale=rows / 100,
            rows=rows,
            timings={name: timed(1) for name in growth.ENGINES}
            | {"in-memory": timed(in_memory), "streaming": timed(streaming)},
        )
        for rows, in_memory, streaming in timings
    ]


def test_growth_shows_where_streaming_becomes_faster() -> None:
    """In the logarithmic middle of two points with opposite leads."""
    *_, crossing = growth.tables(points((100, 10, 20), (10_000, 2_000, 1_000)))
    assert (
        crossing == "The streaming engine is the faster one from about 1,000 rows on."
    )


@pytest.mark.parametrize(
    ("in_memory", "streaming", "faster"), [(1, 2, "in-memory"), (2, 1, "streaming")]
)
def test_growth_shows_which_engine_is_always_faster(
    in_memory: float, streaming: float, faster: str
) -> None:
    """If the two lines do not cross."""
    *_, crossing = growth.tables(
        points((100, in_memory, streaming), (1000, in_memory, streaming))
    )
    assert crossing.startswith(f"The {faster} engine is the faster one at every scale")


def test_growth_shows_the_exponent() -> None:
    """Ten times the time for ten times the rows is 1, a hundred times is 2."""
    _, _, _, table, _ = growth.tables(points((100, 1, 1), (1000, 10, 100)))
    cells = [cell.strip() for cell in table.splitlines()[-1].split("|")]
    in_memory, streaming = (
        cells[2 + growth.ENGINES.index(name)] for name in ("in-memory", "streaming")
    )
    assert (in_memory, streaming) == ("10,000 (1.00)", "100,000 (2.00)")
