"""``report``: what it makes, and its flags."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.cli import flags
from sketchmigrate.cli.command import Command

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from sketchmigrate.cli.start import Start


class ReportArguments(NamedTuple):
    """Which runs a page is about, by their directories or names; several are compared. ``output`` None: beside it.

    ``live``: it is made anew as long as the run goes on.
    """

    runs: tuple[Path, ...]
    live: bool
    output: Path | None


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    add = parser.add_argument
    add("runs", type=Path, nargs="*", metavar="RUN",
        help="the run, by its directory or its name; several are compared")  # fmt: skip
    add("--live", action="store_true",
        help="make the page anew every 5 s while the run goes on, by default the newest that does")  # fmt: skip
    add("-o", "--output", type=Path, metavar="FILE",
        help="the file to write (default: report.html in the run's directory; of several, comparison.html in"
        " RUN_DIR); one that is there is replaced")  # fmt: skip
    add("--json", dest="json_output", action="store_true", help="the result as one JSON document on stdout")
    flags.add_settings(parser)


def _contradiction(typed: argparse.Namespace) -> str:
    if typed.live:
        return "--live takes one run" if len(typed.runs) > 1 else ""
    return "" if typed.runs else "name a run: sketch-migrate runs lists all"


def _load(arguments: ReportArguments, start: Start) -> Callable[[], int]:
    settings = start.settings
    from sketchmigrate.cli.jobs.report import report_command

    return partial(report_command, arguments, settings, start.options, start.terminal)


def _arguments(*, runs: list[Path], live: bool, output: Path | None) -> ReportArguments:
    return ReportArguments(tuple(runs), live, output)


COMMAND = Command(
    "make the page about a run again, follow a run, or compare some",
    place=12,
    declare=_declare,
    arguments=_arguments,
    load=_load,
    contradiction=_contradiction,
)
