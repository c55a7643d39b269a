"""Takes the table through the iterations: pages by key, p batches at once, pass after pass until nothing is left.

``migrate_range`` is the unit of work: one key range, seen once. It knows nothing of other ranges, so that ranges may
run side by side or twice. ``migrate`` repeats it over the whole table while rows keep appearing.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sketch_migrate.errors import MigrateError
from sketch_migrate.migration.iteration import Iteration
from sketch_migrate.model import KeyRange, Reference, Result, Tally
from sketch_migrate.postgres.references import SCAN_ROWS, Page, read_page

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from sketch_migrate.ledger import Ledger
    from sketch_migrate.mapping import Mapping
    from sketch_migrate.migration.breaker import Breaker
    from sketch_migrate.migration.copier import Copier
    from sketch_migrate.migration.stop import Stop
    from sketch_migrate.postgres.database import Database
    from sketch_migrate.postgres.session import Connection, Session
    from sketch_migrate.postgres.table import Table
    from sketch_migrate.settings import Options


class Scan(NamedTuple):
    """What the reading of legacy references works with."""

    mapping: Mapping
    table: Table
    database: Database
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class Migration:
    """Everything that a migration works with.

    ``observe`` is told the rows of the table that were passed, and the results of those that were references and their
    tally, as soon as they are known; it must be quick.
    """

    options: Options
    mapping: Mapping
    table: Table
    database: Database
    copier: Copier
    ledger: Ledger
    stop: Stop
    breaker: Breaker
    observe: Callable[[int, Tally, list[Result]], None]

    @property
    def scan(self) -> Scan:
        """What is needed of it to read alone."""
        return Scan(self.mapping, self.table, self.database, self.ledger)


class Finished(NamedTuple):
    """The tally of all passes, how many there were, and whether legacy rows remain that nobody tried."""

    tally: Tally
    passes: int
    rows_left: bool


async def migrate(migration: Migration, new_pass: Callable[[int], None]) -> Finished:
    """Migrate the whole table: passes until one finds no legacy row that could still be migrated.

    ``new_pass`` is told the number of each pass as it begins. A dry run makes one pass, as nothing would change.
    Ends early when a stop is requested; whether that was an error, the ``Stop`` tells.
    """
    tally = Tally()
    passes = 0
    limit = migration.options.limit or None
    while True:
        passes += 1
        new_pass(passes)
        room = None if limit is None else limit - tally.scanned
        this_pass = await migrate_range(migration, KeyRange(), limit=room, again=passes > 1)
        tally += this_pass
        if migration.stop.requested:
            return Finished(tally, passes, rows_left=True)
        if limit is not None and tally.scanned >= limit:
            return Finished(tally, passes, rows_left=await is_anything_left(migration.scan))
        if migration.options.dry_run or this_pass.scanned == 0:
            return Finished(tally, passes, rows_left=False)


async def migrate_range(
    migration: Migration, key_range: KeyRange, *, limit: int | None = None, again: bool = False
) -> Tally:
    """Migrate the legacy references of one key range, at most ``limit`` of them, and return their tally.

    ``again`` skips references that the run has found unresolved before. An error that the run cannot get past is noted
    in ``migration.stop``; what was flipped until then stays flipped and is in the tally.
    """

    def batches(session: Session) -> AsyncGenerator[list[Reference]]:
        return _batches(migration, session, key_range, limit=limit, again=again)

    return await take_through(migration, batches)


async def take_through(migration: Migration, batches: Callable[[Session], AsyncGenerator[list[Reference]]]) -> Tally:
    """Take batches through the iterations, p at once, and return their tally.

    ``batches`` is given a session of its own to read with. An error that the run cannot get past is noted in
    ``migration.stop``.
    """
    tally = Tally()
    iterations = migration.options.parallelization_level
    # one waiting batch for each iteration: none waits for a page, and memory stays that of 2 p batches and a page
    queue: asyncio.Queue[list[Reference] | None] = asyncio.Queue(maxsize=iterations)

    async def iterate() -> None:
        nonlocal tally
        async with migration.database.session() as session:
            iteration = Iteration(
                migration.mapping,
                migration.copier,
                migration.ledger,
                session,
                migration.table,
                migration.options.dry_run,
                migration.breaker,
                migration.stop,
            )
            while (batch := await queue.get()) is not None:
                if migration.stop.requested:
                    continue  # nobody began these: the next run finds them
                results: list[Result] = []
                try:
                    await iteration.run(batch, results)
                except MigrateError as error:
                    migration.stop.by_error(error)
                counted = Tally.of(results)
                tally += counted
                migration.observe(len(batch), counted, results)

    async with asyncio.TaskGroup() as group:
        for _ in range(iterations):
            group.create_task(iterate())
        try:
            async with migration.database.session() as session, aclosing(batches(session)) as source:
                async for batch in source:
                    await queue.put(batch)
                    if migration.stop.requested:
                        break
        except MigrateError as error:
            migration.stop.by_error(error)
        for _ in range(iterations):
            await queue.put(None)
    return tally


async def _batches(
    migration: Migration, session: Session, key_range: KeyRange, *, limit: int | None, again: bool
) -> AsyncGenerator[list[Reference]]:
    """Cut the legacy references of a range into batches, up to the limit."""
    size = migration.options.batch_size
    waiting: list[Reference] = []
    async for page in _pages(migration.scan, session, key_range):
        references = await migration.ledger.without_unresolved(page.references) if again else page.references
        migration.observe(page.rows - len(references), Tally(), [])
        if limit is not None:
            references = references[:limit]
            limit -= len(references)
        waiting += references
        while len(waiting) >= size:
            batch, waiting = waiting[:size], waiting[size:]
            yield batch
        if migration.stop.requested or limit == 0:
            break
    if waiting:
        yield waiting


async def _pages(scan: Scan, session: Session, key_range: KeyRange) -> AsyncIterator[Page]:
    """Read a range page by page, each in a short transaction of its own."""
    prefix = scan.mapping.legacy_prefix

    async def read(connection: Connection) -> Page:
        return await read_page(connection, scan.table, key_range, prefix, rows=SCAN_ROWS)

    while (page := await session.run(read, doing="reading references")).rows:
        yield page
        key_range = KeyRange(page.last_key, key_range.until)


async def is_anything_left(scan: Scan) -> bool:
    """Whether there is a legacy row that this run has not tried."""
    async with scan.database.session() as session:
        async for page in _pages(scan, session, KeyRange()):
            if await scan.ledger.without_unresolved(page.references):
                return True
    return False
