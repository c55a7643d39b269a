"""What a worker process has for its part in a run, whatever the tasks are.

A ``Workplace`` has the event loop and what a kind of task needs open, and is kept between tasks. It is opened, and so
checked, before the worker is given work. A ``Place`` is what an engine keeps in each of its processes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import uvloop

from sketchmigrate import __version__
from sketchmigrate.cluster.orders import Orders, StopLevel
from sketchmigrate.cluster.task import Assignment, Joined, LogLine, Task
from sketchmigrate.core.errors import ClusterError, Interrupted
from sketchmigrate.garbage import collect_garbage_seldom
from sketchmigrate.migration.site import caps_of
from sketchmigrate.migration.stop import Stop
from sketchmigrate.report.logs import LOGGER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sketchmigrate.cluster.engine import Channel
    from sketchmigrate.sides import Sides

Done = TypeVar("Done")
TaskOfKind = TypeVar("TaskOfKind", bound=Task[Any])


class Workplace(ABC, Generic[TaskOfKind, Done]):
    """One worker process's part in one run. Not thread-safe: one task at a time."""

    def __init__(self, assignment: Assignment, channel: Channel) -> None:
        self._common = assignment
        self._channel = channel
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._stop = Stop()
        self._opened = AsyncExitStack()
        self._sides: Sides

    def open(self) -> Joined:
        """Open and check all that a task needs: first the version. Raises the reason why it cannot be done here."""
        collect_garbage_seldom()
        with _told(self._channel):
            self._runner.run(self._open_checked())
        return Joined(self._channel.worker, socket.gethostname(), os.getpid())

    def work(self, task: TaskOfKind) -> Done:
        """Do a task. Raises ``Interrupted`` where it was stopped at once, and other ``MigrateError``."""
        try:
            with _told(self._channel):
                return self._runner.run(self._work(task))
        except asyncio.CancelledError as cancelled:
            raise Interrupted("stopped at once", signal_number=signal.SIGINT) from cancelled

    def close(self) -> None:
        """Close what ``open`` opened."""
        with self._runner:
            self._runner.run(self._opened.aclose())

    @property
    def is_spent(self) -> bool:
        """Whether it was told to stop, or met an error: that is not undone, and the next task takes another one."""
        return self._stop.requested

    @abstractmethod
    async def _open(self) -> Sides:
        """Open and check what a kind of task needs; return the sides, whose stores are kept below their share."""

    @abstractmethod
    async def _work(self, task: TaskOfKind) -> Done:
        """Do a task, ``_following`` the orders."""

    async def _open_checked(self) -> None:
        version = self._common.version
        if version != __version__:
            hint = "Install the same version of sketch-migrate on every worker and on the machine that starts the run."
            text = f"{self._channel.worker} has version {__version__}, the run was started by {version}"
            raise ClusterError(text, hint=hint)
        self._sides = await self._open()

    @contextmanager
    def _following(self, task: TaskOfKind) -> Iterator[None]:
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
                self._sides.stop_retrying()
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
        for store in self._sides.stores:
            store.limit(caps_of(self._common.settings, sharing=orders.sharing))


class Place:
    """A workplace in an engine's process, and another one once that is spent."""

    def __init__(self, assignment: Assignment, channel: Channel) -> None:
        self._assignment, self._channel = assignment, channel
        self._workplace: Workplace[Any, Any] | None = None

    def open(self) -> Joined:
        """Open a workplace. Raises the reason why this process is unfit."""
        return self._opened()[1]

    def work(self, task: Task[Done]) -> Done:
        """Do a task, as ``Workplace.work`` does."""
        workplace = self._workplace or self._opened()[0]
        self._workplace = None
        try:
            done: Done = workplace.work(task)
        except BaseException:
            workplace.close()
            raise
        if workplace.is_spent:
            workplace.close()
        else:
            self._workplace = workplace
        return done

    def close(self) -> None:
        """Close what is open."""
        if self._workplace is not None:
            self._workplace.close()

    def _opened(self) -> tuple[Workplace[Any, Any], Joined]:
        workplace = self._assignment.workplace(self._channel)
        try:
            joined = workplace.open()
        except BaseException:
            workplace.close()
            raise
        self._workplace = workplace
        return workplace, joined


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
