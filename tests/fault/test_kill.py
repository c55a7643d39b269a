"""kill -9, at every named point and at random moments: nothing is lost, and running it again finishes the job.

``KILLS=200 scripts/test tests/fault/test_kill.py`` kills two hundred times at random instead of a dozen. A failure
prints its seed; ``KILL_SEED`` takes it, so that the same choices are made again.
"""

from __future__ import annotations

import math
import os
import random
import secrets
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.fault.promises import ROWS, World, make_world
from tests.servers import s3_faults

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.databases import Database
    from tests.servers.postgres_fault_proxy import PostgresFaultProxy
    from tests.servers.s3_fault_proxy import S3FaultProxy
    from tests.servers.stores import Store

KILLS = int(os.environ.get("KILLS", "12"))
KILLS_IN_A_ROUND = 3
UPDATE = r"^\s*UPDATE"

# Where the second of three iterations is when it is killed, and how many rows are flipped then.
POINTS = {
    "before the copy": 20,
    "copied, and nobody told": 20,
    "some of its objects copied": 20,
    "ledger written, UPDATE not sent": 20,
    "UPDATE done, COMMIT not sent": 20,
    "COMMIT done, and nobody told": 40,
    "before the next iteration": 40,
}


def hold_at(point: str, s3: S3FaultProxy, postgres: PostgresFaultProxy) -> None:
    """Let the tool come to a point and no further. One of its objects is in production already: it copies 59."""
    match point:
        case "before the copy":
            s3.on(s3_faults.stall(), operation="copy", skip=20)
        case "copied, and nobody told":
            s3.on(s3_faults.stall(after_server=True), operation="copy", skip=20)
        case "some of its objects copied":
            s3.on(s3_faults.stall(), operation="copy", skip=30)
        case "ledger written, UPDATE not sent":
            postgres.stall_at(UPDATE, skip=1)
        case "UPDATE done, COMMIT not sent":
            postgres.stall_at("^COMMIT", after=UPDATE, skip=1)
        case "COMMIT done, and nobody told":
            postgres.stall_at("^COMMIT", after=UPDATE, skip=1, after_server=True)
        case "before the next iteration":
            s3.on(s3_faults.stall(), operation="copy", skip=39)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_point(
    world: World, s3_proxy: S3FaultProxy, postgres_proxy: PostgresFaultProxy, point: str
) -> None:
    hold_at(point, s3_proxy, postgres_proxy)
    database, store = world.database.via(postgres_proxy.port), world.store.via(s3_proxy.endpoint_url)
    process = world.start("-p", "1", database=database, store=store)
    proxy = postgres_proxy if "UPDATE" in point or "COMMIT" in point else s3_proxy
    proxy.wait_for_hit("stall")
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    assert world.check_promises() == POINTS[point]
    proxy.release()  # what was on its way arrives late
    world.check_resumed()


@pytest.mark.parametrize("number", range(math.ceil(KILLS / KILLS_IN_A_ROUND)))
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
