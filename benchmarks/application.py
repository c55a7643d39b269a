"""An application that writes to the table while it is migrated, in a process of its own, and what it feels of that.

``python -m benchmarks.application`` takes an ``Order`` as the first line of its input, says ``ready`` once all are
connected and the rows to be held are held, writes until its input ends, looks whether all it wrote is there, and prints
a ``Felt``. Both are JSON.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import os
import random
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import psycopg
import uvloop
from psycopg.errors import DeadlockDetected

from benchmarks.processes import PYTHON, PYTHON_ENVIRON, CommandFailed, child_environ

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import LiteralString

T = TypeVar("T")
Connection: TypeAlias = "psycopg.AsyncConnection[tuple[Any, ...]]"

TRANSACTION_ROWS = 6
HELD_EVERY = 495
"""Of so many rows one is held, where any are: about one in each batch of the tool. It is a multiple of the stride."""

_PAUSE_SECONDS = 0.3
"""Between two times that rows are held."""

_TOUCH: LiteralString = "UPDATE avatars SET seen = seen + 1 WHERE id = %s"
_NEW_PATH: LiteralString = "UPDATE avatars SET seen = seen + 1, path = %s WHERE id = %s"
_HOLD: LiteralString = "SELECT FROM avatars WHERE id %% %s = 0 ORDER BY id FOR UPDATE"


@dataclass(frozen=True, slots=True)
class Load:
    """So many writers, each of which acts so often ``per_second``.

    The ``transactions`` of all acts are six rows at once, the ``paths`` of all are new paths. The rest sets another
    column of a row.
    """

    writers: int
    per_second: int
    transactions: float = 0.0
    paths: float = 0.0

    @property
    def stride(self) -> int:
        """How far apart a writer's rows are, so that no two writers meet. Nobody writes the multiples of it."""
        return self.writers + 1


MIXED = Load(10, 10, transactions=0.2, paths=0.2)
"""200 UPDATEs a second in all, for a sixth of a core. Two cores have something to spare."""

PLAIN = Load(4, 125)
"""500 UPDATEs a second, each by itself, as pgbench would make them."""


@dataclass(frozen=True, slots=True)
class Order:
    """A table with the rows 1 to ``rows``, of which every ``HELD_EVERY``th is held for so long, again and again.

    The application runs on the ``core`` alone, if one is said.
    """

    conninfo: str
    rows: int
    held_seconds: float = 0.0
    load: Load = MIXED
    core: int | None = None

    @classmethod
    def read(cls, line: str) -> Order:
        """Read what ``asdict`` made of one, as JSON."""
        found = json.loads(line)
        return cls(**found | {"load": Load(**found["load"])})


@dataclass(frozen=True, slots=True)
class Felt:
    """How long the UPDATEs took; how many deadlocks hit the application; how many rows it wrote, and what was lost."""

    updates: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float
    longest_ms: float
    deadlocks: int
    writes: int
    lost: int


