"""``status``: its flags and its rights; ``-s`` is the same."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING

from sketchmigrate.cli import flags
from sketchmigrate.cli.command import Command
from sketchmigrate.cli.commands.migrate import COMMAND as MIGRATION
from sketchmigrate.core.rights import Rights

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

_RIGHTS = Rights("counts rows and objects (-s); a dry run (-d) needs verify's rights, with --trial plan's too")


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    parser.set_defaults(status_only=True)
    flags.add_technical_status_flag(parser)
    flags.add_output_flags(parser)
    flags.add_settings(parser)


COMMAND = Command(
    "count the rows and objects of both sides",
    place=9,
    declare=_declare,
    arguments=NoneType,
    load=MIGRATION.load,
    rights={
        "status": Rights("counts rows and objects (-s); a dry run (-d) needs verify's rights, with --trial plan's too")
    },
)
