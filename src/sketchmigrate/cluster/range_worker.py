"""The ranges of a run as tasks, and what a worker process does with those that it is given."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.cluster.engine import Assignment, Message, Task
from sketchmigrate.cluster.orders import ORDER_SECONDS
from sketchmigrate.cluster.worker import Worker, peak_memory_bytes
from sketchmigrate.core.errors import UsageError
from sketchmigrate.core.outcome import Tally
from sketchmigrate.core.traffic import Told
from sketchmigrate.migration.breaker import NEVER, Breaker, FlipCounts
from sketchmigrate.migration.passes import migrate_range
from sketchmigrate.migration.site import Site, open_site
from sketchmigrate.migration.transfer import transfer_of
from sketchmigrate.migration.transfer_kind import TransferKind
from sketchmigrate.migration.tuning import Tuning
from sketchmigrate.migration.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketchmigrate.cluster.engine import Channel
    from sketchmigrate.cluster.orders import Orders
    from sketchmigrate.core.errors import MigrateError
    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.outcome import Result
    from sketchmigrate.core.reference import KeyRange
    from sketchmigrate.ledger import LedgerPlace, WorkerLedger
    from sketchmigrate.migration.copier import Copier
    from sketchmigrate.migration.no_clobber import Strategy
    from sketchmigrate.migration.transfer import Taken
    from sketchmigrate.migration.transfer_kind import Copying
    from sketchmigrate.postgres.waits import Held
    from sketchmigrate.s3 import CopyResult
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

    ``rest`` is what the limit left of the range, None for nothing; of other parts ``rows_left`` says whether it did.
    ``error`` is what the worker could not get past. ``seconds`` is how long it took, ``peak_bytes`` the most memory
    that the process had until then, ``losses`` how many connections to the database broke meanwhile, ``flips`` those of
    the attempt. ``held_up`` is what has held the worker up so far: the last message of its progress may come too late
    to be heard.
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
    rows_left: bool = False
    told: Told | None = None


@dataclass(frozen=True, slots=True)
class RangeProgress(Message):
    """How far a range of a ``source`` is: rows passed, outcomes so far, what limits it, in a word, and flips so far.

    ``results`` are new ones: all for ``-v``, for ``--events`` those that need a person. ``streamed_bytes`` are those
    since the last message. ``waits_for`` says what holds it up in the database, ``held_up`` all that did so since the
    worker began, and ``told`` is its traffic.
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
    streamed_bytes: int = 0
    told: Told | None = None


class StrategyNeeded(UsageError):
    """A range holds objects to copy, and how to replace nothing is not settled yet: nothing was tried."""


