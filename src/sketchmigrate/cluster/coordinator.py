"""Has the ranges of a table migrated by workers, pass after pass, until nothing is left.

The dispatcher hands them out. Here a lost worker's range is put back, the limit is divided, and each reference is
counted once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sketchmigrate.cluster.counting import count_pass
from sketchmigrate.cluster.dispatcher import MOST_LOSSES, Dispatcher
from sketchmigrate.cluster.orders import Lease
from sketchmigrate.cluster.range_worker import RangeDone, RangeProgress, RangeTask, StrategyNeeded
from sketchmigrate.cluster.ranges import cut_ranges, merged, trim
from sketchmigrate.core.errors import ClusterError, MigrateError, WorkerLost
from sketchmigrate.core.outcome import Tally
from sketchmigrate.core.reference import KeyRange
from sketchmigrate.migration.breaker import FlipCounts
from sketchmigrate.migration.passes import is_anything_left, make_durable
from sketchmigrate.migration.runner import Finished, Scan

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from sketchmigrate.cluster.engine import Engine, Message
    from sketchmigrate.cluster.range_worker import RangeAssignment
    from sketchmigrate.core.outcome import Result
    from sketchmigrate.ledger import WholeLedger
    from sketchmigrate.migration.breaker import Breaker
    from sketchmigrate.migration.settling import Settling
    from sketchmigrate.migration.site import Site
    from sketchmigrate.migration.stop import Stop
    from sketchmigrate.postgres.session import Session
    from sketchmigrate.postgres.waits import Held


class Audience(Protocol):
    """Where the coordinator reports what goes on."""

    def new_pass(self, number: int) -> None:
        """Begin a pass."""

    def progress_of_all(self, rows: int, tally: Tally) -> None:
        """Show the rows that this pass has passed, and what is done in the whole run."""

    def limited_by(self, word: str) -> None:
        """Show what limits most of the workers, in a word; empty for nothing known."""

    def waits_for(self, text: str) -> None:
        """Show what holds the run up in the database; empty for nothing."""

    def held_up(self, waits: Iterable[Held]) -> None:
        """Take note of what has held workers up, and how long in all."""

    def entries(self, worker: str, source: int, results: tuple[Result, ...]) -> None:
        """Show new results, for ``-v``."""

    def say(self, text: str, level: int = logging.INFO) -> None:
        """Tell something; ``level`` is that of ``logging``."""


@dataclass(slots=True, eq=False)
class PassRange:
    """A range of a source, how often it was lost, and the flips of its attempt of which the breaker knows."""

    number: int
    source: int
    key_range: KeyRange
    is_trimmed: bool
    losses: int = 0
    flips_heard: FlipCounts = field(default_factory=FlipCounts)


@dataclass(slots=True)
class Pass:
    """One pass: ranges that wait, those that are at work with what they reported last, and what is done."""

    number: int
    waiting: deque[PassRange]
    at_work: dict[PassRange, RangeProgress | None] = field(default_factory=dict)
    done: list[tuple[PassRange, RangeDone]] = field(default_factory=list)
    rows_done: int = 0
    tally_done: Tally = field(default_factory=Tally)
    last_number: int = 0

    def numbered(self) -> int:
        """Return the number for a new range."""
        self.last_number += 1
        return self.last_number

    def heard(self, progress: RangeProgress) -> PassRange | None:
        """Take over what a range reports, and return it if it is at work."""
        for pass_range in self.at_work:
            if progress.pass_number == self.number and progress.number == pass_range.number:
                self.at_work[pass_range] = progress
                return pass_range
        return None

    def rows_and_tally(self) -> tuple[int, Tally]:
        """Add up what is done and what is reported."""
        rows, tally = self.rows_done, self.tally_done
        for progress in self.at_work.values():
            if progress is not None:
                rows, tally = rows + progress.rows, tally + progress.tally
        return rows, tally

    def tallies_done(self, sources: int) -> list[Tally]:
        """Return the tallies of what is done, by source, as workers have returned them."""
        tallies = [Tally() for _ in range(sources)]
        for pass_range, done in self.done:
            tallies[pass_range.source] += done.tally
        return tallies

    def waits_for(self) -> str:
        """Return what holds one of those at work up in the database; empty for nothing."""
        return next((progress.waits_for for progress in self.at_work.values() if progress and progress.waits_for), "")

    def limited_by(self) -> str:
        """Return what limits most of those at work, as far as they know."""
        words = Counter(progress.limited_by for progress in self.at_work.values() if progress and progress.limited_by)
        return words.most_common(1)[0][0] if words else ""


class Coordinator:
    """Migrates a table with the workers of an engine.

    ``settling`` knows how nothing is replaced, or finds it out when the first worker needs it.
    ``before`` is what the run has done already, with one process, and ``breaker`` knows its flips.
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
    ) -> None:
        self._engine, self._assignment, self._site = engine, assignment, site
        self._ledger, self._stop, self._audience = ledger, stop, audience
        self._settling = settling
        self._breaker = breaker
        self._dispatcher = Dispatcher(engine, stop, say=audience.say, hear=self._hear)
        self._tallies = list((before and before.sources) or [Tally() for _ in site.sources])  # of the passes before
        self._pass = Pass(before.passes if before else 0, deque())
        self._lease = Lease(None)
        self._reading = asyncio.Lock()
        self._session: Session

    @property
    def _tally(self) -> Tally:
        return sum(self._tallies, Tally())

    def _finished(self, *, rows_left: bool) -> Finished:
        return Finished(self._tally, self._pass.number, rows_left, tuple(self._tallies))

    async def migrate(self) -> Finished:
        """Migrate all sources, whole: passes until one finds no legacy row that could still be migrated.

        As ``runner.migrate``, it ends early when a stop is requested; whether that was an error, the ``Stop`` tells.
        """
        async with self._engine, self._site.database.session() as session:
            self._session = session
            try:
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
                PassRange(self._pass.numbered(), source, each, is_trimmed=trimmed) for source, each in ranges
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
            if options.dry_run or (counted.scanned == 0 and not some_waits and not losses):
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
        self._note_flips(pass_range, done.flips)
        self._audience.held_up(done.held_up)
        this.rows_done += done.rows
        this.tally_done += done.tally
        this.done.append((pass_range, done))
        if done.error is not None:
            self._stop.by_error(done.error)
        elif done.rest is not None and not self._stop.requested:  # its part of the limit is used up
            # what was taken up is not to be met again: that of it which stayed legacy would count once more
            pass_range.key_range = KeyRange(pass_range.key_range.after, done.rest.after)
            this.waiting.append(PassRange(this.numbered(), pass_range.source, done.rest, is_trimmed=True))

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
        """Return the ranges of all sources, each with the number of its source."""
        range_rows, members = self._site.settings.range_rows, self._engine.members
        return [
            (source, each)
            for source, found in enumerate(self._site.sources)
            for each in await cut_ranges(self._session, found.table, range_rows, members)
        ]

    async def _trim(self, pass_range: PassRange) -> None:
        """Leave what a range has too much for another worker."""
        if pass_range.is_trimmed:
            return

        table, range_rows = self._site.sources[pass_range.source].table, self._site.settings.range_rows
        async with self._reading:
            pass_range.key_range, *rest = await trim(self._session, table, pass_range.key_range, range_rows)
        pass_range.is_trimmed = True
        if rest:
            left = PassRange(self._pass.numbered(), pass_range.source, rest[0], is_trimmed=False)
            self._pass.waiting.appendleft(left)
            self._dispatcher.changed.set()

    async def _count(self) -> list[Tally]:
        """Count the pass, by source; what workers returned has to do where the ledgers or the rows cannot be read."""
        try:
            return await count_pass(
                self._pass.number,
                {(done.worker, done.attempt): done.tally for _, done in self._pass.done},
                self._ledger,
                self._site,
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

    # -- what is heard and shown

    def _hear(self, message: Message) -> None:
        if isinstance(message, RangeProgress):
            if message.results:
                self._audience.entries(message.worker, message.source, message.results)
            self._audience.held_up(message.held_up)
            if (pass_range := self._pass.heard(message)) is not None:
                self._note_flips(pass_range, message.flips)
            self._show()

    def _note_flips(self, pass_range: PassRange, flips: FlipCounts) -> None:
        """Tell the breaker what is new of a range's flips."""
        new, pass_range.flips_heard = flips.since(pass_range.flips_heard), flips
        if error := self._breaker.note(new.flipped, new.failed):
            self._stop.by_error(error)

    def _show(self) -> None:
        rows, tally = self._pass.rows_and_tally()
        self._audience.limited_by(self._pass.limited_by())
        self._audience.waits_for(self._pass.waits_for())
        self._audience.progress_of_all(rows, self._tally + tally)
