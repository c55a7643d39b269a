"""What travels between the coordinator and its workers: frozen, picklable, and without a secret."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from sketchmigrate import __version__
from sketchmigrate.cluster.orders import Orders
from sketchmigrate.core.errors import UsageError
from sketchmigrate.migration.breaker import FlipCounts

if TYPE_CHECKING:
    from sketchmigrate.cluster.engine import Channel
    from sketchmigrate.cluster.workplace import Workplace
    from sketchmigrate.core.errors import MigrateError
    from sketchmigrate.core.outcome import Result, Tally
    from sketchmigrate.core.reference import KeyRange
    from sketchmigrate.migration.no_clobber import Strategy
    from sketchmigrate.postgres.waits import Held
    from sketchmigrate.settings import Settings


Done = TypeVar("Done")
"""What a task returns."""


@dataclass(frozen=True, slots=True)
class Assignment(ABC):
    """What is the same for all tasks of a run; each kind of task has its own. Credentials are not in it.

    An engine needs to know no more of a kind than is here: a worker makes its workplace, and gives that its tasks.
    """

    run_id: str
    settings: Settings
    version: str = field(default=__version__, kw_only=True)

    @abstractmethod
    def workplace(self, channel: Channel) -> Workplace[Any, Any]:
        """Return what carries out the tasks in a worker process, not opened yet."""


@dataclass(frozen=True, slots=True)
class Task(Generic[Done]):
    """What one worker does at a time. It may run twice, also at once. ``orders`` are those when it is given out."""

    assignment: Assignment
    orders: Orders = field(default_factory=Orders, kw_only=True)


@dataclass(frozen=True, slots=True)
class RangeTask(Task["RangeDone"]):
    """One range of a pass. ``number`` names the range within its pass, and stays the same when it is redone.

    ``limit`` is how many references may be taken up, None for all. ``strategy`` is how nothing is replaced, None as
    long as the store has not been probed; the range then ends with ``StrategyNeeded`` before the first object.
    """

    pass_number: int
    number: int
    key_range: KeyRange
    limit: int | None = None
    strategy: Strategy | None = None


@dataclass(frozen=True, slots=True)
class RangeDone:
    """How an attempt ended. ``tally`` and the ``rows`` passed are true also where it was cut short.

    ``is_whole`` says that the range was seen to its end. ``error`` is what the worker could not get past. ``seconds``
    is how long it took, ``peak_bytes`` the most memory that the process had until then, ``losses`` how many connections
    to the database broke meanwhile, ``flips`` those of the attempt. ``held_up`` is what has held the worker up so far:
    the last message of its progress may come too late to be heard.
    """

    worker: str
    attempt: int
    rows: int
    tally: Tally
    is_whole: bool
    seconds: float
    peak_bytes: int
    error: MigrateError | None = None
    losses: int = 0
    flips: FlipCounts = field(default_factory=FlipCounts)
    held_up: tuple[Held, ...] = ()


@dataclass(frozen=True, slots=True)
class Joined:
    """A worker has introduced itself: it has credentials, and reaches all that its tasks need."""

    worker: str
    host: str
    process_id: int


@dataclass(frozen=True, slots=True)
class Left:
    """A worker that had joined is not there any more."""

    worker: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unfit:
    """A worker that cannot be given work, and why."""

    worker: str
    reason: MigrateError


@dataclass(frozen=True, slots=True)
class Over:
    """The engine cannot run anything any more, and why."""

    reason: MigrateError


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running range is: rows passed, outcomes so far, what limits it, in a word, and flips so far.

    ``results`` are new ones, for ``-v`` alone. ``waits_for`` says what holds it up in the database, and ``held_up`` all
    that did so since the worker began.
    """

    worker: str
    pass_number: int
    number: int
    rows: int
    tally: Tally
    limited_by: str = ""
    results: tuple[Result, ...] = ()
    waits_for: str = ""
    held_up: tuple[Held, ...] = ()
    flips: FlipCounts = field(default_factory=FlipCounts)


@dataclass(frozen=True, slots=True)
class Comparing:
    """How far a running comparison is: pairs compared, and bytes read. ``number`` is its portion's."""

    worker: str
    number: int
    pairs: int
    bytes_read: int


@dataclass(frozen=True, slots=True)
class LogLine:
    """What a worker's loggers say, WARNING and above. ``level`` is that of ``logging``."""

    worker: str
    level: int
    text: str


Message: TypeAlias = Joined | Left | Unfit | Over | Progress | Comparing | LogLine


class StrategyNeeded(UsageError):
    """A range holds objects to copy, and how to replace nothing is not settled yet: nothing was tried."""
