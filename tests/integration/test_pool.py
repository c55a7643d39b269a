"""The process pool by itself: who cannot be given work says why, and who dies at once is not replaced for ever."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.cluster.comparing_worker import ComparingAssignment, PortionTask
from sketchmigrate.cluster.engine import Assignment, Joined, Message, Unfit
from sketchmigrate.cluster.pool import ProcessPool
from sketchmigrate.cluster.range_worker import RangeAssignment, RangeWorker
from sketchmigrate.core.errors import ClusterError, DatabaseUnreachable, S3Refused
from sketchmigrate.core.objects import Location
from sketchmigrate.inspect.comparing import Pair
from sketchmigrate.ledger import FolderPlace
from sketchmigrate.migration.preflight import Specimens
from sketchmigrate.settings import Options, Settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.stores import Store

NOWHERE = Settings(db_host="127.0.0.1", db_port=1)


@dataclass(frozen=True)
class Deadly(FolderPlace):
    """A place that kills who is told of it."""

    def __setstate__(self, _: object) -> None:
        os._exit(9)


async def heard_first(assignment: Assignment, processes: int) -> tuple[Message, int]:
    """Begin, and return the first message, and how many members there are by then."""
    heard: asyncio.Queue[Message] = asyncio.Queue()
    async with ProcessPool(processes) as pool:
        await pool.begin(assignment, heard.put_nowait)
        message = await asyncio.wait_for(heard.get(), 60)
        assert pool.workers == frozenset()
        return message, pool.members


async def test_a_worker_without_a_route_to_the_database_says_so(tmp_path: Path) -> None:
    message, members = await heard_first(RangeAssignment("run", NOWHERE, Options(), FolderPlace(tmp_path)), 1)
    assert isinstance(message, Unfit)
    assert (message.worker, type(message.reason), members) == ("worker-1", DatabaseUnreachable, 0)


BLOCKED = """
from multiprocessing import forkserver
from pathlib import Path
from sketchmigrate.cluster import forking
forking.begin_imports()
(mask,) = (line for line in Path(f"/proc/{forkserver._forkserver._forkserver_pid}/status").read_text().splitlines()
           if line.startswith("SigBlk"))
print(int(mask.split()[1], 16))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the signals of another process on Linux only")
def test_what_forks_the_workers_has_the_coordinators_signals_blocked(tmp_path: Path) -> None:
    """A terminal's Ctrl-C reaches it, and a signal of systemd, and they are not for it; nor for who is just forked."""
    command = [sys.executable, "-c", BLOCKED]
    environ = {"PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=environ, timeout=60)
    blocked = {number for number in signal.valid_signals() if int(told.stdout) >> (number - 1) & 1}
    assert blocked >= {signal.SIGINT, signal.SIGTERM}


async def test_processes_that_die_at_once_are_not_replaced_for_ever(tmp_path: Path) -> None:
    message, members = await heard_first(RangeAssignment("run", NOWHERE, Options(), Deadly(tmp_path)), 1)
    assert isinstance(message, Unfit)
    assert isinstance(message.reason, ClusterError)
    assert (message.worker, members) == ("worker-3", 0)


def test_another_version_is_named_before_anything_is_tried(tmp_path: Path) -> None:
    class Deaf:
        worker = "worker-7"

        def send(self, message: Message) -> None:
            raise AssertionError(message)

        def on_orders(self, take: object) -> None:
            raise AssertionError(take)

    assignment = RangeAssignment("run", NOWHERE, Options(), FolderPlace(tmp_path), version="0.0.9")
    worker = RangeWorker(assignment, Deaf())
    with pytest.raises(ClusterError, match=r"worker-7 has version .*, the run was started by 0\.0\.9"):
        worker.open()
    worker.close()


async def test_who_compares_needs_the_store_alone(rclone_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no database, and no right to anything but the objects that are compared."""
    rclone_store.put_all(rclone_store.legacy_bucket, {"image/1": b"same", "image/2": b"this"})
    rclone_store.put_all(rclone_store.production_bucket, {"avatar/1": b"same", "avatar/2": b"that"})
    settings = Settings(
        db_host="127.0.0.1",
        db_port=1,
        s3_endpoint_url=rclone_store.endpoint_url,
        legacy_bucket=rclone_store.legacy_bucket,
        production_bucket=rclone_store.production_bucket,
    )
    portion = tuple(
        Pair(
            name,
            Location(rclone_store.legacy_bucket, f"image/{name}"),
            Location(rclone_store.production_bucket, f"avatar/{name}"),
            4,
            "",
            "",
        )
        for name in ("1", "2", "3")
    )
    assignment = ComparingAssignment("run", settings, (Specimens(portion[0].legacy, portion[0].production),))
    for name, value in rclone_store.environ().items():
        monkeypatch.setenv(name, value)
    heard: asyncio.Queue[Message] = asyncio.Queue()
    async with ProcessPool(1) as pool:
        await pool.begin(assignment, heard.put_nowait)
        assert isinstance(await asyncio.wait_for(heard.get(), 60), Joined)
        done = await pool.run(PortionTask(assignment, 1, portion))
    assert (done.worker, [each.same for each in done.answers or ()]) == ("worker-1", [True, False, None])

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    message, _ = await heard_first(assignment, 1)
    assert isinstance(message, Unfit)
    assert (message.worker, type(message.reason)) == ("worker-1", S3Refused)
