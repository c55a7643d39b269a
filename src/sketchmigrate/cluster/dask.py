"""A Dask cluster as the engine: our tasks are Dask's, each on a worker that has introduced itself as fit.

The scheduler is asked once a second who is there, and is told the orders with a beat. A worker that is not there any
more may still be at work, cut off from the scheduler alone: its task is redone, and its share of the caps is kept for
it until it must have noticed.
"""

from __future__ import annotations

import asyncio
import logging
import pkgutil
import time
import warnings
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import uuid4

from distributed import Client, LocalCluster, Variable
from distributed.client import FutureCancelledError

from sketchmigrate import __version__
from sketchmigrate.cluster.dask_worker import (
    SILENT_SECONDS,
    Refusal,
    answer,
    close_worker,
    name_of,
    open_worker,
    unpacked,
    work,
    written,
)
from sketchmigrate.cluster.engine import Left, LogLine, Over, Unfit
from sketchmigrate.cluster.orders import ORDER_SECONDS, Orders
from sketchmigrate.core.errors import ClusterError, ClusterUnreachable, MigrateError, WorkerLost
from sketchmigrate.settings import LOCAL_CLUSTER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from types import TracebackType
    from typing import Self

    from sketchmigrate.cluster.engine import Assignment, Message, Task

T = TypeVar("T")
Done = TypeVar("Done")

CONNECT_SECONDS = 6.0
CLOSE_SECONDS = 10.0
SCHEDULER_SECONDS = 60.0
"""A scheduler that does not answer for so long is gone."""

GONE_SECONDS = SILENT_SECONDS + 10.0
"""After this time a worker that was lost does nothing any more: it has ended its task for want of orders."""


