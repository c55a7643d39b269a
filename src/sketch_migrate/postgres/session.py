"""Work on the database that outlives its absence.

A ``Session`` holds one connection and runs units of work on it, each in one transaction. When the database goes away it
waits, connects again and repeats the unit; the units are written so that repeating them is right (see ``references``).
Nothing depends on session state, so a transaction pooler may stand between.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

import psycopg

from sketch_migrate.errors import DatabaseUnreachable
from sketch_migrate.postgres.faults import Fault, classify, describe, translate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import TracebackType

    from sketch_migrate.postgres.database import Database
    from sketch_migrate.settings import Settings

T = TypeVar("T")
Connection = psycopg.AsyncConnection[tuple[Any, ...]]

LONGEST_WAIT_SECONDS = 5.0
CONTENTION_ATTEMPTS = 4
"""How often a unit of work is repeated as a whole after a deadlock, a lock or a time limit."""

GRACE_SECONDS = 5.0
"""The server's own time limits come first; past them plus this, the connection is taken for dead."""


@dataclass(frozen=True)
class Limits:
    """How long a transaction may take, in milliseconds; 0 is no limit. ``idle_ms`` is the longest pause within it.

    A connection is not given up the sooner where ``patience_ms``, by default that of a statement, is longer.
    """

    lock_ms: int
    statement_ms: int
    idle_ms: int
    patience_ms: int | None = None

    @classmethod
    def usual(cls, settings: Settings) -> Limits:
        """Return the limits of the settings."""
        return cls(settings.lock_timeout_ms, settings.statement_timeout_ms, settings.statement_timeout_ms)

    @classmethod
    def of_a_long_statement(cls, settings: Settings) -> Limits:
        """Return those of the settings, without one on the statement: for what reads a whole ledger."""
        return replace(cls.usual(settings), statement_ms=0)

    def with_statements_of(self, statement_ms: int) -> Limits:
        """Return the same, with a limit on the statement that is no longer than this."""
        return replace(
            self, statement_ms=min(statement_ms, self.statement_ms or statement_ms), patience_ms=self._patience
        )

    @property
    def _patience(self) -> int:
        return self.statement_ms if self.patience_ms is None else self.patience_ms

    @cached_property
    def begin(self) -> bytes:
        """What begins a transaction with these limits; they end with it, as behind a pooler they must."""
        return (
            "BEGIN ISOLATION LEVEL READ COMMITTED;"
            f" SET LOCAL lock_timeout = {self.lock_ms}; SET LOCAL statement_timeout = {self.statement_ms};"
            f" SET LOCAL idle_in_transaction_session_timeout = {self.idle_ms}"
        ).encode()

    @property
    def deadline_seconds(self) -> float | None:
        """After which a connection that was silent is given up: several statements may each take the limit."""
        return None if not self._patience else 3 * self._patience / 1000 + GRACE_SECONDS


class Session:
    """One connection, made again as often as it takes. Not for two tasks at once. An async context manager."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None

    @property
    def limits(self) -> Limits:
        """Those of the settings, which a transaction has unless it is given others."""
        return Limits.usual(self._database.settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._database.leave(connection)

    async def run(
        self,
        work: Callable[[Connection], Awaitable[T]],
        *,
        doing: str,
        limits: Limits | None = None,
        attempts: int = CONTENTION_ATTEMPTS,
    ) -> T:
        """Run ``work`` in one transaction (READ COMMITTED) and return its result.

        Repeats it when the database was away (for up to DB_RETRY_SECONDS) and, up to ``attempts`` times, after
        contention. A connection may have broken after its transaction was committed: ``work`` is then run over what it
        left. ``limits`` are those of the settings unless given. Raises ``DatabaseUnreachable`` when the wait is over or
        the run is stopping, ``DatabaseBusy`` after lasting contention, ``ReferenceRefused`` for a row that is not
        accepted, and ``DatabaseRefused`` or ``DatabaseError`` otherwise.
        """
        patience = self._database.settings.db_retry_seconds
        lost_at: float | None = None
        contended = away = 0
        while True:
            try:
                result = await self._attempt(work, limits or self.limits)
            except (psycopg.Error, DatabaseUnreachable, TimeoutError) as error:
                fault = _fault_of(error)
                if fault is Fault.AWAY:
                    await self._drop()
                    lost_at = lost_at if lost_at is not None else time.monotonic()
                    away += 1
                    reason = _reason(error)
                    self._database.outage.begin(reason, time.monotonic(), patience)
                    if time.monotonic() - lost_at > patience or self._database.stopping.is_set():
                        raise _gave_up(doing, reason) from error
                    await self._pause(away)
                elif fault is Fault.CONTENDED and contended < attempts:
                    contended += 1
                    await self._pause(contended)
                elif isinstance(error, psycopg.Error):
                    raise translate(error, doing) from error
                else:
                    raise
            else:
                self._database.outage.end(time.monotonic())
                return result

    async def _attempt(self, work: Callable[[Connection], Awaitable[T]], limits: Limits) -> T:
        if self._connection is None or self._connection.closed:
            self._connection = await self._database.take()
        connection = self._connection
        with _hung_up_after(limits.deadline_seconds, connection):
            # one message for all of it; under another isolation level SKIP LOCKED raises 40001
            await connection.execute(limits.begin)
            try:
                result = await work(connection)
                await connection.execute(_COMMIT)
            except BaseException:
                await _roll_back(connection)
                raise
            return result

    async def _pause(self, attempt: int) -> None:
        """Wait with full jitter, but no longer than until the run is stopped."""
        longest = min(LONGEST_WAIT_SECONDS, 0.1 * 2**attempt)
        with suppress(TimeoutError):
            async with asyncio.timeout(random.uniform(0.05, longest)):  # noqa: S311 - jitter
                await self._database.stopping.wait()

    async def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()


# A COMMIT may wait for a synchronous standby, and is then not to be cut short: it is done already.
_COMMIT = b"SET LOCAL statement_timeout = 0; COMMIT"


async def _roll_back(connection: Connection) -> None:
    """End a transaction that failed; a connection that cannot is closed."""
    with suppress(psycopg.Error):
        if not connection.closed:
            await connection.rollback()


@contextmanager
def _hung_up_after(seconds: float | None, connection: Connection) -> Iterator[None]:
    """Shut a connection's socket after a time (None: never), and raise ``TimeoutError`` for what then fails.

    A cancelled query would not do: psycopg then asks the server to cancel it, and waits for that server again.
    """
    if seconds is None:
        yield
        return
    hung_up = False

    def hang_up() -> None:
        nonlocal hung_up
        hung_up = True
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.pgconn.socket)) as line:
            line.shutdown(socket.SHUT_RDWR)

    timer = asyncio.get_running_loop().call_later(seconds, hang_up)
    try:
        yield
    except psycopg.OperationalError as error:
        if hung_up:
            raise TimeoutError from error
        raise
    finally:
        timer.cancel()


def _fault_of(error: psycopg.Error | DatabaseUnreachable | TimeoutError) -> Fault:
    return classify(error) if isinstance(error, psycopg.Error) else Fault.AWAY


def _reason(error: psycopg.Error | DatabaseUnreachable | TimeoutError) -> str:
    if isinstance(error, psycopg.Error):
        return describe(error)
    return str(error) or "no answer in time"


def _gave_up(doing: str, reason: str) -> DatabaseUnreachable:
    hint = "Look whether the database runs and can be reached, then run again: it goes on where it stopped."
    return DatabaseUnreachable(f"{doing}: {reason}", hint=hint)
