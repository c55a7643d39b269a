"""Work on the database that outlives its absence.

A ``Session`` holds one connection and runs units of work on it, each in one transaction. When the database goes away it
waits, connects again and repeats the unit; the units are written so that repeating them is right (see ``references``).
Nothing depends on session state, so a transaction pooler may stand between.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar, TypeVarTuple

import psycopg

from sketchmigrate.core.errors import DatabaseUnreachable, ReferenceRefused, TableLocked
from sketchmigrate.postgres.blocking import is_read_only, table_locks
from sketchmigrate.postgres.faults import ErrorKind, describe, judge, translate
from sketchmigrate.postgres.watchdog import Watchdog, standby_missing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from psycopg import AsyncConnection

    from sketchmigrate.core.clock import Clock
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.limits import Limits
    from sketchmigrate.postgres.patient_connection import PatientConnection

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

LONGEST_WAIT_SECONDS = 5.0
CONTENTION_ATTEMPTS = 4
"""How often a unit of work is repeated as a whole after a deadlock, a lock or a time limit."""

MOST_BREAKS = 3
"""A flip that broke its connection so often, while the database worked for others, is what breaks it."""

TABLE_LOCK_PAUSE_SECONDS = 1.0


@dataclass(slots=True)
class _Trouble:
    """What befell one unit of work so far. ``breaks`` are those of its connection while the database worked."""

    doing: str
    is_flip: bool
    attempts: int
    contended: int = 0
    away: int = 0
    breaks: int = 0
    units_then: int = 0
    lost_at: float | None = None
    locked_at: float | None = None
    is_table_locked: bool = False


class Session:
    """One connection, made again as often as it takes. Not for two tasks at once. An async context manager."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: PatientConnection | None = None
        self._watchdog: Watchdog | None = None  # over the last attempt
        self.doing, self.since = "", 0.0  # while it is at work
        self._causes: set[object] = set()  # of the waits of this unit
        self._outages_before = database.outage.ended  # its last work

    @property
    def limits(self) -> Limits:
        """Those of the database, which a transaction has unless it is given others."""
        return self._database.limits

    @property
    def clock(self) -> Clock:
        """That of the database."""
        return self._database.clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._give_back()

    async def run(
        self,
        work: Callable[[AsyncConnection, *Ts], Awaitable[T]],
        *args: *Ts,
        doing: str,
        limits: Limits | None = None,
        attempts: int = CONTENTION_ATTEMPTS,
        is_flip: bool = False,
        watched: bool = False,
        at_once: Callable[[PatientConnection, Limits], Awaitable[T]] | None = None,
    ) -> T:
        """Run ``work(connection, *args)`` in one transaction (READ COMMITTED) and return its result.

        ``at_once`` does the same by itself, BEGIN and COMMIT included, without an answer between them (``pipeline``).
        It is tried first, and once: what the server refuses then, ``work`` is to find out about in steps.

        Repeats it when the database was away, or a whole table of ``Database.watched`` is locked, for up to
        DB_RETRY_SECONDS; and, up to ``attempts`` times, after other contention. A connection may have broken after its
        transaction was committed: ``work`` is then run over what it left. ``limits`` are those of the database unless
        given. ``watched`` says that a wait for a row is looked into, and named when it lasts (see ``waits``).

        Raises ``DatabaseUnreachable`` or ``TableLocked`` when the wait is over or the run is stopping, ``DatabaseBusy``
        after lasting contention, and ``DatabaseRefused`` where a new connection is refused. Any other error on a
        connection that is healthy is a ``ReferenceRefused`` for a flip (``is_flip``), and so is a flip that breaks one
        connection after the other; else it is what ``faults.translate`` says.
        """
        database = self._database
        trouble: _Trouble | None = None
        self.doing, self.since = doing, database.clock.monotonic()
        database.at_work.add(self)
        try:
            while True:
                if is_flip and not database.barrier.is_open:
                    await database.barrier.passed(doing)
                try:
                    result = await self._attempt(work, args, limits, watched=watched, at_once=at_once)
                except (psycopg.Error, DatabaseUnreachable, TimeoutError) as error:
                    was_at_once, at_once = at_once is not None, None
                    if was_at_once and self._is_refused(error):
                        continue
                    trouble = trouble or _Trouble(doing, is_flip, attempts)
                    await self._get_over(error, trouble)
                else:
                    if database.outage.since is not None:
                        await self._say_back()
                    self._outages_before = database.outage.ended
                    database.worked()
                    if self._causes:
                        database.waits.over(self._causes)
                    return result
        finally:
            database.at_work.discard(self)
            if self._causes:
                self._causes = set()
            if database.connections.is_short:
                await self._give_back()

    def give_up_idle(self) -> bool:
        """Let go of the connection, for another session, if no unit of work is under way; return whether that is so."""
        if self in self._database.at_work:
            return False
        self._connection = None
        return True

    async def _attempt(
        self,
        work: Callable[[AsyncConnection, *Ts], Awaitable[T]],
        args: tuple[*Ts],
        limits: Limits | None,
        *,
        watched: bool,
        at_once: Callable[[PatientConnection, Limits], Awaitable[T]] | None,
    ) -> T:
        self._watchdog = None
        if self._connection is None or self._connection.closed:
            await self._drop()
            self._connection = await self._database.connections.take(self)
        connection = self._connection
        limits = limits or self._database.limits  # which a new connection may have lowered
        self._watchdog = watchdog = Watchdog(self._database, connection, limits.deadline_seconds)
        try:
            if at_once is None:
                await connection.execute(limits.begin)  # one message for all of it
                watchdog.has_begun = True
                if watched:
                    watchdog.watch(await _backend_pid(connection))
                result = await work(connection, *args)
            connection.is_committing = True
            watchdog.commits()
            if at_once is None:
                await connection.execute(_COMMIT)
            else:
                result = await at_once(connection, limits)
            connection.is_committing = False
        except BaseException as error:
            await _leave_off(connection, error)
            if isinstance(error, asyncio.CancelledError) and watchdog.gave_up and not _still_cancelled():
                raise DatabaseUnreachable(watchdog.gave_up) from error
            if isinstance(error, psycopg.OperationalError) and watchdog.hung_up:
                raise TimeoutError from error
            raise
        finally:
            watchdog.end()
            if watchdog.causes:
                self._causes |= watchdog.causes
        return result

    def _is_refused(self, error: Exception) -> bool:
        """Whether a healthy connection says no to what was sent, and nobody was in its way."""
        if not isinstance(error, psycopg.Error) or self._connection is None or self._connection.closed:
            return False
        return judge(error, is_broken=False, is_flip=True) in {ErrorKind.ROW, ErrorKind.UNKNOWN}

    async def _get_over(self, error: psycopg.Error | DatabaseUnreachable | TimeoutError, trouble: _Trouble) -> None:
        """Return when it is time to do the unit again, or raise what its caller is to know."""
        if self._watchdog is not None and self._watchdog.gave_up:
            await self._drop()
            raise standby_missing(trouble.doing, self._watchdog.gave_up) from error
        connection = self._connection
        is_broken = connection is None or connection.closed
        if not isinstance(error, psycopg.Error):
            return await self._wait_for_the_database(error, trouble)
        kind = judge(error, is_broken=is_broken, is_flip=trouble.is_flip)
        if kind is ErrorKind.READ_ONLY:
            if connection is not None and await self._asked(is_read_only(connection)):
                return await self._wait_for_the_database(error, trouble, is_told=True)
            kind = judge(error, is_broken=False, is_flip=trouble.is_flip, is_primary=True)
        if kind is ErrorKind.AWAY:
            return await self._wait_for_the_database(error, trouble)
        if kind is not ErrorKind.CONTENDED:
            raise translate(error, trouble.doing, kind) from error
        if await self._waited_for_the_table(error, trouble):
            return None
        if trouble.contended >= trouble.attempts:
            raise translate(error, trouble.doing, kind) from error
        trouble.contended += 1
        return await self._pause(trouble.contended)

    async def _wait_for_the_database(
        self, error: psycopg.Error | DatabaseUnreachable | TimeoutError, trouble: _Trouble, *, is_told: bool = False
    ) -> None:
        """Wait for some time; ``is_told``: the server itself says that it takes no writes, whatever was sent.

        Raises ``DatabaseUnreachable``, and ``ReferenceRefused`` where it is the unit that breaks its connection.
        """
        database, now = self._database, self._database.clock.monotonic()
        reason = describe(error) if isinstance(error, psycopg.Error) else str(error) or "no answer in time"
        has_begun = self._watchdog is not None and self._watchdog.has_begun
        if trouble.is_flip and isinstance(error, psycopg.Error) and has_begun and not is_told:
            # alone at work, that the new connection began a transaction shows as much
            if not trouble.breaks or database.units > trouble.units_then or len(database.at_work) == 1:
                trouble.breaks += 1
                trouble.units_then = database.units
            if trouble.breaks == MOST_BREAKS:
                await self._drop()
                text = f"{trouble.doing}: the connection broke three times, while the database worked for others"
                hint = "Look into the server's log: what does it say of the end of its process?"
                refused = ReferenceRefused(f"{text}: {reason}", hint=hint, sqlstate=error.sqlstate or "")
                refused.broke = True
                raise refused from error
        await self._drop()
        trouble.lost_at = now if trouble.lost_at is None else trouble.lost_at
        trouble.away += 1
        patience = database.settings.db_retry_seconds
        if trouble.away > 1 or self._outages_before == database.outage.ended:
            database.outage.begin(reason, now, patience)
        if now - trouble.lost_at > patience or database.stopping.is_set():
            raise _gave_up(trouble.doing, reason, is_read_only=is_told) from error
        await self._pause(trouble.away)

    async def _waited_for_the_table(self, error: psycopg.Error, trouble: _Trouble) -> bool:
        """Whether a lock on the whole table was in the way: then some time has passed. Raises ``TableLocked``."""
        database, connection = self._database, self._connection
        if not database.watched or connection is None or connection.closed:
            return False
        blockers = await self._asked(table_locks(connection, database.watched, is_flip=trouble.is_flip))
        was_locked, trouble.is_table_locked = trouble.is_table_locked, bool(blockers)
        if not blockers:
            return was_locked  # the lock was given back just after this unit had waited for it in vain
        self._causes.add(database.monitor.name_lock(blockers))
        now = database.clock.monotonic()
        trouble.locked_at = now if trouble.locked_at is None else trouble.locked_at
        if now - trouble.locked_at > database.settings.db_retry_seconds or database.stopping.is_set():
            who = blockers[0].named(with_state=True)
            text = f"{trouble.doing}: {describe(error)}; the lock on {database.tables} is {who}"
            hint = "End what holds it (pg_terminate_backend), or wait for it; then run again."
            raise TableLocked(text, hint=hint, sqlstate=error.sqlstate or "") from error
        await self._pause_for(database.clock.jitter(0.2, TABLE_LOCK_PAUSE_SECONDS))
        return True

    async def _say_back(self) -> None:
        """Say that the database is back, unless it is to be written and takes no writes: a read may do without."""
        database, connection = self._database, self._connection
        if not database.for_writing or (connection and await self._asked(is_read_only(connection)) is False):
            database.outage.end(database.clock.monotonic())

    async def _asked(self, question: Awaitable[T]) -> T | None:
        """Return the answer to a question on our own connection; None, and no connection, where it broke."""
        try:
            return await question
        except (psycopg.Error, TimeoutError):  # the next attempt finds out whether that lasts
            await self._drop()
            return None

    async def _pause(self, attempt: int) -> None:
        """Wait with full jitter, but no longer than until the run is stopped."""
        longest = min(LONGEST_WAIT_SECONDS, 0.1 * 2**attempt)
        await self._pause_for(self._database.clock.jitter(0.05, longest))

    async def _pause_for(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._database.stopping.wait()

    async def _drop(self) -> None:
        """Close a connection that is broken, or not to be trusted."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._database.losses += 1
            await self._database.connections.lose(connection)

    async def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._database.connections.leave(connection)


# A COMMIT may wait for a synchronous standby, and is then not to be cut short: it is done already.
_COMMIT = b"SET LOCAL statement_timeout = 0; COMMIT"


async def _backend_pid(connection: AsyncConnection) -> int:
    """Return the server's number for this transaction's process: a pooler tells its own number for the connection."""
    row: Any = await (await connection.execute(b"SELECT pg_backend_pid()")).fetchone()
    return int(row[0])


async def _leave_off(connection: PatientConnection, error: BaseException) -> None:
    """End a transaction that failed; a connection that cannot is closed.

    One on whose COMMIT we do not wait any longer is left to the server, which then finds that we are gone.
    """
    is_committing, connection.is_committing = connection.is_committing, False
    if is_committing and isinstance(error, asyncio.CancelledError):
        await connection.close()
        return
    with suppress(psycopg.Error):
        if not connection.closed:
            await connection.rollback()


def _still_cancelled() -> bool:
    """Take back the cancellation that was our own; return whether there was another."""
    task = asyncio.current_task()
    return task is not None and task.uncancel() > 0


def _gave_up(doing: str, reason: str, *, is_read_only: bool = False) -> DatabaseUnreachable:
    hint = "Look whether the database runs and can be reached, then run again: nothing is lost."
    if is_read_only:
        hint = (
            "The server is a standby, or default_transaction_read_only is set for the role, the database or the server."
            " Run again when it takes writes: nothing is lost."
        )
    return DatabaseUnreachable(f"{doing}: {reason}", hint=hint)
