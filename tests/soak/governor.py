"""What a database feels of a long run: a standby that does not replay, a slot that nobody reads, a vacuum. In figures.

The limits are those of every day, but for none; the table is as large as is asked for.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.demo.servers import postgres_server
from tests.e2e.site import Site
from tests.fault.governed import (
    OPTIONS,
    STANDBY,
    fill,
    flipped,
    make_old,
    paused,
    vacuum_at_work,
    wait_until_logged,
    wal_bytes,
)
from tests.servers.databases import Databases
from tests.servers.standby import standby_of
from tests.servers.stores import new_buckets, rclone_server
from tests.tool import finish

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.servers.standby import Standby
    from tests.soak.story import Story

LONGEST_RUN_SECONDS = 7_200
LIMIT_SECONDS, WITHIN_SECONDS = 10, 15
LIMIT_BYTES = 256_000_000
SLOT_KEEPS_BYTES = 64 * 2**20
SLOT_PERCENT = 50
BEGINS_AFTER_ROWS = 1 / 20
"""The strain begins when this part of the rows is flipped."""


def govern(rows: int, folder: Path, done: Story) -> None:
    """Play all scenes, each with so many rows. Raises ``AssertionError`` for what is not as promised."""
    options = {**OPTIONS, "max_slot_wal_keep_size": "64MB"}
    with (
        postgres_server(options=options) as primary,
        standby_of(primary, STANDBY) as standby,
        rclone_server() as store,
        contextlib.closing(Databases(primary)) as databases,
    ):
        for scene in (_replay_paused, _slot_unread, _vacuumed):
            with databases.fresh() as database:
                home = folder / scene.__name__
                home.mkdir()
                site = Site(database, new_buckets(store), home)
                fill(site, rows)
                scene(_Scene(site, rows, standby, done))


@dataclass(frozen=True, slots=True)
class _Scene:
    site: Site
    rows: int
    standby: Standby
    done: Story

    def begun(self) -> subprocess.Popen[str]:
        """Start the run, and wait until it has flipped some."""
        process = self.site.start("-y --json")
        while flipped(self.site.database) < self.rows * BEGINS_AFTER_ROWS:
            assert process.poll() is None, finish(process)
            time.sleep(0.2)
        return process

    def ended(self, process: subprocess.Popen[str]) -> None:
        """The pressure is gone: the run ends, and all is flipped."""
        run = finish(process, timeout_seconds=LONGEST_RUN_SECONDS)
        assert run.code == 0, run
        assert flipped(self.site.database) == self.rows


def _replay_paused(scene: _Scene) -> None:
    database = scene.site.database
    process = scene.begun()
    with paused(scene.standby, None):
        began, lsn = time.monotonic(), wal_bytes(database)
        counts = [flipped(database)]
        while time.monotonic() - began < LIMIT_SECONDS + WITHIN_SECONDS + 5:
            time.sleep(1)
            counts.append(flipped(database))
            assert process.poll() is None, finish(process)
        last = max(second for second in range(1, len(counts)) if counts[second] > counts[second - 1])
        added = wal_bytes(database) - lsn
        fastest = max(after - before for before, after in itertools.pairwise(counts))
        scene.done.say(
            f"replay paused: the last flip was {last} s later, and {added / 1e6:.1f} MB of WAL were added, at up to"
            f" {fastest:,} rows/s"
        )
        assert last <= LIMIT_SECONDS + WITHIN_SECONDS
        assert added <= LIMIT_BYTES + fastest * 600
        wait_until_logged(scene.site, process, f"The run waits: database: {STANDBY} is ")
    scene.ended(process)


def _slot_unread(scene: _Scene) -> None:
    database = scene.site.database
    database.execute("SELECT pg_create_logical_replication_slot('reader', 'pgoutput')")
    process = scene.begun()
    look = (
        "SELECT (pg_current_wal_lsn() - restart_lsn)::bigint, wal_status FROM pg_replication_slots"
        " WHERE slot_name = 'reader'"
    )
    kept: list[int] = []
    wait_until_logged(scene.site, process, "The run is slowed: database: slot reader keeps ")
    for _ in range(60):
        ((kept_bytes, status),) = database.execute(look)
        kept.append(int(kept_bytes))
        assert status == "reserved"
        time.sleep(0.5)
    scene.done.say(f"slot unread: it kept {max(kept) / 2**20:.1f} MiB at most, of the 64 MiB beyond which it is lost")
    assert max(kept) <= SLOT_KEEPS_BYTES * SLOT_PERCENT / 100
    while process.poll() is None and flipped(database) < scene.rows:
        database.execute("SELECT pg_log_standby_snapshot()")
        database.execute("SELECT pg_replication_slot_advance('reader', pg_current_wal_lsn())")
        time.sleep(0.2)
    scene.ended(process)
    database.execute("SELECT pg_drop_replication_slot('reader')")


def _vacuumed(scene: _Scene) -> None:
    make_old(scene.site.database)
    process = scene.begun()
    with vacuum_at_work(scene.site.database):
        wait_until_logged(scene.site, process, "The run waits: database: a vacuum to prevent wraparound is at work")
        time.sleep(1)
        before = flipped(scene.site.database)
        time.sleep(10)
        flips = flipped(scene.site.database) - before
        scene.done.say(f"vacuum to prevent wraparound: {flips} rows were flipped in ten seconds of it")
        assert flips == 0
    scene.ended(process)
