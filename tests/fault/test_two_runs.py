"""Two runs at once over the same table, while the application lives on: no promise is broken, and all counts add up.

On a store that honours a condition: without one, each run may take the other's copy for the application's object.
"""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.fault.promises import PRODUCTION, ROWS, Run, World, check_ledgers, check_promises, digests, make_world
from tests.servers import s3_faults
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.tool import run_directories

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.servers.databases import Database
    from tests.servers.http1 import S3Request
    from tests.servers.stores import Store

MIGRATE: tuple[str, ...] = ()
FIRST_HALF = 30


class Application:
    """Gives new avatars to some rows and makes new rows, in no order, for as long as the runs last."""

    def __init__(self, world: World, rows: Sequence[int]) -> None:
        self._world, self._rows = world, rows
        self.written: dict[int, str | None] = {}
        self.bodies: dict[str, bytes] = {}
        self._over = threading.Event()

    def live(self) -> None:
        """Write until ``end``."""
        dice = random.Random(7)
        with self._world.database.connect() as connection:
            while not self._over.wait(0.005):  # its own pace
                row = dice.choice([*self._rows, 1000 + len(self.bodies)])
                key = f"{PRODUCTION}new-{row}-{len(self.bodies)}.png"
                self.bodies[key] = f"new avatar {len(self.bodies)}".encode()
                self._world.store.put_all(self._world.store.production_bucket, {key: self.bodies[key]})
                connection.execute(
                    "INSERT INTO avatars VALUES (%s, %s, '') ON CONFLICT (id) DO UPDATE SET path = excluded.path",
                    [row, key],
                )
                self.written[row] = key

    def end(self) -> None:
        """Write no more."""
        self._over.set()

    def world_after(self) -> World:
        """Return the world with what it wrote, which is to stay."""
        return replace(self._world, before=self._world.before.overlaid(self.written, digests(self.bodies)))


def side_by_side(
    world: World, first: Sequence[str], second: Sequence[str], rows: Sequence[int]
) -> tuple[World, Run, Run]:
    """Run two commands that both come to their first object before either goes on; the application writes ``rows``."""
    application = Application(world, rows)
    # Each comes by one of these once before it is released. The checks before the start look at others.
    meeting = {"avatar-7.png"} if first == second else {"avatar-7.png", "avatar-37.png"}

    def in_an_iteration(request: S3Request) -> bool:
        return request.operation in {"put", "head"} and request.key.rpartition("/")[2] in meeting

    with S3FaultProxy(world.store.endpoint_url) as s3, ThreadPoolExecutor() as threads:
        s3.on(s3_faults.stall(), when=in_an_iteration)
        store = world.store.via(s3.endpoint_url)
        processes = [
            world.start("-p", "4", "-b", "7", command=command, store=store, max_concurrency=64)
            for command in (first, second)
        ]
        s3.wait_for_hit("stall", 2)
        living = threads.submit(application.live)
        s3.clear()
        s3.release()
        runs = [world.finish(process) for process in processes]
        application.end()
        living.result()
    assert application.written, "the application did nothing"
    for run in runs:
        assert run.code == 0, run.err
    return application.world_after(), runs[0], runs[1]


@pytest.fixture
def whole(database: Database, moto_store: Store, tmp_path: Path) -> World:
    """Sixty legacy rows."""
    return make_world(database, moto_store, tmp_path)


# With rows that the runs have nothing to do with the counts can be told exactly, with theirs between bounds.
OTHERS = range(ROWS + 1, ROWS + 6)
THEIRS = range(5, ROWS, 6)
ROWS_OF_THE_APPLICATION = pytest.mark.parametrize("rows", [OTHERS, THEIRS], ids=["other rows", "their rows"])


@ROWS_OF_THE_APPLICATION
def test_two_migrations(whole: World, rows: range) -> None:
    world, first, second = side_by_side(whole, MIGRATE, MIGRATE, rows)
    check_ledgers(world.database, world.before, world.runs)
    assert check_promises(world.database, world.store, world.before) == len(world.before.legacy_paths), "all is done"
    counted = [run.outcomes for run in (first, second)]
    assert all(each.keys() <= {"migrated", "already", "superseded"} for each in counted)
    migrated = sum(each.get("migrated", 0) for each in counted)
    assert len(world.before.legacy_paths) <= migrated <= ROWS, "each row is flipped by one of them"


@ROWS_OF_THE_APPLICATION
def test_two_rollbacks_of_the_same_run(whole: World, rows: range) -> None:
    assert whole.migrate().code == 0
    back = ("rollback", "--all", "runs")
    world, first, second = side_by_side(whole, back, back, rows)
    check_ledgers(world.database, world.before, world.runs, undone=True)
    assert check_promises(world.database, world.store, world.before) == 0, "all is back"
    counted = [run.outcomes for run in (first, second)]
    assert all(each.keys() <= {"restored", "already", "superseded"} for each in counted)
    assert all(run.document["scanned"] == ROWS for run in (first, second))
    restored = sum(each.get("restored", 0) for each in counted)
    assert len(world.before.legacy_paths) <= restored <= ROWS, "each row is set back by one of them"


@ROWS_OF_THE_APPLICATION
def test_a_migration_and_a_rollback_of_an_earlier_one(whole: World, rows: range) -> None:
    """What the rollback sets back the migration may take up again, if it comes by afterwards."""
    assert whole.migrate("-l", str(FIRST_HALF)).code == 1
    (earlier,) = run_directories(whole.cwd)
    world, forth, back = side_by_side(whole, MIGRATE, ("rollback", str(earlier)), rows)
    flipped = check_promises(world.database, world.store, world.before)
    assert forth.outcomes.keys() <= {"migrated", "already", "superseded"}
    assert back.outcomes.keys() <= {"restored", "already", "superseded"}
    assert back.document["scanned"] == FIRST_HALF
    net = FIRST_HALF + forth.outcomes.get("migrated", 0) - back.outcomes.get("restored", 0)
    written = ROWS - len(world.before.legacy_paths)
    assert flipped <= net <= flipped + written
    if rows == OTHERS:
        assert back.outcomes == {"restored": FIRST_HALF}
    again = world.migrate()
    assert again.code == 0, again.err
    world.check_finished()
