"""Goes through the table: pages by key, cut into batches, pass after pass until nothing is left.

``migrate_range`` is the unit of work: one key range, seen once. It knows nothing of other ranges, so that ranges may
run side by side or twice. ``migrate`` repeats it over the whole table while rows keep appearing. What was flipped
is on the database's disk before a pass counts as done (``make_durable``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.errors import MigrateError
from sketchmigrate.core.outcome import Tally
from sketchmigrate.core.reference import KeyRange, Reference
from sketchmigrate.migration.locked import take_up_locked
from sketchmigrate.migration.reading_order import OrderedPass, is_for_one_pass
from sketchmigrate.migration.resuming import stretches_from
from sketchmigrate.migration.runner import Finished, take_through
from sketchmigrate.postgres.references import References
from sketchmigrate.postgres.transactions import until_flushed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence

    from sketchmigrate.migration.reading_order import ReadingOrder
    from sketchmigrate.migration.resuming import Position
    from sketchmigrate.migration.runner import Migration, Scan
    from sketchmigrate.migration.stop import Stop
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.pages import Page
    from sketchmigrate.settings import Options

MOST_BATCH_CHARS = 4 * 2**20
"""Of the values of a batch: p batches wait, p are under way, and each has the new values beside the old ones."""


async def migrate(
    migrations: Sequence[Migration],
    new_pass: Callable[[int], None],
    *,
    before: Finished | None = None,
    position: Position | None = None,
    orders: Mapping[int, ReadingOrder] | None = None,
) -> Finished:
    """Migrate all sources, whole: passes until one finds no legacy row that could still be migrated.

    One in which a connection broke is not the last: the server may have come back without what it had not yet on disk.
    ``before`` is what was done already: its passes count. The first pass begins behind ``position``, and looks at what
    is before it last, or leaves that to the next one where it has found something. Sources that have one of ``orders``
    by their number are read in that. ``new_pass`` is told the number of each pass as it begins. There is one pass only
    in a dry run, as nothing would change, and with ``follow``, where others come later. Ends early when a stop is
    requested; whether that was an error, the ``Stop`` tells.
    """
    options, database, stop = migrations[0].options, migrations[0].database, migrations[0].stop
    tallies = list((before and before.sources) or [Tally() for _ in migrations])
    passes = before.passes if before is not None else 0
    limit = options.limit or None
    not_by_key = dict(orders or {})
    while True:
        passes += 1
        new_pass(passes)
        losses = database.losses
        scanned = sum(tallies, Tally()).scanned
        this = _Pass(passes, not_by_key)
        is_only_pass = options.dry_run or options.follow
        for number, key_range in stretches_from(position, len(migrations)):
            so_far = sum(tallies, Tally()).scanned
            left = None if limit is None else limit - so_far
            if left == 0 or stop.requested:
                break
            if position is not None and key_range.until is not None and so_far > scanned and not is_only_pass:
                migrations[number].observe(position.rows_before_in_source, Tally(), [])
                break  # the next pass has to come, and begins with these rows
            found = await this.take(migrations[number], key_range, left)
            tallies[number] += found
            await make_durable(database, found, options, stop)
        position = None
        tally, of_each = sum(tallies, Tally()), tuple(tallies)
        if stop.requested:
            return Finished(tally, passes, rows_left=True, sources=of_each)
        if limit is not None and tally.scanned >= limit:
            left_over = await is_anything_left([each.scan for each in migrations], tallies, options)
            return Finished(tally, passes, rows_left=left_over, sources=of_each)
        nothing_found = tally.scanned == scanned and database.losses == losses
        if is_only_pass or (nothing_found and this.is_proof):
            return Finished(tally, passes, rows_left=False, sources=of_each)
        for number, order in list(not_by_key.items()):
            if nothing_found or is_for_one_pass(order):
                del not_by_key[number]  # the next one is by the key


@dataclass(slots=True)
class _Pass:
    """One pass over all sources, each in the order of its key or in one of ``orders``, which loses those that are slow.

    ``is_proof``: where it found nothing, nothing was left.
    """

    number: int
    orders: dict[int, ReadingOrder]
    is_proof: bool = True
    given_up: set[int] = field(default_factory=set)

    async def take(self, migration: Migration, key_range: KeyRange, limit: int | None) -> Tally:
        """Migrate a stretch; in another order the whole source in its first one, and nothing in its second."""
        migration.begin()
        number = migration.source.source.number
        order = self.orders.get(number)
        if order is None:
            again = self.number > 1 or number in self.given_up
            return (await migrate_range(migration, key_range, limit=limit, again=again)).tally
        if key_range.until is not None:
            return Tally()
        in_order = OrderedPass(order, migration.source.mapping)
        finished = in_order.finished_rows(migration.table) if self.number == 1 else 0
        migration.observe(finished, Tally(), [])
        tally = await migrate_in_order(migration, in_order, limit=limit, again=self.number > 1)
        if not in_order.is_given_up:
            self.is_proof &= in_order.has_seen_all
            return tally
        migration.observe(-finished, Tally(), [])
        del self.orders[number]
        self.given_up.add(number)
        left = None if limit is None else limit - tally.scanned
        if left == 0 or migration.stop.requested:
            return tally
        return tally + await self.take(migration, key_range, left)


class RangePassed(NamedTuple):
    """What became of the references of a range, and what its limit left of it: None for nothing."""

    tally: Tally
    rest: KeyRange | None


async def migrate_range(
    migration: Migration, key_range: KeyRange, *, limit: int | None = None, again: bool = False
) -> RangePassed:
    """Migrate the legacy references of one key range, at most ``limit`` (from 1) of them.

    Rows that somebody else holds are taken up when the others are done. ``again`` skips references that the run has
    found unresolved before. An error that the run cannot get past is noted
    in ``migration.stop``; what was flipped until then stays flipped and is in the tally.
    """
    reading = _Reading(migration, key_range, limit, again)
    tally = await take_through(migration, reading.batches)
    return RangePassed(tally + await take_up_locked(migration), reading.rest)


async def migrate_in_order(migration: Migration, in_order: OrderedPass, *, limit: int | None, again: bool) -> Tally:
    """Migrate the legacy rows of a whole source in another order than the key's, as ``migrate_range`` does."""
    reading = _Reading(migration, KeyRange(), limit, again, in_order)
    tally = await take_through(migration, reading.batches)
    return tally + await take_up_locked(migration)


