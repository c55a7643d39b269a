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
import time
from typing import TYPE_CHECKING

import pytest

from tests.fault.promises import ROWS, make_world

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.databases import Database
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
