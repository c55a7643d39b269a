"""What a worker process does with the ranges it is given.

A ``Workplace`` has the event loop, the store's connections, the database and the ledger of one process for one run, and
is kept between ranges. It is opened, and so checked, before the worker is given work.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import uvloop

from sketch_migrate import __version__
from sketch_migrate.cluster.memory import peak_memory_bytes
from sketch_migrate.cluster.orders import ORDER_SECONDS, Orders, StopLevel
from sketch_migrate.cluster.task import Joined, LogLine, Progress, RangeDone, StrategyNeeded
from sketch_migrate.errors import ClusterError, Interrupted
from sketch_migrate.migration.collector import collect_garbage_seldom
from sketch_migrate.migration.placing import OnceSettled
from sketch_migrate.migration.runner import migrate_range
from sketch_migrate.migration.site import Site, caps_of, open_site
from sketch_migrate.migration.stop import Stop
from sketch_migrate.migration.watch import Watch
from sketch_migrate.model import Tally
from sketch_migrate.report.logs import LOGGER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sketch_migrate.cluster.engine import Channel
    from sketch_migrate.cluster.task import Assignment, RangeTask
    from sketch_migrate.ledger import WorkerLedger
    from sketch_migrate.migration.no_clobber import Strategy
    from sketch_migrate.model import Result


class Workplace:
    """One worker process's part in one run. Not thread-safe: one range at a time."""

    def __init__(self, assignment: Assignment, channel: Channel) -> None:
        self._assignment = assignment
        self._channel = channel
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._stop = Stop()
        self._opened = AsyncExitStack()
        self._site: Site
        self._ledger: WorkerLedger

    def open(self) -> Joined:
        """Open and check all that a range needs: version, credentials, database, store, ledger. Raises the reason."""
        collect_garbage_seldom()
        with _told(self._channel):
            self._runner.run(self._open())
        return Joined(self._channel.worker, socket.gethostname(), os.getpid())

    def work(self, task: RangeTask) -> RangeDone:
        """Migrate a range. Raises ``Interrupted`` where it was stopped at once, and ``MigrateError`` of the ledger."""
        try:
            with _told(self._channel):
                return self._runner.run(self._work(task))
        except asyncio.CancelledError as cancelled:
            raise Interrupted("stopped at once", signal_number=signal.SIGINT) from cancelled

    def close(self) -> None:
        """Close what ``open`` opened."""
        with self._runner:
            self._runner.run(self._opened.aclose())

    async def _open(self) -> None:
        assignment = self._assignment
        if assignment.version != __version__:
            hint = "Install the same version of sketch-migrate on every worker and on the machine that starts the run."
            raise ClusterError(
                f"{self._channel.worker} has version {__version__}, the run was started by {assignment.version}",
                hint=hint,
            )
        site = open_site(assignment.settings, self._stop, for_writing=not assignment.options.dry_run)
        self._site = await self._opened.enter_async_context(site)
        ledger = assignment.ledgers.open(self._channel.worker, self._stop.event)
        self._ledger = await self._opened.enter_async_context(ledger)

    async def _work(self, task: RangeTask) -> RangeDone:
        began = time.monotonic()
        options, site = task.assignment.options, self._site
        report = Report(self._channel, task, verbose=options.verbose)
        with self._following(task):
            attempt = await self._ledger.begin_attempt(task.pass_number, task.number, task.key_range)
            placing = OnceSettled(site.store, lambda: _settled(task))
            async with asyncio.TaskGroup() as group, site.copier(options, self._stop, placing) as copier:
                pulse = group.create_task(report.send_regularly())
                migration = site.migration(options, copier, self._ledger, self._stop, observe=report.observe)
                async with Watch(site.store, copier, iterations=options.parallelization_level, tell=report.limit):
                    tally = await migrate_range(migration, task.key_range, limit=task.limit, again=task.pass_number > 1)
                pulse.cancel()
            report.send()
            await self._ledger.end_attempt(tally, is_clean=self._stop.error is None)
        is_whole = not self._stop.requested and (task.limit is None or tally.scanned < task.limit)
        return RangeDone(
            worker=self._channel.worker,
            attempt=attempt,
            rows=report.rows,
            tally=tally,
            is_whole=is_whole,
            seconds=time.monotonic() - began,
            peak_bytes=peak_memory_bytes(),
            error=self._stop.error,
        )

    @contextmanager
    def _following(self, task: RangeTask) -> Iterator[None]:
        """Follow the newest orders while the context lasts."""
        loop, working = asyncio.get_running_loop(), asyncio.current_task()
        newest = task.orders
        self._share(newest)

        def follow(orders: Orders) -> None:
            nonlocal newest
            if orders.number <= newest.number and orders.stop <= newest.stop:
                return
            if orders.sharing != newest.sharing:
                self._share(orders)
            newest = orders
            if orders.stop >= StopLevel.FINISH and not self._stop.requested:
                self._stop.by_signal(signal.SIGINT)
                self._site.store.stop_retrying()
            if orders.stop is StopLevel.AT_ONCE and working is not None:
                working.cancel()

        def take(orders: Orders) -> None:
            with suppress(RuntimeError):  # the loop was closed in this moment
                loop.call_soon_threadsafe(follow, orders)

        self._channel.on_orders(take)
        try:
            yield
        finally:
            self._channel.on_orders(None)

    def _share(self, orders: Orders) -> None:
        self._site.store.limit(caps_of(self._assignment.settings, sharing=orders.sharing))


class Report:
    """What a running range says of itself: at most once in ``ORDER_SECONDS``."""

    def __init__(self, channel: Channel, task: RangeTask, *, verbose: bool) -> None:
        self.rows = 0
        self._channel = channel
        self._task = task
        self._verbose = verbose
        self._tally = Tally()
        self._results: list[Result] = []
        self._limited_by = ""
        self._is_news = False

    def limit(self, word: str) -> None:
        """Take note of what limits it now."""
        self._is_news |= word != self._limited_by
        self._limited_by = word

    def observe(self, rows: int, tally: Tally, results: list[Result]) -> None:
        """Take note of rows passed and of what became of the references among them."""
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
                Progress(
                    worker=self._channel.worker,
                    pass_number=task.pass_number,
                    number=task.number,
                    rows=self.rows,
                    tally=self._tally,
                    limited_by=self._limited_by,
                    results=results,
                )
            )

    async def send_regularly(self) -> None:
        """Tell what is new, until cancelled."""
        while True:
            await asyncio.sleep(ORDER_SECONDS)
            self.send()


async def _settled(task: RangeTask) -> Strategy:
    if task.strategy is None:
        raise StrategyNeeded("how to replace nothing is not settled yet")
    return task.strategy


class _Telling(logging.Handler):
    """Hands what the tool's loggers warn of to the coordinator."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(logging.WARNING)
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        self._channel.send(LogLine(self._channel.worker, record.levelno, record.getMessage()))


@contextmanager
def _told(channel: Channel) -> Iterator[None]:
    handler = _Telling(channel)
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
