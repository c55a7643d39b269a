"""Groups of flags that commands share, each declared once."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate.settings import LOCAL_CLUSTER, LOG_FORMATS, MAX_PORT, TRANSFERS, Options, setting_fields

if TYPE_CHECKING:
    from collections.abc import Callable

_CLUSTER = re.compile(rf"(tcp|tls)://[^/@\s]+:\d+|{LOCAL_CLUSTER}[1-9]\d*")

_TIME = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

SETTINGS = "settings"
"""The title of the flags that settings have."""
_ADDRESS = re.compile(r"(?:(?P<host>[^\s/@:\[\]]+|\[[0-9A-Fa-f:.]+\]):)?(?P<port>\d{1,5})")
LOOPBACK = "127.0.0.1"

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


def seconds(value: str) -> float:
    """Take a time such as ``90``, ``30s``, ``10m``, ``2h`` or ``1d``, in seconds; more than 0."""
    found = _TIME.fullmatch(value)
    if found is None or not (number := float(found[1]) * _UNITS[found[2] or "s"]):
        raise argparse.ArgumentTypeError(f"{value!r} is not a time, such as 30s, 10m or 2h")
    return number


class OneOf:
    """The type of an argument that is one of these words; choices would not take an empty list."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def __call__(self, value: str) -> str:
        """Take one of the words."""
        if value not in self.words:
            raise argparse.ArgumentTypeError(f"{value!r} is none of {', '.join(self.words)}")
        return value


def host_and_port(value: str) -> str:
    """Take ``9100``, ``0.0.0.0:9100`` or ``[::]:9100``; a port alone is at the loopback address. Empty is none."""
    if not value:
        return ""
    found = _ADDRESS.fullmatch(value)
    if found is None or int(found["port"]) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"{value!r} is not a port, such as 9100, or HOST:PORT")
    return f"{found['host'] or LOOPBACK}:{found['port']}"


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


def add_metadata_flag(parser: argparse.ArgumentParser) -> None:
    """Declare --metadata."""
    parser.add_argument("--metadata", type=percent, nargs="?", const=100.0, metavar="N%",
        help="compare content headers, user metadata and tags of so many percent of the migrated rows, which takes two"
        " to four requests for each (without a number: all)")  # fmt: skip


def add_shared_deep_flags(parser: argparse.ArgumentParser, which: str, *, share: str = "the reading of --deep") -> None:
    """Declare --deep, and who shares the reading that it takes, for what only reads. ``share`` is what they share."""
    add_deep_flag(parser, which)
    add_processes_flag(parser, share=share, default="this one alone")
    add_cluster_flag(parser, share=share, needs="They need the store alone")


def shared_deep_contradiction(typed: argparse.Namespace) -> str:
    """Say what is wrong where somebody is to share a reading that was not asked for; empty where nothing is."""
    if typed.deep is not None or not (typed.cluster or typed.processes is not None):
        return ""
    who = "--cluster" if typed.cluster else "--processes"
    if "metadata" not in typed:
        return f"{who} shares the reading of --deep, which is not given"
    return "" if typed.metadata is not None else f"{who} shares the work of --deep and --metadata: neither is given"


def add_verbose_flag(parser: argparse.ArgumentParser) -> None:
    """Declare -v."""
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for every entry and what was done with it")


def add_dry_run_flag(parser: argparse.ArgumentParser) -> None:
    """Declare -d."""
    parser.add_argument(
        "-d", "--dry-run", action="store_true", help="say what would be done (with -v: every copy and update), do none"
    )


def add_technical_status_flag(parser: argparse.ArgumentParser) -> None:
    """Declare -t."""
    parser.add_argument("-t", "--technical-status", action="store_true",
        help="end with a line for programs: tech_status and, with commas between, legacy objects, production"
        " objects, legacy rows, production rows, all rows")  # fmt: skip


def add_say_yes_flag(parser: argparse.ArgumentParser) -> None:
    """Declare -y."""
    parser.add_argument("-y", "--say-yes", action="store_true", help="do not ask before changing anything")


def add_trial_flag(parser: argparse.ArgumentParser) -> None:
    """Declare --trial and --no-trial, for what migrates."""
    parser.add_argument("--trial", action=argparse.BooleanOptionalAction, default=Options().trial,
        help="first try one flip and roll it back, to see whether the table takes it; docs/rollback.md has what is"
        " not undone (default: yes, but with -d no)")  # fmt: skip


def add_follow_flags(parser: argparse.ArgumentParser) -> None:
    """Declare --follow, and what goes with it."""
    add = parser.add_argument
    add("--follow", action="store_true",
        help="go on when all is migrated: with what the application still writes, until it is stopped")  # fmt: skip
    add("--follow-every", dest="follow_every_seconds", type=seconds, default=Options().follow_every_seconds,
        metavar="TIME", help="with --follow: time between two full passes (default 10m)")  # fmt: skip
    add("--until-quiet", dest="until_quiet_seconds", type=seconds, metavar="TIME",
        help="with --follow: end when nothing new was found in that time")  # fmt: skip


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
    add("--log-format", choices=LOG_FORMATS, default=LOG_FORMATS[0], metavar="HOW",
        help="the run's log as text or as json, an object a line (default %(default)s)")  # fmt: skip


def add_telling_flags(parser: argparse.ArgumentParser) -> None:
    """Declare --metrics, --metrics-file and --events."""
    add = parser.add_argument
    add("--metrics", type=host_and_port, default="", metavar="[HOST:]PORT",
        help="metrics for Prometheus over HTTP, for this machine alone unless a host is named:"
        " docs/metrics.md")  # fmt: skip
    add("--metrics-file", default="", metavar="FILE",
        help="the same as a file for the node exporter's textfile collector, every 5 seconds")  # fmt: skip
    add("--events", default="", metavar="FILE|-",
        help="what goes on as JSON, an object a line, added to a file or on stdout (-; the report is then on stderr):"
        " docs/metrics.md")  # fmt: skip


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Declare --config and a flag for each setting; the usage names all flags so far, as these would drown them."""
    add_config_flag(parser)
    usage = parser.format_usage().removeprefix("usage: ").rstrip() + " [--SETTING VALUE ...]"
    parser.usage = usage.replace("%", "%%")
    add_setting_flags(parser)


def _metavar(name: str) -> str:
    if name.startswith("inventory_"):
        return "MANIFEST"
    return "N" if name.startswith("max_") else name.rpartition("_")[2].upper()


def add_setting_flags(parser: argparse.ArgumentParser) -> None:
    """Declare a flag for each setting; only those that were typed are in the namespace."""
    group = parser.add_argument_group(
        SETTINGS,
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
