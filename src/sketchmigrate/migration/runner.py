"""Takes batches of references through the iterations, p at once: for a migration, a rollback, and their rounds."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
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
    from sketchmigrate.migration.planning import Planner, SourceTable
    from sketchmigrate.migration.stop import Stop
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
    tally = Tally()
    iterations = migration.options.parallelization_level
    # one waiting batch for each iteration: none waits for a page, and memory stays that of 2 p batches and a page
    queue: asyncio.Queue[list[Reference] | None] = asyncio.Queue(maxsize=iterations)

    async def iterate() -> None:
        nonlocal tally
        async with migration.database.session() as session:
            ledger, settings = migration.ledger, migration.database.settings
            references = References(session, migration.table)
            flipping = Flipping(
                references,
                ledger,
                migration.control,
                migration.breaker,
                migration.stop,
                settings,
                migration.source.source,
            )
            dry_run = migration.options.dry_run
            iteration = Iteration(migration.planner, migration.source, migration.copier, ledger, flipping, dry_run)
            while (batch := await queue.get()) is not None:
                if migration.stop.requested:
                    continue  # nobody began these: the next run finds them
                results: list[Result] = []
                try:
                    await iteration.run(batch, results, again=again, waits=waits)
                except MigrateError as error:
                    migration.stop.by_error(error)
                counted = Tally.of(results)
                tally += counted
                migration.observe(0 if again else len(batch), counted, results)

    async with asyncio.TaskGroup() as group:
        for _ in range(iterations):
            group.create_task(iterate())
        try:
            async with (
                migration.database.session() as session,
                aclosing(batches(References(session, migration.table))) as source,
            ):
                async for batch in source:
                    await queue.put(batch)
                    if migration.stop.requested:
                        break
        except MigrateError as error:
            migration.stop.by_error(error)
        for _ in range(iterations):
            await queue.put(None)
    return tally
