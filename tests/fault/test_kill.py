"""kill -9 at random moments: nothing is lost, and running it again finishes the job. Named points: ``test_matrix``.

A dozen kills, and nothing else goes wrong; ``scripts/soak`` kills as often as one likes, under all that can. A failure
prints its seed; ``KILL_SEED`` takes it, so that the same choices are made again.
"""

from __future__ import annotations

import math
import os
import random
import secrets
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.fault.promises import ROWS, make_world, with_ledger
from tests.servers.postgres_fault_proxy import PostgresFaultProxy

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.servers.databases import Database, Databases
    from tests.servers.s3_fault_proxy import S3FaultProxy
    from tests.servers.stores import Store

ROUNDS = 4
KILLS_IN_A_ROUND = 3


@pytest.mark.parametrize("number", range(ROUNDS))
def test_killed_at_random_moments(
    database: Database, rclone_store: Store, s3_proxy: S3FaultProxy, tmp_path: Path, number: int
) -> None:
    seed = os.environ.get("KILL_SEED") or secrets.token_hex(4)
    print(f"KILL_SEED={seed}, round {number}")  # noqa: T201 - shown where the test fails
    dice = random.Random(f"{seed} {number}")
    world = make_world(database, rclone_store, tmp_path, legacy_rows=2 * ROWS)
    left = 2 * ROWS
    for _ in range(KILLS_IN_A_ROUND):
        flags = ["-p", str(dice.randint(1, 4)), "-b", str(dice.randint(3, 30))]
        looks = s3_proxy.count("head") + 2 + dice.randint(1, math.ceil(0.7 * left))  # two are of the checks before it
        process = world.start(*flags, store=rclone_store.via(s3_proxy.endpoint_url))
        s3_proxy.wait_for_requests(looks, "head")
        time.sleep(dice.uniform(0, 0.01))  # anywhere between two requests
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it had ended before it was killed"
        process.communicate()
        left = 2 * ROWS - world.check_promises()
        if not left:
            break
    world.check_resumed()


@pytest.mark.parametrize("statement", ["INSERT INTO sketch_ledger.run", "UPDATE sketch_ledger.run"])
@pytest.mark.parametrize("done", [False, True])
def test_killed_while_it_begins_its_ledger_in_a_database(
    database: Database, databases: Databases, rclone_store: Store, tmp_path: Path, statement: str, done: bool
) -> None:
    """Where the run is not in the ledger nothing points at it: no later command looks for it in vain."""
    with databases.fresh() as ledger, PostgresFaultProxy(ledger.port) as proxy:
        world = make_world(database, rclone_store, tmp_path)
        watched, world = with_ledger(world, ledger.via(proxy.port)), with_ledger(world, ledger)
        killed: list[subprocess.Popen[str]] = []
        started = threading.Event()

        def kill() -> None:
            assert started.wait(30)
            killed[0].kill()
            killed[0].wait()

        proxy.act_at(statement, kill, after_server=done)
        killed.append(watched.start())
        started.set()
        assert killed[0].wait() == -signal.SIGKILL, killed[0].communicate()
        killed[0].communicate()
        assert world.check_promises() == 0
        world.check_resumed()
        back = world.migrate(command=("rollback", "--all", "runs"))
        assert (back.code, back.outcomes["restored"]) == (0, ROWS), back.err