def felt_during(order: Order, act: Callable[[], T]) -> tuple[Felt, T]:
    """Do something while an application writes; return what it felt, and what was done. Raises ``CommandFailed``."""
    with subprocess.Popen(
        [*PYTHON, "-m", "benchmarks.application"],
        env={**child_environ(), **PYTHON_ENVIRON},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as application:
        assert application.stdin is not None
        assert application.stdout is not None
        application.stdin.write(json.dumps(asdict(order)) + "\n")
        application.stdin.flush()
        if application.stdout.readline() != "ready\n":
            raise CommandFailed("the application cannot begin", hint=application.communicate()[1][-2000:])
        done = act()
        out, err = application.communicate(timeout=120)
    if application.returncode != 0:
        raise CommandFailed(f"the application ended with {application.returncode}", hint=err[-2000:])
    return Felt(**json.loads(out)), done


class Writer:
    """One of the application's connections, which acts at its own pace on rows of its own.

    An act is due at a fixed time. Its first UPDATE's latency is counted from then on: whoever comes after one that had
    to wait has waited as well.
    """

    def __init__(self, number: int, rows: int, load: Load) -> None:
        self.latencies_seconds: list[float] = []
        self.deadlocks = 0
        self.times: Counter[int] = Counter()  # that a row was written
        self.paths: dict[int, str] = {}
        self._number = number
        self._rows = rows
        self._load = load
        self._dice = random.Random(number)  # noqa: S311 # which row to write is no secret
        self._names = itertools.count(1)

    async def work(self, connection: Connection, stopping: asyncio.Event) -> None:
        """Write until told to stop."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._dice.random() / self._load.per_second
        while not stopping.is_set():
            await asyncio.sleep(due - loop.time())
            try:
                await self._act(connection, due)
            except DeadlockDetected:
                self.deadlocks += 1
            due += 1 / self._load.per_second

    async def _act(self, connection: Connection, due: float) -> None:
        chosen, load = self._dice.random(), self._load
        if chosen < load.transactions:
            keys = self._keys(TRANSACTION_ROWS)
            async with connection.transaction():
                for key in keys:
                    due = await self._update(connection, due, _TOUCH, [key])
        elif chosen < load.transactions + load.paths:
            keys = self._keys(1)
            path = f"avatar/new-{self._number}-{next(self._names)}.png"
            await self._update(connection, due, _NEW_PATH, [path, *keys])
            self.paths[keys[0]] = path
        else:
            keys = self._keys(1)
            await self._update(connection, due, _TOUCH, keys)
        self.times.update(keys)

    async def _update(
        self, connection: Connection, due: float, statement: LiteralString, values: Sequence[object]
    ) -> float:
        """Make an UPDATE, and return when it was done: then the next one of the transaction is due."""
        clock = asyncio.get_running_loop().time
        try:
            await connection.execute(statement, values)
        finally:
            done = clock()
            self.latencies_seconds.append(done - due)
        return done

    def _keys(self, count: int) -> list[int]:
        """Choose rows of this writer that are neighbours, in either order."""
        stride = self._load.stride
        first = self._dice.randrange(self._rows // stride - count)
        keys = [stride * (first + number) + self._number for number in range(count)]
        return keys if self._dice.random() < 1 / 2 else keys[::-1]


async def _hold(connection: Connection, seconds: float, held: asyncio.Event, stopping: asyncio.Event) -> None:
    """Hold rows for so long, let them go, and again, until told to stop."""
    while not stopping.is_set():
        async with connection.transaction():
            await connection.execute(_HOLD, [HELD_EVERY])
            held.set()
            await _wait(stopping, seconds)
        await _wait(stopping, _PAUSE_SECONDS)


async def _wait(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return


async def _live(order: Order) -> Felt:
    if order.core is not None:
        os.sched_setaffinity(0, {order.core})
    stopping, held = asyncio.Event(), asyncio.Event()
    writers = [Writer(number, order.rows, order.load) for number in range(1, order.load.writers + 1)]
    connections = [await _connect(order) for _ in range(order.load.writers + 1)]
    async with asyncio.TaskGroup() as tasks:
        if order.held_seconds:
            tasks.create_task(_hold(connections[0], order.held_seconds, held, stopping))
            await held.wait()
        for writer, connection in zip(writers, connections[1:], strict=True):
            tasks.create_task(writer.work(connection, stopping))
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        stopping.set()
    felt = await _sum_up(connections[0], writers)
    for connection in connections:
        await connection.close()
    return felt


async def _connect(order: Order) -> Connection:
    return await psycopg.AsyncConnection.connect(order.conninfo, application_name="application", autocommit=True)


async def _sum_up(connection: Connection, writers: Sequence[Writer]) -> Felt:
    cursor = await connection.execute("SELECT id, seen, path FROM avatars WHERE seen > 0")
    found = {key: (seen, path) for key, seen, path in await cursor.fetchall()}
    lost = 0
    for writer in writers:
        lost += sum(times - found.get(key, (0, ""))[0] for key, times in writer.times.items())
        lost += sum(found.get(key, (0, ""))[1] != path for key, path in writer.paths.items())
    latencies = sorted(1000 * latency for writer in writers for latency in writer.latencies_seconds)
    return Felt(
        updates=len(latencies),
        p50_ms=_percentile(latencies, 0.5),
        p95_ms=_percentile(latencies, 0.95),
        p99_ms=_percentile(latencies, 0.99),
        p999_ms=_percentile(latencies, 0.999),
        longest_ms=latencies[-1],
        deadlocks=sum(writer.deadlocks for writer in writers),
        writes=sum(writer.times.total() for writer in writers),
        lost=lost,
    )


def _percentile(ordered: Sequence[float], share: float) -> float:
    """Return the least value that so large a share of all does not exceed."""
    return ordered[math.ceil(share * len(ordered)) - 1]


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(_live(Order.read(sys.stdin.readline()))))))
