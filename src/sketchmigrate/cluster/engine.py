"""What the coordinator needs of an engine, be it a pool of processes on this machine or a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from sketchmigrate.cluster.orders import Orders
    from sketchmigrate.cluster.task import Assignment, Message, Task

Done = TypeVar("Done")


class Engine(Protocol):
    """Runs tasks on workers. An async context manager: leaving it ends their part in the run, by force if need be.

    Used on one event loop. A worker runs one task at a time, in a ``workplace.Place``: of what kind the tasks are, only
    their assignment knows.
    """

    @property
    def where(self) -> str:
        """Say in a few words where tasks run, for the log and the person: a dashboard's address belongs here."""

    @property
    def workers(self) -> frozenset[str]:
        """The names of the workers that have introduced themselves as fit and are there, at work or idle."""

    @property
    def members(self) -> int:
        """How many processes share the caps: the workers, those about to join, and lost ones that may be at work."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def begin(self, assignment: Assignment, hear: Callable[[Message], None]) -> None:
        """Find workers and let them introduce themselves, now and as they come.

        ``hear`` is called, on the event loop, with all that workers say, and with ``Joined`` or ``Left`` whenever
        ``workers`` is another set.
        Raises ``ClusterError`` where there is no cluster.
        """

    async def run(self, task: Task[Done]) -> Done:
        """Run a task on a worker that is free. Called for at most as many tasks at once as there are workers.

        Raises ``WorkerLost`` where the task has to be redone, and another ``MigrateError`` where no task can be run.
        """

    def publish(self, orders: Orders) -> None:
        """Tell all workers, within ``ORDER_SECONDS``."""


class Channel(Protocol):
    """A worker's end: how it is heard, and how it hears orders. Thread-safe."""

    worker: str
    """Its name."""

    def send(self, message: Message) -> None:
        """Tell the coordinator. Nothing is raised where it is gone."""

    def on_orders(self, take: Callable[[Orders], None] | None) -> None:
        """Call this with the newest orders, now and whenever they change, from whatever thread; None ends that.

        A worker that cannot hear orders for a minute is given ``StopLevel.FINISH``, as it may have been given up.
        """
