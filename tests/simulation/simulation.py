"""One seed from the first run to the last.

Runs that fault and crash, alone or two at once, then one undisturbed, then one over nothing; then the way back, and the
whole once more.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from sketchmigrate.core.outcome import Outcome, Result, Tally
from sketchmigrate.core.rule import SideName
from sketchmigrate.migration import copier as copier_module
from sketchmigrate.migration import flipping as flipping_module
from sketchmigrate.migration import runner as runner_module
from sketchmigrate.migration import transfer as transfer_module
from sketchmigrate.migration.breaker import NEVER, Breaker
from sketchmigrate.migration.copier import Copier
from sketchmigrate.migration.flipping import FlipControl
from sketchmigrate.migration.iteration import Iteration
from sketchmigrate.migration.overwritten import settle
from sketchmigrate.migration.passes import migrate
from sketchmigrate.migration.rollback import LegacyFinder, Selection, roll_back
from sketchmigrate.migration.runner import Migration
from sketchmigrate.migration.transfer import transfer_of
from sketchmigrate.postgres import database as database_module
from sketchmigrate.postgres import session as session_module
from sketchmigrate.postgres.table import Table
from sketchmigrate.s3 import multipart
from sketchmigrate.settings import Options
from tests.sides import sides_of
from tests.simulation.application import Application
from tests.simulation.clock import Clock, VirtualLoop
from tests.simulation.database import SimulatedConnection, SimulatedDatabase
from tests.simulation.ledger import SimulatedLedger, past_runs
from tests.simulation.store import simulated_client
from tests.simulation.world import MAPPING, PROCESS, SMALL_BYTES, Process, Violation, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence
    from contextvars import Context
    from types import ModuleType

    from sketchmigrate.core.reference import Reference

RUNS_AT_MOST = 40


def simulate(seed: int) -> World:
    """Play one seed through. Raises ``Violation``, with the seed and the trace, where a promise did not hold."""
    loop = VirtualLoop()
    loop.set_task_factory(_note_whose_task)
    world = World(seed)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for module in _that_look_at_the_clock():
                patch.setattr(module, "time", Clock(loop))
            patch.setattr(session_module, "random", random.Random(seed))
            patch.setattr(database_module.log, "disabled", True)
            patch.setattr(multipart.logger, "disabled", True)
            patch.setattr(transfer_module, "PUT_LIMIT_BYTES", SMALL_BYTES)
            patch.setattr(transfer_module, "FIRST_BYTES", SMALL_BYTES // 2)
            patch.setattr(copier_module, "COMPARE_BYTES", SMALL_BYTES // 2)
            patch.setattr(runner_module, "Iteration", _watched(world))
            patch.setattr(flipping_module, "inspect_table", _inspect_table)
            loop.run_until_complete(_play(world))
    except Exception as error:
        trace = "\n".join(f"  {line}" for line in world.trace)
        cause: BaseException = error
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        reason = world.violated or f"{type(cause).__name__}: {cause}"
        raise Violation(f"{reason}\nSIMULATION_SEED={seed} ({world.scenario})\n{trace}") from error
    finally:
        for ledger in world.ledgers:
            ledger.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
    return world


def _that_look_at_the_clock() -> list[ModuleType]:
    return [
        module
        for name, module in sys.modules.items()
        if name.startswith(("sketchmigrate.migration", "sketchmigrate.postgres"))
        and getattr(module, "time", None) is time
    ]


async def _play(world: World) -> None:
    application = Application(world)
    world.act = application.act
    await _until_it_ends(world, _migrate, at_once=world.scenario.runs_at_once)
    await asyncio.sleep(1000)  # what was lost on the way has arrived
    application.finish()
    world.check()
    await _undisturbed(world)
    world.trace.append("--- run over nothing")
    writes = world.writes
    world.hold(await _run(world, _migrate), "an undisturbed run was stopped")
    tried_again = world.scenario.overwrite and world.triggers  # their objects, not their rows
    world.hold(bool(tried_again) or world.writes == writes, "a run over finished work wrote something")
    if world.rng.random() < 0.3:
        await _there_and_back(world)
    world.hold(not world.violated, world.violated)


async def _undisturbed(world: World) -> None:
    world.quiet = True
    world.trace.append("--- undisturbed run")
    world.hold(await _run(world, _migrate), "an undisturbed run was stopped")
    world.check_end()


async def _there_and_back(world: World) -> None:
    """Set everything back, by way of faults and crashes as well, and migrate once more."""
    world.quiet = False
    world.act = lambda: None
    world.faults_left, world.crashes_left = world.rng.choice(((0, 0), (4, 1)))
    await _until_it_ends(world, _roll_back, at_once=1)
    await asyncio.sleep(1000)
    world.quiet = True
    world.trace.append("--- undisturbed rollback")
    world.hold(await _run(world, _roll_back), "an undisturbed rollback was stopped")
    world.check_back()
    await _undisturbed(world)


async def _until_it_ends(world: World, work: Callable[[World], Coroutine[Any, Any, bool]], *, at_once: int) -> None:
    """Run the tool, one or more of it at once, until one comes to its end."""
    for number in range(1, RUNS_AT_MOST):
        world.trace.append(f"--- run {number}")
        if any(await asyncio.gather(*(_run(world, work) for _ in range(at_once)))):
            break
        world.undisturbed = False
        if number > 4:
            world.faults_left = world.crashes_left = 0
    world.faults_left = world.crashes_left = 0


async def _run(world: World, work: Callable[[World], Coroutine[Any, Any, bool]]) -> bool:
    """Run the tool until it ends or is killed. Returns whether it came to its end."""
    world.processes += 1
    process = Process(world.processes, asyncio.get_running_loop().create_future())
    token = PROCESS.set(process)
    run = asyncio.create_task(work(world))
    PROCESS.reset(token)
    either: set[asyncio.Future[Any]] = {run, process.crashed}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if process.alive:
        world.undisturbed = world.undisturbed and not process.stop.requested
        return run.result()
    while left := {task for task in process.tasks if not task.done()}:
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
    return False


def _note_whose_task(
    loop: asyncio.AbstractEventLoop, coroutine: Any, context: Context | None = None
) -> asyncio.Task[Any]:
    """Make a task, which dies with the process that made it."""
    task = asyncio.Task(coroutine, loop=loop, context=context)
    if (process := PROCESS.get(None)) is not None:
        process.tasks.add(task)
    return task


async def _migrate(world: World) -> bool:
    """Migrate the whole table as the command does. Returns False where an error stopped it."""
    stop, scenario = PROCESS.get().stop, world.scenario
    sides = sides_of(simulated_client(world))
    seen = Tally()

    def observe(_rows: int, _tally: Tally, results: list[Result]) -> None:
        nonlocal seen
        seen += Tally.of(results)

    async with (
        SimulatedLedger(world, "migrate", "" if scenario.overwrite else scenario.strategy.means) as ledger,
        Copier(
            sides,
            _access_to(world),
            overwrite=scenario.overwrite,
            dry_run=False,
            stop=stop,
            transfer=None if scenario.overwrite else transfer_of(sides, scenario.strategy),
        ) as copier,
    ):
        database = SimulatedDatabase(world, stop.event)
        control, breaker = FlipControl.of(database.settings), Breaker(NEVER)
        migration = Migration(
            _options(world), MAPPING, _table(world), database, copier, ledger, stop, control, breaker, observe
        )
        finished = await migrate(migration, lambda number: world.trace.append(f"-- pass {number}"))
        world.hold(finished.tally == seen, "the tally is not the sum of what was observed")
        if stop.error is None:
            await settle(migration, sides.production.store, partial(past_runs, world), ledger.directory)
        await database.close()
    return not stop.requested


async def _roll_back(world: World) -> bool:
    """Set every flip of every run back as the command does. Returns False where an error stopped it."""
    stop = PROCESS.get().stop
    sides = sides_of(simulated_client(world))
    runs = [ledger.past() for ledger in reversed(world.ledgers) if not ledger.is_rollback]
    async with (
        SimulatedLedger(world, "rollback") as ledger,
        LegacyFinder(sides, _access_to(world), overwrite=False, dry_run=False, stop=stop) as finder,
    ):
        database = SimulatedDatabase(world, stop.event)
        control, breaker, mapping = FlipControl.of(database.settings), Breaker(NEVER), MAPPING.back()
        back = Migration(
            _options(world), mapping, _table(world), database, finder, ledger, stop, control, breaker, lambda *_: None
        )
        await roll_back(back, runs, Selection())
        await database.close()
    return not stop.requested


def _access_to(world: World) -> Callable[[], Awaitable[None]]:
    async def check_access() -> None:
        await world.step("checks access")

    return check_access


def _table(world: World) -> Table:
    return Table(("avatars",), "id", "path", "bigint", fires_after_update=world.scenario.fires_after_update)


async def _inspect_table(connection: SimulatedConnection, _settings: object, *, for_writing: bool) -> None:
    """Stand for the look at the catalogue: the table is as it was."""
    assert for_writing
    await connection.arrive("looks at the table")


def _options(world: World) -> Options:
    return Options(parallelization_level=world.scenario.iterations, batch_size=world.scenario.batch_size)


def _watched(world: World) -> Callable[..., Iteration]:
    """Return the iteration, with a look at what it says of its references."""

    class Watched(Iteration):
        async def run(
            self, references: Sequence[Reference], results: list[Result], *, again: bool = False, waits: bool = False
        ) -> None:
            process, ended = PROCESS.get(), False
            word = "waits for" if waits else "again over" if again else "over"
            world.trace.append(f"{process.number}: iteration {word} {[reference.key for reference in references]}")
            try:
                await super().run(references, results, again=again, waits=waits)
                ended = not process.stop.requested
            finally:
                if process.alive:
                    assert isinstance(self.ledger, SimulatedLedger)
                    _check_results(world, references, results, self.ledger.locked_keys() if ended else None)

    return Watched


def _check_results(
    world: World, references: Sequence[Reference], results: Sequence[Result], locked: set[int] | None
) -> None:
    """See that each reference has one outcome, and that it is true of the row; or none, if it is on record as locked.

    ``locked`` is None where the run is stopping: then it may have none in any case.
    """
    told = Counter(result.reference for result in results)
    world.hold(told <= Counter(references), "a reference has two outcomes, or was never scanned")
    for result in results:
        reference = result.reference
        world.trace.append(f"result: {reference.key} {result.outcome} {result.reason}")
        moved_on = world.rows.get(int(reference.key)) != reference.path
        if not result.outcome.needs_a_person:
            world.hold(moved_on, f"row {reference.key} is said to be {result.outcome}, and was left")
        if result.outcome is Outcome.MISSING and not moved_on:
            bucket = "legacy" if MAPPING.rule.side_of(reference.path) is SideName.LEGACY else "production"
            back = bucket == "production"
            world.hold(back or (bucket, reference.path) not in world.objects, f"{reference.path} is not missing")
    left = Counter(references) - told
    world.hold(locked is None or {each.key for each in left} <= locked, "a reference has no outcome")
