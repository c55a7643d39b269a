"""``ledger``: what it can do, and its flags."""

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


class LedgerArguments(NamedTuple):
    """What ``ledger`` was asked to do. With ``only_print`` the SQL is shown, with grants for ``role``.

    ``run`` is what is exported, to the file ``output`` or to stdout.
    """

    action: str
    run: Path | None
    output: Path | None
    only_print: bool
    role: str


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    add = parser.add_argument
    add("action", type=flags.OneOf("init", "list", "export"), metavar="init|list|export",
        help="init: make the tables that are not there; list: the runs that are on record;"
        " export: the flips of a run as CSV")  # fmt: skip
    add("run", type=Path, nargs="?", metavar="RUN_DIR", help="with export: the directory of the run, or its name where"
        " its ledger is in the database of LEDGER_URL")  # fmt: skip
    add("--output", type=Path, metavar="FILE", help="with export: the file to write, which must not be there"
        " (default: stdout)")  # fmt: skip
    add("--print", dest="only_print", action="store_true",
        help="with init: print the SQL for an administrator, and connect to nothing")  # fmt: skip
    add("--role", default="sketch_migrate", metavar="NAME",
        help="with --print: the database role that shall write the ledger (default %(default)s)")  # fmt: skip
    add("--json", dest="json_output", action="store_true", help="the result as one JSON document on stdout")
    flags.add_settings(parser)


def _contradiction(typed: argparse.Namespace) -> str:
    if typed.action != "export":
        return "only export takes a run and --output" if typed.run is not None or typed.output is not None else ""
    if typed.run is None:
        return "export needs the directory of a run"
    if typed.json_output and typed.output is None:
        return "--json is the only document on stdout: give --output a file for the flips"
    return ""


def _load(arguments: LedgerArguments, start: Start) -> Callable[[], int]:
    settings = start.settings
    from sketchmigrate.cli.jobs.ledger import ledger_command

    return partial(ledger_command, arguments, settings, start.options, start.terminal)


COMMAND = Command(
    "make the tables of LEDGER_URL, list its runs, or export flips",
    place=19,
    declare=_declare,
    arguments=LedgerArguments,
    load=_load,
    contradiction=_contradiction,
)
