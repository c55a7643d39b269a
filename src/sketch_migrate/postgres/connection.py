"""Connections to PostgreSQL that outlive the database's absence.

A ``Session`` holds one connection and runs units of work on it, each in one transaction. When the database goes away it
waits, connects again and repeats the unit; the units are written so that repeating them is right (see ``references``).
Nothing depends on session state, so a transaction pooler may stand between.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar

import psycopg
from psycopg import sql

from sketch_migrate.errors import DatabaseUnreachable
from sketch_migrate.postgres.faults import Fault, classify, connect_failure, describe, translate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from types import TracebackType

    from sketch_migrate.settings import Settings

T = TypeVar("T")
Connection = psycopg.AsyncConnection[tuple[Any, ...]]

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_SECONDS = 10
LONGEST_WAIT_SECONDS = 5.0
CONTENTION_ATTEMPTS = 4
"""How often a unit of work is repeated as a whole after a deadlock, a lock or a time limit."""

GRACE_SECONDS = 5.0
"""The server's own time limits come first; past them plus this, the connection is taken for dead."""


KEPT_ALIVE: dict[str, Any] = {
    "application_name": "sketch-migrate",
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 50_000,
}
"""Notices within about a minute that the other machine is gone (PostgreSQL manual, section "Parameter Key Words")."""


def parameters(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return libpq's parameters: only what is set, so that its own variables and files hold for the rest."""
    chosen: dict[str, str | int | None] = {
        "host": settings.db_host,
        "port": settings.db_port,
        "dbname": settings.db_name,
        "sslmode": settings.db_sslmode,
        "user": environ.get("SKETCH_DB_USER"),
        "password": environ.get("SKETCH_DB_PASS"),
        "connect_timeout": None if environ.get("PGCONNECT_TIMEOUT") else CONNECT_TIMEOUT_SECONDS,
    }
    return {name: value for name, value in chosen.items() if value} | KEPT_ALIVE


def place_named(reached_by: Mapping[str, Any]) -> str:
    """Return host, port and database of libpq's parameters, as far as they are set, for messages."""
    host = reached_by.get("host") or os.environ.get("PGHOST") or "local socket"
    port = reached_by.get("port") or os.environ.get("PGPORT") or 5432
    name = reached_by.get("dbname") or os.environ.get("PGDATABASE") or "default database"
    return f"{host}:{port}/{name}"


class Outage:
    """Says once that the database (``name``, in messages) is away, and once that it is back.

    However many sessions notice.
    """

    def __init__(self, name: str = "database") -> None:
        self.since: float | None = None
        self._name = name

    def begin(self, reason: str, now: float, patience_seconds: float) -> None:
        """Note that a session lost the database."""
        if self.since is None:
            self.since = now
            log.warning("The %s is away (%s); waiting up to %.0f s for it.", self._name, reason, patience_seconds)

    def end(self, now: float) -> None:
        """Note that a session reached the database."""
        if self.since is not None:
            log.warning("The %s is back after %.0f s.", self._name, now - self.since)
            self.since = None


class Database:
    """How to reach the database, and what its sessions share. ``stopping`` ends every wait for it.

    ``reached_by`` are libpq's parameters, and ``name`` what messages call it, where it is not that of the references.
    ``kept`` connections of sessions that are over serve the next ones, until ``close``: one costs 5 ms of CPU.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        stopping: asyncio.Event,
        reached_by: Mapping[str, Any] | None = None,
        name: str = "database",
        kept: int = 0,
    ) -> None:
        self.settings = settings
        self.outage = Outage(name)
        self.stopping = stopping
        self._parameters = parameters(settings) if reached_by is None else dict(reached_by)
        self._kept = kept
        self._idle: list[Connection] = []

    @property
    def where(self) -> str:
        """Host, port and database as far as they are set, for messages."""
        return place_named(self._parameters)

    async def connect(self) -> Connection:
        """Open a connection. Raises ``DatabaseUnreachable`` or ``DatabaseRefused``."""
        try:
            # prepared statements are session state, which a transaction pooler does not keep
            connection = await psycopg.AsyncConnection.connect(
                autocommit=True, prepare_threshold=None, **self._parameters
            )
        except psycopg.Error as error:
            raise connect_failure(error, self.where) from error
        except OSError as error:  # psycopg resolves host names itself
            raise DatabaseUnreachable(
                f"no connection to the database at {self.where}: {error}", hint="Look at DB_HOST and DB_PORT."
            ) from error
        return connection

    async def take(self) -> Connection:
        """Return a connection that a session has left, or a new one. Raises what ``connect`` raises."""
        while self._idle:
            if not (connection := self._idle.pop()).closed:
                return connection
        return await self.connect()

    async def leave(self, connection: Connection) -> None:
        """Keep a connection for another session, or close it."""
        room = len(self._idle) < self._kept
        if room and connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            self._idle.append(connection)
        else:
            await connection.close()

    async def close(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            await self._idle.pop().close()

    def session(self) -> Session:
        """Return a new session; it connects when it is first used."""
        return Session(self)


class Session:
    """One connection, made again as often as it takes. Not for two tasks at once. An async context manager."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None

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
        unlimited: bool = False,
    ) -> T:
        """Run ``work`` in one transaction and return its result.

        Repeats it when the database was away (for up to DB_RETRY_SECONDS) and, a few times, after contention.
        A connection may have broken after its transaction was committed: ``work`` is then run over what it left.
        ``unlimited`` lifts the statement time limit, for counts over the whole table. Raises ``DatabaseUnreachable``
        when the wait is over or the run is stopping, ``DatabaseBusy`` after lasting contention, ``ReferenceRefused``
        for a row that is not accepted, and ``DatabaseRefused`` or ``DatabaseError`` otherwise.
        """
        patience = self._database.settings.db_retry_seconds
        lost_at: float | None = None
        contended = away = 0
        while True:
            try:
                result = await self._attempt(work, unlimited=unlimited)
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
                elif fault is Fault.CONTENDED and contended < CONTENTION_ATTEMPTS:
                    contended += 1
                    await self._pause(contended)
                elif isinstance(error, psycopg.Error):
                    raise translate(error, doing) from error
                else:
                    raise
            else:
                self._database.outage.end(time.monotonic())
                return result

    async def _attempt(self, work: Callable[[Connection], Awaitable[T]], *, unlimited: bool) -> T:
        settings = self._database.settings
        if self._connection is None or self._connection.closed:
            self._connection = await self._database.take()
        statement_ms = 0 if unlimited else settings.statement_timeout_ms
        limits = {
            "lock_timeout": settings.lock_timeout_ms,
            "statement_timeout": statement_ms,
            "idle_in_transaction_session_timeout": settings.statement_timeout_ms,
        }
        # several statements of one unit may each take the limit; a server that is cut off never answers at all
        deadline_seconds = None if unlimited else 3 * statement_ms / 1000 + GRACE_SECONDS
        with _hung_up_after(deadline_seconds, self._connection):
            async with self._connection.transaction():
                await self._connection.execute(_SET_LIMITS, [str(value) for value in limits.values()])
                return await work(self._connection)

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


_SET_LIMITS = sql.SQL(
    "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true),"
    " set_config('idle_in_transaction_session_timeout', %s, true)"
)


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
