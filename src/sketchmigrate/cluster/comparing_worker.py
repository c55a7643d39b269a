"""What a worker process does with the portions of a comparison it is given: it reads, and needs the store alone."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.cluster.engine import Assignment, Message, Task
from sketchmigrate.cluster.orders import ORDER_SECONDS
from sketchmigrate.cluster.worker import Worker, peak_memory_bytes
from sketchmigrate.inspect.comparing import Counted, Subject, compare_portion
from sketchmigrate.inspect.looks import Looks
from sketchmigrate.migration.opening import open_sides
from sketchmigrate.migration.preflight import PATIENCE_SECONDS, check_read

if TYPE_CHECKING:
    from sketchmigrate.cluster.engine import Channel
    from sketchmigrate.inspect.comparing import Answers, Portion
    from sketchmigrate.migration.preflight import Specimens
    from sketchmigrate.sides import Sides


@dataclass(frozen=True, slots=True)
class ComparingAssignment(Assignment):
    """What is the same for all portions of a comparison.

    A worker that may read the ``specimens``, those of each move, is fit for it.
    """

    specimens: tuple[Specimens, ...]
    subject: Subject = Subject.BYTES

    def worker(self, channel: Channel) -> ComparingWorker:
        """Return what compares portions."""
        return ComparingWorker(self, channel)


@dataclass(frozen=True, slots=True)
class PortionDone:
    """The answers for a portion, or None where the worker was told to stop before it had them all.

    ``seconds`` is how long it took, ``peak_bytes`` the most memory that the process had until then.
    """

    worker: str
    answers: Answers | None
    seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class PortionTask(Task[PortionDone]):
    """One portion. ``number`` names it, and stays the same when it is redone."""

    number: int
    portion: Portion


@dataclass(frozen=True, slots=True)
class PortionProgress(Message):
    """How far a running comparison is: pairs compared, and bytes read. ``number`` is its portion's."""

    worker: str
    number: int
    pairs: int
    bytes_read: int


class ComparingWorker(Worker[PortionTask, PortionDone]):
    """Compares portions."""

    def __init__(self, assignment: ComparingAssignment, channel: Channel) -> None:
        super().__init__(assignment, channel)
        self._assignment = assignment

    async def _open(self) -> Sides:
        sides, _ = await self._opened.enter_async_context(open_sides(self._assignment.settings))

        async def check_access() -> None:
            patient = sides.retrying(PATIENCE_SECONDS)
            for specimens in self._assignment.specimens:
                for side, specimen in zip(patient, specimens, strict=True):
                    await check_read(side, specimen, others=False)

        await check_access()
        self._looks = Looks(sides, check_access)
        return sides

    async def _work(self, task: PortionTask) -> PortionDone:
        began = time.monotonic()
        counted = Counted(lambda _pairs, _bytes_read: None)
        with self._following(task):
            comparing = asyncio.create_task(
                compare_portion(self._looks, task.portion, counted.add, self._assignment.subject)
            )
            stopping = asyncio.create_task(self._stop.event.wait())
            pulse = asyncio.create_task(self._report(task, counted))
            try:
                await asyncio.wait({comparing, stopping}, return_when=asyncio.FIRST_COMPLETED)
                # there is nothing to finish where nothing is written; and an error may only be that it stops
                answers = None if self._stop.requested else await comparing
            finally:
                for each in (comparing, stopping, pulse):
                    each.cancel()
                await asyncio.gather(comparing, stopping, pulse, return_exceptions=True)
        return PortionDone(self._channel.worker, answers, time.monotonic() - began, peak_memory_bytes())

    async def _report(self, task: PortionTask, counted: Counted) -> None:
        """Tell how far it is, until cancelled."""
        while True:
            await asyncio.sleep(ORDER_SECONDS)
            self._channel.send(PortionProgress(self._channel.worker, task.number, counted.pairs, counted.bytes_read))
