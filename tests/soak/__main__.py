"""``scripts/soak``: play rounds until the time or the kills are over, and say what was found.

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
from tests.soak.rounds import Played, play
from tests.soak.servers import Servers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MINUTES = 10.0


def main(argv: Sequence[str], the_servers: Servers | None = None) -> int:
    """Play, on all servers unless some are given; return 1 if any round found a violation."""
    arguments = _parse(argv)
    if arguments.explore:
        return _explore()
    seed: str = arguments.seed or secrets.token_hex(4)
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
            over = arguments.kills and sum(each.kills for each in all_played) >= arguments.kills
            if over or (not arguments.kills and time.monotonic() - began > 60 * arguments.minutes):
                break
    print(_summed_up(all_played, violations, time.monotonic() - began) + f"; seed {seed}")
    return int(violations > 0)


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
    add("--kills", type=int, default=0, metavar="N", help="instead: end with the round that has the Nth kill")
    add("--seed", default="", help="make the choices of an earlier soak again (default: a new one)")
    add("--round", type=int, default=0, metavar="N", help="play this round alone")
    add("--explore", action="store_true", help="instead: explore every interleaving of the protocol within its bounds")
    return parser.parse_args(argv)


def _numbers(arguments: argparse.Namespace) -> Iterator[int]:
    return iter([arguments.round]) if arguments.round else count(1)


def _keeps_promises(servers: Servers, seed: str, number: int, played: Played) -> bool:
    """Play a round, say how it went, and keep its folder if anything is not as promised."""
    folder = Path(tempfile.mkdtemp(prefix="sketch-soak-"))
    try:
        play(servers, f"{seed} {number}", folder, played)
    except Exception:  # noqa: BLE001 # whatever it is, it is told, and the next round is another world
        print(f"VIOLATION in round {number}\n{traceback.format_exc()}")
        print("\n".join(played.story))
        print(f"Its folder is {folder}. Again: scripts/soak --seed {seed} --round {number}", flush=True)
        return False
    shutil.rmtree(folder)
    print(f"round {number}: {_counts([played])}; {played.story[0]}", flush=True)
    return True


def _summed_up(all_played: Sequence[Played], violations: int, seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{len(all_played)} rounds in {minutes}:{seconds:02}: {_counts(all_played)}, {violations} violations"


def _counts(all_played: Sequence[Played]) -> str:
    names = {
        "kills": "kills",
        "runs": "runs",
        "faults": "faults",
        "writes": "application writes",
        "rows_held": "rows held",
    }
    return ", ".join(f"{sum(getattr(each, name) for each in all_played):,} {said}" for name, said in names.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
