"""Asks, on a connection of its own, which sessions block the others. Without it nothing is named, and nothing fails."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg

from sketchmigrate.core.errors import DatabaseError
from sketchmigrate.postgres.waits import BlockingSession, lock_words
from sketchmigrate.postgres.watchdog import hung_up_after

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from psycopg import AsyncConnection

    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.patient_connection import PatientConnection
    from sketchmigrate.postgres.watchdog import Watchdog

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
AGAIN_SECONDS = 30.0
"""A connection that could not be made is tried again after this time."""

FEWEST_SECONDS_BETWEEN = 0.5
"""``pg_blocking_pids`` stops the whole lock manager for a moment, so it is not asked for every single row."""

# Not by pg_blocking_pids() alone: a row of pg_stat_activity that our role may not see has no state.
_BLOCKERS: LiteralString = """
SELECT b.pid, a.usename::text, a.application_name, a.state,
       extract(epoch FROM clock_timestamp() - a.state_change)::float8, false
FROM (SELECT DISTINCT unnest(pg_blocking_pids(%s)) AS pid) AS b LEFT JOIN pg_stat_activity AS a USING (pid)
ORDER BY a.xact_start NULLS LAST, b.pid
"""

# Whoever holds, or waits in front of us for, a lock on a whole table that lets our kind of statement wait. To read and
# to flip also locks the table's partitions and indexes. A prepared transaction has no pid.
_TABLE_LOCKS: LiteralString = """
WITH RECURSIVE tree (oid) AS (
    SELECT to_regclass(name)::oid FROM unnest(%(relations)s::text[]) AS name
    UNION SELECT i.inhrelid FROM pg_inherits AS i JOIN tree ON i.inhparent = tree.oid
), watched (oid) AS (
    SELECT oid FROM tree UNION SELECT i.indexrelid FROM pg_index AS i JOIN tree ON i.indrelid = tree.oid
)
SELECT coalesce(l.pid, 0), a.usename::text, a.application_name, a.state,
       extract(epoch FROM clock_timestamp() - a.state_change)::float8, NOT bool_or(l.granted)
FROM pg_locks AS l JOIN watched ON watched.oid = l.relation LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.mode = ANY (%(modes)s) AND l.pid IS DISTINCT FROM pg_backend_pid()
GROUP BY l.pid, a.usename, a.application_name, a.state, a.state_change, a.xact_start
ORDER BY NOT bool_or(l.granted), a.xact_start NULLS LAST
"""

_AGAINST_READING = ["AccessExclusiveLock"]
_AGAINST_FLIPS = [*_AGAINST_READING, "ExclusiveLock", "ShareRowExclusiveLock", "ShareLock"]

# Behind a pooler the pid that we know is the pooler's own; our role always sees its own sessions.
_STANDBY: LiteralString = """
SELECT current_setting('synchronous_standby_names') FROM pg_stat_activity
WHERE wait_event = 'SyncRep' AND (pid = %s OR (application_name LIKE 'sketch-migrate%%' AND usename = current_user))
LIMIT 1
"""

_READ_ONLY = b"SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean"


class BlockingMonitor:
    """Asks one question at a time; a question that comes meanwhile, or too soon, is left out."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: PatientConnection | None = None
        self._question: asyncio.Task[None] | None = None
        self._not_before = self._asked_at = 0.0
        self._hinted = False

    def ask_blockers(self, watchdog: Watchdog, pid: int) -> None:
        """Have looked who blocks a backend of ours."""
        if self._database.clock.monotonic() - self._asked_at >= FEWEST_SECONDS_BETWEEN:
            self._ask(self._look_for_blockers(watchdog, pid))

    def ask_commit(self, watchdog: Watchdog, pid: int) -> None:
        """Have looked whether a COMMIT of ours waits for a synchronous standby."""
        self._ask(self._look_for_standby(watchdog, pid))

    def name_lock(self, blockers: list[BlockingSession]) -> object:
        """Take note that these hold us up, and say so when it is time; return the cause's name for ``Waits``."""
        what, text = lock_words(self._database.tables, blockers)
        cause = "lock", blockers[0].pid
        if self._database.told_wait(cause, what, text) and blockers[0].is_hidden and not self._hinted:
            self._hinted = True
            log.warning("GRANT pg_read_all_stats TO the user shows more of who holds locks, and for how long.")
        return cause

    async def give_way(self) -> bool:
        """Close our connection for one that is needed more; return whether there was one."""
        connection, self._connection = self._connection, None
        self._not_before = self._database.clock.monotonic() + AGAIN_SECONDS
        if connection is None:
            return False
        await connection.close()
        return True

    async def close(self) -> None:
        """End the question and the connection."""
        question, self._question = self._question, None
        if question is not None:
            question.cancel()
            await asyncio.gather(question, return_exceptions=True)
        await self.give_way()
        self._not_before = 0.0

    def _ask(self, question: Coroutine[Any, Any, None]) -> None:
        if self._question is not None and not self._question.done():
            question.close()
            return
        self._asked_at = self._database.clock.monotonic()
        self._question = asyncio.get_running_loop().create_task(question)

    async def _look_for_blockers(self, watchdog: Watchdog, pid: int) -> None:
        if blockers := [BlockingSession(*row) for row in await self._answer(_BLOCKERS, [pid])]:
            watchdog.causes.add(self.name_lock(blockers))

    async def _look_for_standby(self, watchdog: Watchdog, pid: int) -> None:
        for (names,) in await self._answer(_STANDBY, [pid]):
            which = f" (synchronous_standby_names = '{names}')" if names else ""  # it may just have been emptied
            text = f"COMMIT waits for a synchronous standby{which}"
            watchdog.waits_for_standby(text)

    async def _answer(self, statement: LiteralString, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """Return the rows of an answer, none where there is no connection to ask on."""
        try:
            if self._connection is None or self._connection.closed:
                if self._database.clock.monotonic() < self._not_before:
                    return []
                self._connection = await self._database.connect()
            with hung_up_after(ANSWER_SECONDS, self._connection):
                return await (await self._connection.execute(statement, values)).fetchall()
        except (DatabaseError, psycopg.Error, TimeoutError) as error:
            log.debug("Nobody can be named who holds us up: %s", error)
            await self.give_way()
            return []


async def table_locks(connection: AsyncConnection, relations: Sequence[str], *, is_flip: bool) -> list[BlockingSession]:
    """Return who has, or waits for, a lock on the whole of a table that is in the way of reading, or of flips.

    It is asked on the very connection that waited in vain, and waits for no lock. psycopg's errors pass through.
    """
    modes = _AGAINST_FLIPS if is_flip else _AGAINST_READING
    with hung_up_after(ANSWER_SECONDS, connection):
        cursor = await connection.execute(_TABLE_LOCKS, {"relations": list(relations), "modes": modes})
        return [BlockingSession(*row) for row in await cursor.fetchall()]


async def is_read_only(connection: AsyncConnection) -> bool:
    """Whether the server takes no writes: a former primary, after a failover. psycopg's errors pass through."""
    with hung_up_after(ANSWER_SECONDS, connection):
        row = await (await connection.execute(_READ_ONLY)).fetchone()
        return bool(row and row[0])
