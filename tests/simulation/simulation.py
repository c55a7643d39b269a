"""One seed from the first run to the last: runs that fault and crash, then one undisturbed, then one over nothing."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sketch_migrate.errors import RunDirectoryError
from sketch_migrate.ledger import SqliteLedger
from sketch_migrate.ledger.record import SCHEMA
from sketch_migrate.migration import copier as copier_module
from sketch_migrate.migration import iteration as iteration_module
from sketch_migrate.migration import placing as placing_module
from sketch_migrate.migration import runner as runner_module
from sketch_migrate.migration.copier import Copier
from sketch_migrate.migration.iteration import Iteration
from sketch_migrate.migration.placing import placing_of
from sketch_migrate.migration.runner import Migration, migrate
from sketch_migrate.migration.stop import Stop
from sketch_migrate.model import Outcome, Result, Tally
from sketch_migrate.postgres import connection as connection_module
from sketch_migrate.postgres.references import Table
from sketch_migrate.s3 import multipart
from sketch_migrate.settings import Options
from tests.simulation.application import Application
from tests.simulation.clock import Clock, VirtualLoop
from tests.simulation.database import SimulatedDatabase
from tests.simulation.store import simulated_client
from tests.simulation.world import MAPPING, SMALL_BYTES, Process, Violation, World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sketch_migrate.model import Reference

RUNS_AT_MOST = 40
TABLE = Table(("avatars",), "id", "path", "bigint")


def simulate(seed: int) -> World:
    """Play one seed through. Raises ``Violation``, with the seed and the trace, where a promise did not hold."""
    loop = VirtualLoop()
    world = World(seed)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for module in (copier_module, iteration_module, connection_module):
                patch.setattr(module, "time", Clock(loop))
            patch.setattr(connection_module, "random", random.Random(seed))
            patch.setattr(connection_module.log, "disabled", True)
            patch.setattr(multipart.logger, "disabled", True)
            patch.setattr(placing_module, "PUT_LIMIT_BYTES", SMALL_BYTES)
            patch.setattr(placing_module, "FIRST_BYTES", SMALL_BYTES // 2)
            patch.setattr(copier_module, "COMPARE_BYTES", SMALL_BYTES // 2)
            loop.run_until_complete(_play(world))
    except Exception as error:
        trace = "\n".join(f"  {line}" for line in world.trace)
        reason = world.violated or f"{type(error).__name__}: {error}"
        raise Violation(f"{reason}\nSIMULATION_SEED={seed} ({world.scenario})\n{trace}") from error
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
    return world


async def _play(world: World) -> None:
    application = Application(world)
    world.act = application.act
    for number in range(1, RUNS_AT_MOST):
        world.trace.append(f"--- run {number}")
        if await _run(world):
            break
        world.undisturbed = False
        if number > 4:
            world.faults_left = world.crashes_left = 0
    world.faults_left = world.crashes_left = 0
    await asyncio.sleep(1000)  # what was lost on the way has arrived
    application.finish()
    world.check()
    world.quiet = True
    world.trace.append("--- undisturbed run")
    world.hold(await _run(world), "an undisturbed run was stopped")
    world.check_end()
    world.trace.append("--- run over nothing")
    writes = world.writes
    world.hold(await _run(world), "an undisturbed run was stopped")
    world.hold(world.writes == writes, "a run over finished work wrote something")
    world.hold(not world.violated, world.violated)


async def _run(world: World) -> bool:
    """Run the tool until it ends or is killed. Returns whether it came to its end."""
    process = world.process = Process(asyncio.get_running_loop().create_future())
    before = asyncio.all_tasks()
    run = asyncio.create_task(_migrate(world))
    either: set[asyncio.Future[Any]] = {run, process.crashed}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if process.alive:
        return run.result()
    while left := asyncio.all_tasks() - before:
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
    return False


async def _migrate(world: World) -> bool:
    """Migrate the whole table as the command does. Returns False where an error stopped it."""
    stop = Stop()
    store = simulated_client(world)
    options = Options(parallelization_level=world.scenario.iterations, batch_size=world.scenario.batch_size)
    seen = Tally()

    def observe(_rows: int, results: list[Result]) -> None:
        nonlocal seen
        seen += Tally.of(results)
        world.reported |= {int(each.reference.key) for each in results if each.possibly_overwritten}

    async def check_access() -> None:
        await world.step("checks access")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner_module, "Iteration", _watched(world, stop))
        async with (
            SimulatedLedger(world) as ledger,
            Copier(
                store,
                check_access,
                workers=lambda: 3,
                overwrite=False,
                dry_run=False,
                stop=stop,
                placing=placing_of(store, world.scenario.strategy),
            ) as copier,
        ):
            database = SimulatedDatabase(world, stop.event)
            migration = Migration(options, MAPPING, TABLE, database, copier, ledger, stop, observe)
            finished = await migrate(migration, lambda number: world.trace.append(f"-- pass {number}"))
    world.hold(finished.tally == seen, "the tally is not the sum of what was observed")
    return not stop.requested


def _watched(world: World, stop: Stop) -> Callable[..., Iteration]:
    """Return the iteration, with a look at what it says of its references."""

    class Watched(Iteration):
        async def run(self, references: Sequence[Reference], results: list[Result]) -> None:
            world.trace.append(f"iteration over {[reference.key for reference in references]}")
            process, ended = world.process, False
            try:
                await super().run(references, results)
                ended = not stop.requested
            finally:
                if process.alive:
                    _check_results(world, references, results, whole=ended)

    return Watched


def _check_results(world: World, references: Sequence[Reference], results: Sequence[Result], *, whole: bool) -> None:
    """See that each reference has one outcome, and that it is true of the row."""
    told = Counter(result.reference for result in results)
    world.hold(told <= Counter(references), "a reference has two outcomes, or was never scanned")
    for result in results:
        reference = result.reference
        world.trace.append(f"result: {reference.key} {result.outcome} {result.reason}")
        moved_on = world.rows.get(int(reference.key)) != reference.path
        if not result.outcome.needs_a_person:
            world.hold(moved_on, f"row {reference.key} is said to be {result.outcome}, and was left")
        if result.outcome is Outcome.SUPERSEDED:
            world.superseded.add((int(reference.key), MAPPING.production_path(reference.path)))
        if result.outcome is Outcome.MISSING and not moved_on:
            world.hold(("legacy", reference.path) not in world.objects, f"{reference.path} is not missing")
    world.hold(not whole or sum(told.values()) == len(references), "a reference has no outcome")


class SimulatedLedger(SqliteLedger):
    """The real statements on a database in memory, and a disk that may be full."""

    def __init__(self, world: World) -> None:
        super().__init__(Path("/nonexistent"), description={})
        self._world = world

    async def _call(self, work: Callable[[], object]) -> object:  # type: ignore[override] # as generic as its uses here
        if hasattr(self, "_database"):
            await self._world.step("ledger")
            if self._world.fault("disk full"):
                raise RunDirectoryError("the disk is full")
            done = work()
            await self._world.step("ledger's reply")
            return done
        return work()

    async def __aexit__(self, *_: object) -> None:
        self._database.close()

    def _open(self) -> None:
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.executescript(SCHEMA)

    def _insert(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        super()._insert(statement, rows)
        if "INTO flip" in statement:
            self._world.on_record |= {(int(str(row[0])), str(row[1]), str(row[2])) for row in rows}
