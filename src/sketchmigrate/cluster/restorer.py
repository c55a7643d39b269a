"""Has recorded flips undone by workers, page after page of the ledgers, one run after the other, the newest first.

A page is read here and goes to one worker. That a row is set back once, whoever has it, is up to the compare-and-set.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.cluster.counting import count_pass
from sketchmigrate.cluster.dispatcher import MOST_LOSSES
from sketchmigrate.cluster.overseer import Overseer, Part, Pass
from sketchmigrate.cluster.restoring_worker import RestoringTask
from sketchmigrate.core.errors import ClusterError, MigrateError, WorkerLost
from sketchmigrate.core.outcome import Tally
from sketchmigrate.core.reference import KeyRange
from sketchmigrate.ledger.contract import PAGE_FLIPS
from sketchmigrate.migration.breaker import FlipCounts
from sketchmigrate.migration.rollback import Flips, taken
from sketchmigrate.migration.runner import Finished
from sketchmigrate.postgres.references import References

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence

    from sketchmigrate.cluster.engine import Engine
    from sketchmigrate.cluster.overseer import Audience
    from sketchmigrate.cluster.range_worker import RangeDone
    from sketchmigrate.cluster.restoring_worker import RestoringAssignment
    from sketchmigrate.ledger import PastFlip, PastRun, WholeLedger
    from sketchmigrate.migration.breaker import Breaker
    from sketchmigrate.migration.planning import SourceTable
    from sketchmigrate.migration.rollback import Selection
    from sketchmigrate.migration.site import Site
    from sketchmigrate.migration.stop import Stop

PAGES_A_WORKER = 8
FEWEST_FLIPS = 100
"""So that all workers have something to do and end at about the same time, pages of a small rollback are small."""


@dataclass(slots=True, eq=False, kw_only=True)
class PastPage(Part):
    """A page of recorded flips."""

    flips: tuple[PastFlip, ...]


class Restorer(Overseer[PastPage]):
    """Undoes ``runs`` with the workers of an engine, as far as ``selection`` says.

    ``sources`` are those that are meant, each with its table backwards.
    """

    def __init__(
        self,
        engine: Engine,
        assignment: RestoringAssignment,
        *,
        site: Site,
        ledger: WholeLedger,
        stop: Stop,
        audience: Audience,
        breaker: Breaker,
        sources: Sequence[SourceTable],
        runs: Sequence[PastRun],
        selection: Selection,
    ) -> None:
        super().__init__(engine, site, stop=stop, audience=audience, breaker=breaker)
        self._assignment, self._ledger = assignment, ledger
        self._sources, self._runs, self._selection = sources, runs, selection
        self._pass = Pass(1, deque())
        self._left = assignment.options.limit or None
        self._rows_left = False
        self._pages: AsyncIterator[list[PastFlip]]
        self._source = 0
        self._is_read = True
        self._begun = 0
        self._reading = asyncio.Lock()

    async def restore(self) -> Finished:
        """Set rows back until all pages are read; whether an error ended it early, the ``Stop`` tells."""
        async with self._crew(), self._engine, self._site.database.session() as session:
            self._tell_changes()
            try:
                with self._site.tuning.heard_by(self._tell_changes):
                    await self._dispatcher.begin(self._assignment)
                    for source in self._sources:
                        await self._undo(source, References(session, source.table))
                backwards = {each.source.number: each for each in self._sources}
                tables = [backwards.get(each.source.number, each) for each in self._site.sources]
                self._tallies = await self._count(tables, References(session, tables[0].table))
            except MigrateError as error:
                self._stop.by_error(error)
                self._tallies = self._pass.tallies_done(len(self._site.sources))
            except asyncio.CancelledError:
                self._dispatcher.stop_at_once()
                raise
        self._audience.progress_of_all(self._pass.rows_done, self._tally)
        of_meant = tuple(self._tallies[each.source.number] for each in self._sources)
        return Finished(self._tally, 1, self._rows_left or self._stop.requested, of_meant)

    async def _undo(self, source: SourceTable, references: References) -> None:
        """Undo all runs in a source, one after the other: a row that several have set goes back step by step."""
        members = max(1, self._engine.members)
        flips = sum(run.flips for run in self._runs)
        page_flips = max(FEWEST_FLIPS, min(PAGE_FLIPS, flips // (PAGES_A_WORKER * members)))
        for run in self._runs:
            if self._stop.requested or self._rows_left:
                return
            self._source = source.source.number
            self._pages = Flips([run], self._source, self._selection, page_flips).pages(references)
            self._is_read = False
            await self._dispatcher.hand_out(self)

    async def _count(self, sources: Sequence[SourceTable], references: References) -> list[Tally]:
        """Count each row once, by the ledgers. What a page that was redone found done already is in none."""
        returned = {(done.worker, done.attempt): done.tally for _, done in self._pass.done}
        counts = await count_pass(1, returned, self._ledger, sources, references.session, dry_run=False)
        told = self._pass.tallies_done(len(sources))
        return [
            count + Tally(already=max(0, tally.scanned - count.scanned))
            for count, tally in zip(counts, told, strict=True)
        ]

    # -- what the dispatcher asks

    @property
    def at_work(self) -> int:
        """How many pages were begun and are not over."""
        return self._begun

    @property
    def is_anything_waiting(self) -> bool:
        """Whether there are pages that were lost, or not read yet."""
        return bool(self._pass.waiting) or not self._is_read

    @property
    def may_begin(self) -> bool:
        """Whether one of them may be begun: with a limit one after the other, as each may use it up.

        Once it is used up, the next one tells whether anything is left.
        """
        is_free = self._left is None or not self._begun
        return self.is_anything_waiting and is_free and not self._rows_left

    def begin(self) -> Coroutine[object, object, None]:
        """Take the next page; return what sees it through."""
        self._begun += 1
        return self._see_through(self._pass.waiting.popleft() if self._pass.waiting else None)

    async def _see_through(self, part: PastPage | None) -> None:
        """Have a page undone, whatever becomes of the worker: at the end it is done, or waits again."""
        try:
            part = part or await self._next()
            if part is not None:
                self._pass.at_work[part] = None
                part.flips_heard = FlipCounts()  # of the attempt that begins
                self._take(part, await self._engine.run(self._task(part)))
        except WorkerLost as lost:
            assert part is not None  # noqa: S101 - it was with the worker
            self._redo(part, lost)
        except MigrateError as error:
            self._stop.by_error(error)
        finally:
            self._begun -= 1
            if part is not None:
                self._pass.at_work.pop(part, None)
            self._show()

    async def _next(self) -> PastPage | None:
        async with self._reading:
            page = None if self._is_read else await anext(self._pages, None)
            if page is None:
                self._is_read = True
                return None
            return PastPage(number=self._pass.numbered(), source=self._source, flips=tuple(page))

    def _task(self, part: PastPage) -> RestoringTask:
        return RestoringTask(
            self._assignment,
            self._pass.number,
            part.number,
            KeyRange(),
            self._left,
            source=part.source,
            flips=part.flips,
            orders=self._dispatcher.orders,
        )

    def _take(self, part: PastPage, done: RangeDone) -> None:
        self._audience.say(
            f"{done.worker} took {done.seconds:.1f} s for {len(part.flips):,} flips of page {part.number};"
            f" at its peak it took {done.peak_bytes / 2**20:.0f} MiB.",
            logging.DEBUG,
        )
        self._take_note(part, done)
        if self._left is not None:
            self._left -= taken(done.tally)
        self._rows_left |= done.rows_left
        if done.error is not None:
            self._stop.by_error(done.error)

    def _redo(self, part: PastPage, lost: WorkerLost) -> None:
        part.losses += 1
        if part.losses >= MOST_LOSSES:
            hint = "Look at the workers' logs and memory. What was done stays done; run again with fewer at once."
            text = f"{len(part.flips):,} flips were begun {part.losses} times, and each time their worker was lost"
            self._stop.by_error(ClusterError(text, hint=hint))
            return
        self._audience.say(f"{lost}. Its flips are taken up again.", logging.WARNING)
        self._pass.waiting.appendleft(part)