@dataclass(eq=False)
class _Worker:
    """A worker as the scheduler knows it: ``identity`` is another one after a restart."""

    address: str
    identity: str
    name: str
    is_fit: bool = False
    is_unfit: bool = False
    is_busy: bool = False
    gone: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class DaskCluster:
    """The workers of a Dask scheduler at an address, or of one made here for ``local:N``; see ``engine.Engine``."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._opened = AsyncExitStack()
        self._client: Client
        self._workers: dict[str, _Worker] = {}
        self._freed = asyncio.Event()
        self._lost_at: list[float] = []
        self._orders = Orders()
        self._have_orders = asyncio.Event()
        self._has_looked = asyncio.Event()
        self._beat = 0
        self._failure: ClusterUnreachable | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._variable: Variable
        self._assignment: Assignment
        self._hear: Callable[[Message], None]

    @property
    def where(self) -> str:
        """Say where the scheduler is, and its dashboard."""
        return f"Dask at {self._address}, dashboard {self._client.dashboard_link}"

    @property
    def workers(self) -> frozenset[str]:
        """The workers that have introduced themselves as fit."""
        return frozenset(worker.name for worker in self._workers.values() if worker.is_fit)

    @property
    def members(self) -> int:
        """Those that are fit or may turn out so, and those that were lost a short while ago."""
        now = time.monotonic()
        self._lost_at = [lost_at for lost_at in self._lost_at if now - lost_at < GONE_SECONDS]
        return sum(not worker.is_unfit for worker in self._workers.values()) + len(self._lost_at)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._opened.__aexit__(kind, error, trace)

    async def begin(self, assignment: Assignment, hear: Callable[[Message], None]) -> None:
        """Connect; each worker introduces itself as it is found. Raises ``ClusterUnreachable``."""
        self._assignment, self._hear = assignment, hear
        _keep_quiet()
        # Dask's own workers here as well, and not those of ``pool``: who tries a cluster is to try its scheduler, its
        # versions and its way of giving orders, and to learn whether Dask is there.
        if self._address.startswith(LOCAL_CLUSTER):
            await self._start_locally(int(self._address.removeprefix(LOCAL_CLUSTER)))
        with warnings.catch_warnings(record=True) as said:
            self._client = await self._connect()
        self._opened.push_async_callback(_in_time, self._client.close)
        self._opened.push_async_exit(self._leave)
        for warning in said:  # versions that differ
            hear(LogLine("Dask", logging.WARNING, str(warning.message)))
        self._client.subscribe_topic(name_of(assignment.run_id), self._take_event)
        self._variable = Variable(name_of(assignment.run_id), client=self._client)
        self._spawn(self._see_to_it())
        await self._has_looked.wait()  # by how many there are, ranges are cut

    async def run(self, task: Task[Done]) -> Done:
        """Run a task on an idle worker. Raises ``WorkerLost``, or ``ClusterUnreachable`` without a scheduler."""
        worker = await self._next_idle()
        try:
            return await self._tell(worker, work, task)
        finally:
            worker.is_busy = False
            self._freed.set()

    def publish(self, orders: Orders) -> None:
        """Tell all workers, with the next beat, which comes at once."""
        self._orders = orders
        self._have_orders.set()

    # -- the scheduler

    async def _start_locally(self, workers: int) -> None:
        made = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            asynchronous=True,
            silence_logs=logging.ERROR,
            preload=["sketchmigrate.cluster.dask_worker"],
        )
        self._opened.push_async_callback(_in_time, made.close)
        await made
        self._address = made.scheduler_address

    async def _connect(self) -> Client:
        hint = "Look whether a scheduler listens there (dask scheduler), and for tls:// at Dask's own configuration."
        try:
            return await Client(self._address, asynchronous=True, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:  # ValueError, TypeError: TLS without certificates
            raise ClusterUnreachable(f"no Dask scheduler at {self._address}: {_told(error)}", hint=hint) from error

    async def _see_to_it(self) -> None:
        """Send beats and look who is there, until cancelled or the scheduler is gone."""
        try:
            while True:
                async with asyncio.timeout(SCHEDULER_SECONDS):
                    self._have_orders.clear()
                    await self._send_beat()
                    self._note_workers(await self._known_workers())
                    self._has_looked.set()
                with suppress(TimeoutError):
                    # not wait_for(): before Python 3.12 it loses a cancellation that comes with what it waits for,
                    # as the last orders and the end of the run do
                    async with asyncio.timeout(ORDER_SECONDS):
                        await self._have_orders.wait()
        except (OSError, TimeoutError) as error:
            if self._failure is None:
                self._fail(error)

    async def _send_beat(self) -> None:
        self._beat += 1
        await self._variable.set(written(self._orders, self._beat))

    async def _known_workers(self) -> dict[str, dict[str, Any]]:
        identity = await self._client.scheduler.identity(n_workers=-1)
        return {address: worker for address, worker in identity["workers"].items() if worker["status"] != "closed"}

    def _fail(self, error: BaseException) -> ClusterUnreachable:
        """Give up: what runs, and what is to run, cannot be known or told any more. Return what to raise."""
        hint = "Start the scheduler and its workers, then run again: nothing is lost."
        self._failure = ClusterUnreachable(f"the Dask scheduler at {self._address} is gone: {_told(error)}", hint=hint)
        for worker in self._workers.values():
            worker.is_fit = False
            if not worker.gone.done():
                worker.gone.set_result(None)
        self._workers.clear()
        self._freed.set()
        self._has_looked.set()
        self._hear(Over(self._failure))
        return self._failure

    # -- workers

    def _note_workers(self, present: dict[str, dict[str, Any]]) -> None:
        for address, worker in list(self._workers.items()):
            if address not in present or present[address]["id"] != worker.identity:
                del self._workers[address]
                self._lose(worker)
        for address, about in present.items():
            if address not in self._workers:
                worker = self._workers[address] = _Worker(address, about["id"], _name(address, about["name"]))
                self._spawn(self._introduce(worker))

    def _lose(self, worker: _Worker) -> None:
        if worker.is_fit:
            self._lost_at.append(time.monotonic())
            self._hear(Left(worker.name, _LOST))
        worker.is_fit = False
        worker.gone.set_result(None)

    async def _introduce(self, worker: _Worker) -> None:
        try:
            await self._check_version(worker)
            joined = await self._tell(worker, open_worker, self._assignment, worker.name)
        except (WorkerLost, ClusterUnreachable):
            return  # it was noted as gone
        except MigrateError as reason:
            worker.is_unfit = True
            self._hear(Unfit(worker.name, reason))
        else:
            if not worker.gone.done():
                worker.is_fit = True
                self._freed.set()
                self._hear(joined)

    async def _check_version(self, worker: _Worker) -> None:
        """Compare versions before anything of ours travels, which another version might not understand."""
        hint = "Install the same version of sketch-migrate on every worker and on the machine that starts the run."
        try:
            version = await self._ask(worker, pkgutil.resolve_name, "sketchmigrate:__version__")
        except ClusterError as error:
            if isinstance(error.__cause__, ModuleNotFoundError):
                raise ClusterError(f"sketch-migrate is not installed on {worker.name}", hint=hint) from error
            raise
        if version != __version__:
            text = f"{worker.name} has version {version}, the run was started by {__version__}"
            raise ClusterError(text, hint=hint)

    async def _next_idle(self) -> _Worker:
        while self._failure is None:
            for worker in self._workers.values():
                if worker.is_fit and not worker.is_busy:
                    worker.is_busy = True
                    return worker
            self._freed.clear()
            await self._freed.wait()
        raise self._failure

    async def _tell(self, worker: _Worker, function: Callable[..., T], *arguments: object) -> T:
        """Have a worker call a function of ours. Raises what that raises."""
        answered = await self._ask(worker, answer, function, *arguments)
        if isinstance(answered, Refusal):
            raise answered.reason
        return cast("T", answered)

    async def _ask(self, worker: _Worker, function: Callable[..., object], *arguments: object) -> object:
        """Have a worker call a function, and return what that returns. Raises ``ClusterError``."""
        future = self._client.submit(
            function,
            *arguments,
            key=f"sketch-migrate-{function.__name__}-{uuid4().hex}",
            workers=[worker.address],
            allow_other_workers=False,
            pure=False,
        )
        reply: asyncio.Task[object] = asyncio.create_task(future.result())
        try:
            either: set[asyncio.Future[Any]] = {reply, worker.gone}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return await self._reply(worker, reply)
        finally:
            reply.cancel()
            future.release()

    async def _reply(self, worker: _Worker, reply: asyncio.Task[object]) -> object:
        """Return what has come, or say why nothing has."""
        if self._failure is not None:
            raise self._failure
        if worker.gone.done() or reply.cancelled():  # Dask cancels what it knows nothing of any more
            raise WorkerLost(worker.name, _LOST, is_certain=False)
        try:
            return await reply
        except FutureCancelledError as error:
            if error.reason == "scheduler-connection-lost":
                raise self._fail(OSError("the connection was lost")) from error
            raise WorkerLost(worker.name, _told(error), is_certain=False) from error
        except Exception as error:
            hint = "Look at the worker's own log. Workers need the same Python and packages as the machine here."
            raise ClusterError(f"{worker.name} failed: {type(error).__name__}: {error}", hint=hint) from error

    async def _leave(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the workers' part in the run; those that are at work after an error were told to stop at once."""
        if self._failure is None:
            await _in_time(self._send_beat if kind is not None else self._close_workers)

    async def _close_workers(self) -> None:
        fit = [worker for worker in self._workers.values() if worker.is_fit]
        run_id = self._assignment.run_id
        await asyncio.gather(*(self._tell(worker, close_worker, run_id) for worker in fit), return_exceptions=True)
        self._variable.delete()

    def _take_event(self, event: tuple[float, bytes]) -> None:
        self._hear(unpacked(event[1]))

    def _spawn(self, job: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _in_time(end: Callable[[], Awaitable[object]]) -> None:
    """Bring something to its end, for no longer than a while: whatever fails here, workers notice the missing beat."""
    with suppress(Exception):
        async with asyncio.timeout(CLOSE_SECONDS):
            await end()


_LOST = "it is not connected to the scheduler any more"


def _name(address: str, name: object) -> str:
    """Return what to call a worker: its name, if it was given one, else its host and port."""
    return f"worker-{name}" if isinstance(name, int) else str(name).removeprefix(address.partition("//")[0] + "//")


def _told(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _keep_quiet() -> None:
    """Let nothing of Dask write on the terminal: what matters is said by us.

    It finds the logger for an error by the file where that was raised, which may be one of asyncio's.
    """
    for logger in (logging.getLogger(name) for name in list(logging.Logger.manager.loggerDict)):
        if logger.name.partition(".")[0] in {"distributed", "tornado", "asyncio"}:
            logger.handlers = []
            logger.propagate = "." in logger.name
            logger.addHandler(logging.NullHandler())
