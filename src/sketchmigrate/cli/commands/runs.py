"""``runs``: what it shows or deletes, and its flags."""

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


class RunsArguments(NamedTuple):
    """What ``runs`` was asked to do: show all runs, or ``run`` alone, by its directory or its name; or delete some.

    Those are deleted that only looked, more than ``older_than_seconds`` ago.
    """

    run: Path | None
    older_than_seconds: float | None


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    add = parser.add_argument
    add("action", type=flags.OneOf("list", "show", "prune"), nargs="?", default="list", metavar="list|show|prune",
        help="list: a line for each run (default); show: all that is on record of one; prune: delete runs that only"
        " looked (-s, -d, plan, probe, and verify but the newest)")  # fmt: skip
    add("run", type=Path, nargs="?", metavar="RUN", help="with show: the run, by its directory or its name")
    add("--older-than", dest="older_than_seconds", type=flags.seconds, metavar="TIME",
        help="with prune: those that began longer ago, such as 30d")  # fmt: skip
    flags.add_say_yes_flag(parser)
    add("--json", dest="json_output", action="store_true", help="the result as one JSON document on stdout")
    flags.add_settings(parser)


def _contradiction(typed: argparse.Namespace) -> str:
    if (typed.action == "prune") != (typed.older_than_seconds is not None):
        return "prune needs --older-than, such as 30d" if typed.action == "prune" else "only prune takes --older-than"
    if typed.action == "show":
        return "show needs a run" if typed.run is None else ""
    return "only show takes a run" if typed.run is not None else ""


def _load(arguments: RunsArguments, start: Start) -> Callable[[], int]:
    settings = start.settings
    from sketchmigrate.cli.jobs.runs import runs_command

    if arguments.older_than_seconds is not None:
        from sketchmigrate.cli.jobs.prune import prune_command

        return partial(prune_command, arguments.older_than_seconds, settings, start.options, start.terminal)
    return partial(runs_command, arguments, settings, start.options, start.terminal)


def _arguments(*, action: str, run: Path | None, older_than_seconds: float | None) -> RunsArguments:  # noqa: ARG001 - the others tell
    return RunsArguments(run, older_than_seconds)


COMMAND = Command(
    "show the runs on record, or delete those that only looked",
    place=11,
    declare=_declare,
    arguments=_arguments,
    load=_load,
    contradiction=_contradiction,
    only_prints=True,
)
