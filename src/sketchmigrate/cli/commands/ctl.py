"""``ctl``: the orders that it gives, and its flags."""

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

ORDERS = ("status", "watch", "pause", "resume", "set", "stop")


class CtlArguments(NamedTuple):
    """The order, its ``changes`` (of ``set``), whether it holds ``now`` (of ``stop``), and the run, if it is named."""

    order: str
    changes: tuple[str, ...]
    now: bool
    run: Path | None


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    add = parser.add_argument
    add("order", type=flags.OneOf(*ORDERS), metavar="|".join(ORDERS),
        help="status: how the run stands; watch: the same every second; pause, resume; set: change caps, limits, p, b"
        " or verbose; stop: finish what is under way")  # fmt: skip
    add("told", nargs="*", metavar="NAME=VALUE|RUN",
        help="with set what to change; and the run, by its directory or its name: by default the only one that"
        " goes on")  # fmt: skip
    add("--now", action="store_true", help="with stop: at once, without finishing what is under way")
    add("--json", dest="json_output", action="store_true",
        help="one JSON document on stdout; for watch one JSON object a line")  # fmt: skip
    flags.add_settings(parser)


def _split(order: str, told: list[str]) -> tuple[list[str], list[str]]:
    """Return what is to be changed, and the runs."""
    changes = [each for each in told if "=" in each] if order == "set" else []
    return changes, [each for each in told if each not in changes]


def _contradiction(typed: argparse.Namespace) -> str:
    changes, runs = _split(typed.order, typed.told)
    if typed.order == "set" and not changes:
        return "set needs NAME=VALUE, such as MAX_ROWS_PER_SECOND=500"
    if typed.now and typed.order != "stop":
        return "only stop takes --now"
    return "give one run" if len(runs) > 1 else ""


def _load(arguments: CtlArguments, start: Start) -> Callable[[], int]:
    settings = start.settings
    from sketchmigrate.cli.jobs.ctl import ctl_command

    return partial(ctl_command, arguments, settings, start.options, start.terminal)


def _arguments(*, order: str, told: list[str], now: bool) -> CtlArguments:
    changes, runs = _split(order, told)
    return CtlArguments(order, tuple(changes), now, Path(runs[0]) if runs else None)


COMMAND = Command(
    "tell a run that goes on what to do, or ask how it stands",
    place=10,
    declare=_declare,
    arguments=_arguments,
    load=_load,
    contradiction=_contradiction,
)
