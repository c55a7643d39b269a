"""The bar on a terminal, drawn by rich. Imported where there is a terminal: rich takes a tenth of the tool's start."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from sketchmigrate.report.progress import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from sketchmigrate.report.progress import Figures


class Bar:
    """A bar at the bottom of the screen. Not thread-safe. What it writes with raises ``OSError`` where that breaks."""

    def __init__(self, screen: TextIO, figures: Callable[[], Figures], *, no_color: bool) -> None:
        self._live = Live(
            console=Console(file=screen, force_terminal=True, no_color=no_color),
            get_renderable=lambda: drawn(figures()),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def start(self) -> None:
        """Show it, with the cursor: a run that is killed must not leave a terminal without one."""
        self._live.start()
        self._live.console.show_cursor(show=True)

    def draw(self, above: str) -> None:
        """Draw it anew, with lines of text above it."""
        if above:
            # Raw segments, uncropped: rich neither measures, wraps nor colours what is in them.
            self._live.console.print(Segments([Segment(above)]), end="", crop=False)
        self._live.refresh()

    def stop(self) -> None:
        """Remove it."""
        self._live.stop()


def drawn(figures: Figures) -> RenderableType:
    """Draw it: one line with the bar, and a second one with what is wrong, what is waited for, and what limits."""
    said, fraction = words(figures), figures.fraction
    top = Table.grid(padding=(0, 1), expand=True)
    top.add_column(no_wrap=True)
    top.add_column(ratio=1)
    for _ in range(3):
        top.add_column(no_wrap=True, justify="right")
    top.add_row(
        said.done,
        ProgressBar(total=None if fraction is None else 1.0, completed=fraction or 0.0, pulse=fraction is None),
        said.percent,
        Text(said.rate, style="cyan"),
        said.time_left,
    )
    styled = ((said.again, ""), (said.trouble, "red"), (said.note, "yellow"), (said.limit, "dim"))
    parts = [Text(text, style) for text, style in styled if text]
    if not parts:
        return top
    below = Text("  ").join(parts)
    below.no_wrap, below.overflow = True, "ellipsis"
    whole = Table.grid(expand=True)
    whole.add_row(top)
    whole.add_row(below)
    return whole
