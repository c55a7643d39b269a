"""What a worker process has for its part in a run, whatever the tasks are.

A ``Worker`` has the event loop and what a kind of task needs open, and keeps both between tasks. It is opened, and so
checked, before it is given work. An engine keeps one in each of its processes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import resource
import signal
import socket
import sys
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import uvloop

from sketchmigrate import __version__
from sketchmigrate.cluster.engine import Assignment, Joined, LogLine, Task
from sketchmigrate.cluster.orders import Orders, StopLevel
from sketchmigrate.core.errors import ClusterError, Interrupted
from sketchmigrate.garbage import collect_garbage_seldom
from sketchmigrate.migration.opening import caps_of
from sketchmigrate.migration.stop import Stop
from sketchmigrate.report.logs import LOGGER
from sketchmigrate.settings import Options
from sketchmigrate.settings.changes import Tuned, after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sketchmigrate.cluster.engine import Channel
    from sketchmigrate.sides import Sides

_STATUS = Path("/proc/self/status")

Done = TypeVar("Done")
TaskOfKind = TypeVar("TaskOfKind", bound=Task[Any])


class Worker(ABC, Generic[TaskOfKind, Done]):
    """One worker process's part in one run. Not thread-safe: one task at a time."""

    def __init__(self, assignment: Assignment, channel: Channel) -> None:
        self._common = assignment
        self._channel = channel
        self._is_open = False
        self._runner: asyncio.Runner
        self._stop: Stop
        self._opened: AsyncExitStack
        self._sides: Sides

    def open(self) -> Joined:
        """Open and check all that a task needs: first the version. Raises the reason why it cannot be done here."""
        collect_garbage_seldom()
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._stop, self._opened = Stop(), AsyncExitStack()
        self._is_open = True
        try:
            with _warnings_sent(self._channel):
                self._runner.run(self._open_checked())
        except BaseException:
            self.close()
            raise
        return Joined(self._channel.worker, socket.gethostname(), os.getpid())

    def work(self, task: TaskOfKind) -> Done:
        """Do a task. Raises ``Interrupted`` where it was stopped at once, and other ``MigrateError``.

        What is open stays so for the next task, unless it was told to stop, or met an error: that is not undone.
        """
        if not self._is_open:
            self.open()
        stays_open = False
        try:
            with _warnings_sent(self._channel):
                done: Done = self._runner.run(self._work(task))
            stays_open = not self._stop.requested
        except asyncio.CancelledError as cancelled:
            raise Interrupted("stopped at once", signal_number=signal.SIGINT) from cancelled
        finally:
            if not stays_open:
                self.close()
        return done

    def close(self) -> None:
        """Close what is open."""
        if self._is_open:
            self._is_open = False
            with self._runner:
                self._runner.run(self._opened.aclose())

    @abstractmethod
    async def _open(self) -> Sides:
        """Open and check what a kind of task needs; return the sides, whose stores are kept below their share."""

    @abstractmethod
    async def _work(self, task: TaskOfKind) -> Done:
        """Do a task, ``_following`` the orders."""

    def _govern(self, orders: Orders) -> None:
        """Flip no more rows a second than the orders allow."""

    def _tune(self, orders: Orders) -> None:
        """Go by the changed settings and options that the orders tell of."""

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
        self._tune(newest)
        self._share(newest)
        self._govern(newest)

        def follow(orders: Orders) -> None:
            nonlocal newest
            if orders.number <= newest.number and orders.stop <= newest.stop:
                return
            if orders.changes != newest.changes:
                self._tune(orders)
            if (orders.sharing, orders.changes) != (newest.sharing, newest.changes):
                self._share(orders)
            if orders.share_of_rows != newest.share_of_rows:
                self._govern(orders)
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
        settings, _ = after(Tuned(self._common.settings, Options()), orders.changes)
        for store in self._sides.stores:
            store.limit(caps_of(settings, sharing=orders.sharing))


class _Sender(logging.Handler):
    """Hands what the tool's loggers warn of to the coordinator."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(logging.WARNING)
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        self._channel.send(LogLine(self._channel.worker, record.levelno, record.getMessage()))


@contextmanager
def _warnings_sent(channel: Channel) -> Iterator[None]:
    handler = _Sender(channel)
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)


def peak_memory_bytes() -> int:
    """Return the most memory that this process has had.

    Linux keeps it for the program that runs (VmHWM, proc(5)); what getrusage(2) tells is also that of the one before.
    """
    if _STATUS.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())) is not None:
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
