"""``report``: the page about a run, made again, or again and again; or one that compares several."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate.cli.ending import conclude
from sketchmigrate.core.errors import Interrupted, RunNotReached, UsageError
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.ledger.overview import RunState, running_below
from sketchmigrate.ledger.story import read_story
from sketchmigrate.report.page.page import LIVE_SECONDS, comparison_of, page_of
from sketchmigrate.report.page.writing import COMPARISON_NAME, PAGE_NAME, write_page

if TYPE_CHECKING:
    from sketchmigrate.cli.commands.report import ReportArguments
    from sketchmigrate.ledger.story import Story
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.settings import Options, Settings


def report_command(arguments: ReportArguments, settings: Settings, options: Options, terminal: Terminal) -> int:
    """Make a page, and say where it is; return 0.

    Raises ``RunNotReached``, ``RunDirectoryError`` and ``DatabaseError``.
    """
    folder = Path(settings.run_dir).expanduser()
    if arguments.live:
        path = _follow(_meant(arguments, folder), arguments, settings, terminal)
    else:
        stories = [_story(run, folder, settings) for run in arguments.runs]
        if len(stories) == 1:
            path = arguments.output or _place(stories[0])
            write_page(path, page_of(stories[0]))
        else:
            path = arguments.output or folder / COMPARISON_NAME
            write_page(path, comparison_of(stories))
        terminal.result(f"Report: {path}")
    return conclude(terminal, options, {"report": str(path)}, ExitCode.DONE)


def _story(run: Path, folder: Path, settings: Settings) -> Story:
    try:
        return read_story(run, folder, settings)
    except UsageError as error:
        raise RunNotReached(error.message, hint=error.hint) from error


def _place(story: Story) -> Path:
    """Return where the page about a run is: in its directory, or here where that is on another machine."""
    directory = story.run.directory
    return Path(f"report-{Path(story.run.name).name}.html") if directory is None else directory / PAGE_NAME


def _meant(arguments: ReportArguments, folder: Path) -> Path:
    """Return the run that is to be followed: the newest that goes on, unless one is named."""
    if arguments.runs:
        return arguments.runs[0]
    going_on = running_below(folder)
    if not going_on:
        text = f"no run goes on below {folder.absolute()}"
        raise RunNotReached(text, hint="Is RUN_DIR (or --run-dir) the folder of the run?")
    return going_on[-1]


def _follow(run: Path, arguments: ReportArguments, settings: Settings, terminal: Terminal) -> Path:
    """Make the page anew as long as the run goes on, and a last time, which does not load itself any more."""
    folder = Path(settings.run_dir).expanduser()
    story = _story(run, folder, settings)
    path = arguments.output or _place(story)
    try:
        write_page(path, page_of(story, is_live=story.run.state is RunState.RUNNING))
        terminal.result(f"Report: {path}, made anew every {LIVE_SECONDS} s. Open it in a browser.")
        while story.run.state is RunState.RUNNING:
            time.sleep(LIVE_SECONDS)
            story = _story(run, folder, settings)
            write_page(path, page_of(story, is_live=story.run.state is RunState.RUNNING))
    except KeyboardInterrupt as pressed:
        raise Interrupted("stopped following; the run goes on", signal_number=signal.SIGINT) from pressed
    finally:
        write_page(path, page_of(story))
    terminal.result(f"Report: {path}. The run is over.")
    return path
