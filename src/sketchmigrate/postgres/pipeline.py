"""A transaction that is sent as a whole: BEGIN, one statement, COMMIT.

Sent in steps, the rows that a statement has locked stay locked while its answer waits for a turn of a busy event loop,
and the COMMIT for the next. Here the server goes on by itself, and rolls back where the statement fails (PostgreSQL
manual, libpq, "Pipeline Mode"). So a statement whose answer decides whether to commit has to fail by itself.

psycopg alone would send one statement after the other, and let the event loop turn between them: a process that is
stopped then, or a loop that is busy, would keep the rows locked, and no time limit of the server's counts before it has
answered. So they are queued, and leave together.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from sketchmigrate.postgres.limits import BEGIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.postgres.limits import Limits
    from sketchmigrate.postgres.patient_connection import PatientConnection

IS_SUPPORTED = psycopg.Pipeline.is_supported()
"""By the libpq that psycopg has: from 14 on."""

_NO_LIMIT = b"SET LOCAL statement_timeout = 0"
_COMMIT = b"COMMIT"
_NOW = b"SELECT extract(epoch FROM clock_timestamp())::float8"


class Answered(NamedTuple):
    """What was committed: the statement's only row, and the server's clock afterwards; None where that was not told."""

    row: tuple[Any, ...]
    unix_time: float | None


async def commit_at_once(
    connection: PatientConnection, limits: Limits, statement: bytes, values: Sequence[object]
) -> Answered:
    """Carry a statement out in a transaction of its own, with these limits, and commit it.

    psycopg's errors pass through. Where the connection is whole after one, nothing was committed.
    """
    committed = now = None
    cursor = connection.cursor(binary=True)
    try:
        async with connection.pipeline() as queue:
            connection.is_queueing = True
            try:
                await connection.execute(BEGIN)
                await connection.execute(limits.set_local)
                await cursor.execute(statement, values)
                await connection.execute(_NO_LIMIT)
                committed = await connection.execute(_COMMIT)
                now = await connection.execute(_NOW)
            finally:
                connection.is_queueing = False
            while queue.command_queue:
                queue.command_queue.popleft()()
            connection.pgconn.flush()
    except psycopg.Error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # psycopg says then that it cannot leave the pipeline
            await connection.close()
            raise asyncio.CancelledError from None
        if committed is None or committed.statusmessage != _COMMIT.decode():
            raise
        now = None  # it is only this question that was not answered
    row: Any = await cursor.fetchone()
    told: Any = None if now is None else await now.fetchone()
    return Answered(row, told and told[0])
