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

WRITERS = 10
PER_SECOND = 10
"""So often each writer acts: 200 UPDATEs a second in all, for a sixth of a core. Two cores have something to spare."""

TRANSACTION_ROWS = 6
HELD_EVERY = 495
"""Of so many rows one is held, where any are: about one in each batch of the tool. It is a multiple of the stride."""

_STRIDE = WRITERS + 1
"""A writer's rows are that far apart, so that no two writers meet; nobody writes the multiples: those may be held."""

_TRANSACTIONS, _PATHS = 0.2, 0.2
"""So much of what a writer does are six rows at once, and new paths. The rest sets another column of a row."""

_PAUSE_SECONDS = 0.3
"""Between two times that rows are held."""

_TOUCH: LiteralString = "UPDATE avatars SET seen = seen + 1 WHERE id = %s"
_NEW_PATH: LiteralString = "UPDATE avatars SET seen = seen + 1, path = %s WHERE id = %s"
_HOLD: LiteralString = "SELECT FROM avatars WHERE id %% %s = 0 ORDER BY id FOR UPDATE"


@dataclass(frozen=True, slots=True)
class Order:
    """A table with the rows 1 to ``rows``, of which every ``HELD_EVERY``th is held for so long, again and again."""

    conninfo: str
    rows: int
    held_seconds: float = 0.0


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

    def __init__(self, number: int, rows: int) -> None:
        self.latencies_seconds: list[float] = []
        self.deadlocks = 0
        self.times: Counter[int] = Counter()  # that a row was written
        self.paths: dict[int, str] = {}
        self._number = number
        self._rows = rows
        self._dice = random.Random(number)  # noqa: S311 # which row to write is no secret
        self._names = itertools.count(1)

    async def work(self, connection: Connection, stopping: asyncio.Event) -> None:
        """Write until told to stop."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._dice.random() / PER_SECOND
        while not stopping.is_set():
            await asyncio.sleep(due - loop.time())
            try:
                await self._act(connection, due)
            except DeadlockDetected:
                self.deadlocks += 1
            due += 1 / PER_SECOND

    async def _act(self, connection: Connection, due: float) -> None:
        chosen = self._dice.random()
        if chosen < _TRANSACTIONS:
            keys = self._keys(TRANSACTION_ROWS)
            async with connection.transaction():
                for key in keys:
                    due = await self._update(connection, due, _TOUCH, [key])
        elif chosen < _TRANSACTIONS + _PATHS:
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
        first = self._dice.randrange(self._rows // _STRIDE - count)
        keys = [_STRIDE * (first + number) + self._number for number in range(count)]
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
    stopping, held = asyncio.Event(), asyncio.Event()
    writers = [Writer(number, order.rows) for number in range(1, WRITERS + 1)]
    connections = [await _connect(order) for _ in range(WRITERS + 1)]
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
    print(json.dumps(asdict(uvloop.run(_live(Order(**json.loads(sys.stdin.readline())))))))
