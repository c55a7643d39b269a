"""The end-to-end figures as a picture: rows a second, and CPU time a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt  # the backend is chosen before

from benchmarks.spread import Spread  # the same

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.results import Results

_STORE = "rclone"
_OURS, _PEERS, _CEILING = "#2a6f97", "#9a9a9a", "#d9a441"
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "end to end", "font.family": "sans-serif", "font.size": 9}
_GROUP_HEIGHT = 0.8


def draw(results: Results, path: Path) -> None:
    """Write the picture for rclone's server: a group of bars for each contestant, a bar for each size of the table."""
    sizes = results.sizes(_STORE)
    who = list(dict.fromkeys(turn.contestant for turn in results.turns if turn.store == _STORE))
    with mpl.rc_context(_STYLE):
        figure, (rates, cpu) = plt.subplots(1, 2, figsize=(9.5, 0.5 * len(who) + 1.3), sharey=True)
        for place, name in enumerate(who):
            for shade, rows in enumerate(sizes):
                y = place + (shade - (len(sizes) - 1) / 2) * _GROUP_HEIGHT / len(sizes)
                turns = results.turns_of(name, _STORE, rows)
                look = {"height": 0.9 * _GROUP_HEIGHT / len(sizes), "color": _colour(name), "alpha": 1 - 0.4 * shade}
                if turns:
                    _bar(rates, y, [turn.rows_per_second for turn in turns], look)
                    _bar(cpu, y, [turn.cpu_us_per_row for turn in turns], look)
        rates.set_yticks(range(len(who)), who)
        rates.invert_yaxis()
        rates.set_title("rows a second (more is better)", loc="left", fontsize=9.5)
        cpu.set_title("client CPU a row, µs (less is better)", loc="left", fontsize=9.5)
        for axes in (rates, cpu):
            _tidy(axes)
        figure.text(0.01, 0.015, _note(sizes), size=7.5, color="#555555")
        figure.tight_layout(rect=(0, 0.05, 1, 1))
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)


def _bar(axes: Axes, y: float, values: list[float], look: dict[str, object]) -> None:
    found = Spread.of(values)
    axes.barh(y, found.median, **look)
    whiskers = [[found.median - found.least], [found.most - found.median]]
    axes.errorbar(found.median, y, xerr=whiskers, color="#333333", linewidth=0.8, capsize=2)
    beside = {"xytext": (5, 0), "textcoords": "offset points", "va": "center", "size": 8}
    axes.annotate(f"{found.median:,.0f}", (found.most, y), **beside)


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(x=0.14)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _colour(name: str) -> str:
    if name.startswith("sketch-migrate"):
        return _OURS
    return _CEILING if "ceiling" in name else _PEERS


def _note(sizes: list[int]) -> str:
    shades = ", ".join(f"{rows:,} ({shade})" for rows, shade in zip(sizes, ("dark", "light", "lighter"), strict=False))
    what = f"Objects of 2 KiB on rclone serve s3 in memory, and their rows: {shades}."
    return f"{what} Median; whiskers: least and most of all rounds."
