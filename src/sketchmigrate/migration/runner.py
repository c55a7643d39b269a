"""Takes batches of references through the iterations, p at once: for a migration, a rollback, and their rounds."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sketchmigrate.core.errors import MigrateError
from sketchmigrate.core.outcome import Result, Tally
from sketchmigrate.migration.flipping import Flipping
from sketchmigrate.migration.iteration import Iteration
from sketchmigrate.postgres.references import References

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from sketchmigrate.core.reference import Reference
    from sketchmigrate.ledger import Ledger
    from sketchmigrate.migration.breaker import Breaker
    from sketchmigrate.migration.copier import Copier
    from sketchmigrate.migration.flipping import FlipControl
    from sketchmigrate.migration.pace import Pace
    from sketchmigrate.migration.planning import Planner, SourceTable
    from sketchmigrate.migration.stop import Stop
    from sketchmigrate.migration.tuning import Tuning
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.table import Table
    from sketchmigrate.settings import Options


class Observe(Protocol):
    """Is told what goes on in a source; must be quick."""

    def __call__(self, source: int, rows: int, tally: Tally, results: list[Result], /) -> None:
        """Take note of rows passed, and of what became of those that were legacy."""


class Scan(NamedTuple):
    """What the reading of a source's legacy rows works with."""

    source: SourceTable
    database: Database
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class Migration:
    """Everything that the migration of one source works with.

    ``observe`` is told the rows of the table that were passed, and the results of those that were legacy and their
    tally, as soon as they are known; it must be quick.
    """

    options: Options
    source: SourceTable
    planner: Planner
    database: Database
    copier: Copier
    ledger: Ledger
    stop: Stop
    breaker: Breaker
    pace: Pace
    tuning: Tuning
    observe: Callable[[int, Tally, list[Result]], None]

    @property
    def table(self) -> Table:
        """The source's table."""
        return self.source.table

    @property
    def control(self) -> FlipControl:
        """That of the flips of this source."""
        return self.source.control

    @property
    def scan(self) -> Scan:
        """What is needed of it to read alone."""
        return Scan(self.source, self.database, self.ledger)

    def begin(self) -> None:
        """Have all that is recorded from now on be of this source."""
        self.ledger.source = self.source.source.number


class Finished(NamedTuple):
    """The tally of all passes, how many there were, and whether legacy rows remain that nobody tried.

    ``sources`` has the tally of each source.
    """

    tally: Tally
    passes: int
    rows_left: bool
    sources: tuple[Tally, ...] = ()

    def without_unresolved(self) -> Finished:
        """Return it without what needs a person and will be tried again."""
        sources = tuple(replace(each, missing=0, conflict=0, failed=0) for each in self.sources)
        return self._replace(tally=sum(sources, Tally()), sources=sources)

    def and_besides(self, more: Sequence[Tally]) -> Finished:
        """Return it with what was found besides, by source."""
        of_each = self.sources or tuple(Tally() for _ in more)
        found = tuple(one + other for one, other in zip(of_each, more, strict=True))
        return self._replace(tally=self.tally + sum(more, Tally()), sources=found)


async def take_through(
    migration: Migration,
    batches: Callable[[References], AsyncGenerator[list[Reference]]],
    *,
    again: bool = False,
    waits: bool = False,
) -> Tally:
    """Take batches through the iterations, p at once, and return their tally; rows that are locked are not in it.

    ``batches`` is given the references, with a session of their own. ``again`` and ``waits`` are those of
    ``Iteration.run``. An error that the run cannot get past is noted in ``migration.stop``.
    """
    iterations = _Iterations(migration, again=again, waits=waits)
    async with asyncio.TaskGroup() as group:
        iterations.employ(group)  # they connect while the first page is read
        try:
            async with (
                migration.database.session() as session,
                aclosing(batches(References(session, migration.table))) as source,
            ):
                async for batch in source:
                    iterations.employ(group)
                    await iterations.queue.put(batch)
                    if migration.stop.requested:
                        break
        except MigrateError as error:
            migration.stop.by_error(error)
        await iterations.queue.put(None)
    return iterations.tally


class _Iterations:
    """Those that go on side by side: as many as ``migration.tuning`` says, from one batch to the next.

    None in the queue is the end, for all of them.
    """

    def __init__(self, migration: Migration, *, again: bool, waits: bool) -> None:
        self.tally = Tally()
        # one waiting batch for each iteration: none waits for a page, and memory stays that of 2 p batches and a page
        self.queue: asyncio.Queue[list[Reference] | None] = asyncio.Queue(maxsize=migration.tuning.iterations)
        self._migration, self._again, self._waits = migration, again, waits
        self._running = 0

    def employ(self, group: asyncio.TaskGroup) -> None:
        """Begin those that are missing."""
        while self._running < self._migration.tuning.iterations:
            self._running += 1
            group.create_task(self._iterate())

    async def _iterate(self) -> None:
        migration = self._migration
        with migration.copier.iteration():
            async with migration.database.session() as session:
                iteration = _iteration(migration, References(session, migration.table))
                while self._running <= migration.tuning.iterations:  # so one of them always goes on
                    if (batch := await self.queue.get()) is None:
                        self.queue.put_nowait(None)  # there is room, as one was taken
                        break
                    if migration.stop.requested or (migration.pace.is_stopped and not await migration.pace.may_begin()):
                        continue  # nobody began these: the next run finds them
                    await self._take(iteration, batch)
                self._running -= 1  # before anything is waited for, or others would end for the same reason

    async def _take(self, iteration: Iteration, batch: list[Reference]) -> None:
        migration = self._migration
        results: list[Result] = []
        try:
            await iteration.run(batch, results, again=self._again, waits=self._waits)
        except MigrateError as error:
            migration.stop.by_error(error)
        counted = Tally.of(results)
        self.tally += counted
        migration.observe(0 if self._again else len(batch), counted, results)


def _iteration(migration: Migration, references: References) -> Iteration:
    ledger, settings = migration.ledger, migration.database.settings
    flipping = Flipping(
        references,
        ledger,
        migration.control,
        migration.breaker,
        migration.stop,
        migration.pace,
        settings,
        migration.source.source,
    )
    return Iteration(migration.planner, migration.source, migration.copier, ledger, flipping, migration.options.dry_run)
