"""Transactions of ours: their numbers, what became of them, and whether what they did would survive a crash.

Under ``synchronous_commit = off`` it would not at once. The server's log may end with records of transactions that are
still open, such as the locks of rows, and nothing writes a last page of those to disk before something is committed. So
where the end of the log is not on disk, a transaction of ours that has a number and changes nothing is committed behind
it: the walwriter writes all up to its commit record, within three times ``wal_writer_delay`` (PostgreSQL's manual,
“Asynchronous Commit”).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, LiteralString

from sketchmigrate.core.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg import AsyncConnection

    from sketchmigrate.postgres.database import Database

LONGEST_PAUSE_SECONDS = 0.5

_NUMBER = b"SELECT pg_current_xact_id()::text::bigint"

# Of a number that it has not given out yet the server would say, as an error, that it is in the future. A snapshot ends
# behind the last one that is done: from there on one under way is known by the lock that it has on its own number.
_STATUS: LiteralString = """
SELECT CASE WHEN xid < pg_snapshot_xmax(pg_current_snapshot()) THEN pg_xact_status(xid)
    WHEN EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid' AND transactionid = xid::xid) THEN 'in progress'
END FROM (SELECT %s::text::xid8 AS xid) AS asked
"""

_AT_ONCE = """
SELECT wal_end::text, pg_current_wal_flush_lsn() >= wal_end
FROM (SELECT pg_current_wal_insert_lsn() AS wal_end OFFSET 0) AS log
"""


async def current_transaction(connection: AsyncConnection) -> int:
    """Return the number (xid8) of the transaction under way; it is given one if it has none yet."""
    row: Any = await (await connection.execute(_NUMBER)).fetchone()
    return int(row[0])


async def transaction_status(connection: AsyncConnection, xid: int) -> str | None:
    """Return what became of a transaction: ``committed``, ``aborted``, ``in progress``; None where nothing is known."""
    for _ in range(2):  # it may have ended between the snapshot and the look at the locks
        row: Any = await (await connection.execute(_STATUS, [str(xid)])).fetchone()
        if row[0] is not None:
            return str(row[0])
    return None


async def transaction_statuses(connection: AsyncConnection, xids: Iterable[int]) -> dict[int, str | None]:
    """Return what became of several."""
    return {xid: await transaction_status(connection, xid) for xid in xids}


async def until_flushed(database: Database) -> None:
    """Wait until all that was committed before is on the server's disk, for up to DB_RETRY_SECONDS.

    Needs no right and changes no setting. Raises ``DatabaseError``, and what ``Session.run`` raises.
    """
    clock, end, losses = database.clock, "", -1
    began, pause_seconds = clock.monotonic(), 0.01
    async with database.session() as session:
        while True:
            if losses != database.losses:  # perhaps another server by now, whose log ends elsewhere
                end, losses = "", database.losses
            end = await session.run(_end_not_flushed, end, doing="waiting until the flips are on disk")
            if not end and losses == database.losses:
                return
            if clock.monotonic() - began > database.settings.db_retry_seconds or database.stopping.is_set():
                text = "what was flipped is committed, but not on the database's disk yet (synchronous_commit is off)"
                hint = "Look at the server's disk, then run again: that finds what a crash may have lost."
                raise DatabaseError(text, hint=hint)
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)


async def _end_not_flushed(connection: AsyncConnection, end: str) -> str:
    """Return up to where the log is to be on disk and is not yet: ``end``, or its end now if none is given."""
    if not end:
        row: Any = await (await connection.execute(_AT_ONCE)).fetchone()
        if row[1]:
            return ""
        await connection.execute("SELECT pg_current_xact_id()")
        end = row[0]
    row = await (await connection.execute("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn", [end])).fetchone()
    return "" if row[0] else end
