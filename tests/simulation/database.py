"""PostgreSQL as ``postgres.session`` sees it: transactions that lock rows until they end, and whose fate can be asked.

What statements do is in ``statements``.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import psycopg
from psycopg.pq import TransactionStatus

from sketchmigrate.postgres.database import Database
from tests.simulation.pipeline import SimulatedPipeline
from tests.simulation.server import Transaction
from tests.simulation.statements import SimulatedCursor
from tests.simulation.world import PROCESS

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from sketchmigrate.postgres.patient_connection import PatientConnection
    from tests.simulation.world import World

DB_RETRY_SECONDS = 60
LOCK_TIMEOUT_MS = 200
STATEMENT_TIMEOUT_MS = 30_000


def database_settings(world: World) -> Any:
    """Return what sessions and flips know of the settings."""
    return SimpleNamespace(
        db_table="avatars",
        db_key_column="id",
        db_path_column="path",
        legacy_prefix="image/",
        production_prefix="avatar/",
        db_retry_seconds=DB_RETRY_SECONDS,
        lock_timeout_ms=LOCK_TIMEOUT_MS,
        statement_timeout_ms=STATEMENT_TIMEOUT_MS,
        target_flip_ms=world.scenario.target_flip_ms,
    )


class SimulatedDatabase(Database):
    """Gives the real sessions connections to the table in memory."""

    def __init__(self, world: World, stopping: asyncio.Event) -> None:
        super().__init__(database_settings(world), stopping=stopping, reached_by={}, clock=world.clock)
        self._world = world

    async def connect(self) -> PatientConnection:
        """Open a connection."""
        await self._world.step("connect")
        connection = SimulatedConnection(self._world)
        PROCESS.get().connections.append(connection)
        return cast("PatientConnection", connection)


class _Line:
    """What is asked of libpq's connection. Whoever asks for the socket does so to hang up."""

    backend_pid = 1

    def __init__(self, connection: SimulatedConnection) -> None:
        self.hung_up = asyncio.Event()
        self._connection = connection

    @property
    def transaction_status(self) -> TransactionStatus:
        return TransactionStatus.IDLE if self._connection.under_way is None else TransactionStatus.INTRANS

    def flush(self) -> None:
        """Send what is queued: a pipeline does so at its end."""

    @property
    def socket(self) -> int:
        self.hung_up.set()
        return -1


class SimulatedConnection:
    """One connection, with at most one transaction."""

    connection = None  # no libpq behind it: names are quoted without its help
    is_committing = is_queueing = False

    def __init__(self, world: World) -> None:
        self.world = world
        self.closed = False
        self.pgconn = _Line(self)
        self.under_way: Transaction | None = None
        self.pipeline_under_way: SimulatedPipeline | None = None

    def pipeline(self) -> SimulatedPipeline:
        """Return what sends all that is asked within it at once."""
        return SimulatedPipeline(self)

    async def execute(self, statement: object, values: Any = ()) -> SimulatedCursor:
        """Begin, commit, set, or ask."""
        return await SimulatedCursor(self).execute(statement, values)

    def cursor(self, *, binary: bool) -> SimulatedCursor:
        """Return a cursor."""
        assert binary
        return SimulatedCursor(self)

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Return a savepoint, which is never gone back to."""
        return nullcontext()

    async def rollback(self) -> None:
        """Undo what was done since BEGIN."""
        await self.world.step("ROLLBACK")
        self.end_transaction()

    async def close(self) -> None:
        """Close it."""
        self.closed = True
        self.end_transaction()

    def end_transaction(self) -> None:
        """Undo it; where the client is gone the server may notice later."""
        transaction, self.under_way = self.under_way, None
        if transaction is None:
            return
        if self.closed and not self.world.quiet and self.world.rng.random() < 0.3:
            self.world.later(transaction.roll_back)
        else:
            transaction.roll_back()

    async def begin(self, statement: str) -> None:
        """Begin a transaction with its limits."""
        assert self.under_way is None, "BEGIN within a transaction"
        assert statement.startswith("BEGIN ISOLATION LEVEL READ COMMITTED;")
        await self.arrive("BEGIN")
        found = re.search(r"lock_timeout = (\d+)", statement)
        assert found
        self.under_way = Transaction(self.world, int(found[1]) / 1000)

    async def commit(self) -> None:
        """Commit, if the message arrives; and answer, if that does."""
        world = self.world
        await world.step("COMMIT")
        fault = world.fault("refused", "COMMIT's reply lost", "COMMIT late")
        if fault != "refused":
            transaction, self.under_way = self.under_way, None
            assert transaction
            assert not transaction.has_failed
            if fault == "COMMIT late":
                world.later(transaction.commit)
            else:
                transaction.commit()
        if fault:
            self.break_off()
        await world.step("COMMIT's reply")

    def commit_at_once(self, transaction: Transaction) -> None:
        """Commit what was sent as a whole."""
        self.under_way = None
        transaction.commit()

    async def arrive(self, statement: str, *refusals: type[psycopg.Error]) -> None:
        """Let a statement arrive at the server, or not, or be refused for a reason that is none of its rows'."""
        if self.under_way and self.under_way.has_failed:
            raise psycopg.errors.InFailedSqlTransaction(statement)
        if fault := await self.arrive_or_break(statement, *(each.__name__ for each in refusals)):
            raise self.failed(next(each for each in refusals if each.__name__ == fault)(fault))

    async def arrive_or_break(self, statement: str, *refusals: str) -> str:
        """Let something arrive, and return by which of these faults it is refused, if by any."""
        assert not self.closed, "a statement on a closed connection"
        await self.world.step(statement)
        fault = self.world.fault("connection lost", "no answer", *refusals)
        if fault == "no answer":
            await self.pgconn.hung_up.wait()
        if fault in {"connection lost", "no answer"}:
            self.break_off()
        return fault

    def failed(self, error: psycopg.Error) -> psycopg.Error:
        """Take note that the transaction can only be rolled back now."""
        assert self.under_way
        self.under_way.has_failed = True
        return error

    def matches(self, key: int, old_path: str) -> bool:
        """Whether a row still holds the old path: the compare of the compare-and-set."""
        return self.world.rows.get(key) == old_path

    def break_off(self) -> None:
        """Lose the connection."""
        self.closed = True
        self.end_transaction()
        raise psycopg.OperationalError("server closed the connection unexpectedly")
