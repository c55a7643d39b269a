"""A chart over time as inline SVG, which a person also reads as a sentence and as a table. Pure.

Lines are stretched to the width there is; texts keep their size at any width, as their places are percentages. Colours
are the page's, by CSS classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from sketchmigrate.report.page.scale import decades, highest, marks, moments, number, time_after

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PLOT = 118
TOP = 16
FOOT = 22
_WIDTH = 1000
_TABLE_LINES = 30


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart. Points are seconds since the beginning, and a value or None for a gap; ``tone`` is a class."""

    name: str
    points: Sequence[tuple[float, float | None]]
    tone: str = "one"
    is_area: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """A time that is shaded, in seconds since the beginning, and why."""

    begin: float
    end: float
    title: str
    tone: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart. ``name`` is unique in the page, ``about`` says in a sentence what is to be seen."""

    name: str
    title: str
    unit: str
    about: str
    seconds: float
    lines: Sequence[Line]
    bands: Sequence[Band] = ()
    is_log: bool = False
    is_whole: bool = False
    write: Callable[[float | None], str] = number
    most: float | None = None

    def svg(self) -> Markup:
        """Return the chart."""
        values = self._marks()
        low, high = values[0], values[-1]
        parts = [self._band(band) for band in self.bands]
        for value in values:
            y = self._y(value, low, high)
            parts.append(_GRID.format(y=y, tone="axis" if value == low else "grid"))
            parts.append(_VALUE.format(y=y + 4, text=self.write(value)))
        paths = [path for line in self.lines for path in self._paths(line, low, high)]
        parts.append(_PLOT.format(top=TOP, height=PLOT, width=_WIDTH, paths=Markup("").join(paths)))
        parts.extend(self._moment(each) for each in moments(self.seconds))
        return _SVG.format(
            name=self.name,
            title=f"{self.title}, {self.unit}",
            about=self.about,
            height=TOP + PLOT + FOOT,
            parts=Markup("").join(parts),
        )

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the same as a table: its titles, and lines for times that are evenly spread."""
        times = [at for at, _ in self.lines[0].points]
        step = -(-len(times) // _TABLE_LINES) or 1
        rows = [
            [time_after(times[place]), *(self.write(line.points[place][1]) for line in self.lines)]
            for place in range(0, len(times), step)
        ]
        return ["Time", *(line.name for line in self.lines)], rows

    def _marks(self) -> list[float]:
        most = max([self.most or 0.0, *(highest(line.points) for line in self.lines)])
        if not self.is_log:
            return marks(most, are_whole=self.is_whole)
        least = min((value for line in self.lines for _, value in line.points if value), default=1.0)
        return decades(max(least, 0.1), max(most, 1.0))

    def _y(self, value: float, low: float, high: float) -> float:
        if self.is_log:
            low, high, value = (math.log10(each) for each in (low, high, max(value, low)))
        return round(TOP + PLOT * (1 - (value - low) / (high - low)), 1)

    def _x(self, at: float) -> float:
        return round(_WIDTH * min(max(at / self.seconds, 0.0), 1.0), 1)

    def _paths(self, line: Line, low: float, high: float) -> list[Markup]:
        pieces: list[list[tuple[float, float]]] = [[]]
        for at, value in line.points:
            if value is None:
                pieces.append([])
            else:
                pieces[-1].append((self._x(at), round(self._y(value, low, high) - TOP, 1)))
        drawn = [piece for piece in pieces if piece]
        found = []
        for piece in drawn:
            whole = piece if len(piece) > 1 else [*piece, (piece[0][0] + 2, piece[0][1])]  # a point is a short line
            points = "L".join(f"{x:g} {y:g}" for x, y in whole)
            if line.is_area:
                closed = f"M{piece[0][0]:g} {PLOT}L{points}L{piece[-1][0]:g} {PLOT}Z"
                found.append(_AREA.format(d=closed, tone=line.tone))
            found.append(_PATH.format(d=f"M{points}", tone=line.tone))
        return found

    def _band(self, band: Band) -> Markup:
        begin, end = (100 * min(max(at / self.seconds, 0.0), 1.0) for at in (band.begin, band.end))
        width = f"{max(end - begin, 0.15):.2f}"
        return _BAND.format(x=f"{begin:.2f}", width=width, top=TOP, height=PLOT, tone=band.tone, title=band.title)

    def _moment(self, at: float) -> Markup:
        share = at / self.seconds
        anchor = "start" if share < 0.03 else "end" if share > 0.97 else "middle"  # noqa: PLR2004 - near an edge
        return _MOMENT.format(x=f"{100 * share:.2f}", y=TOP + PLOT + 16, anchor=anchor, text=time_after(at))


_SVG = Markup(
    '<svg class="chart" role="img" height="{height}" aria-labelledby="{name}-title {name}-about">'
    '<title id="{name}-title">{title}</title><desc id="{name}-about">{about}</desc>{parts}</svg>'
)
_PLOT = Markup(
    '<svg class="plot" y="{top}" width="100%" height="{height}" viewBox="0 0 {width} {height}"'
    ' preserveAspectRatio="none">{paths}</svg>'
)
_PATH = Markup('<path class="line {tone}" d="{d}"/>')
_AREA = Markup('<path class="area {tone}" d="{d}"/>')
_BAND = Markup(
    '<rect class="band {tone}" x="{x}%" y="{top}" width="{width}%" height="{height}"><title>{title}</title></rect>'
)
_GRID = Markup('<line class="{tone}" x1="0" x2="100%" y1="{y}" y2="{y}"/>')
_VALUE = Markup('<text class="value" x="-8" y="{y}" text-anchor="end">{text}</text>')
_MOMENT = Markup('<text class="moment" x="{x}%" y="{y}" text-anchor="{anchor}">{text}</text>')
