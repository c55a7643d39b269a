"""What the coordinator needs of an engine, be it a pool of processes on this machine or a cluster, and what travels.

What travels between the coordinator and its workers is frozen, picklable, and without a secret.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from sketchmigrate import __version__
from sketchmigrate.cluster.orders import Orders

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from sketchmigrate.cluster.worker import Worker
    from sketchmigrate.core.errors import MigrateError
    from sketchmigrate.settings import Settings

Done = TypeVar("Done")
"""What a task returns."""


@dataclass(frozen=True, slots=True)
class Assignment(ABC):
    """What is the same for all tasks of a run; each kind of task has its own. Credentials are not in it.

    An engine needs to know no more of a kind than is here.
    """

    run_id: str
    settings: Settings
    version: str = field(default=__version__, kw_only=True)

    @abstractmethod
    def worker(self, channel: Channel) -> Worker[Any, Any]:
        """Return what carries out the tasks in a worker process, not opened yet."""


@dataclass(frozen=True, slots=True)
class Task(Generic[Done]):
    """What one worker does at a time. It may run twice, also at once. ``orders`` are those when it is given out."""

    assignment: Assignment
    orders: Orders = field(default_factory=Orders, kw_only=True)


@dataclass(frozen=True, slots=True)
class Message:
    """What a worker, or an engine, tells the coordinator. Each kind of task has further ones."""


@dataclass(frozen=True, slots=True)
class Joined(Message):
    """A worker has introduced itself: it has credentials, and reaches all that its tasks need."""

    worker: str
    host: str
    process_id: int


@dataclass(frozen=True, slots=True)
class Left(Message):
    """A worker that had joined is not there any more."""

    worker: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unfit(Message):
    """A worker that cannot be given work, and why."""

    worker: str
    reason: MigrateError


@dataclass(frozen=True, slots=True)
class Over(Message):
    """The engine cannot run anything any more, and why."""

    reason: MigrateError


@dataclass(frozen=True, slots=True)
class LogLine(Message):
    """What a worker's loggers say, WARNING and above. ``level`` is that of ``logging``."""

    worker: str
    level: int
    text: str


class Engine(Protocol):
    """Runs tasks on workers. An async context manager: leaving it ends their part in the run, by force if need be.

    Used on one event loop. A worker runs one task at a time, in a ``worker.Worker``: of what kind the tasks are, only
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