class RangeWorker(Worker[RangeTask, RangeDone]):
    """Migrates ranges, with the store, the database and a ledger."""

    def __init__(self, assignment: RangeAssignment, channel: Channel) -> None:
        super().__init__(assignment, channel)
        self._assignment = assignment
        self._site: Site
        self._ledger: WorkerLedger
        self._copying: Copying
        self._life = ""

    async def _open(self) -> Sides:
        assignment = self._assignment
        site = open_site(
            Tuning(assignment.settings, assignment.options),
            self._stop,
            for_writing=not assignment.options.dry_run,
            run="" if assignment.options.dry_run else assignment.run_id,
            kept_connections=assignment.options.parallelization_level + 1,  # for the next range
        )
        self._site = await self._opened.enter_async_context(site)
        self._life = secrets.token_hex(8)  # its clients count from 0 on
        ledger = assignment.ledgers.open(self._channel.worker, self._stop.event)
        self._ledger = await self._opened.enter_async_context(ledger)
        # one for all ranges: what it learns of the stores is not asked again
        self._copying = self._site.copying(assignment.options, self._ledger)
        return self._site.sides

    def _told(self) -> Told:
        return Told(self._channel.worker, self._life, self._site.sides.traffic)

    def _govern(self, orders: Orders) -> None:
        self._site.pace.limit(orders.share_of_rows)

    def _tune(self, orders: Orders) -> None:
        self._site.tuning.follow(orders.changes)

    async def _work(self, task: RangeTask) -> RangeDone:
        began = time.monotonic()
        options, site = self._assignment.options, self._site
        losses = site.database.losses
        breaker = Breaker(NEVER)  # it counts; the coordinator, who knows of all flips, judges
        report = Report(self._channel, task, site, breaker, self._told)
        with self._following(task):
            attempt = await self._ledger.begin_attempt(task.pass_number, task.number, task.key_range, task.source)
            async with asyncio.TaskGroup() as group, self._copier(task) as copier:
                pulse = group.create_task(report.send_regularly())
                is_streamed = options.transfer == TransferKind.STREAMED
                async with Watch(site, copier, audience=report, is_streamed=is_streamed):
                    tally, rest, rows_left = await self._carry_out(task, copier, breaker, report)
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
            rows_left=rows_left,
            told=self._told(),
        )

    def _copier(self, task: RangeTask) -> Copier:
        """Return what brings the objects of a task."""
        site, strategy = self._site, task.strategy
        transfer = transfer_of(site.sides, self._copying, strategy) if strategy else NotSettled()
        return site.copier(self._assignment.options, transfer, self._copying)

    async def _carry_out(self, task: RangeTask, copier: Copier, breaker: Breaker, report: Report) -> CarriedOut:
        """Do what the task is about."""
        options, observe = self._assignment.options, report.observe
        migrations = self._site.migrations(options, copier, self._ledger, breaker=breaker, observe=observe)
        migration = migrations[task.source]
        migration.begin()
        again = task.pass_number > 1
        tally, rest = await migrate_range(migration, task.key_range, limit=task.limit, again=again)
        return CarriedOut(tally, rest)


class CarriedOut(NamedTuple):
    """What became of the references of a task, and what its limit left, as in ``RangeDone``."""

    tally: Tally
    rest: KeyRange | None = None
    rows_left: bool = False


class Report:
    """What a running range says of itself: at most once in ``ORDER_SECONDS``."""

    def __init__(
        self, channel: Channel, task: RangeTask, site: Site, breaker: Breaker, look_at_traffic: Callable[[], Told]
    ) -> None:
        self.rows = 0
        self._look_at_traffic = look_at_traffic
        self._told: Told | None = None
        self._waits = site.database.waits
        self._breaker = breaker
        self._channel = channel
        self._task = task
        self._tuning = site.tuning
        self._tells_problems = bool(site.tuning.present.options.events)
        self._tally = Tally()
        self._results: list[Result] = []
        self._streamed_bytes = 0
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

    def streamed(self, more_bytes: int) -> None:
        """Take note of so many more bytes of objects that have passed."""
        self._streamed_bytes += more_bytes
        self._is_news = True

    def observe(self, _source: int, rows: int, tally: Tally, results: list[Result]) -> None:
        """Take note of rows passed and of what became of those that were legacy."""
        self.rows += rows
        self._tally += tally
        self._is_news = True
        if self._tuning.is_verbose:
            self._results += results
        elif self._tells_problems and tally.needing_a_person:
            self._results += [each for each in results if each.outcome.needs_a_person or each.possibly_overwritten]

    def send(self) -> None:
        """Tell what is new."""
        told = self._look_at_traffic()
        if self._is_news or told != self._told:
            self._told = told
            self._is_news = False
            results, self._results = tuple(self._results), []
            streamed_bytes, self._streamed_bytes = self._streamed_bytes, 0
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
                    streamed_bytes=streamed_bytes,
                    told=told,
                )
            )

    async def send_regularly(self) -> None:
        """Tell what is new, until cancelled."""
        while True:
            await asyncio.sleep(ORDER_SECONDS)
            self.send()


class NotSettled:
    """Stands for the transfer as long as the coordinator has not settled it."""

    async def bring(self, move: Move) -> CopyResult | Taken:
        """Bring nothing. Raises ``StrategyNeeded``."""
        raise StrategyNeeded(f"how {move.source} is to replace nothing is not settled yet")

    async def unguarded(self) -> bool:
        """Raise ``StrategyNeeded``."""
        raise StrategyNeeded("how to replace nothing is not settled yet")
