"""``scripts/soak``: play rounds until the time or the kills are over, and say what was found.

With ``--sources`` it is one migration over six tables, of which each names its objects in another way; with
``--large`` one of a single object of 6 GB between two stores; with ``--governor`` three, whose database is strained: by
a standby, a slot, a vacuum; with ``--orders`` one that takes orders for a minute and is killed all the while.

The same seed makes the same choices. When they take effect is a matter of the machine, so a violation may take a few
attempts to come again; the round's folder, which is kept then, has its logs and ledgers.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import tempfile
import time
import traceback
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from tests.exploration.bounds import FULL, USUAL, explore_all
from tests.exploration.explorer import Violation
from tests.soak.governor import govern
from tests.soak.large import Streamed, stream_large
from tests.soak.ordered import Ordered, order_about
from tests.soak.rounds import Played, play
from tests.soak.servers import Servers
from tests.soak.sources import Migrated, migrate_sources
from tests.soak.story import Story

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MINUTES = 10.0
ROWS = 100_000
ORDERED_ROWS = 28_000
ORDERED_SECONDS = 60.0
LARGE_BYTES = 6_000_000_000


def main(argv: Sequence[str], the_servers: Servers | None = None) -> int:
    """Play, on all servers unless some are given; return 1 if any round found a violation."""
    arguments = _parse(argv)
    if arguments.explore:
        return _explore()
    seed: str = arguments.seed or secrets.token_hex(4)
    if arguments.governor:
        return _soak_governor(arguments.rows)
    if arguments.sources:
        return _soak_sources(the_servers or Servers(), seed, arguments.rows)
    if arguments.orders:
        return _soak_orders(the_servers or Servers(), seed, arguments.orders)
    if arguments.large:
        return _stream_large(the_servers or Servers(), arguments.large)
    began = time.monotonic()
    all_played: list[Played] = []
    violations = 0
    with the_servers or Servers() as servers:
        print(
            f"seed {seed}; stores: {', '.join(servers.stores)}; databases: {', '.join(servers.databases)}", flush=True
        )
        for number in _numbers(arguments):
            played = Played()
            all_played.append(played)
            violations += not _keeps_promises(servers, seed, number, played)
            by_time = time.monotonic() - began > 60 * arguments.minutes
            if _has_met_all(all_played, arguments.kills) if arguments.kills else by_time:
                break
    print(_summed_up(all_played, violations, time.monotonic() - began) + f"; seed {seed}")
    return int(violations > 0)


def _soak_sources(the_servers: Servers, seed: str, rows: int) -> int:
    began = time.monotonic()
    done = Migrated()
    print(f"seed {seed}: {rows:,} rows over six sources", flush=True)
    with the_servers as servers:
        kept = _is_kept(
            lambda folder: migrate_sources(servers, seed, rows, folder, done),
            "VIOLATION",
            f"scripts/soak --sources --rows {rows} --seed {seed}",
            done,
        )
    counts = f"{done.rows:,} rows, {done.kills:,} kills, {done.runs:,} runs, {done.edits:,} edits, {done.looks:,} looks"
    print(
        f"six sources in {_clock(time.monotonic() - began)}: {counts}, {done.verified}, {int(not kept)} violations;"
        f" seed {seed}"
    )
    return int(not kept)


def _soak_orders(the_servers: Servers, seed: str, seconds: float) -> int:
    began = time.monotonic()
    done = Ordered()
    rows = round(ORDERED_ROWS * seconds / ORDERED_SECONDS)
    with the_servers as servers:
        kept = _is_kept(
            lambda folder: order_about(servers, seed, rows, seconds, folder, done),
            "VIOLATION",
            f"scripts/soak --orders {seconds:g} --seed {seed}",
            done,
        )
    orders = f"{done.given + done.refused:,} orders in {done.seconds:.0f} s, {done.refused:,} of them refused"
    counts = f"{done.runs:,} runs, {done.kills:,} kills, {done.stops:,} stops, {done.writes:,} application writes"
    print(f"orders in {_clock(time.monotonic() - began)}: {orders}; {counts}, {int(not kept)} violations; seed {seed}")
    return int(not kept)


def _stream_large(the_servers: Servers, size_bytes: int) -> int:
    done = Streamed()
    with the_servers as servers:
        kept = _is_kept(
            lambda folder: stream_large(servers, size_bytes, folder, done),
            "VIOLATION",
            f"scripts/soak --large {size_bytes}",
            done,
        )
    took = f"{done.seconds:.1f} s, {done.peak_bytes / 1e6:.0f} MB at the peak"
    print(f"{size_bytes:,} bytes in {done.parts:,} parts, {took}, {int(not kept)} violations")
    return int(not kept)


def _soak_governor(rows: int) -> int:
    began = time.monotonic()
    done = Story()
    again = f"scripts/soak --governor --rows {rows}"
    kept = _is_kept(lambda folder: govern(rows, folder, done), "VIOLATION", again, done)
    print(f"governor in {_clock(time.monotonic() - began)}: {rows:,} rows three times, {int(not kept)} violations")
    return int(not kept)


def _explore() -> int:
    try:
        explore_all(USUAL | FULL, lambda text: print(text, flush=True))
    except Violation as broken:
        print(f"VIOLATION\n{broken}")
        return 1
    return 0


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add(
        "--minutes",
        type=float,
        default=MINUTES,
        metavar="N",
        help="end with the round that is then played (%(default)g)",
    )
    add(
        "--kills",
        type=int,
        default=0,
        metavar="N",
        help="instead: end with the round that has the Nth kill, once there were orders, faults and held rows too",
    )
    add("--seed", default="", help="make the choices of an earlier soak again (default: a new one)")
    add("--round", type=int, default=0, metavar="N", help="play this round alone")
    add("--explore", action="store_true", help="instead: explore every interleaving of the protocol within its bounds")
    add(
        "--sources",
        action="store_true",
        help="instead: one migration of six tables (keys, URLs, JSON, arrays, texts) that is killed until it is done",
    )
    add(
        "--large",
        type=int,
        nargs="?",
        const=LARGE_BYTES,
        metavar="BYTES",
        help="instead: stream one object of so many bytes (%(const)d) from rclone's server to SeaweedFS",
    )
    add(
        "--orders",
        type=float,
        nargs="?",
        const=ORDERED_SECONDS,
        metavar="SECONDS",
        help="instead: one migration that is given 20 orders a second for so long (%(const)g), and killed meanwhile",
    )
    add("--governor", action="store_true", help="instead: three migrations whose database is strained on the way")
    add("--rows", type=int, default=ROWS, metavar="N", help="with --sources and --governor: rows in all (%(default)d)")
    return parser.parse_args(argv)


def _numbers(arguments: argparse.Namespace) -> Iterator[int]:
    return iter([arguments.round]) if arguments.round else count(1)


def _keeps_promises(servers: Servers, seed: str, number: int, played: Played) -> bool:
    """Play a round, and say how it went."""
    again = f"scripts/soak --seed {seed} --round {number}"
    if not _is_kept(
        lambda folder: play(servers, f"{seed} {number}", folder, played), f"VIOLATION in round {number}", again, played
    ):
        return False
    print(f"round {number}: {_counts([played])}; {played.story[0]}", flush=True)
    return True


def _is_kept(act: Callable[[Path], None], title: str, again: str, played: Story) -> bool:
    """Do something in a folder of its own, which is kept if anything is not as promised; that is told."""
    folder = Path(tempfile.mkdtemp(prefix="sketch-soak-"))
    try:
        act(folder)
    except Exception:  # noqa: BLE001 # whatever it is, it is told, and the next round is another world
        print(f"{title}\n{traceback.format_exc()}")
        print("\n".join(played.story))
        print(f"Its folder is {folder}. Again: {again}", flush=True)
        return False
    shutil.rmtree(folder)
    return True


def _has_met_all(all_played: Sequence[Played], kills: int) -> bool:
    """Whether there were so many kills, and each other kind of trouble at least once."""

    def total(name: str) -> int:
        return sum(getattr(each, name) for each in all_played)

    return total("kills") >= kills and all(total(name) for name in ("orders", "faults", "rows_held"))


def _summed_up(all_played: Sequence[Played], violations: int, seconds: float) -> str:
    return f"{len(all_played)} rounds in {_clock(seconds)}: {_counts(all_played)}, {violations} violations"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def _counts(all_played: Sequence[Played]) -> str:
    names = {
        "kills": "kills",
        "runs": "runs",
        "orders": "orders",
        "faults": "faults",
        "writes": "application writes",
        "rows_held": "rows held",
    }
    return ", ".join(f"{sum(getattr(each, name) for each in all_played):,} {said}" for name, said in names.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
