"""One seed from the first run to the last.

Runs that fault and crash, alone or two at once, then one undisturbed, then one over nothing; then the way back, and the
whole once more.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from sketchmigrate.core.clock import Clock
from sketchmigrate.core.outcome import Outcome, Result, Tally
from sketchmigrate.core.rule import SideName
from sketchmigrate.migration.breaker import NEVER, Breaker
from sketchmigrate.migration.copier import Copier
from sketchmigrate.migration.flipping import FlipControl
from sketchmigrate.migration.overwritten import settle
from sketchmigrate.migration.pace import Pace
from sketchmigrate.migration.passes import migrate
from sketchmigrate.migration.planning import Forward, SourceTable
from sketchmigrate.migration.reading_order import usable_orders
from sketchmigrate.migration.resuming import Position
from sketchmigrate.migration.rollback import LegacyFinder, Selection, WayBack, roll_back
from sketchmigrate.migration.runner import Migration
from sketchmigrate.migration.transfer import transfer_of
from sketchmigrate.migration.tuning import Tuning
from sketchmigrate.postgres.row_key import RowKey
from sketchmigrate.postgres.table import Table
from sketchmigrate.settings import Options, Settings
from tests.mappings import source_of
from tests.sides import sides_of
from tests.simulation.application import Application
from tests.simulation.clock import VirtualLoop
from tests.simulation.database import SimulatedDatabase
from tests.simulation.ledger import SimulatedLedger, past_runs
from tests.simulation.store import simulated_client
from tests.simulation.world import MAPPING, PROCESS, SIZES, SMALL_BYTES, Process, Violation, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence
    from contextvars import Context

    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.reference import Reference
    from sketchmigrate.migration.copier import Copied
    from sketchmigrate.migration.stop import Stop

RUNS_AT_MOST = 40
_SETTINGS = Settings()
"""All the seeds share them: to make them takes longer than a run."""


def simulate(seed: int) -> World:
    """Play one seed through. Raises ``Violation``, with the seed and the trace, where a promise did not hold."""
    loop = VirtualLoop()
    loop.set_task_factory(_note_whose_task)
    world = World(seed, Clock(loop.time, loop.time, random.Random(seed).uniform))
    logging.disable(logging.WARNING)
    try:
        loop.run_until_complete(_play(world))
    except Exception as error:
        trace = "\n".join(f"  {line}" for line in world.trace)
        cause: BaseException = error
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        reason = world.violated or f"{type(cause).__name__}: {cause}"
        raise Violation(f"{reason}\nSIMULATION_SEED={seed} ({world.scenario})\n{trace}") from error
    finally:
        logging.disable(logging.NOTSET)
        for ledger in world.ledgers:
            ledger.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
    return world


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
    async with (
        SimulatedLedger(world, "migrate", "" if scenario.overwrite else scenario.strategy.means) as ledger,
        _WatchedCopier(
            sides,
            _access_to(world),
            overwrite=scenario.overwrite,
            dry_run=False,
            stop=stop,
            transfer=None
            if scenario.overwrite
            else transfer_of(sides, sides.production.store, scenario.strategy, SIZES),
            clock=world.clock,
            compare_bytes=SMALL_BYTES // 2,
        ) as copier,
    ):
        watch = copier.watch = _Watch(world, ledger)
        database = SimulatedDatabase(world, stop.event)
        source, breaker = _source(world, database), Breaker(NEVER)
        migration = Migration(
            *(_options(world), source, Forward(source), database, copier, ledger, stop, breaker),
            _pace(world, stop),
            Tuning(_SETTINGS, _options(world)),
            watch.observe,
        )
        position, orders = None, {}
        if world.begins_anywhere:  # wherever an earlier run may have been, also where there is no such row
            last = world.rng.choice((None, *range(-1, max(world.rows, default=0) + 2)))
            position = None if last is None else Position(0, last)
            orders = await usable_orders([migration])
        finished = await migrate(
            [migration],
            lambda number: world.trace.append(f"-- pass {number}"),
            position=position,
            orders=orders,
        )
        world.hold(finished.tally == watch.tally, "the tally is not the sum of what was observed")
        if stop.error is None:
            await settle([migration], sides.production.store, partial(past_runs, world), ledger.directory)
        await database.close()
    return not stop.requested


async def _roll_back(world: World) -> bool:
    """Set every flip of every run back as the command does. Returns False where an error stopped it."""
    stop = PROCESS.get().stop
    sides = sides_of(simulated_client(world))
    runs = [ledger.past() for ledger in reversed(world.ledgers) if not ledger.is_rollback]
    async with (
        SimulatedLedger(world, "rollback") as ledger,
        _WatchedFinder(
            sides,
            _access_to(world),
            overwrite=False,
            dry_run=False,
            stop=stop,
            clock=world.clock,
            compare_bytes=SMALL_BYTES // 2,
        ) as finder,
    ):
        watch = finder.watch = _Watch(world, ledger)
        database = SimulatedDatabase(world, stop.event)
        source, breaker = _source(world, database), Breaker(NEVER)
        back = Migration(
            *(_options(world), source, WayBack(source, ledger), database, finder, ledger, stop, breaker),
            _pace(world, stop),
            Tuning(_SETTINGS, _options(world)),
            watch.observe,
        )
        await roll_back([back], runs, Selection())
        await database.close()
    return not stop.requested


def _access_to(world: World) -> Callable[[], Awaitable[None]]:
    async def check_access() -> None:
        await world.step("checks access")

    return check_access


def _source(world: World, database: SimulatedDatabase) -> SourceTable:
    after = world.scenario.fires_after_update
    table = Table(("avatars",), RowKey.of("id", "bigint"), "path", fires_after_update=after)
    return SourceTable(source_of(_SETTINGS), table, MAPPING, FlipControl.of(database.settings))


def _options(world: World) -> Options:
    return Options(parallelization_level=world.scenario.iterations, batch_size=world.scenario.batch_size)


def _pace(world: World, stop: Stop) -> Pace:
    return _Slow(world, stop) if world.scenario.is_slowed else Pace(stop, world.clock)


class _Slow(Pace):
    """A governor that lets flips wait, one or two rows at a time: whatever may happen then, does."""

    def __init__(self, world: World, stop: Stop) -> None:
        super().__init__(stop, world.clock)
        self.limit(2.0)
        self._world = world

    async def granted(self, rows: int) -> int:
        """Wait for a turn."""
        await self._world.step(f"waits to flip {rows} rows")
        self._world.happened["waited for its turn"] += 1
        return await super().granted(rows)


class _Watch:
    """Looks at what each iteration says of its references: they are known by the task that has their objects copied."""

    def __init__(self, world: World, ledger: SimulatedLedger) -> None:
        self.tally = Tally()
        self._world, self._ledger = world, ledger
        self._batches: dict[asyncio.Task[Any] | None, list[Reference]] = {}

    def begin(self, moves: Sequence[Move], *, again: bool) -> None:
        """Take note of the references of an iteration."""
        references = [move.reference for move in moves]
        self._batches[asyncio.current_task()] = references
        word = "again over" if again else "over"
        self._world.trace.append(f"{PROCESS.get().number}: iteration {word} {[each.key for each in references]}")

    def observe(self, _rows: int, _tally: Tally, results: list[Result]) -> None:
        """See what is said at the end of an iteration, or besides."""
        self.tally += Tally.of(results)
        references = self._batches.pop(asyncio.current_task(), None)
        if references is not None and PROCESS.get().alive:
            stopping = PROCESS.get().stop.requested
            _check_results(self._world, references, results, None if stopping else self._ledger.locked_keys())


class _WatchedCopier(Copier):
    watch: _Watch

    async def copy_all(self, moves: Sequence[Move], *, look_first: bool = False) -> list[Copied]:
        self.watch.begin(moves, again=look_first)
        return await super().copy_all(moves, look_first=look_first)


class _WatchedFinder(_WatchedCopier, LegacyFinder):
    """The same of a rollback."""


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
            side = MAPPING.side_of(reference.path, meets=True)
            bucket = "legacy" if side is SideName.LEGACY else "production"
            back = bucket == "production"
            world.hold(back or (bucket, reference.path) not in world.objects, f"{reference.path} is not missing")
    left = Counter(references) - told
    world.hold(locked is None or {each.key for each in left} <= locked, "a reference has no outcome")
