"""Whether a run goes on whose ledger is in a database: it writes down every ten seconds that it does.

Both times are the database's, whose clock is the same for all machines. A coordinator that was killed counts as going
on until its last sign is old: so long its workers on other machines may go on as well.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, LiteralString

from sketchmigrate.core.errors import MigrateError
from sketchmigrate.task_group import task_group

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from psycopg import AsyncConnection

    from sketchmigrate.ledger.postgres.server import LedgerServer
    from sketchmigrate.postgres.session import Session

log = logging.getLogger(__name__)

BEAT_SECONDS = 10.0
STALE_SECONDS = 60.0
"""A run without a sign for so long is over."""

END_SECONDS = 5.0
"""So long the end of a run may take to be written down; then it is told by the age of the last sign."""

_BEAT: LiteralString = "UPDATE sketch_ledger.run SET alive_at = clock_timestamp() WHERE id = %s"
_END: LiteralString = "UPDATE sketch_ledger.run SET alive_at = NULL WHERE id = %s"


@asynccontextmanager
async def beating(server: LedgerServer, run_id: str) -> AsyncIterator[None]:
    """Write down that a run goes on, on a connection of its own, as long as the context lasts.

    Raises ``DatabaseError`` where the first sign cannot be written. Later on, a database that is away is waited for by
    those who write the ledger; what goes wrong here is said.
    """
    async with server.session() as session:
        await _write(server, session, _BEAT, run_id)
        try:
            async with task_group() as group:
                beat = group.create_task(_go_on(server, session, run_id))
                try:
                    yield
                finally:
                    beat.cancel()
        finally:
            await _end(server, session, run_id)


async def _end(server: LedgerServer, session: Session, run_id: str) -> None:
    try:
        async with asyncio.timeout(END_SECONDS):
            await _write(server, session, _END, run_id)
    except (MigrateError, TimeoutError) as error:
        log.info("That the run is over could not be written: it counts as over by and by (%s).", error)


async def _go_on(server: LedgerServer, session: Session, run_id: str) -> None:
    is_said = False
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        try:
            await _write(server, session, _BEAT, run_id)
        except MigrateError as error:
            log.log(
                logging.DEBUG if is_said else logging.WARNING,
                "The ledger does not hear that the run goes on: %s",
                error,
            )
            is_said = True


async def _write(server: LedgerServer, session: Session, statement: LiteralString, run_id: str) -> None:
    async def write(connection: AsyncConnection) -> None:
        await connection.execute(statement, [run_id])

    await server.run(session, write, doing="telling the ledger that the run goes on")
