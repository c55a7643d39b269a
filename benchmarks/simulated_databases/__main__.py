"""Draws what the governor does with simulated databases: ``python -m benchmarks.simulated_databases [FOLDER]``.

The pictures go to docs/performance. The runs are seeded and the drawing is deterministic: same code, same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from benchmarks.pictures import draw_all, draw_rates
from benchmarks.simulated_databases.databases import MEGABYTE, SimulatedDatabase, constant, during
from benchmarks.simulated_databases.simulation import play
from sketchmigrate.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

FASTEST = 5000.0
RATE, SHARE, LIMIT = "#1f5f99", "#c0392b", "#7f8c8d"
MOST_SHARE = 1.5
"""What is above it is drawn there: a vacuum is no matter of more or less."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A run to be drawn, and the settings that are not as usual."""

    name: str
    title: str
    database: SimulatedDatabase
    seconds: float
    given: dict[str, object] = field(default_factory=dict)


def scenes() -> list[Scene]:
    """Return all runs, with databases that nobody has used yet."""
    chance = Random(3)  # noqa: S311 - no secret hangs on it

    def changing(now: float) -> float:
        return MEGABYTE * (1.0 if now < 200 else 0.4 if now < 400 else 3.0)  # noqa: PLR2004 - of this scene alone

    return [
        Scene(
            "slow-standby", "a standby that keeps up with a third", SimulatedDatabase(replays=constant(MEGABYTE)), 300
        ),
        Scene("changing-standby", "one that becomes slower, then faster", SimulatedDatabase(replays=changing), 600),
        Scene(
            "paused-replay",
            "replay is paused from second 60 to 120",
            SimulatedDatabase(replays=during(60, 120, 0, 20 * MEGABYTE)),
            200,
        ),
        Scene(
            "unread-slot",
            "nobody reads a slot until second 120, which may keep 64 MB",
            SimulatedDatabase(reads=during(0, 120, 0, 20 * MEGABYTE), slot_keep_bytes=64 * MEGABYTE),
            200,
        ),
        Scene(
            "waiting-sessions",
            "at full speed, three sessions would wait for rows of ours on average",
            SimulatedDatabase(waits_a_row=3 / FASTEST, chance=chance),
            300,
        ),
        Scene(
            "vacuum",
            "a vacuum to prevent wraparound from second 60 to 120",
            SimulatedDatabase(vacuums=lambda now: 60 <= now < 120),  # noqa: PLR2004 - of this scene alone
            200,
        ),
    ]


def draw(scene: Scene, path: Path) -> None:
    """Play a scene and draw the rate over time, with the share of the nearest limit behind it."""
    settings = Settings.of(scene.given)
    trace = play(scene.database, settings, fastest=FASTEST, seconds=scene.seconds)
    times = [sample.at for sample in trace.samples]

    def rates(axes: Axes) -> None:
        values = [sample.rows_per_second for sample in trace.samples]
        axes.plot(times, values, color=RATE, linewidth=1.4, label="rows/s")

    def shares(axes: Axes) -> None:
        values = [min(MOST_SHARE, sample.share) for sample in trace.samples]
        label = "share of the nearest limit (right)"
        axes.plot(times, values, color=SHARE, linewidth=0.9, linestyle=":", label=label)
        axes.axhline(1.0, color=LIMIT, linewidth=0.8, linestyle="--", label="the limit")
        axes.set_ylim(0, MOST_SHARE)
        axes.tick_params(labelsize=8, colors=SHARE)

    draw_rates(scene, path, what="rows/s", rates=rates, behind=shares)


if __name__ == "__main__":
    draw_all(scenes(), "governor", draw)