@dataclass(slots=True)
class _Reading:
    """Reads a range, or in another order all legacy rows, and knows what the limit has left of the range."""

    migration: Migration
    key_range: KeyRange
    limit: int | None
    again: bool
    in_order: OrderedPass | None = None
    rest: KeyRange | None = None

    def _pages(self, source: References) -> AsyncIterator[Page]:
        if self.in_order is not None:
            return self.in_order.pages(source)
        return source.legacy_pages(self.key_range, self.migration.source.mapping)

    async def batches(self, source: References) -> AsyncGenerator[list[Reference]]:
        """Cut the legacy references of the range into batches, up to the limit."""
        migration, left = self.migration, self.limit
        waiting: list[Reference] = []
        async for page in self._pages(source):
            references = await migration.ledger.without_unresolved(page.references) if self.again else page.references
            migration.observe(page.rows - len(references), Tally(), [])
            if left is not None:
                references = references[:left]
                left -= len(references)
                if left == 0:
                    self.rest = KeyRange(references[-1].key, self.key_range.until)
            waiting += references
            while rows := full_batch(waiting, migration.pace.batch_rows(migration.tuning.batch_rows)):
                batch, waiting = waiting[:rows], waiting[rows:]
                yield batch
            if migration.stop.requested or left == 0:
                break
        if waiting:
            yield waiting


def full_batch(waiting: Sequence[Reference], size: int) -> int:
    """Return how many of the rows that wait are a full batch: ``size``, or those that reach ``MOST_BATCH_CHARS``.

    0 where they are none yet.
    """
    if sum([len(each.path) for each in waiting[:size]]) < MOST_BATCH_CHARS:
        return size if len(waiting) >= size else 0
    reached = accumulate(len(each.path) for each in waiting)
    return next(rows for rows, chars in enumerate(reached, start=1) if chars >= MOST_BATCH_CHARS)


async def is_anything_left(scans: Sequence[Scan], tallies: Sequence[Tally], options: Options) -> bool:
    """Whether there is a legacy row that this run, of which the tallies are by source, has not tried.

    After a dry run all rows are as they were: so there is one if they are more than it took up.
    """
    for scan, tally in zip(scans, tallies, strict=True):
        legacy_rows = 0
        scan.ledger.source = scan.source.source.number
        async with scan.database.session() as session:
            async for page in References(session, scan.source.table).legacy_pages(KeyRange(), scan.source.mapping):
                legacy_rows += len(page.references)
                if options.dry_run:
                    if legacy_rows > tally.scanned:
                        return True
                elif await scan.ledger.without_unresolved(page.references):
                    return True
    return False


async def make_durable(database: Database, tally: Tally, options: Options, stop: Stop) -> None:
    """Wait until the flips of a tally would survive a crash; where that does not come, note the error in ``stop``."""
    if not tally.migrated or options.dry_run or stop.requested:
        return
    try:
        await until_flushed(database)
    except MigrateError as error:
        stop.by_error(error)
