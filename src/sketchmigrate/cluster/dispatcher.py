"""Hands tasks out to the workers of an engine, of whatever kind the tasks are.

What an engine does not do by itself is done here, and only that: as many are at work as there are workers who know
their share of the caps, orders are given, what workers say is passed on, and no more is handed out once it is to stop.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from sketchmigrate.cluster.engine import Joined, Left, LogLine, Over, Unfit
from sketchmigrate.cluster.orders import ORDER_SECONDS, Orders, Sharing, StopLevel
from sketchmigrate.report.progress import EverySoOften

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sketchmigrate.cluster.engine import Assignment, Engine, Message
    from sketchmigrate.migration.stop import Stop

MOST_LOSSES = 5
"""A task whose workers are lost so often is what kills them."""

SAY_SECONDS = 30.0


class TaskSource(Protocol):
    """Where the tasks of a run come from: those that wait, and those that were begun."""

    @property
    def at_work(self) -> int:
        """How many tasks were begun and are not over."""

    @property
    def is_anything_waiting(self) -> bool:
        """Whether there are tasks that were not begun, or have to be begun anew."""

    @property
    def may_begin(self) -> bool:
        """Whether one of those that wait may be begun now."""

    def begin(self) -> Coroutine[object, object, None]:
        """Take one that waits; return what sees it through. That raises nothing: errors are for the ``Stop``."""


class Dispatcher:
    """Hands tasks out until nothing is left, or ``stop`` is requested.

    ``say`` tells a person something; its second argument is a level of ``logging``. ``hear`` gets what workers say of
    their tasks, and who has gone.
    """

    def __init__(
        self, engine: Engine, stop: Stop, *, say: Callable[[str, int], None], hear: Callable[[Message], None]
    ) -> None:
        self._engine, self._stop, self._say, self._pass_on = engine, stop, say, hear
        self.orders = Orders()
        self.changed = asyncio.Event()  # set it when there may be more to begin, or less at work
        self._rows_per_second = math.inf
        self._changes: tuple[str, ...] = ()
        self._sharing = Sharing()
        self._waiting_since = time.monotonic()
        self._saying = EverySoOften(SAY_SECONDS, self._waiting_since)

    async def begin(self, assignment: Assignment) -> None:
        """Find workers. Raises ``ClusterError``."""
        await self._engine.begin(assignment, self._hear)
        self._say(f"Workers: {self._engine.where}.", logging.INFO)

    async def hand_out(self, source: TaskSource) -> None:
        """Hand out what waits, to as many workers as there are, until nothing is left or it is to stop."""
        async with asyncio.TaskGroup() as group:
            while source.is_anything_waiting or source.at_work:
                self.changed.clear()
                self._give_orders(source.at_work)
                while self._may_hand_out(source):
                    group.create_task(self._see_through(source.begin()))
                if not source.at_work and (self._stop.requested or not source.may_begin):
                    return
                self._say_if_nobody_is_there()
                await self._some_time()

    def govern(self, rows_per_second: float) -> None:
        """Have all workers together flip no more rows a second, from the next orders on, which are given at once."""
        self._rows_per_second = rows_per_second
        self.changed.set()

    def change(self, changes: tuple[str, ...]) -> None:
        """Tell all workers of all changes of settings and options so far, at once."""
        self._changes = changes
        self.changed.set()

    def stop_at_once(self) -> None:
        """Tell all workers to end what they do."""
        self._publish(replace(self.orders, stop=StopLevel.AT_ONCE))

    def _may_hand_out(self, source: TaskSource) -> bool:
        places = min(len(self._engine.workers), self._sharing.places(time.monotonic()))
        return source.may_begin and not self._stop.requested and source.at_work < places

    async def _see_through(self, task: Coroutine[object, object, None]) -> None:
        try:
            await task
        finally:
            self.changed.set()

    async def _some_time(self) -> None:
        """Wait until something has changed, or for a second: then a newcomer may have been waited for."""
        waits = {asyncio.create_task(self.changed.wait())}
        if not self._stop.requested:
            waits.add(asyncio.create_task(self._stop.event.wait()))
        try:
            await asyncio.wait(waits, timeout=ORDER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _hear(self, message: Message) -> None:
        match message:
            case Joined(worker, host, process_id):
                self._say(f"{worker} joined: process {process_id} on {host}.", logging.DEBUG)
                self.changed.set()
            case Left(worker, reason):
                self._say(f"{worker} has gone: {reason}.", logging.DEBUG)
                self._pass_on(message)
                self.changed.set()
            case Unfit(worker, reason):
                self._say(f"{worker} cannot be given work: {reason} {reason.hint}", logging.WARNING)
                if not self._engine.members:
                    self._stop.by_error(reason)
                self.changed.set()
            case Over(reason):
                self._stop.by_error(reason)
                self.changed.set()
            case LogLine(worker, level, text):
                self._say(f"{worker}: {text}", level)
            case _:
                self._pass_on(message)

    def _give_orders(self, at_work: int) -> None:
        stop = StopLevel.FINISH if self._stop.requested else StopLevel.GO_ON
        self._sharing.expect(self._engine.members, at_work, time.monotonic())
        orders = replace(
            self.orders,
            stop=stop,
            sharing=self._sharing.told,
            rows_per_second=self._rows_per_second,
            changes=self._changes,
        )
        if orders != self.orders:
            self._publish(orders)

    def _publish(self, orders: Orders) -> None:
        self.orders = replace(orders, number=self.orders.number + 1)
        self._engine.publish(self.orders)

    def _say_if_nobody_is_there(self) -> None:
        now = time.monotonic()
        if self._engine.workers or self._stop.requested:
            self._waiting_since = now
        elif self._saying.is_due(now):
            seconds = now - self._waiting_since
            self._say(f"No worker is there; waiting for one since {seconds:.0f} s.", logging.WARNING)
