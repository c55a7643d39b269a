"""A chart is a picture, a sentence and a table that say the same, whatever the texts in it are."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree as ET

import pytest

from sketchmigrate.report.page.chart import PLOT, TOP, Band, Chart, Line
from sketchmigrate.report.page.scale import decades, lasting, marks, moments, number

HOSTILE = "</svg><script>alert('\"x\"')</script>"


def _svg(chart: Chart) -> ET.Element:
    return ET.fromstring(str(chart.svg()))  # noqa: S314 - our own


def test_points_are_within_the_plot_and_a_gap_parts_a_line() -> None:
    points = [(0.0, 0.0), (1.0, 7.0), (2.0, None), (3.0, 3.0), (4.0, 9.9)]
    svg = _svg(Chart("a", "A", "b", "c", 4.0, [Line("x", points)]))
    paths = [each.attrib["d"] for each in svg.iter("path")]
    assert len(paths) == 2
    numbers = [tuple(map(float, pair.split())) for path in paths for pair in path[1:].split("L")]
    assert [x for x, _ in numbers] == [0, 250, 750, 1000]
    assert all(0 <= y <= PLOT for _, y in numbers)
    assert numbers[0][1] == PLOT
    assert numbers[-1][1] < numbers[1][1] < PLOT


def test_a_single_point_is_seen() -> None:
    (path,) = _svg(Chart("a", "A", "b", "c", 4.0, [Line("x", [(4.0, 1.0)])])).iter("path")
    assert "L" in path.attrib["d"]


def test_texts_are_escaped_and_name_the_chart() -> None:
    band = Band(1.0, 2.0, HOSTILE, "stopped")
    chart = Chart("a", HOSTILE, "b", HOSTILE, 4.0, [Line(HOSTILE, [(1.0, 2.0)])], [band], write=lambda _: HOSTILE)
    svg = _svg(chart)
    assert not list(svg.iter("script"))
    texts = {each.attrib.get("id"): each.text for each in svg if each.tag in {"title", "desc"}}
    assert texts == {"a-title": f"{HOSTILE}, b", "a-about": HOSTILE}
    assert svg.attrib["aria-labelledby"] == "a-title a-about"
    (rect,) = svg.iter("rect")
    assert (rect.attrib["x"], rect.attrib["width"]) == ("25.00%", "25.00%")


def test_a_logarithmic_scale_holds_all_values() -> None:
    points = [(0.0, 0.02), (1.0, 3.0), (2.0, 9000.0)]
    svg = _svg(Chart("a", "A", "b", "c", 2.0, [Line("x", points)], is_log=True))
    (path,) = svg.iter("path")
    assert all(0 <= float(pair.split()[1]) <= PLOT for pair in path.attrib["d"][1:].split("L"))
    places = [float(each.attrib["y1"]) for each in svg.iter("line")]
    assert places == sorted(places, reverse=True)
    assert (max(places), min(places)) == (TOP + PLOT, TOP)


def test_the_table_has_the_points() -> None:
    lines = [
        Line("x", [(float(at), float(at)) for at in range(240)]),
        Line("y", [(float(at), None) for at in range(240)]),
    ]
    titles, rows = Chart("a", "A", "b", "c", 239.0, lines).table()
    assert titles == ["Time", "x", "y"]
    assert len(rows) == 30
    assert rows[1] == ["0:08", "8", "\N{EN DASH}"]


@pytest.mark.parametrize("most", [0, 0.003, 1, 7, 99, 100, 1234, 5e9])
def test_marks_are_round_and_enclose(most: float) -> None:
    found = marks(most)
    assert found[0] == 0
    assert found[-1] >= most
    assert 2 <= len(found) <= 6
    step = found[1] - found[0]
    assert round(step / 10 ** math.floor(math.log10(step) + 1e-9), 6) in {1, 2, 5, 10}


def test_marks_of_what_is_counted_are_whole() -> None:
    assert marks(1, are_whole=True) == [0, 1]
    assert marks(2, are_whole=True) == [0, 1, 2]


@pytest.mark.parametrize(("least", "most"), [(1, 1), (0.1, 10_000), (9, 11), (100, 100)])
def test_decades_enclose(least: float, most: float) -> None:
    found = decades(least, most)
    assert found[0] <= least
    assert found[-1] >= most
    assert len(found) >= 2


@pytest.mark.parametrize("seconds", [1, 7, 185, 3600, 86_400, 30 * 86_400])
def test_moments_are_few_and_within(seconds: float) -> None:
    found = moments(seconds)
    assert found[0] == 0
    assert 2 <= len(found) <= 5
    assert found[-1] <= seconds


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "\N{EN DASH}"),
        (0, "0"),
        (0.00421, "0.00421"),
        (1.5, "1.5"),
        (12.34, "12.3"),
        (99.96, "100"),
        (1234567, "1,234,567"),
    ],
)  # fmt: skip
def test_numbers_have_three_figures(value: float | None, written: str) -> None:
    assert number(value) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (187, "3 min 7 s"), (7500, "2 h 5 min")],
)
def test_times_are_written_in_words(seconds: float, written: str) -> None:
    assert re.sub("\N{NO-BREAK SPACE}", " ", lasting(seconds)) == written
