"""``doctor``: its flags."""

from __future__ import annotations

from functools import partial
from types import NoneType
from typing import TYPE_CHECKING

from sketchmigrate.cli import flags
from sketchmigrate.cli.command import Command

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from sketchmigrate.cli.start import Start


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    parser.add_argument("--json", dest="json_output", action="store_true",
        help="the result as one JSON document on stdout")  # fmt: skip
    flags.add_settings(parser)


def _load(_: None, start: Start) -> Callable[[], int]:
    from sketchmigrate.cli.jobs.doctor import doctor_command

    return partial(doctor_command, start)


COMMAND = Command(
    "look at this machine, the settings, names, clocks and credentials",
    place=5,
    declare=_declare,
    arguments=NoneType,
    load=_load,
    only_prints=True,
)
