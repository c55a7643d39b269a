"""Whether what was committed would survive a crash of the server: under ``synchronous_commit = off`` not at once.

The server's log may end with records of transactions that are still open, such as the locks of rows. Nothing writes a
last page of those to disk before something is committed. So where the end of the log is not on disk, a transaction of
ours that has a number and changes nothing is committed behind it: the walwriter writes all up to its commit record,
within three times ``wal_writer_delay`` (PostgreSQL's manual, “Asynchronous Commit”).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from sketchmigrate.core.errors import DatabaseError

if TYPE_CHECKING:
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.session import Connection

LONGEST_PAUSE_SECONDS = 0.5

_AT_ONCE = """
SELECT wal_end::text, pg_current_wal_flush_lsn() >= wal_end
FROM (SELECT pg_current_wal_insert_lsn() AS wal_end OFFSET 0) AS log
"""


async def until_flushed(database: Database) -> None:
    """Wait until all that was committed before is on the server's disk, for up to DB_RETRY_SECONDS.

    Needs no right and changes no setting. Raises ``DatabaseError``, and what ``Session.run`` raises.
    """
    end, losses = "", -1

    async def ask(connection: Connection) -> bool:
        nonlocal end
        if not end:
            row: Any = await (await connection.execute(_AT_ONCE)).fetchone()
            if row[1]:
                return True
            await connection.execute("SELECT pg_current_xact_id()")
            end = row[0]
        row = await (await connection.execute("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn", [end])).fetchone()
        return bool(row[0])

    began, pause_seconds = time.monotonic(), 0.01
    async with database.session() as session:
        while True:
            if losses != database.losses:  # perhaps another server by now, whose log ends elsewhere
                end, losses = "", database.losses
            if await session.run(ask, doing="waiting until the flips are on disk") and losses == database.losses:
                return
            if time.monotonic() - began > database.settings.db_retry_seconds or database.stopping.is_set():
                text = "what was flipped is committed, but not on the database's disk yet (synchronous_commit is off)"
                hint = "Look at the server's disk, then run again: that finds what a crash may have lost."
                raise DatabaseError(text, hint=hint)
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
