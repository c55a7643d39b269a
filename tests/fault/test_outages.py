"""An outage is what is proved one: by a connection that is bad, or by a server that says that it is read-only."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.errors import (
    DatabaseBusy,
    DatabaseError,
    DatabaseRefused,
    DatabaseUnreachable,
    ReferenceRefused,
)
from sketchmigrate.postgres.session import MOST_BREAKS
from tests.fault.shared import doing, shared, until
from tests.servers.databases import fresh_database

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from sketchmigrate.demo.servers import PostgresServer
    from tests.servers.databases import Database

FLIP = "UPDATE avatars SET path = 'avatar/a' WHERE id = 1"
CODES = ["25006", "08000", "08P01", "53300", "57P01", "45000", "U0001", "55000", "42501", "0A000", "53400", "XX001"]


def refuse_row_one(database: Database, code: str) -> None:
    """Have a trigger raise an error for row 1."""
    database.create_avatars(["image/a", "image/b"])
    database.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'not this row' USING ERRCODE = '{code}'; END $$"
    )
    database.execute(
        "CREATE TRIGGER refuse BEFORE UPDATE ON avatars FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION refuse()"
    )


@pytest.mark.parametrize("code", CODES)
async def test_what_a_trigger_raises_is_no_outage(
    database: Database, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    refuse_row_one(database, code)
    async with shared(database) as ours, ours.session() as session, asyncio.timeout(10):
        with pytest.raises(ReferenceRefused, match="one row: not this row") as refused:
            await session.run(doing(FLIP), doing="one row", is_flip=True)
        assert refused.value.sqlstate == code
        with pytest.raises(DatabaseError, match="not this row") as other:  # where it is no flip
            await session.run(doing(FLIP), doing="something else")
        assert not isinstance(other.value, DatabaseUnreachable)
        assert await session.run(doing("SELECT 1"), doing="the next one") == [(1,)]
        assert ours.losses == 0
    assert "away" not in caplog.text


async def test_contention_of_a_flip_is_raised_at_once_where_that_is_wanted(database: Database) -> None:
    refuse_row_one(database, "40001")
    async with shared(database) as ours, ours.session() as session:
        with pytest.raises(DatabaseBusy) as busy:
            await session.run(doing(FLIP), doing="many rows", is_flip=True, attempts=0)
        assert busy.value.sqlstate == "40001"


async def test_a_server_that_takes_no_writes_is_waited_for(
    private_postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it is asked, and though this session is alone at work: the unit has broken nothing."""
    with fresh_database(private_postgres) as database:
        database.create_avatars(["image/a"])
        with database.connect() as admin:
            admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            admin.execute("SELECT pg_reload_conf()")
            async with shared(database) as ours, ours.session() as session, asyncio.timeout(20):
                await until(lambda: admin.execute("SHOW default_transaction_read_only").fetchone() == ("on",))
                flipping = asyncio.create_task(session.run(doing(FLIP), doing="one row", is_flip=True))
                said = "The database is away (cannot execute UPDATE in a read-only transaction)"
                await until(lambda: said in caplog.text)
                await until(lambda: ours.losses > MOST_BREAKS + 1)
                admin.execute("SET default_transaction_read_only = off")
                admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
                admin.execute("SELECT pg_reload_conf()")
                await flipping
        assert "The database is back" in caplog.text
        assert database.paths() == {1: "avatar/a"}


async def test_a_role_that_may_only_read_is_named_when_the_wait_is_over(database: Database) -> None:
    database.create_avatars(["image/a"])
    async with shared(database, db_retry_seconds=1) as ours, ours.session() as session, asyncio.timeout(20):
        await session.run(doing("SELECT 1"), doing="reading")
        database.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")
        await session.run(doing("SET default_transaction_read_only = on"), doing="what a new connection begins with")
        with pytest.raises(DatabaseUnreachable, match="in a read-only transaction") as over:
            await session.run(doing(FLIP), doing="one row", is_flip=True)
        assert over.value.hint.startswith("The server is a standby, or default_transaction_read_only is set")


async def test_a_batch_that_crashes_the_server_is_refused_while_another_session_works(
    private_postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """As an extension does that crashes its process: all sessions break, and come back."""
    with fresh_database(private_postgres) as database:
        database.create_avatars(["image/a", "image/b"])
        killed: list[int] = []

        async def crash(connection: AsyncConnection) -> None:
            units = ours.units
            await until(lambda: ours.units > units)  # the other session works, as long as the server is not crashed
            killed.append(connection.info.backend_pid)
            os.kill(killed[-1], signal.SIGSEGV)
            await connection.execute(FLIP.encode())

        async with shared(database) as ours, ours.session() as crashing, ours.session() as working, asyncio.timeout(60):
            is_over = False

            async def read() -> None:
                while not is_over:
                    await working.run(doing("SELECT count(*) FROM avatars"), doing="reading")
                    await asyncio.sleep(0.01)

            reading = asyncio.create_task(read())
            with pytest.raises(ReferenceRefused, match="two rows: the connection broke three times"):
                await crashing.run(crash, doing="two rows", is_flip=True)
            is_over = True
            await reading
            assert len(set(killed)) == 3
            await crashing.run(doing(FLIP), doing="one row", is_flip=True)
        assert "The database is away" in caplog.text
        assert database.paths()[1] == "avatar/a"


async def test_a_server_that_is_gone_for_all_is_no_matter_of_the_batch(
    private_postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    with fresh_database(private_postgres) as database:
        database.create_avatars(["image/a"])
        async with shared(database) as ours, ours.session() as session, ours.session() as idle:
            await idle.run(doing("SELECT 1"), doing="reading")
            await session.run(doing("SELECT 1"), doing="reading")
            private_postgres.stop()
            flipping = asyncio.create_task(session.run(doing(FLIP), doing="one row", is_flip=True))
            await until(lambda: "The database is away" in caplog.text)
            await asyncio.sleep(0.5)
            private_postgres.start()
            await flipping
            assert "connections" not in caplog.text  # an open one of ours that is dead does not make it a shortage
        assert database.paths() == {1: "avatar/a"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER ROLE {} NOLOGIN", "the role may not log in to the database"),
        ("ALTER ROLE {} PASSWORD 'other'", "does not accept this user and password"),
    ],
)
async def test_a_refusal_at_the_next_connection_is_not_waited_for(database: Database, change: str, said: str) -> None:
    limited = database.make_user()
    async with shared(limited) as ours, ours.session() as session, asyncio.timeout(10):
        ((pid,),) = await session.run(doing("SELECT pg_backend_pid()"), doing="reading")
        database.execute(change.format(limited.user))
        database.execute("SELECT pg_terminate_backend(%s, 5000)", pid)
        with pytest.raises(DatabaseRefused, match=said) as refused:
            await session.run(doing("SELECT 1"), doing="reading")
        assert refused.value.exit_code == 3


async def test_a_database_that_was_dropped_is_not_waited_for(postgres: PostgresServer) -> None:
    with fresh_database(postgres) as database:
        async with shared(database) as ours, ours.session() as session, asyncio.timeout(10):
            await session.run(doing("SELECT 1"), doing="reading")
            with postgres.connect() as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [database.name]
                )
                admin.execute(f"ALTER DATABASE {database.name} RENAME TO gone_{database.name}".encode())
                with pytest.raises(DatabaseRefused, match="no such database"):
                    await session.run(doing("SELECT 1"), doing="reading")
                admin.execute(f"ALTER DATABASE gone_{database.name} RENAME TO {database.name}".encode())
