"""The command words: what each is for, its flags, and the arguments that they make.

A new one is declared here, and carried out by ``main``. Whatever of its flags is an option of the run (``-b``,
``--json``) arrives in ``Options``; all others must be fields of its class of arguments.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from sketchmigrate.cli.flags import (
    add_cluster_flag,
    add_csv_flag,
    add_deep_flag,
    add_dry_run_flag,
    add_output_flags,
    add_pace_flags,
    add_processes_flag,
    add_say_yes_flag,
    add_trial_flag,
    add_verbose_flag,
    at_least,
    one_of,
    positive,
)
from sketchmigrate.settings import Options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping


class DemoArguments(NamedTuple):
    """What ``demo`` was asked to do. ``directory`` None is a temporary one."""

    avatars: int
    directory: Path | None
    wait: bool


class RollbackArguments(NamedTuple):
    """What ``rollback`` was asked to undo: one ``run``, or every one ``below`` a folder. Keys are as typed."""

    run: Path | None
    below: Path | None
    only_keys: Path | None
    key_from: str | None
    key_until: str | None


class PlanArguments(NamedTuple):
    """What ``plan`` was asked to do: prices in USD for 1 000 requests, ``rate`` in rows/s or None where not given.

    ``deep`` is the part of what cannot be told otherwise to compare byte by byte, in percent, or None.
    """

    deep: float | None
    probe: bool
    rate: float | None
    price_copy: float
    price_read: float


class VerifyArguments(NamedTuple):
    """What ``verify`` was asked to do: ``deep`` is the part to compare byte by byte, in percent, or None."""

    deep: float | None


class RepairArguments(NamedTuple):
    """What ``repair`` was asked to do: ``deep`` is the part to compare byte by byte, in percent, or None."""

    deep: float | None


class ManifestArguments(NamedTuple):
    """What ``manifest`` was asked to do. ``verify_run`` None is the newest run of verify below RUN_DIR."""

    verify_run: Path | None


class ProbeArguments(NamedTuple):
    """What ``probe`` was asked to do: with ``race`` it races its writes also where objects have versions."""

    race: bool


class GrantsArguments(NamedTuple):
    """What ``grants`` was asked to print: for these commands (none: for each), to this role and this S3 user."""

    commands: list[str]
    role: str
    principal: str | None


class LedgerArguments(NamedTuple):
    """What ``ledger`` was asked to do. With ``only_print`` the SQL is shown, with grants for ``role``."""

    action: str
    only_print: bool
    role: str


CommandArguments: TypeAlias = (
    DemoArguments
    | ProbeArguments
    | RollbackArguments
    | GrantsArguments
    | PlanArguments
    | VerifyArguments
    | RepairArguments
    | ManifestArguments
    | LedgerArguments
)
"""The arguments of any command word; their class tells which one is meant."""


class Command(NamedTuple):
    """A command word: a line of help, how it declares its flags, and the class of its arguments.

    With ``has_settings`` it has ``--config`` and a flag for each setting as well.
    """

    summary: str
    declare: Callable[[argparse.ArgumentParser, Mapping[str, str]], None]
    arguments: Callable[..., CommandArguments]
    has_settings: bool = True


def _declare_demo(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    parser.add_argument("--avatars", type=at_least(1), default=environ.get("DEMO_AVATARS") or 10_000, metavar="N",
                        help="how many to make, half of them legacy (default $DEMO_AVATARS, or 10000)")  # fmt: skip
    parser.add_argument("--dir", dest="directory", type=Path, metavar="DIR",
                        help="keep database and objects there (default: a temporary folder)")  # fmt: skip
    parser.add_argument("--no-wait", dest="wait", action="store_false", help="stop the servers and exit at the end")


def _declare_rollback(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    add, which = parser.add_argument, parser.add_mutually_exclusive_group(required=True)
    which.add_argument("run", type=Path, nargs="?", metavar="RUN_DIR", help="the directory of the run to undo")
    which.add_argument("--all", dest="below", type=Path, metavar="DIR",
                       help="undo every run below this folder, the newest first")  # fmt: skip
    add("--only-keys", type=Path, metavar="FILE", help="only the rows with these keys, one a line")
    add("--key-from", metavar="KEY", help="only rows from this key on (text: by code points)")
    add("--key-until", metavar="KEY", help="only rows up to this key, itself included")
    add_pace_flags(parser, verb="set back")
    add_verbose_flag(parser)
    add_dry_run_flag(parser)
    add_say_yes_flag(parser)
    add_output_flags(parser)
    add_csv_flag(parser)


def _declare_probe(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    parser.add_argument("--race", action="store_true", help="race conditional writes against others also where the"
        " bucket keeps versions, of which that makes and removes some thousands")  # fmt: skip
    add_output_flags(parser)


def _add_deep_flags(parser: argparse.ArgumentParser, which: str) -> None:
    """Declare --deep, and who shares the reading that it takes."""
    share = "the reading of --deep"
    add_deep_flag(parser, which)
    add_processes_flag(parser, share=share, default="this one alone")
    add_cluster_flag(parser, share=share, needs="They need the store alone")


def _declare_plan(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    add = parser.add_argument
    _add_deep_flags(parser, "legacy rows whose object may be in production already, where ETags cannot tell it")
    add("--probe", action="store_true", help="try what the store does with conditional writes (makes objects of its"
        " own in production, and removes them)")  # fmt: skip
    add("--trial", action="store_true", default=Options().trial, help="try one flip and roll it back, to see"
        " whether the table takes it (takes the right to UPDATE; docs/rollback.md has what is not undone)")  # fmt: skip
    add("--rate", type=positive, metavar="ROWS", help="rows/s to reckon with (default: that of the newest migration)")
    add("--price-copy", type=positive, default=0.005, metavar="USD",
        help="price of 1000 copies, puts or listings (default %(default)s, AWS us-east-1 Standard)")  # fmt: skip
    add("--price-read", type=positive, default=0.0004, metavar="USD",
        help="price of 1000 looks at an object (default %(default)s)")  # fmt: skip
    add_output_flags(parser)
    add_csv_flag(parser)


def _declare_verify(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    _add_deep_flags(parser, "migrated rows")
    add_output_flags(parser)
    add_csv_flag(parser)


def _declare_repair(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    share = "the reading of --deep, and the migration of what was left"
    add_deep_flag(parser, "migrated rows")
    add_pace_flags(parser, verb="migrate")
    add_processes_flag(parser, share=share)
    add_cluster_flag(parser, share=share)
    add_trial_flag(parser)
    add_verbose_flag(parser)
    add_say_yes_flag(parser)
    add_output_flags(parser)
    add_csv_flag(parser)


def _declare_manifest(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    parser.add_argument("verify_run", type=Path, nargs="?", metavar="VERIFY_RUN",
                        help="directory of a run of verify (default: the newest below RUN_DIR)")  # fmt: skip
    add_output_flags(parser)


def _declare_ledger(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    add = parser.add_argument
    add("action", type=one_of("init", "list"), metavar="init|list",
        help="init: make the tables that are not there; list: the runs that are on record")  # fmt: skip
    add("--print", dest="only_print", action="store_true",
        help="with init: print the SQL for an administrator, and connect to nothing")  # fmt: skip
    add("--role", default="sketch_migrate", metavar="NAME",
        help="with --print: the database role that shall write the ledger (default %(default)s)")  # fmt: skip
    add("--json", dest="json_output", action="store_true", help="the result as one JSON document on stdout")


def _declare_grants(parser: argparse.ArgumentParser, _: Mapping[str, str]) -> None:
    add = parser.add_argument
    words = "migrate", "status", "rollback", "probe", "plan", "verify", "repair", "manifest"
    add("commands", nargs="*", metavar="COMMAND", type=one_of(*words),
        help=f"for which commands: {', '.join(words)} (default: each)")  # fmt: skip
    add("--role", default="sketch_migrate", metavar="NAME", help="the database role (default %(default)s)")
    add("--principal", metavar="ARN", help="make bucket policies for this S3 user, not a policy to attach to the user")
    add("--json", dest="json_output", action="store_true", help="the result as one JSON document on stdout")


COMMANDS: dict[str, Command] = {
    "rollback": Command("set the rows of past runs back to legacy", _declare_rollback, RollbackArguments),
    "grants": Command(
        "print the rights that each command needs, as SQL and S3 policy", _declare_grants, GrantsArguments
    ),
    "demo": Command(
        "start a database and an S3 server here, and migrate sample avatars",
        _declare_demo,
        DemoArguments,
        has_settings=False,
    ),
    "probe": Command(
        "try what the store does with conditions, keys, listings and tags",
        _declare_probe,
        ProbeArguments,
    ),
    "plan": Command("say beforehand what a migration would meet, cost and take", _declare_plan, PlanArguments),
    "verify": Command(
        "prove that every reference has its object, and that it is the right one", _declare_verify, VerifyArguments
    ),
    "repair": Command(
        "copy what was changed after it was copied, migrate what was left, then verify",
        _declare_repair,
        RepairArguments,
    ),
    "manifest": Command(
        "write the legacy keys that verify proved safe to delete, as far as rows and objects still say so",
        _declare_manifest,
        ManifestArguments,
    ),
    "ledger": Command(
        "make the tables of the ledgers in the database of LEDGER_URL, or list the runs in it",
        _declare_ledger,
        LedgerArguments,
    ),
}
"""Every command word, in the order of the help."""
