"""Objects copied over time, for fleets of several sizes, while the store's limit doubles by and by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt  # the backend is chosen before

from benchmarks.scaling import bounds  # the same

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.scaling.bounds import Fleet

_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "scale", "font.family": "sans-serif", "font.size": 9}
_COLOURS = ("#9ecae1", "#4292c6", "#084594")
_HOURS = [10 ** (step / 40) / 10 for step in range(141)]  # six minutes to thirteen days, evenly on a logarithmic axis


def draw(fleets: Mapping[str, Fleet], path: Path) -> None:
    """Write the picture."""
    with mpl.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=(8.5, 4.2))
        still = [hours * 3_600 * bounds.COPIES_A_SECOND for hours in _HOURS]
        axes.plot(_HOURS, still, color="#999999", linestyle="--", linewidth=1, label="one partition, never split")
        for (name, fleet), colour in zip(fleets.items(), _COLOURS, strict=True):
            copied = [bounds.copied_after(hours * 3_600, fleet.rows_a_second) for hours in _HOURS]
            label = f"{name}: at most {fleet.rows_a_second:,.0f} rows/s"
            axes.plot(_HOURS, copied, color=colour, linewidth=1.8, label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(1e6, 3e10)
        axes.set_xlim(_HOURS[0], _HOURS[-1])
        ticks = {0.1: "6 min", 1: "1 h", 4: "4 h", 12: "12 h", 24: "1 day", 72: "3 days", 240: "10 days"}
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.minorticks_off()
        axes.set_title("objects copied since the start, one prefix that S3 partitions as it goes", loc="left", size=9.5)
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="upper left")
        figure.tight_layout()
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
