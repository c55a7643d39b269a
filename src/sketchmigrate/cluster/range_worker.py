"""The ranges of a run as tasks, and what a worker process does with those that it is given."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sketchmigrate.cluster.engine import Assignment, Message, Task
from sketchmigrate.cluster.orders import ORDER_SECONDS
from sketchmigrate.cluster.worker import Worker, peak_memory_bytes
from sketchmigrate.core.errors import UsageError
from sketchmigrate.core.outcome import Tally
from sketchmigrate.migration.breaker import NEVER, Breaker, FlipCounts
from sketchmigrate.migration.passes import migrate_range
from sketchmigrate.migration.site import Site, open_site
from sketchmigrate.migration.transfer import transfer_of
from sketchmigrate.migration.watch import Watch

if TYPE_CHECKING:
    from sketchmigrate.cluster.engine import Channel
    from sketchmigrate.core.errors import MigrateError
    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.outcome import Result
    from sketchmigrate.core.reference import KeyRange
    from sketchmigrate.ledger import LedgerPlace, WorkerLedger
    from sketchmigrate.migration.no_clobber import Strategy
    from sketchmigrate.migration.transfer import Taken, Transferred
    from sketchmigrate.postgres.waits import Held, Waits
    from sketchmigrate.settings import Options
    from sketchmigrate.sides import Sides


@dataclass(frozen=True, slots=True)
class RangeAssignment(Assignment):
    """What is the same for all ranges of a run."""

    options: Options
    ledgers: LedgerPlace

    def worker(self, channel: Channel) -> RangeWorker:
        """Return what migrates ranges."""
        return RangeWorker(self, channel)


@dataclass(frozen=True, slots=True)
class RangeTask(Task["RangeDone"]):
    """One range of a ``source``. ``number`` names the range within its pass, and stays the same when it is redone.

    ``limit`` is how many references may be taken up, at least one; None for all. ``strategy`` is how nothing is
    replaced, None as long as the store has not been probed; the range then ends with ``StrategyNeeded`` before the
    first object.
    """

    pass_number: int
    number: int
    key_range: KeyRange
    limit: int | None = None
    strategy: Strategy | None = None
    source: int = 0


@dataclass(frozen=True, slots=True)
class RangeDone:
    """How an attempt ended. ``tally`` and the ``rows`` passed are true also where it was cut short.

    ``rest`` is what the limit left of the range, None for nothing. ``error`` is what the worker could not get past.
    ``seconds`` is how long it took, ``peak_bytes`` the most memory that the process had until then, ``losses`` how many
    connections to the database broke meanwhile, ``flips`` those of the attempt. ``held_up`` is what has held the worker
    up so far: the last message of its progress may come too late to be heard.
    """

    worker: str
    attempt: int
    rows: int
    tally: Tally
    rest: KeyRange | None
    seconds: float
    peak_bytes: int
    error: MigrateError | None = None
    losses: int = 0
    flips: FlipCounts = field(default_factory=FlipCounts)
    held_up: tuple[Held, ...] = ()


@dataclass(frozen=True, slots=True)
class RangeProgress(Message):
    """How far a range of a ``source`` is: rows passed, outcomes so far, what limits it, in a word, and flips so far.

    ``results`` are new ones, for ``-v`` alone. ``waits_for`` says what holds it up in the database, and ``held_up`` all
    that did so since the worker began.
    """

    worker: str
    pass_number: int
    number: int
    rows: int
    tally: Tally
    limited_by: str = ""
    results: tuple[Result, ...] = ()
    waits_for: str = ""
    held_up: tuple[Held, ...] = ()
    flips: FlipCounts = field(default_factory=FlipCounts)
    source: int = 0


class StrategyNeeded(UsageError):
    """A range holds objects to copy, and how to replace nothing is not settled yet: nothing was tried."""


class RangeWorker(Worker[RangeTask, RangeDone]):
    """Migrates ranges, with the store, the database and a ledger."""

    def __init__(self, assignment: RangeAssignment, channel: Channel) -> None:
        super().__init__(assignment, channel)
        self._assignment = assignment
        self._site: Site
        self._ledger: WorkerLedger

    async def _open(self) -> Sides:
        assignment = self._assignment
        site = open_site(
            assignment.settings,
            self._stop,
            for_writing=not assignment.options.dry_run,
            kept_connections=assignment.options.parallelization_level + 1,  # for the next range
        )
        self._site = await self._opened.enter_async_context(site)
        ledger = assignment.ledgers.open(self._channel.worker, self._stop.event)
        self._ledger = await self._opened.enter_async_context(ledger)
        return self._site.sides

    async def _work(self, task: RangeTask) -> RangeDone:
        began = time.monotonic()
        options, site = self._assignment.options, self._site
        losses = site.database.losses
        breaker = Breaker(NEVER)  # it counts; the coordinator, who knows of all flips, judges
        report = Report(self._channel, task, site.database.waits, breaker, verbose=options.verbose)
        with self._following(task):
            attempt = await self._ledger.begin_attempt(task.pass_number, task.number, task.key_range, task.source)
            copying = site.copying(options, self._ledger)
            transfer = transfer_of(site.sides, copying, task.strategy) if task.strategy else NotSettled()
            async with asyncio.TaskGroup() as group, site.copier(options, transfer, self._ledger) as copier:
                pulse = group.create_task(report.send_regularly())
                migrations = site.migrations(options, copier, self._ledger, breaker=breaker, observe=report.observe)
                migration = migrations[task.source]
                migration.begin()
                async with Watch(site, copier, iterations=options.parallelization_level, audience=report):
                    tally, rest = await migrate_range(
                        migration, task.key_range, limit=task.limit, again=task.pass_number > 1
                    )
                pulse.cancel()
            report.send()
            is_clean = self._stop.error is None and not await self._ledger.locked(None, 1)
            await self._ledger.end_attempt(tally, is_clean=is_clean)
        return RangeDone(
            worker=self._channel.worker,
            attempt=attempt,
            rows=report.rows,
            tally=tally,
            rest=rest,
            seconds=time.monotonic() - began,
            peak_bytes=peak_memory_bytes(),
            error=self._stop.error,
            losses=site.database.losses - losses,
            flips=breaker.counts,
            held_up=tuple(site.database.waits.held()),
        )


class Report:
    """What a running range says of itself: at most once in ``ORDER_SECONDS``."""

    def __init__(self, channel: Channel, task: RangeTask, waits: Waits, breaker: Breaker, *, verbose: bool) -> None:
        self.rows = 0
        self._waits = waits
        self._breaker = breaker
        self._channel = channel
        self._task = task
        self._verbose = verbose
        self._tally = Tally()
        self._results: list[Result] = []
        self._limited_by = self._waits_for = ""
        self._is_news = False

    def limited_by(self, word: str) -> None:
        """Take note of what limits it now."""
        self._is_news |= word != self._limited_by
        self._limited_by = word

    def waits_for(self, text: str) -> None:
        """Take note of what holds it up in the database now."""
        self._is_news |= text != self._waits_for
        self._waits_for = text

    def observe(self, _source: int, rows: int, tally: Tally, results: list[Result]) -> None:
        """Take note of rows passed and of what became of those that were legacy."""
        self.rows += rows
        self._tally += tally
        self._is_news = True
        if self._verbose:
            self._results += results

    def send(self) -> None:
        """Tell what is new."""
        if self._is_news:
            self._is_news = False
            results, self._results = tuple(self._results), []
            task = self._task
            self._channel.send(
                RangeProgress(
                    worker=self._channel.worker,
                    pass_number=task.pass_number,
                    number=task.number,
                    rows=self.rows,
                    tally=self._tally,
                    limited_by=self._limited_by,
                    results=results,
                    waits_for=self._waits_for,
                    held_up=tuple(self._waits.held()),
                    flips=self._breaker.counts,
                    source=task.source,
                )
            )

    async def send_regularly(self) -> None:
        """Tell what is new, until cancelled."""
        while True:
            await asyncio.sleep(ORDER_SECONDS)
            self.send()


class NotSettled:
    """Stands for the transfer as long as the coordinator has not settled it."""

    async def bring(self, move: Move) -> Transferred | Taken:
        """Bring nothing. Raises ``StrategyNeeded``."""
        raise StrategyNeeded(f"how {move.source} is to replace nothing is not settled yet")

    async def unguarded(self) -> bool:
        """Raise ``StrategyNeeded``."""
        raise StrategyNeeded("how to replace nothing is not settled yet")
