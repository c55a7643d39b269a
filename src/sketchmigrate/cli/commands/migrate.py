"""The migration, its dry run and, by its flag, the status report: what is done where there is no command word."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from types import NoneType
from typing import TYPE_CHECKING

from sketchmigrate.cli import flags
from sketchmigrate.cli.command import Command
from sketchmigrate.core.rights import (
    CLEARING_VERSIONS,
    DELETE,
    GET,
    GET_TAGS,
    LOOK_AHEAD,
    READING_KEYS,
    RESUMING,
    WRITING,
    WRITING_KEYS,
    Rights,
)
from sketchmigrate.settings import NO_CLOBBER, Options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sketchmigrate.cli.start import Start

RIGHTS = Rights(
    "copies objects and rewrites rows",
    updates=True,
    legacy=(GET, GET_TAGS),
    production=WRITING,
    probe=(DELETE,),  # what the probe made itself; without it the probe leaves two objects behind, and says so
    versions=True,  # tell what was replaced, where the store honours no condition
    by_block=True,
    optional=(*LOOK_AHEAD, CLEARING_VERSIONS, RESUMING, READING_KEYS, WRITING_KEYS),
)


class _Version(argparse.Action):
    """Prints the versions, which are looked up when they are asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from sketchmigrate.cli.versions import version_line

        parser._print_message(f"{version_line()}\n", sys.stdout)  # noqa: SLF001 - as argparse's own action does
        parser.exit()


def _declare(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    program = parser.prog
    indent = " " * len(f"usage: {program} ")
    parser.usage = (
        f"{program} [-h] [-p PARALLELIZATION_LEVEL] [-b BATCH_SIZE]\n"
        f"{indent}[-l LIMIT] [-v] [-d] [-s] [-t] [-w] [-y]\n"
        f"{indent}[--processes N] [--cluster WHERE] [--no-clobber HOW]\n"
        f"{indent}[--transfer KIND]\n"
        f"{indent}[--follow [--follow-every TIME] [--until-quiet TIME]]\n"
        f"{indent}[--trial | --no-trial] [--config FILE] [--json]\n"
        f"{indent}[--no-progress] [--csv-safe] [--log-format HOW]\n"
        f"{indent}[--metrics [HOST:]PORT] [--metrics-file FILE]\n"
        f"{indent}[--events FILE|-]\n"
        f"{indent}[--version] [--SETTING VALUE ...]\n"
        f"       {program} COMMAND [-h] ..."
    )
    add = parser.add_argument
    flags.add_pace_flags(parser)
    flags.add_processes_flag(parser)
    flags.add_cluster_flag(parser)
    flags.add_verbose_flag(parser)
    flags.add_dry_run_flag(parser)
    add("-s", "--status-only", action="store_true", help="the status report, nothing else")
    flags.add_technical_status_flag(parser)
    add("-w", "--overwrite", action="store_true", help="allow replacing a different object in production")
    add("--no-clobber", choices=NO_CLOBBER, default=NO_CLOBBER[0], metavar="HOW",
        help="without -w: how to make sure that nothing different is replaced, also not what is stored at that"
        f" moment. One of {', '.join(NO_CLOBBER)} (default %(default)s: the first that the store is proved"
        " to honour, else check-first)")  # fmt: skip
    flags.add_transfer_flag(parser)
    flags.add_follow_flags(parser)
    flags.add_trial_flag(parser)
    flags.add_say_yes_flag(parser)
    flags.add_config_flag(parser)
    flags.add_output_flags(parser)
    flags.add_csv_flag(parser)
    flags.add_telling_flags(parser)
    add("--version", action=_Version, nargs=0, default=argparse.SUPPRESS,
        help="print the version, and those of what it runs on")  # fmt: skip
    flags.add_setting_flags(parser)


def _contradiction(typed: argparse.Namespace) -> str:
    if typed.overwrite and typed.no_clobber != Options().no_clobber:
        return f"-w allows to replace what --no-clobber {typed.no_clobber} protects: give one of them"
    if (typed.transfer, typed.no_clobber) == ("streamed", "conditional-copy"):
        return "--no-clobber conditional-copy is for copies within a store: give it, or --transfer streamed"
    return _follow_contradiction(typed)


def _follow_contradiction(typed: argparse.Namespace) -> str:
    usual = Options()
    if not typed.follow:
        given = (typed.follow_every_seconds, typed.until_quiet_seconds)
        is_usual = given == (usual.follow_every_seconds, usual.until_quiet_seconds)
        return "" if is_usual else "--follow-every and --until-quiet go with --follow"
    for flag, is_given in (("-l", typed.limit), ("-d", typed.dry_run), ("-s", typed.status_only)):
        if is_given:
            return f"--follow goes on until all is migrated and beyond: it does not go with {flag}"
    return ""


def _load(_: None, start: Start) -> Callable[[], int]:
    run = start.run_directory()
    from sketchmigrate.cli.job import run_job
    from sketchmigrate.cli.jobs.migrate import MigrationJob

    return partial(run_job, MigrationJob(start, run))


COMMAND = Command(
    "copy objects, and rewrite the rows that point at them",
    place=8,
    declare=_declare,
    arguments=NoneType,
    load=_load,
    rights={"migrate": RIGHTS},
    contradiction=_contradiction,
)
