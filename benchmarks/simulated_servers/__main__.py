"""Draws what the congestion control does with simulated servers: ``python -m benchmarks.simulated_servers [FOLDER]``.

The pictures go to docs/performance. The runs are seeded and the drawing is deterministic: same code, same bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from benchmarks.pictures import draw_all, draw_rates
from benchmarks.simulated_servers.servers import (
    Distant,
    FixedCapacity,
    Noisy,
    Partitions,
    Prefixes,
    Refusing,
    Server,
    Stalling,
    Throttling,
    Tides,
)
from benchmarks.simulated_servers.simulation import SAMPLE_SECONDS, Client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.simulated_servers.simulation import Trace

ACCEPTED, REFUSED, WINDOW, LIMIT = "#1f5f99", "#c0392b", "#7f8c8d", "#2e8b57"
PREFIXES = ("#8e44ad", "#d68910", "#16a085", "#7d6608")


@dataclass(frozen=True, slots=True)
class Scene:
    """A run to be drawn. ``limit`` is the rate that the server takes, 0 where there is none or it changes.

    With ``prefix_of`` the rates below each of the prefixes in ``legend`` are drawn.
    """

    name: str
    title: str
    server: Server
    seconds: float
    limit: float = 0.0
    prefix_of: Callable[[int], int] | None = None
    legend: tuple[str, ...] = ()


def scenes() -> list[Scene]:
    """Return all runs, with servers that nobody has used yet."""
    noise = Random(5)  # noqa: S311 - no secret hangs on it
    limits = (250, 500, 1000, 250)
    order = Random(7).choices(range(4), limits, k=2**17)  # noqa: S311 - see above
    one_limited: list[Server] = [Partitions(100, 0.02, math.inf), *(FixedCapacity(10, 0.02) for _ in range(3))]
    each_limited = [Partitions(limit, 0.02, math.inf) for limit in limits]
    tides = Tides(FixedCapacity(1, 0.0005), (0.01, 0.2), 20)

    def mixed(number: int) -> int:
        return order[number % len(order)]

    return [
        Scene("far-away", "50 ms away, no limit", Distant(0.05), 10),
        Scene("fixed-capacity", "2 000/s at most, the others queue", FixedCapacity(40, 0.02), 60, 2000),
        Scene("noisy", "2 000/s at most, latencies vary widely", Noisy(FixedCapacity(40, 0.02), noise, 0.02), 60, 2000),
        Scene("throttled", "refuses more than 1 000 in a second", Throttling(1000, 0.02), 60, 1000),
        Scene("partitions", "refuses more than 500/s, splits after 10 s of that", Partitions(500, 0.03, 10), 120),
        Scene("stall", "answers nothing from second 20 to 25", Stalling(FixedCapacity(40, 0.02), 20, 25), 60, 2000),
        Scene("changing", "2 000/s at most, 10 ms away, then 200, then 10", tides, 60, 2000),
        Scene(
            "prefixes",
            "refuses more than 250, 500, 1 000 and 250/s below four prefixes",
            Prefixes(each_limited, mixed),
            40,
            2000,
            mixed,
            tuple(f"limit {limit}/s" for limit in limits),
        ),
        Scene(
            "one-prefix",
            "refuses more than 100/s below one prefix; takes 500/s below each of three others",
            Prefixes(one_limited, lambda number: number % 4),
            40,
            0,
            lambda number: number % 4,
            ("limit 100/s", "500/s", "500/s", "500/s"),
        ),
        Scene("outage", "refuses everything from second 20 to 40", Refusing(Throttling(1000, 0.02), 20, 40), 80, 1000),
    ]


def draw(scene: Scene, path: Path) -> None:
    """Play a scene and draw the rates over time, with the window behind them."""
    references = 10**6 if scene.prefix_of and not scene.limit else 2000  # rows in an order that keeps nobody waiting
    trace = Client(scene.server, prefix_of=scene.prefix_of, references=references).run(scene.seconds)
    times = [sample.at for sample in trace.samples]

    def rates(axes: Axes) -> None:
        for prefix, (label, color) in enumerate(zip(scene.legend, PREFIXES, strict=False)):
            axes.plot(times, _below(trace, prefix), color=color, linewidth=0.9, label=label)
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
    return _smoothed([getattr(sample, name) for sample in trace.samples])


def _below(trace: Trace, prefix: int) -> list[float]:
    return _smoothed([sample.accepted_below[prefix] / SAMPLE_SECONDS for sample in trace.samples])


def _smoothed(values: list[float]) -> list[float]:
    return [sum(values[max(0, at - 3) : at + 1]) / min(4, at + 1) for at in range(len(values))]


if __name__ == "__main__":
    draw_all(scenes(), "simulated", draw)
