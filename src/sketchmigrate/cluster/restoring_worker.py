"""What a worker process does with the recorded flips that it is given: it sets their rows back."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from sketchmigrate.cluster.range_worker import CarriedOut, RangeAssignment, RangeTask, RangeWorker
from sketchmigrate.ledger import past_run
from sketchmigrate.migration.rollback import WayBack, legacy_finder, restore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sketchmigrate.cluster.engine import Channel
    from sketchmigrate.cluster.range_worker import Report
    from sketchmigrate.ledger import PastFlip
    from sketchmigrate.migration.breaker import Breaker
    from sketchmigrate.migration.copier import Copier
    from sketchmigrate.postgres.references import References


@dataclass(frozen=True, slots=True)
class RestoringAssignment(RangeAssignment):
    """What is the same for all pages of a rollback: the directories of the ``runs`` that it undoes."""

    runs: tuple[Path, ...]

    def worker(self, channel: Channel) -> RestoringWorker:
        """Return what sets rows back."""
        return RestoringWorker(self, channel)


@dataclass(frozen=True, slots=True)
class RestoringTask(RangeTask):
    """One page of recorded flips of a source; its range is the whole table."""

    flips: tuple[PastFlip, ...] = ()

    async def pages(self, _: References) -> AsyncIterator[list[PastFlip]]:
        """Yield it; see ``migration.rollback.Pages``."""
        yield list(self.flips)


class RestoringWorker(RangeWorker):
    """Sets rows back, with the store, the database and a ledger."""

    def __init__(self, assignment: RestoringAssignment, channel: Channel) -> None:
        super().__init__(assignment, channel)
        self._runs = assignment.runs

    def _copier(self, _: RangeTask) -> Copier:
        return legacy_finder(self._site.all_sides, self._assignment.options, self._stop)

    async def _carry_out(self, task: RangeTask, copier: Copier, breaker: Breaker, report: Report) -> CarriedOut:
        assert isinstance(task, RestoringTask)  # noqa: S101 - its assignment has no other
        source = self._site.sources[task.source]
        back = self._site.migration(
            replace(source, table=source.table.backwards()),
            WayBack(source, self._ledger),
            options=self._assignment.options,
            copier=copier,
            ledger=self._ledger,
            observe=partial(report.observe, task.source),
            breaker=breaker,
        )
        back.begin()
        with ExitStack() as opened:
            # only of a row of which each flip moves a part are further ones asked for
            directories = self._runs if source.mapping.partial else ()
            runs = [opened.enter_context(past_run(each, self._assignment.settings)) for each in directories]
            tally, rows_left = await restore(back, task, runs, limit=task.limit)
        return CarriedOut(tally, rows_left=rows_left)
