"""A ``Database`` of the tool's, with sessions to break, without the rest of the tool."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sketchmigrate.postgres.database import Database
from sketchmigrate.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from psycopg import AsyncConnection

    from tests.servers import databases


@asynccontextmanager
async def shared(database: databases.Database, *, kept: int = 0, **settings: Any) -> AsyncIterator[Database]:
    """Give the tool's view of a database; the table ``avatars`` is watched."""
    reached_by = {
        "host": database.host,
        "port": database.port,
        "dbname": database.name,
        "user": database.user,
        "password": database.password,
        "application_name": "sketch-migrate",
        "connect_timeout": 10,
    }
    ours = Database(
        Settings(**settings), stopping=asyncio.Event(), reached_by=reached_by, kept=kept, watched=["avatars"]
    )
    try:
        yield ours
    finally:
        await ours.close()


def doing(statement: str) -> Callable[[AsyncConnection], Coroutine[Any, Any, list[tuple[Any, ...]]]]:
    """Return a unit of work that is one statement, and its rows."""

    async def work(connection: AsyncConnection) -> list[tuple[Any, ...]]:
        cursor = await connection.execute(statement.encode())
        return await cursor.fetchall() if cursor.description else []

    return work


async def until(holds: Callable[[], object], *, seconds: float = 30) -> None:
    """Wait until something holds that nobody tells us of."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 # servers and logs have no events
            await asyncio.sleep(0.02)
