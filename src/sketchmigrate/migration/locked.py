"""Rows that somebody else holds: taken up again when all others are done, until they are free or patience is over.

They are in the ledger, and not in memory. Each round takes up those that are free by then, in batches as ever; then it
tries some of the others alone, each with a wait of LOCK_TIMEOUT_MS.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import DatabaseBusy, MigrateError, TableLocked
from sketchmigrate.core.keys import stored_key
from sketchmigrate.core.outcome import Outcome, Result, Tally
from sketchmigrate.core.reason import ReasonKind, because
from sketchmigrate.core.reference import Reference
from sketchmigrate.migration.flipping import limits_of_many
from sketchmigrate.migration.record import key_of
from sketchmigrate.migration.runner import take_through
from sketchmigrate.postgres.flip import free_or_changed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from sketchmigrate.core.reference import Key
    from sketchmigrate.migration.runner import Migration
    from sketchmigrate.postgres.references import References

ALONE_ROWS = 100
"""Rows of one round that are waited for, each by itself."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0


async def take_up_locked(migration: Migration) -> Tally:
    """Take up what this attempt has found locked, for up to DB_RETRY_SECONDS; the rest then counts as failed.

    A stop ends it early: these rows stay as they are, without an outcome. Errors are noted in ``migration.stop``.
    """
    rounds = _Rounds(migration)
    try:
        await _take_up(rounds, migration)
    except MigrateError as error:
        migration.stop.by_error(error)
    return rounds.tally


async def _take_up(rounds: _Rounds, migration: Migration) -> None:
    patience_seconds = migration.database.settings.db_retry_seconds
    monotonic = migration.database.clock.monotonic
    pace = migration.pace
    ends_at = monotonic() + patience_seconds - pace.stopped_seconds  # no patience is used up while nothing may be tried
    pause_seconds = FIRST_PAUSE_SECONDS
    while not migration.stop.requested and await rounds.is_anything_left():
        before = rounds.tally.scanned
        rounds.tally += await take_through(migration, rounds.free, again=True)
        await rounds.alone()
        if rounds.tally.scanned > before:  # who holds them lets go of them now and then
            pause_seconds = FIRST_PAUSE_SECONDS
        left_seconds = ends_at + pace.stopped_seconds - monotonic()
        if left_seconds <= 0 and not migration.stop.requested:
            await rounds.give_up(patience_seconds)
            return
        if await rounds.is_anything_left():
            await _pause(migration, min(pause_seconds, left_seconds))
            pause_seconds = min(LONGEST_PAUSE_SECONDS, 2 * pause_seconds)


class _Rounds:
    """Reads the locked references of an attempt from its ledger, page by page, and counts what becomes of them."""

    def __init__(self, migration: Migration) -> None:
        self.tally = Tally()
        self._migration = migration
        self._tried: Key | None = None  # alone, the last one

    async def is_anything_left(self) -> bool:
        """Whether a reference is on record as locked."""
        return bool(await self._migration.ledger.locked(None, 1))

    async def free(self, references: References) -> AsyncGenerator[list[Reference]]:
        """Yield, in batches, those whose row is free by now, or was changed by somebody else."""
        async for page in self._pages(min(self._migration.control.size.rows, self._migration.tuning.batch_rows)):
            if found := await self._free_ones(page, references):
                yield found

    async def alone(self) -> None:
        """Try some of them alone, where the last round ended; more only if none of those was still locked."""
        while not self._migration.stop.requested:
            some = await self._page(self._tried, ALONE_ROWS) or await self._page(None, ALONE_ROWS)
            if not some:
                break
            self._tried = some[-1].key
            size = -(-len(some) // self._migration.tuning.iterations)

            async def parts(
                _: References, some: list[Reference] = some, size: int = size
            ) -> AsyncGenerator[list[Reference]]:
                for first in range(0, len(some), size):
                    yield some[first : first + size]

            counted = await take_through(self._migration, parts, again=True, waits=True)
            self.tally += counted
            if counted.scanned < len(some):
                break

    async def give_up(self, patience_seconds: float) -> None:
        """Call those that are left failed, but what a COMMIT of ours that nobody answered may still hold.

        That may yet be done: a word against the flip would keep a rollback from it. Raises ``DatabaseBusy``.
        """
        unanswered = self._migration.control.unanswered
        refusals = self._migration.control.refusals
        locked = because(ReasonKind.LOCKED, seconds=round(patience_seconds))
        async for page in self._pages(self._migration.tuning.batch_rows):
            copied = await self._migration.ledger.copied_before([each.key for each in page])
            results = [
                Result(
                    *(each, Outcome.FAILED, refusals.get(each.key, locked)),
                    copied=each.key in copied,
                    size_bytes=copied[each.key][0] if each.key in copied else None,
                )
                for each in page
                if each.key not in unanswered
            ]
            await self._migration.ledger.record_not_flipped(results)
            await self._migration.ledger.forget_locked(result.reference.key for result in results)
            counted = Tally.of(results)
            self._migration.observe(0, counted, results)
            self.tally += counted
        if await self.is_anything_left():
            text = (
                f"rows are still held {patience_seconds:.0f} s after all others were done, and a COMMIT whose answer"
                " was lost may be what holds them"
            )
            hint = "Look in pg_locks who does, and wait for it or end it. Then run again: what was committed is found."
            raise DatabaseBusy(text, hint=hint)

    async def _pages(self, rows: int) -> AsyncGenerator[list[Reference]]:
        after: Key | None = None
        while page := await self._page(after, rows):
            after = page[-1].key
            yield page

    async def _page(self, after: Key | None, rows: int) -> list[Reference]:
        ledger, table = self._migration.ledger, self._migration.table
        found = await ledger.locked(after, rows)
        return [Reference(key_of(table, stored_key(key)), path) for key, path in found]

    async def _free_ones(self, page: Sequence[Reference], references: References) -> list[Reference]:
        limits, doing = limits_of_many(self._migration.database.settings), "looking for free rows"
        session, table = references.session, references.table
        try:
            return await session.run(free_or_changed, table, page, doing=doing, limits=limits, attempts=0)
        except TableLocked:
            raise
        except DatabaseBusy:
            return []


async def _pause(migration: Migration, seconds: float) -> None:
    """Wait, but no longer than until the run is stopped."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await migration.stop.event.wait()
