"""Pictures of simulated runs: a rate over time, and behind it what it follows. The same code draws the same bytes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matplotlib.axes import Axes

FOLDER = Path(__file__).parents[1] / "docs" / "performance"


class Scene(Protocol):
    """A run to be drawn."""

    @property
    def name(self) -> str:
        """What its file is called."""

    @property
    def title(self) -> str:
        """What stands above it."""

    @property
    def seconds(self) -> float:
        """How long it is."""


S = TypeVar("S", bound=Scene)


def draw_all(scenes: Iterable[S], kind: str, draw: Callable[[S, Path], None]) -> None:
    """Draw all of them, into the folder that the command line names, or into docs/performance."""
    mpl.rcParams["svg.hashsalt"] = "sketch-migrate"  # else the ids in the file are random
    mpl.rcParams["svg.fonttype"] = "none"
    folder = Path(sys.argv[1]) if sys.argv[1:] else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for scene in scenes:
        path = folder / f"{kind}-{scene.name}.svg"
        draw(scene, path)
        sys.stdout.write(f"{path}\n")


def draw_rates(
    scene: Scene, path: Path, *, what: str, rates: Callable[[Axes], None], behind: Callable[[Axes], None]
) -> None:
    """Draw the rates, of ``what``, on the left axis, and what is ``behind`` them on the right one."""
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    left = figure.subplots()
    right = left.twinx()
    behind(right)
    rates(left)
    left.set_title(scene.title, fontsize=10, loc="left")
    left.set_xlabel("seconds", fontsize=8)
    left.set_ylabel(what, fontsize=8)
    left.set_xlim(0, scene.seconds)
    left.set_ylim(bottom=0)
    left.tick_params(labelsize=8)
    for axes in (left, right):
        axes.spines[["top"]].set_visible(False)
    left.set_zorder(right.get_zorder() + 1)
    left.patch.set_visible(False)
    lines = [*left.get_lines(), *right.get_lines()]
    columns = min(len(lines), 5)
    figure.legend(handles=lines, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})
