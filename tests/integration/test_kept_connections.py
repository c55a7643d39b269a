"""Connections that one session leaves to the next: as good as new ones, and never with a transaction in them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.postgres.database import Database
from sketchmigrate.settings import Settings

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from tests.servers import databases


async def backend(connected: AsyncConnection) -> int:
    return connected.pgconn.backend_pid


@pytest.fixture
def kept(database: databases.Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    for name, value in database.environ().items():
        monkeypatch.setenv(name, value)
    site = Settings(db_host=database.host, db_port=database.port, db_name=database.name)
    return Database(site, stopping=asyncio.Event(), kept=1)


async def test_a_connection_serves_one_session_after_the_other(kept: Database) -> None:
    served = []
    for _ in range(3):
        async with kept.session() as session:
            served.append(await session.run(backend, doing="asking"))
    assert len(set(served)) == 1
    await kept.close()
    async with kept.session() as session:
        assert await session.run(backend, doing="asking") != served[0]
    await kept.close()


async def test_no_more_are_kept_than_wanted(kept: Database) -> None:
    async with kept.session() as one, kept.session() as other:
        first = await one.run(backend, doing="asking")
        second = await other.run(backend, doing="asking")
    async with kept.session() as one, kept.session() as other:
        assert await one.run(backend, doing="asking") == second  # the first one to be left
        assert await other.run(backend, doing="asking") not in {first, second}
    await kept.close()


async def test_one_that_broke_meanwhile_is_made_again(kept: Database, database: databases.Database) -> None:
    async with kept.session() as session:
        before = await session.run(backend, doing="asking")
    database.execute("SELECT pg_terminate_backend(%s)", before)
    async with kept.session() as session:
        assert await session.run(backend, doing="asking") != before
    await kept.close()


async def test_a_cancelled_session_leaves_no_transaction(kept: Database) -> None:
    begun = asyncio.Event()

    async def sleep(connected: AsyncConnection) -> None:
        await connected.execute("SELECT 1")
        begun.set()
        await connected.execute("SELECT pg_sleep(60)")

    async def cut_short() -> None:
        async with kept.session() as session:
            await session.run(sleep, doing="sleeping")

    running = asyncio.create_task(cut_short())
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    async with kept.session() as session:
        await session.run(backend, doing="asking")
    await kept.close()
