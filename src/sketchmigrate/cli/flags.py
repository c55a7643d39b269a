"""Groups of flags that commands share, each declared once."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate.settings import LOCAL_CLUSTER, TRANSFERS, Options, setting_fields

if TYPE_CHECKING:
    from collections.abc import Callable

_CLUSTER = re.compile(rf"(tcp|tls)://[^/@\s]+:\d+|{LOCAL_CLUSTER}[1-9]\d*")

SETTING = "setting:"
"""In front of a setting's name, where it is the destination of a flag: no option can have such a name."""


def at_least(minimum: int) -> Callable[[str], int]:
    """Return the type of a flag that takes a whole number from ``minimum`` on."""

    def number(value: str) -> int:
        try:
            checked = int(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{value!r} is not a whole number") from None
        if checked < minimum:
            raise argparse.ArgumentTypeError(f"{checked} is too small, it must be at least {minimum}")
        return checked

    return number


def positive(value: str) -> float:
    """Take a number above 0."""
    try:
        number = float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number") from None
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{value} must be more than 0")
    return number


def percent(value: str) -> float:
    """Take a part of a hundred, with its sign or without: ``5%``, ``0.1``."""
    number = positive(value.strip().removesuffix("%"))
    if number > 100:  # noqa: PLR2004 - all of it
        raise argparse.ArgumentTypeError(f"{value} is more than 100 %")
    return number


def one_of(*words: str) -> Callable[[str], str]:
    """Return the type of an argument that is one of these words; choices would not take an empty list."""

    def word(value: str) -> str:
        if value not in words:
            raise argparse.ArgumentTypeError(f"{value!r} is none of {', '.join(words)}")
        return value

    return word


def cluster(value: str) -> str:
    """Take the address of a scheduler, or ``local:N``; empty is none."""
    if value and not _CLUSTER.fullmatch(value):
        raise argparse.ArgumentTypeError(f"{value!r} is neither tcp://HOST:PORT, tls://HOST:PORT nor {LOCAL_CLUSTER}N")
    return value


def add_pace_flags(parser: argparse.ArgumentParser, *, verb: str = "migrate") -> None:
    """Declare -p, -b and -l. ``verb`` is what the command does with an entry."""
    add, usual = parser.add_argument, Options()
    add("-p", "--parallelization-level", type=at_least(1), default=usual.parallelization_level, metavar="N",
        help="iterations in parallel (default %(default)s)")  # fmt: skip
    add("-b", "--batch-size", type=at_least(1), default=usual.batch_size, metavar="N",
        help="entries (rows and objects) of one iteration (default %(default)s)")  # fmt: skip
    add("-l", "--limit", type=at_least(0), default=usual.limit, metavar="N",
        help=f"{verb} at most N entries, then stop (default 0: all)")  # fmt: skip


def add_processes_flag(
    parser: argparse.ArgumentParser,
    *,
    share: str = "the table, each with -p iterations",
    default: str = "one, and others on idle cores once that one has filled its core for a while",
) -> None:
    """Declare --processes. ``share`` is what they share, ``default`` what is done without it."""
    parser.add_argument("--processes", type=at_least(1), metavar="N",
        help=f"processes on this machine that share {share} (default: {default})")  # fmt: skip


def add_cluster_flag(
    parser: argparse.ArgumentParser,
    *,
    share: str = "the table",
    needs: str = "Over several machines LEDGER_URL must be set",
) -> None:
    """Declare --cluster. ``share`` is what its workers share, ``needs`` what that takes."""
    parser.add_argument("--cluster", type=cluster, default=Options().cluster, metavar="WHERE",
        help=f"the Dask cluster whose workers share {share}: its scheduler, as tcp://HOST:PORT or tls://HOST:PORT,"
        f" or local:N for N workers on this machine. {needs} (docs/scale.md)")  # fmt: skip


def add_deep_flag(parser: argparse.ArgumentParser, which: str) -> None:
    """Declare --deep. ``which`` are the rows."""
    parser.add_argument("--deep", type=percent, nargs="?", const=100.0, metavar="N%",
        help=f"read both objects of so many percent of the {which}, and compare their bytes"
        " (without a number: all)")  # fmt: skip


def add_shared_deep_flags(parser: argparse.ArgumentParser, which: str) -> None:
    """Declare --deep, and who shares the reading that it takes, for what only reads."""
    share = "the reading of --deep"
    add_deep_flag(parser, which)
    add_processes_flag(parser, share=share, default="this one alone")
    add_cluster_flag(parser, share=share, needs="They need the store alone")


def shared_deep_contradiction(typed: argparse.Namespace) -> str:
    """Say what is wrong where somebody is to share a reading that was not asked for; empty where nothing is."""
    if typed.deep is None and (typed.cluster or typed.processes is not None):
        return f"{'--cluster' if typed.cluster else '--processes'} shares the reading of --deep, which is not given"
    return ""


def add_verbose_flag(parser: argparse.ArgumentParser) -> None:
    """Declare -v."""
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for every entry and what was done with it")


def add_dry_run_flag(parser: argparse.ArgumentParser) -> None:
    """Declare -d."""
    parser.add_argument(
        "-d", "--dry-run", action="store_true", help="say what would be done (with -v: every copy and update), do none"
    )


def add_say_yes_flag(parser: argparse.ArgumentParser) -> None:
    """Declare -y."""
    parser.add_argument("-y", "--say-yes", action="store_true", help="do not ask before changing anything")


def add_trial_flag(parser: argparse.ArgumentParser) -> None:
    """Declare --trial and --no-trial, for what migrates."""
    parser.add_argument("--trial", action=argparse.BooleanOptionalAction, default=Options().trial,
        help="first try one flip and roll it back, to see whether the table takes it; docs/rollback.md has what is"
        " not undone (default: yes, but with -d no)")  # fmt: skip


def add_transfer_flag(parser: argparse.ArgumentParser) -> None:
    """Declare --transfer, for what copies objects."""
    parser.add_argument("--transfer", choices=TRANSFERS, default=TRANSFERS[0], metavar="KIND",
        help=f"how objects are brought: {', '.join(TRANSFERS)} (default %(default)s: the store copies them itself where"
        " both sides are seen to be one store, else they pass through this machine)")  # fmt: skip


def add_csv_flag(parser: argparse.ArgumentParser) -> None:
    """Declare --csv-safe, for what lists problems."""
    parser.add_argument("--csv-safe", action="store_true",
        help="in problems.csv, put an apostrophe before what a spreadsheet would take for a formula")  # fmt: skip


def add_config_flag(parser: argparse.ArgumentParser) -> None:
    """Declare --config, which goes with the settings' own flags."""
    parser.add_argument("--config", type=Path, metavar="FILE",
        help="settings file, .py or .toml (default: lib/config.py beside the script,"
        " then ./sketch-migrate.toml); a .py file is run as code, with all your rights")  # fmt: skip


def add_output_flags(parser: argparse.ArgumentParser) -> None:
    """Declare --json and --no-progress."""
    add = parser.add_argument
    add("--json", dest="json_output", action="store_true", help="the result as one JSON document on stdout")
    add("--no-progress", dest="show_progress", action="store_false", help="no bar and no lines of progress")


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Declare --config and a flag for each setting; the usage names all flags so far, as these would drown them."""
    add_config_flag(parser)
    usage = parser.format_usage().removeprefix("usage: ").rstrip() + " [--SETTING VALUE ...]"
    parser.usage = usage.replace("%", "%%")
    add_setting_flags(parser)


def _metavar(name: str) -> str:
    return "N" if name.startswith("max_") else name.rpartition("_")[2].upper()


def add_setting_flags(parser: argparse.ArgumentParser) -> None:
    """Declare a flag for each setting; only those that were typed are in the namespace."""
    group = parser.add_argument_group(
        "settings",
        "Each is a line of the settings file in capitals (DB_HOST), overridden by the\n"
        "environment (SKETCH_DB_HOST), overridden by its flag. Secrets come from the\n"
        "environment only: SKETCH_DB_USER, SKETCH_DB_PASS, AWS_ACCESS_KEY_ID,\n"
        "AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, and for one side alone these three\n"
        "with LEGACY_ or PRODUCTION_ in front.",
    )
    for setting in setting_fields():
        yes_or_no = isinstance(setting.default, bool)
        default = ("no", "yes")[bool(setting.default)] if yes_or_no else str(setting.default).removesuffix(".0")
        shown = "" if setting.default in ("", None) else f" (default {default})".replace("%", "%%")
        group.add_argument(
            setting.flag,
            dest=SETTING + setting.name,
            metavar="yes|no" if yes_or_no else _metavar(setting.name),
            default=argparse.SUPPRESS,
            help=setting.help + shown,
        )
