"""Worker processes on this machine: ``concurrent.futures``, one executor of one process for each worker.

A process that dies breaks its executor and no other, so that only its own task has to be redone. Orders and messages
take a pipe to each worker. When the coordinator is gone, however it ended, the pipe breaks and the worker ends itself.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from sketchmigrate.cluster import forking
from sketchmigrate.cluster.engine import Left, Unfit
from sketchmigrate.cluster.orders import Orders
from sketchmigrate.core.errors import ClusterError, MigrateError, WorkerLost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext
    from types import TracebackType
    from typing import Self

    from sketchmigrate.cluster.engine import Assignment, Joined, Message, Task
    from sketchmigrate.cluster.worker import Worker

Done = TypeVar("Done")

CLOSE_SECONDS = 10.0
"""For closing what a worker has open, when all is done. Nothing depends on it."""

MOST_STILLBORN = 3
"""So many processes in a row that die before they introduced themselves are not replaced any more."""


class ProcessPool:
    """``processes`` workers on this machine; see ``engine.Engine``."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._members: dict[str, _Member] = {}
        self._idle: asyncio.Queue[_Member] = asyncio.Queue()
        self._orders = Orders()
        self._made = 0
        self._stillborn = 0
        self._joining: set[asyncio.Task[None]] = set()
        self._assignment: Assignment
        self._hear: Callable[[Message], None]
        self._context = forking.context()

    @property
    def where(self) -> str:
        """Say how many processes."""
        return f"{self._processes} processes on this machine"

    @property
    def workers(self) -> frozenset[str]:
        """The workers that have introduced themselves."""
        return frozenset(name for name, member in self._members.items() if member.has_joined)

    @property
    def members(self) -> int:
        """Those that are there and those that start."""
        return self._processes

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        members = list(self._members.values())
        if kind is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await asyncio.gather(*(member.leave() for member in members), return_exceptions=True)
        for task in self._joining:
            task.cancel()
        for member in members:
            member.end()
        await asyncio.gather(*(asyncio.to_thread(member.executor.shutdown) for member in members))

    async def begin(self, assignment: Assignment, hear: Callable[[Message], None]) -> None:
        """Start the processes; each introduces itself when it is ready."""
        self._assignment, self._hear = assignment, hear
        for _ in range(self._processes):
            self._start()

    async def run(self, task: Task[Done]) -> Done:
        """Run a task on an idle worker. Raises ``WorkerLost``."""
        member, running = await self._submitted(task)
        try:
            done = await running
        except BrokenProcessPool as broken:
            raise self._lost(member) from broken
        except MigrateError:
            self._idle.put_nowait(member)
            raise
        self._idle.put_nowait(member)
        return done

    async def _submitted(self, task: Task[Done]) -> tuple[_Member, asyncio.Future[Done]]:
        """Give the task to an idle worker, passing over those that died while they were idle."""
        while True:
            member = await self._idle.get()
            try:
                return member, asyncio.wrap_future(member.executor.submit(_work, task))
            except BrokenProcessPool:
                self._lost(member)

    def publish(self, orders: Orders) -> None:
        """Tell all workers, at once."""
        self._orders = orders
        for member in self._members.values():
            member.tell(orders)

    def _start(self) -> None:
        self._made += 1
        member = _Member(f"worker-{self._made}", self._context, self._hear)
        self._members[member.worker] = member
        member.tell(self._orders)
        opening = member.open(self._assignment)
        joining = asyncio.create_task(self._join(member, opening))
        self._joining.add(joining)
        joining.add_done_callback(self._joining.discard)

    async def _join(self, member: _Member, opening: asyncio.Future[Joined]) -> None:
        try:
            joined = await opening
        except BrokenProcessPool:
            self._stillborn += 1
            lost = self._lost(member, replace=self._stillborn < MOST_STILLBORN)
            if self._stillborn >= MOST_STILLBORN:
                self._processes -= 1
                hint = "Look at the machine's memory, and at the limits of this user."
                self._hear(Unfit(member.worker, ClusterError(f"{lost}, like those before it", hint=hint)))
        except MigrateError as reason:
            self._processes -= 1
            self._hear(Unfit(member.worker, reason))
        else:
            self._stillborn = 0
            member.has_joined = True
            self._idle.put_nowait(member)
            self._hear(joined)

    def _lost(self, member: _Member, *, replace: bool = True) -> WorkerLost:
        """Put another process in a dead one's place."""
        del self._members[member.worker]
        member.end()
        member.executor.shutdown(wait=False)
        reason = "its process was killed, or ended by itself"
        if member.has_joined:
            self._hear(Left(member.worker, reason))
        if replace:
            self._start()
        return WorkerLost(member.worker, reason, is_certain=True)


