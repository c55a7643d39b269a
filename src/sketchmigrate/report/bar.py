"""The bar on a terminal, drawn by rich. Imported where there is a terminal: rich takes a tenth of the tool's start."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from sketchmigrate.report.progress import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import ConsoleOptions, RenderableType, RenderResult

    from sketchmigrate.report.progress import Figures, Words

LEAST_BAR = 8
"""Columns. Where there are fewer, something else of the line is left out."""


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


def _state_style(figures: Figures, said: Words) -> str:
    """Return the colour of the bar: yellow where it waits or is stopped, red where something went wrong."""
    if figures.note or figures.standstill or figures.is_stopped:
        return "yellow"
    return "red" if said.trouble else "green"


def drawn(figures: Figures) -> RenderableType:
    """Draw it: one line with the bar, and a second one with what is wrong, what is waited for, and what limits."""
    said = words(figures)
    styled = (
        (said.again, ""),
        (said.trouble, "red"),
        (said.note, "yellow"),
        (said.limit, "dim"),
        (said.follows, "cyan"),
    )
    parts = [Text(text, style) for text, style in styled if text]
    if not parts:
        return _Top(figures, said)
    below = Text("  ").join(parts)
    below.no_wrap, below.overflow = True, "ellipsis"
    return Group(_Top(figures, said), below)


class _Top:
    """The first line. A narrow screen gets less of it, and not a part of each."""

    def __init__(self, figures: Figures, said: Words) -> None:
        self._figures, self._said = figures, said

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        figures, said = self._figures, self._said
        rate, elapsed = Text(said.rate, "cyan"), Text(said.elapsed, "dim")
        done, percent, left, finish = (Text(text) for text in (said.done, said.percent, said.time_left, said.finish))
        for texts in (
            (percent, rate, elapsed, left, finish),
            (percent, rate, left, finish),
            (percent, rate, left),
            (percent, left),
            (percent,),
        ):
            right = Text(" ").join(text for text in texts if text.plain)
            room = options.max_width - done.cell_len - right.cell_len - 2
            if room >= LEAST_BAR:
                break
        else:
            done.truncate(max(0, options.max_width - right.cell_len - 1), overflow="ellipsis")
            yield done + Text(" ") + right
            return
        top = Table.grid(padding=(0, 1), expand=True)
        top.add_column(no_wrap=True)
        top.add_column(ratio=1)
        top.add_column(no_wrap=True, justify="right")
        fraction = figures.fraction
        bar = ProgressBar(
            total=None if fraction is None else 1.0,
            completed=fraction or 0.0,
            pulse=fraction is None,
            complete_style=_state_style(figures, said),
        )
        top.add_row(done, bar, right)
        yield top
