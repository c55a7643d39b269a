"""Has the portions of a comparison compared by the workers of an engine: processes of this machine, or a cluster.

Nothing is on record while it lasts: who is killed in the middle begins anew, and has changed nothing.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sketchmigrate.cluster.comparing_worker import PortionProgress, PortionTask
from sketchmigrate.cluster.dispatcher import MOST_LOSSES, Dispatcher
from sketchmigrate.core.errors import ClusterError, MigrateError, WorkerLost
from sketchmigrate.inspect.comparing import PORTION_PAIRS, Counted, PortionSize, Subject
from sketchmigrate.migration.stop import Stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from sketchmigrate.cluster.comparing_worker import ComparingAssignment
    from sketchmigrate.cluster.engine import Engine, Message
    from sketchmigrate.inspect.comparing import Answers, Portion

FEWEST_PORTIONS = 64
"""However little there is to compare: so that all workers have something, and end at about the same time."""

PORTION_BYTES = 2 * 2**30
"""A worker that is lost costs so much on each side, which at 100 MB/s is 40 seconds. No object is parted."""


class ComparerOnWorkers:
    """Compares portions on the workers of an engine. Each comparison takes an engine of its own."""

    def __init__(
        self, engine: Callable[[], Engine], assignment: ComparingAssignment, say: Callable[[str, int], None]
    ) -> None:
        self._engine, self._assignment, self._say = engine, assignment, say

    def portion_size(self, pairs: int, size_bytes: int) -> PortionSize:
        """Return a size that makes losing a portion cheap, and enough of them."""
        return PortionSize(
            min(PORTION_PAIRS, math.ceil(pairs / FEWEST_PORTIONS)),
            min(PORTION_BYTES, math.ceil(size_bytes / FEWEST_PORTIONS)),
        )

    async def compare(
        self,
        portions: AsyncIterator[Portion],
        take: Callable[[Portion, Answers], Awaitable[None]],
        told: Callable[[int, int], None],
        subject: Subject = Subject.BYTES,
    ) -> None:
        """Compare all portions; see ``Comparer``. An error of any worker ends it."""
        stop, engine = Stop(), self._engine()
        # a name of its own for each: a worker that one has given up must not hear the next one's orders
        assignment = replace(self._assignment, run_id=f"{self._assignment.run_id} {subject}", subject=subject)
        work = _Comparison(engine, assignment, portions, take=take, told=told, stop=stop, say=self._say)
        async with engine:
            try:
                await work.dispatcher.begin(assignment)
                await work.dispatcher.hand_out(work)
            except asyncio.CancelledError:
                work.dispatcher.stop_at_once()
                raise
        if stop.error is not None:
            raise stop.error


@dataclass(slots=True, eq=False)
class _PortionState:
    """A portion at work or waiting, how often it was lost, and how far it is."""

    number: int
    portion: Portion
    losses: int = 0
    pairs: int = 0
    bytes_read: int = 0


class _Comparison:
    """The portions of one comparison: the ``TaskSource`` of its dispatcher. They are read as they are begun."""

    def __init__(
        self,
        engine: Engine,
        assignment: ComparingAssignment,
        portions: AsyncIterator[Portion],
        *,
        take: Callable[[Portion, Answers], Awaitable[None]],
        told: Callable[[int, int], None],
        stop: Stop,
        say: Callable[[str, int], None],
    ) -> None:
        self.dispatcher = Dispatcher(engine, stop, say=say, hear=self._hear)
        self.at_work = 0
        self._engine, self._assignment = engine, assignment
        self._portions, self._take, self._told = portions, take, told
        self._stop, self._say = stop, say
        self._reading = asyncio.Lock()
        self._is_read = False
        self._number = 0
        self._lost: deque[_PortionState] = deque()
        self._running: dict[int, _PortionState] = {}
        self._done = Counted(lambda _pairs, _bytes_read: self._show())

    @property
    def is_anything_waiting(self) -> bool:
        """Whether there are portions that were lost, or not read yet."""
        return bool(self._lost) or not self._is_read

    @property
    def may_begin(self) -> bool:
        """Whether one of them may be begun."""
        return self.is_anything_waiting

    def begin(self) -> Coroutine[object, object, None]:
        """Take the next portion; return what sees it through."""
        self.at_work += 1
        return self._see_through(self._lost.popleft() if self._lost else None)

    async def _see_through(self, state: _PortionState | None) -> None:
        """Have a portion compared, whatever becomes of the worker: at the end it is done, or waits again."""
        try:
            state = state or await self._next()
            if state is not None:
                self._running[state.number] = state
                await self._compare(state)
        except MigrateError as error:
            self._stop.by_error(error)
        finally:
            self.at_work -= 1
            if state is not None:
                self._running.pop(state.number, None)

    async def _next(self) -> _PortionState | None:
        async with self._reading:
            portion = None if self._is_read else await anext(self._portions, None)
            if portion is None:
                self._is_read = True
                return None
            self._number += 1
            return _PortionState(self._number, portion)

    async def _compare(self, state: _PortionState) -> None:
        task = PortionTask(self._assignment, state.number, state.portion, orders=self.dispatcher.orders)
        try:
            done = await self._engine.run(task)
        except WorkerLost as lost:
            self._redo(state, lost)
            return
        if done.answers is None:  # a cluster's worker that heard no orders for a while
            self._put_back(state)
            return
        self._say(
            f"{done.worker} compared the {len(state.portion):,} references of portion {state.number} in"
            f" {done.seconds:.1f} s; at its peak it took {done.peak_bytes / 2**20:.0f} MiB.",
            logging.DEBUG,
        )
        await self._take(state.portion, done.answers)
        del self._running[state.number]
        self._done.add(len(state.portion), 2 * sum(pair.size_bytes for pair in state.portion))

    def _redo(self, state: _PortionState, lost: WorkerLost) -> None:
        state.losses += 1
        if state.losses >= MOST_LOSSES:
            hint = "Look at the workers' logs and memory. Nothing was changed; run again with fewer at once."
            first = state.portion[0].legacy
            text = f"the comparison from {first} on was begun {state.losses} times, and each time its worker was lost"
            raise ClusterError(text, hint=hint)
        self._say(f"{lost}. Its comparison is redone.", logging.WARNING)
        self._put_back(state)

    def _put_back(self, state: _PortionState) -> None:
        state.pairs = state.bytes_read = 0
        self._lost.append(state)

    def _hear(self, message: Message) -> None:
        if isinstance(message, PortionProgress) and (state := self._running.get(message.number)) is not None:
            state.pairs, state.bytes_read = message.pairs, message.bytes_read
            self._show()

    def _show(self) -> None:
        running = self._running.values()
        self._told(
            self._done.pairs + sum(state.pairs for state in running),
            self._done.bytes_read + sum(state.bytes_read for state in running),
        )
