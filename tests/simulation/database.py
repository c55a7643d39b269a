"""PostgreSQL as ``postgres.session`` sees it: rows are locked from an UPDATE to the end of its transaction."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import psycopg

from sketch_migrate.postgres.database import Database
from sketch_migrate.postgres.session import Session
from tests.simulation.world import PROCESS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Sequence

    from sketch_migrate.model import Key
    from sketch_migrate.postgres.session import PatientConnection
    from tests.simulation.world import World

FOR_EVER = 10**9
PAGE_ROWS = 8


class SimulatedDatabase(Database):
    """Gives the real sessions connections to the table in memory."""

    def __init__(self, world: World, stopping: asyncio.Event) -> None:
        limits = SimpleNamespace(
            db_retry_seconds=FOR_EVER, statement_timeout_ms=FOR_EVER * 1000, lock_timeout_ms=FOR_EVER
        )
        super().__init__(cast("Any", limits), stopping=stopping, reached_by={})
        self._world = world

    async def connect(self) -> PatientConnection:
        """Open a connection."""
        await self._world.step("connect")
        connection = SimulatedConnection(self._world)
        PROCESS.get().connections.append(connection)
        return cast("PatientConnection", connection)

    def session(self) -> Session:
        """Return a new session."""
        return Session(self)


class SimulatedConnection:
    """One connection, with at most one transaction."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.closed = False
        self.changes: dict[int, str] = {}

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Commit what was done within, or nothing of it."""
        try:
            yield
            await self._commit()
        except BaseException:
            self.roll_back()
            raise

    async def _commit(self) -> None:
        world = self.world
        await world.step("COMMIT")
        changes, fault = self.changes, world.fault("refused", "COMMIT's reply lost", "COMMIT late")
        if fault == "COMMIT late":
            self.changes = {}
            late = SimulatedConnection(world)
            for key in changes:
                world.locked_by[key] = late
            late.changes = changes
            world.later(late.take_effect)
        elif fault != "refused":
            self.take_effect()
        if fault:
            self._break()
        await world.step("COMMIT's reply")

    def take_effect(self) -> None:
        """Commit."""
        changes = self.changes
        self.roll_back()
        if changes:
            self.world.flip(changes)

    def roll_back(self) -> None:
        """Forget the changes and free the rows."""
        for key in self.changes:
            self.world.locked_by.pop(key, None)
        self.changes = {}

    def _break(self) -> None:
        self.closed = True
        self.roll_back()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    async def execute(self, _statement: object, _values: Sequence[object]) -> None:
        """Set the time limits."""

    def cursor(self, *, binary: bool) -> SimulatedCursor:
        """Return a cursor."""
        assert binary
        return SimulatedCursor(self)

    async def close(self) -> None:
        """Close it."""
        self.closed = True
        self.roll_back()

    async def update(self, keys: list[int], old_paths: list[str], new_paths: list[str]) -> list[tuple[int, bool]]:
        """Compare and set, once the rows are free."""
        world = self.world
        while any(world.locked_by.get(key, self) is not self for key in keys):
            await world.step("waits for a lock")
        wanted = [
            (key, new) for key, old, new in zip(keys, old_paths, new_paths, strict=True) if self.matches(key, old)
        ]
        if refused := world.refused_rows & {key for key, _ in wanted}:
            raise psycopg.errors.UniqueViolation(f"duplicate key: {refused}")
        for key, new in wanted:
            self.changes[key] = new
            world.updated.add((key, new))
            world.locked_by[key] = self
        return [(key, True) for key, _ in wanted]

    def matches(self, key: int, old_path: str) -> bool:
        """Whether a row still holds the old path: the compare of the compare-and-set."""
        return self.world.rows.get(key) == old_path

    async def fail_perhaps(self, statement: str) -> None:
        """Break before the server has seen a statement, or be told that it took too long."""
        await self.world.step(statement)
        fault = self.world.fault("connection lost", "lock timeout")
        if fault == "connection lost":
            self._break()
        if fault:
            raise psycopg.errors.LockNotAvailable("canceling statement due to lock timeout")


class SimulatedCursor:
    """Knows the three statements of ``postgres.references`` by their values."""

    def __init__(self, connection: SimulatedConnection) -> None:
        self._connection = connection
        self._answer: list[tuple[Any, ...]] = []

    async def execute(self, _statement: object, values: Any) -> SimulatedCursor:
        """Run a page, a flip or a look-up."""
        connection = self._connection
        if isinstance(values, dict):
            await connection.fail_perhaps("reads a page")
            self._answer = [self._page(values)]
        elif len(values) == 3:
            await connection.fail_perhaps(f"UPDATE {values[0]}")
            self._answer = list(await connection.update(*values))
        else:
            await connection.fail_perhaps(f"looks up {values[0]}")
            seen = connection.world.rows | connection.changes
            self._answer = [(key, seen[key]) for key in values[0] if key in seen]
        await connection.world.step("the answer")
        return self

    def _page(self, values: dict[str, Any]) -> tuple[int, Key | None, list[Key], list[str]]:
        rows = sorted(self._connection.world.rows.items())
        page = [row for row in rows if row[0] > values.get("after", 0)][:PAGE_ROWS]
        legacy = [row for row in page if row[1].startswith(values["prefix"])]
        return len(page), page[-1][0] if page else None, [key for key, _ in legacy], [path for _, path in legacy]

    async def fetchone(self) -> tuple[Any, ...]:
        """Return the answer's only row."""
        return self._answer[0]

    async def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the answer."""
        return self._answer
