"""Has the ranges of a table migrated by workers, pass after pass, until nothing is left.

The dispatcher hands them out. Here a lost worker's range is put back, the limit is divided, and each reference is
counted once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.cluster.counting import count_pass
from sketchmigrate.cluster.dispatcher import MOST_LOSSES
from sketchmigrate.cluster.orders import Lease
from sketchmigrate.cluster.overseer import Overseer, Part, Pass
from sketchmigrate.cluster.range_worker import RangeDone, RangeTask, StrategyNeeded
from sketchmigrate.cluster.ranges import cut_ranges, merged, place_of_key, trim
from sketchmigrate.core.errors import ClusterError, MigrateError, WorkerLost
from sketchmigrate.core.outcome import Tally
from sketchmigrate.core.reference import KeyRange
from sketchmigrate.migration.breaker import FlipCounts
from sketchmigrate.migration.passes import is_anything_left, make_durable
from sketchmigrate.migration.runner import Finished, Scan

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from sketchmigrate.cluster.engine import Engine
    from sketchmigrate.cluster.overseer import Audience
    from sketchmigrate.cluster.range_worker import RangeAssignment
    from sketchmigrate.ledger import WholeLedger
    from sketchmigrate.migration.breaker import Breaker
    from sketchmigrate.migration.resuming import Position
    from sketchmigrate.migration.settling import Settling
    from sketchmigrate.migration.site import Site
    from sketchmigrate.migration.stop import Stop
    from sketchmigrate.postgres.session import Session


@dataclass(slots=True, eq=False, kw_only=True)
class PassRange(Part):
    """A range of a source."""

    key_range: KeyRange
    is_trimmed: bool


class Coordinator(Overseer[PassRange]):
    """Migrates a table with the workers of an engine.

    ``settling`` knows how nothing is replaced, or finds it out when the first worker needs it.
    ``before`` is what the run has done already, with one process, and ``breaker`` knows its flips. The ranges of the
    first pass are handed out from ``position`` on, and round to there.
    """

    def __init__(
        self,
        engine: Engine,
        assignment: RangeAssignment,
        *,
        site: Site,
        ledger: WholeLedger,
        stop: Stop,
        audience: Audience,
        settling: Settling,
        breaker: Breaker,
        before: Finished | None = None,
        position: Position | None = None,
    ) -> None:
        super().__init__(engine, site, stop=stop, audience=audience, breaker=breaker)
        self._assignment, self._ledger, self._settling = assignment, ledger, settling
        if before is not None:
            self._tallies, self._pass = list(before.sources), Pass(before.passes, deque())
        self._position = position
        self._lease = Lease(None)
        self._reading = asyncio.Lock()
        self._session: Session

    def _finished(self, *, rows_left: bool) -> Finished:
        return Finished(self._tally, self._pass.number, rows_left, tuple(self._tallies))

    async def migrate(self) -> Finished:
        """Migrate all sources, whole: passes until one finds no legacy row that could still be migrated.

        As ``runner.migrate``, it ends early when a stop is requested; whether that was an error, the ``Stop`` tells.
        """
        async with self._crew(), self._engine, self._site.database.session() as session:
            self._session = session
            self._tell_changes()
            try:
                with self._site.tuning.heard_by(self._tell_changes):
                    await self._dispatcher.begin(self._assignment)
                    return await self._passes()
            except MigrateError as error:
                self._stop.by_error(error)
                return self._finished(rows_left=True)
            except asyncio.CancelledError:
                self._dispatcher.stop_at_once()
                raise

    async def _passes(self) -> Finished:
        options = self._assignment.options
        limit = options.limit or None
        ranges, trimmed = await self._cut(), False
        while True:
            number = self._pass.number + 1
            self._lease = Lease(None if limit is None else limit - self._tally.scanned)
            self._pass = Pass(number, deque())
            self._pass.waiting.extend(
                PassRange(number=self._pass.numbered(), source=source, key_range=each, is_trimmed=trimmed)
                for source, each in ranges
            )
            self._audience.new_pass(number)
            await self._dispatcher.hand_out(self)
            counts = await self._count()
            counted = sum(counts, Tally())
            self._tallies = [before + found for before, found in zip(self._tallies, counts, strict=True)]
            await self._make_durable(counted)
            self._audience.progress_of_all(self._pass.rows_done, self._tally)
            if self._stop.requested:
                return self._finished(rows_left=True)
            if limit is not None and self._tally.scanned >= limit:
                return self._finished(rows_left=await self._is_anything_left())
            some_waits = bool(self._pass.waiting)  # a worker that was lost may have kept its part of the limit
            losses = sum(done.losses for _, done in self._pass.done)  # see passes.migrate
            if options.dry_run or options.follow or (counted.scanned == 0 and not some_waits and not losses):
                return self._finished(rows_left=some_waits)
            trimmed = not some_waits
            ranges = self._ranges_for_another_pass()

    # -- one pass

    @property
    def at_work(self) -> int:
        """How many ranges of this pass are at work."""
        return len(self._pass.at_work)

    @property
    def is_anything_waiting(self) -> bool:
        """Whether ranges of this pass wait."""
        return bool(self._pass.waiting)

    @property
    def may_begin(self) -> bool:
        """Whether one of them may be begun, within the limit."""
        return bool(self._pass.waiting) and not self._lease.is_used_up

    def begin(self) -> Coroutine[object, object, None]:
        """Take the next range; return what sees it through."""
        pass_range = self._pass.waiting.popleft()
        self._pass.at_work[pass_range] = None
        pass_range.flips_heard = FlipCounts()  # of the attempt that begins
        return self._see_through(pass_range)

    async def _see_through(self, pass_range: PassRange) -> None:
        """Have a range migrated, whatever becomes of the worker: at the end it is done, or waits again."""
        this = self._pass
        lent: int | None = None
        try:
            await self._trim(pass_range)
            # a dry run leaves no trace of how far a part of the limit went in a range: one worker has all of it
            lent = self._lease.lend(1 if self._assignment.options.dry_run else len(self._engine.workers))
            if lent == 0:  # others have taken the rest meanwhile
                this.waiting.appendleft(pass_range)
                return
            task = RangeTask(
                self._assignment,
                this.number,
                pass_range.number,
                pass_range.key_range,
                lent,
                self._settling.strategy,
                source=pass_range.source,
                orders=self._dispatcher.orders,
            )
            done = await self._engine.run(task)
        except WorkerLost as lost:
            await self._redo(pass_range, lost, lent)
        except MigrateError as error:
            self._stop.by_error(error)
        else:
            if lent is not None:
                self._lease.give_back(max(0, lent - done.tally.scanned))
            await self._take(pass_range, done)
        finally:
            this.at_work.pop(pass_range, None)
            self._show()

    async def _take(self, pass_range: PassRange, done: RangeDone) -> None:
        """Take note of an attempt that ended."""
        this = self._pass
        if isinstance(done.error, StrategyNeeded):
            await self._settle_once()
            this.waiting.appendleft(pass_range)
            return
        self._audience.say(
            f"{done.worker} passed {done.rows:,} rows of range {pass_range.number} in {done.seconds:.1f} s,"
            f" {done.tally.scanned:,} of them legacy; at its peak it took {done.peak_bytes / 2**20:.0f} MiB.",
            logging.DEBUG,
        )
        self._take_note(pass_range, done)
        if done.error is not None:
            self._stop.by_error(done.error)
        elif done.rest is not None and not self._stop.requested:  # its part of the limit is used up
            # what was taken up is not to be met again: that of it which stayed legacy would count once more
            pass_range.key_range = KeyRange(pass_range.key_range.after, done.rest.after)
            this.waiting.append(
                PassRange(number=this.numbered(), source=pass_range.source, key_range=done.rest, is_trimmed=True)
            )

    async def _redo(self, pass_range: PassRange, lost: WorkerLost, lent: int | None) -> None:
        pass_range.losses += 1
        if pass_range.losses >= MOST_LOSSES:
            hint = "Look at the workers' logs and memory. What was done stays done; run again with fewer at once."
            after, until = pass_range.key_range.after, pass_range.key_range.until
            first = "from the first key on" if after is None else f"of keys after {after}"
            last = "to the last one" if until is None else f"up to {until}"
            text = f"the range {first} {last} was begun {pass_range.losses} times, and each time its worker was lost"
            self._stop.by_error(ClusterError(text, hint=hint))
            return
        if lent is not None and lost.is_certain:
            try:
                self._lease.give_back(max(0, lent - await self._used_by(lost.worker, pass_range)))
            except MigrateError as error:
                self._stop.by_error(error)
        self._audience.say(f"{lost}. Its range is redone.", logging.WARNING)
        self._pass.waiting.appendleft(pass_range)

    async def _used_by(self, worker: str, pass_range: PassRange) -> int:
        """Return how many references a lost worker took up of a range, as far as its ledger tells."""
        attempts = [
            attempt
            for attempt in await self._ledger.attempts(self._pass.number)
            if attempt.worker == worker and attempt.range_number == pass_range.number
        ]
        return len({word.reference for word in await self._ledger.words(attempts)})

    async def _settle_once(self) -> None:
        if self._settling.strategy is None and not self._stop.requested:
            try:
                await self._settling.settle_late(self._ledger)
            except MigrateError as error:
                self._stop.by_error(error)

    # -- ranges and counts

    def _ranges_for_another_pass(self) -> list[tuple[int, KeyRange]]:
        """Return the ranges of this pass, brought together where they had few rows, those nobody began included."""
        rows: list[Counter[KeyRange]] = [Counter() for _ in self._site.sources]
        for pass_range in self._pass.waiting:  # unknown: as many as there may be
            rows[pass_range.source][pass_range.key_range] += self._site.settings.range_rows
        for pass_range, done in self._pass.done:
            rows[pass_range.source][pass_range.key_range] += done.rows
        return [
            (source, each)
            for source, of_source in enumerate(rows)
            for each in merged(of_source, self._site.settings.range_rows)
        ]

    async def _cut(self) -> list[tuple[int, KeyRange]]:
        """Return the ranges of all sources, each with the number of its source, in the order of the first pass."""
        range_rows, members = self._site.settings.range_rows, self._engine.members
        ranges = [
            (source, each)
            for source, found in enumerate(self._site.sources)
            for each in await cut_ranges(self._session, found.table, range_rows, members)
        ]
        if self._position is None:
            return ranges
        at, key = self._position.source, self._position.key
        found = [each for source, each in ranges if source == at]
        first = sum(source < at for source, _ in ranges)
        first += await place_of_key(self._session, self._site.sources[at].table, found, key)
        return ranges[first:] + ranges[:first]

    async def _trim(self, pass_range: PassRange) -> None:
        """Leave what a range has too much for another worker."""
        if pass_range.is_trimmed:
            return

        table, range_rows = self._site.sources[pass_range.source].table, self._site.settings.range_rows
        async with self._reading:
            pass_range.key_range, *rest = await trim(self._session, table, pass_range.key_range, range_rows)
        pass_range.is_trimmed = True
        if rest:
            left = PassRange(
                number=self._pass.numbered(), source=pass_range.source, key_range=rest[0], is_trimmed=False
            )
            self._pass.waiting.appendleft(left)
            self._dispatcher.changed.set()

    async def _count(self) -> list[Tally]:
        """Count the pass, by source; what workers returned has to do where the ledgers or the rows cannot be read."""
        try:
            return await count_pass(
                self._pass.number,
                {(done.worker, done.attempt): done.tally for _, done in self._pass.done},
                self._ledger,
                self._site.sources,
                self._session,
                dry_run=self._assignment.options.dry_run,
            )
        except MigrateError as error:
            self._stop.by_error(error)
            return self._pass.tallies_done(len(self._site.sources))

    async def _make_durable(self, counted: Tally) -> None:
        await make_durable(self._site.database, counted, self._assignment.options, self._stop)

    async def _is_anything_left(self) -> bool:
        scans = [Scan(each, self._site.database, self._ledger) for each in self._site.sources]
        return await is_anything_left(scans, self._tallies, self._assignment.options)