class _Member:
    """One worker process, as the coordinator sees it."""

    def __init__(self, worker: str, context: ForkServerContext, hear: Callable[[Message], None]) -> None:
        self.worker = worker
        self.has_joined = False
        their_orders, self._orders = context.Pipe(duplex=False)
        self._messages, their_messages = context.Pipe(duplex=False)
        self._theirs = (their_orders, their_messages)
        self.executor = ProcessPoolExecutor(1, context, _begin, (dict(os.environ), worker, *self._theirs))
        self._loop = asyncio.get_running_loop()
        self._hear = hear
        self._listener = threading.Thread(target=self._listen, name=f"hear {worker}", daemon=True)

    def open(self, assignment: Assignment) -> asyncio.Future[Joined]:
        """Start the process, and let it introduce itself.

        A signal to all processes of a terminal must not meet it before it ignores them: it starts with them blocked.
        """
        forking.begin_imports()
        with forking.signals_blocked():
            opening = self.executor.submit(_open, assignment)
        for end in self._theirs:
            end.close()  # so that the listener ends with the process
        self._listener.start()
        return asyncio.wrap_future(opening)

    def tell(self, orders: Orders) -> None:
        """Send orders; a worker that is gone hears nothing."""
        with suppress(OSError):
            self._orders.send(orders)

    async def leave(self) -> None:
        """Let the worker close what it has open."""
        await asyncio.wrap_future(self.executor.submit(_close))

    def end(self) -> None:
        """Hang up: the process ends itself, whatever it does."""
        self._orders.close()

    def _listen(self) -> None:
        with self._messages, suppress(OSError, EOFError, RuntimeError):  # the last: the event loop was closed
            while True:
                message = self._messages.recv()
                self._loop.call_soon_threadsafe(self._hear, message)


# -- in the worker process


class _PipeChannel:
    """A worker's end of the pipes; see ``engine.Channel``."""

    def __init__(self, worker: str, orders: Connection, messages: Connection) -> None:
        self.worker = worker
        self._orders, self._messages = orders, messages
        self._newest = Orders()
        self._take: Callable[[Orders], None] | None = None
        self._sending, self._taking = threading.Lock(), threading.Lock()
        threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def send(self, message: Message) -> None:
        """Tell the coordinator."""
        with self._sending, suppress(OSError):
            self._messages.send(message)

    def on_orders(self, take: Callable[[Orders], None] | None) -> None:
        """Call this with the newest orders, now and whenever they change."""
        with self._taking:
            self._take = take
            if take is not None:
                take(self._newest)

    def _listen(self) -> None:
        while True:
            try:
                orders = self._orders.recv()
            except (OSError, EOFError):
                os._exit(os.EX_TEMPFAIL)  # nobody is there to work for: as safe as to be killed
            with self._taking:
                self._newest = orders
                if self._take is not None:
                    self._take(orders)


_channel: _PipeChannel
_worker: Worker[Any, Any]
"""What this process has, if it is a worker."""


def _begin(environ: Mapping[str, str], worker: str, orders: Connection, messages: Connection) -> None:
    global _channel  # noqa: PLW0603 - an executor's initializer has nowhere else to leave what its tasks need
    forking.take_over(environ)
    _channel = _PipeChannel(worker, orders, messages)


def _open(assignment: Assignment) -> Joined:
    global _worker  # noqa: PLW0603 - the same
    _worker = assignment.worker(_channel)
    return _worker.open()


def _work(task: Task[Done]) -> Done:
    done: Done = _worker.work(task)
    return done


def _close() -> None:
    _worker.close()
