"""One migration that is given twenty orders a second for a minute, and is killed again and again meanwhile."""

from __future__ import annotations

import random
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests import tool
from tests.fault.promises import make_world
from tests.fault.scenes import Scene
from tests.servers.stores import new_buckets
from tests.soak.live import Live
from tests.soak.orders import Orders
from tests.soak.story import Story

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fault.promises import World
    from tests.soak.servers import Servers

WAYS = ((), ("--processes", "2"))
"""How it is run, in turn."""

LEAST_SECONDS, MOST_SECONDS = 4.0, 9.0
"""A kill comes between these after the start."""

LONGEST_RUN_SECONDS = 600


@dataclass(slots=True)
class Ordered(Story):
    """What has happened, as far as it came. ``seconds`` are those in which a run was there to be given orders."""

    runs: int = 0
    kills: int = 0
    stops: int = 0
    given: int = 0
    refused: int = 0
    seconds: float = 0.0
    writes: int = 0


def order_about(servers: Servers, seed: str, rows: int, seconds: float, folder: Path, done: Ordered) -> None:
    """Migrate so many rows for so long, in an empty folder. Raises ``AssertionError`` or what is not as promised."""
    dice = random.Random(seed)
    name = "seaweed" if "seaweed" in servers.stores else servers.stores[0]  # rclone keeps a file for each object
    with servers.databases_of("newest").fresh() as database:
        world = make_world(database, new_buckets(servers.store(name)), folder, legacy_rows=rows)
        done.say(f"{rows:,} rows and objects are made")
        with Live(world, random.Random(f"{seed} application")) as live:
            while done.seconds < seconds:
                left = _killed_run(world, dice, done)
                with live.paused() as now:
                    _scene(now).check_promises()
                done.say(f"{done.seconds:.0f} s, {done.given + done.refused:,} orders: {left:,} rows left")
                if not left:
                    done.say("all is migrated before the time is over")
                    break
            with live.paused() as now:
                scene = _scene(now)
                ended = now.migrate()
                assert ended.code == 0, ended.err
                scene.check_finished()
        done.writes = live.writes


def _scene(world: World) -> Scene:
    return Scene("migrate", world, 1, len(world.before.rows))


def _killed_run(world: World, dice: random.Random, done: Ordered) -> int:
    """Let a run take orders until it is killed; return how many rows are legacy then."""
    process = world.start(*WAYS[done.runs % len(WAYS)], max_rows_per_second=300)
    done.runs += 1
    try:
        with Orders(world.runs, process, random.Random(dice.random())) as orders:
            try:
                process.wait(dice.uniform(LEAST_SECONDS, MOST_SECONDS))
            except subprocess.TimeoutExpired:
                process.kill()
            ended = tool.finish(process, timeout_seconds=LONGEST_RUN_SECONDS)
    finally:
        process.kill()
    if orders.began_at is not None:
        done.seconds += orders.ended_at - orders.began_at
    done.given += orders.given
    done.refused += orders.refused
    done.kills += ended.code == -signal.SIGKILL
    done.stops += ended.code == 128 + signal.SIGTERM
    assert "Traceback" not in ended.err, ended.err
    assert ended.code in {-signal.SIGKILL, 128 + signal.SIGTERM, 0}, f"ended with {ended.code}: {ended.err}"
    ((left,),) = world.database.execute("SELECT count(*) FROM avatars WHERE path LIKE 'image/%%'")
    return int(left)
