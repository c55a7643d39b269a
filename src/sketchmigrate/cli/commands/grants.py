"""``grants``: for whom it prints which commands' rights, and its flags."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.cli import flags
from sketchmigrate.cli.command import Command, all_rights

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from sketchmigrate.cli.start import Start


class GrantsArguments(NamedTuple):
    """What ``grants`` was asked to print: for these commands (none: for each), to this role and this S3 user."""

    commands: list[str]
    role: str
    principal: str | None


def _declare(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    add, names = parser.add_argument, all_rights()
    add("commands", nargs="*", metavar="COMMAND", type=flags.OneOf(*names),
        help=f"for which commands: {', '.join(names)} (default: each)")  # fmt: skip
    add("--role", default=environ.get("SKETCH_DB_USER") or "sketch_migrate", metavar="NAME",
        help="the database role (default: SKETCH_DB_USER, else sketch_migrate)")  # fmt: skip
    add("--principal", metavar="ARN", help="make bucket policies for this S3 user, not a policy to attach to the user")
    add("--json", dest="json_output", action="store_true", help="the result as one JSON document on stdout")
    flags.add_settings(parser)


def _load(arguments: GrantsArguments, start: Start) -> Callable[[], int]:
    settings = start.settings
    from sketchmigrate.cli.jobs.grants import grants_command

    return partial(grants_command, arguments, settings, start.options, start.terminal)


COMMAND = Command(
    "print the rights that each command needs, as SQL and S3 policy",
    place=4,
    declare=_declare,
    arguments=GrantsArguments,
    load=_load,
    only_prints=True,
)
