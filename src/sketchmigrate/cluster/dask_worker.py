"""What a Dask worker does for a run: Dask calls these functions in it, in a thread of its own.

Orders come by a Dask ``Variable``, which is read regularly: a beat in it tells that the coordinator is alive and that
the scheduler can be reached. Messages go out as events of a topic. Both carry plain data, so that the scheduler's
machine needs nothing of ours.
"""

from __future__ import annotations

import pickle
import signal
import threading
import time
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from distributed import Variable, get_client, get_worker

from sketchmigrate.cluster.orders import ORDER_SECONDS, Orders, StopLevel
from sketchmigrate.core.errors import MigrateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketchmigrate.cluster.engine import Assignment, Joined, Message, Task
    from sketchmigrate.cluster.worker import Worker

T = TypeVar("T")
Done = TypeVar("Done")

SILENT_SECONDS = 60.0
"""So long without a beat, a worker ends its task by itself: it may have been given up."""

_ANSWER_SECONDS = 10.0


def name_of(run_id: str) -> str:
    """Return what the variable and the topic of a run are called."""
    return f"sketch-migrate {run_id}"


def packed(message: Message) -> bytes:
    """Pack a message; a scheduler keeps the last thousand."""
    return zlib.compress(pickle.dumps(message), level=1)


def unpacked(message: bytes) -> Message:
    """Unpack a message of a worker. Who can send one can run any code in this cluster, which is how Dask works."""
    unpacked: Message = pickle.loads(zlib.decompress(message))  # noqa: S301 - just said
    return unpacked


def written(orders: Orders, beat: int) -> list[float | list[str]]:
    """Return orders as a ``Variable`` takes them."""
    return [beat, orders.number, orders.stop, orders.sharing, orders.rows_per_second, list(orders.changes)]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of ours as an answer. Were it raised, Dask would follow and pickle its causes, which are others'."""

    reason: MigrateError


def answer(function: Callable[..., T], *arguments: object) -> T | Refusal:
    """Call one of the functions below, and answer what it returns or why it does not."""
    try:
        return function(*arguments)
    except MigrateError as error:
        return Refusal(error)


class DaskChannel:
    """A worker's end; see ``engine.Channel``. Made in one of Dask's own threads."""

    def __init__(self, worker: str, run_id: str) -> None:
        self.worker = worker
        self._topic = name_of(run_id)
        self._dask = get_worker()
        self._variable = Variable(self._topic, client=get_client())
        self._newest = Orders()
        self._take: Callable[[Orders], None] | None = None
        self._taking, self._closed = threading.Lock(), threading.Event()
        threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def send(self, message: Message) -> None:
        """Tell the coordinator; the message is lost where the scheduler is."""
        self._dask.log_event(self._topic, packed(message))

    def on_orders(self, take: Callable[[Orders], None] | None) -> None:
        """Call this with the newest orders, now and whenever they change."""
        with self._taking:
            self._take = take
            if take is not None:
                take(self._newest)

    def close(self) -> None:
        """Listen no more."""
        self._closed.set()

    def _listen(self) -> None:
        beat_before, heard_at = -1, time.monotonic()
        while not self._closed.wait(ORDER_SECONDS / 2):
            beat, orders = self._read()
            now = time.monotonic()
            if beat not in {None, beat_before}:
                beat_before, heard_at = beat, now
                self._give(orders)
            elif now - heard_at > SILENT_SECONDS:
                self._give(replace(self._newest, stop=StopLevel.FINISH))

    def _read(self) -> tuple[int | None, Orders]:
        try:
            beat, number, stop, sharing, rows_per_second, changes = self._variable.get(
                timeout=_ANSWER_SECONDS, callback_timeout=2 * _ANSWER_SECONDS
            )
        except Exception:  # noqa: BLE001 - whatever it was, nothing was heard; silence has its own consequence
            return None, self._newest
        return beat, Orders(number, StopLevel(stop), sharing, rows_per_second, tuple(changes))

    def _give(self, orders: Orders) -> None:
        with self._taking:
            if orders != self._newest:
                self._newest = orders
                if self._take is not None:
                    self._take(orders)


_one_at_a_time = threading.Lock()
"""A worker with several threads does one task at a time all the same."""

_workers: dict[str, tuple[Worker[Any, Any], DaskChannel]] = {}
"""By run: no more than one, as a worker that is wanted for another run has been left by the first."""


def open_worker(assignment: Assignment, name: str) -> Joined:
    """Make this process a worker of a run. Raises the reason why it is unfit."""
    with _one_at_a_time:
        for run_id in list(_workers):
            _close(run_id)
        channel = DaskChannel(name, assignment.run_id)
        worker = assignment.worker(channel)
        _workers[assignment.run_id] = worker, channel
        return worker.open()


def work(task: Task[Done]) -> Done:
    """Do a task, as ``Worker.work`` does."""
    with _one_at_a_time:
        done: Done = _workers[task.assignment.run_id][0].work(task)
        return done


def close_worker(run_id: str) -> None:
    """End this process's part in a run."""
    with _one_at_a_time:
        if run_id in _workers:
            _close(run_id)


def _close(run_id: str) -> None:
    worker, channel = _workers.pop(run_id)
    channel.close()
    worker.close()


def dask_setup(_worker: object) -> None:
    """Leave signals to the coordinator: a terminal, or systemd, sends them to every process of the run.

    Dask calls it in the workers of ``--cluster local:N`` alone ("Customize Initialization"). Whoever ends such a
    process otherwise takes SIGKILL.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
