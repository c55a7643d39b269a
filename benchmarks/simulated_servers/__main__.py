"""Draws what the congestion control does with simulated servers: ``python -m benchmarks.simulated_servers [FOLDER]``.

The pictures go to docs/performance. The runs are seeded and the drawing is deterministic: same code, same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from benchmarks.pictures import draw_all, draw_rates
from benchmarks.simulated_servers.servers import (
    Distant,
    FixedCapacity,
    Noisy,
    Partitions,
    Refusing,
    Server,
    Stalling,
    Throttling,
)
from benchmarks.simulated_servers.simulation import Client

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.simulated_servers.simulation import Trace

ACCEPTED, REFUSED, WINDOW, LIMIT = "#1f5f99", "#c0392b", "#7f8c8d", "#2e8b57"


@dataclass(frozen=True, slots=True)
class Scene:
    """A run to be drawn. ``limit`` is the rate that the server takes, 0 where there is none or it changes."""

    name: str
    title: str
    server: Server
    seconds: float
    limit: float = 0.0


def scenes() -> list[Scene]:
    """Return all runs, with servers that nobody has used yet."""
    noise = Random(5)  # noqa: S311 - no secret hangs on it
    return [
        Scene("far-away", "50 ms away, no limit", Distant(0.05), 10),
        Scene("fixed-capacity", "2 000/s at most, the others queue", FixedCapacity(40, 0.02), 60, 2000),
        Scene("noisy", "2 000/s at most, latencies vary widely", Noisy(FixedCapacity(40, 0.02), noise, 0.02), 60, 2000),
        Scene("throttled", "refuses more than 1 000 in a second", Throttling(1000, 0.02), 60, 1000),
        Scene("partitions", "refuses more than 500/s, splits after 10 s of that", Partitions(500, 0.03, 10), 120),
        Scene("stall", "answers nothing from second 20 to 25", Stalling(FixedCapacity(40, 0.02), 20, 25), 60, 2000),
        Scene("outage", "refuses everything from second 20 to 40", Refusing(Throttling(1000, 0.02), 20, 40), 80, 1000),
    ]


def draw(scene: Scene, path: Path) -> None:
    """Play a scene and draw the rates over time, with the window behind them."""
    trace = Client(scene.server).run(scene.seconds)
    times = [sample.at for sample in trace.samples]

    def rates(axes: Axes) -> None:
        accepted, refused = (_by_the_second(trace, f"{what}_per_second") for what in ("accepted", "refused"))
        axes.plot(times, accepted, color=ACCEPTED, linewidth=1.4, label="accepted/s")
        if any(refused):
            axes.plot(times, refused, color=REFUSED, linewidth=1.1, label="refused/s")
        if scene.limit:
            axes.axhline(scene.limit, color=LIMIT, linewidth=1, linestyle="--", label="what the server takes")

    def window(axes: Axes) -> None:
        values, label = [sample.window for sample in trace.samples], "may be in flight (right)"
        axes.plot(times, values, color=WINDOW, linewidth=0.9, linestyle=":", drawstyle="steps-post", label=label)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=8, colors=WINDOW)

    draw_rates(scene, path, what="requests/s", rates=rates, behind=window)


def _by_the_second(trace: Trace, name: str) -> list[float]:
    """Return the mean of each sample and the three before it: a quarter of a second beats with a server's clock."""
    values: list[float] = [getattr(sample, name) for sample in trace.samples]
    return [sum(values[max(0, at - 3) : at + 1]) / min(4, at + 1) for at in range(len(values))]


if __name__ == "__main__":
    draw_all(scenes(), "simulated", draw)
