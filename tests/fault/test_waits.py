"""Whoever is in the way is waited for and named: on the bar, in the log, and in the document."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from sketchmigrate.core.errors import DatabaseBusy
from sketchmigrate.postgres import waits
from sketchmigrate.postgres.limits import Limits
from tests.fault.promises import ROWS, World
from tests.fault.shared import doing, shared, until
from tests.fault.test_postgres_faults import at_the_first_update, wait_for_line
from tests.servers.databases import fresh_database

if TYPE_CHECKING:
    from sketchmigrate.demo.servers import PostgresServer
    from tests.servers.databases import Database
    from tests.servers.postgres_fault_proxy import PostgresFaultProxy

ALL = {"migrated": ROWS}
FLIP = "UPDATE avatars SET path = 'avatar/a' WHERE id = 1"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have waits said as soon as they are seen."""
    monkeypatch.setattr(waits, "SAID_AFTER_SECONDS", 0.0)


def test_a_table_locked_at_the_start_is_waited_for_and_named(world: World) -> None:
    limited = world.database.make_user("SELECT ON avatars", "UPDATE (path) ON avatars")
    with psycopg.connect(world.database.conninfo, application_name="puma") as holder:
        holder.execute("LOCK TABLE avatars IN ACCESS EXCLUSIVE MODE")
        pid = holder.info.backend_pid
        process = world.start(database=limited)
        who = f"a lock on avatars held by pid {pid} (user {world.database.user}, application_name 'puma'"
        said = wait_for_line(process, f"waits for {who})")
        holder.rollback()
    run = world.finish(process)
    assert run.code == 0, run.err
    assert run.outcomes == ALL
    assert (said + run.err).count("GRANT pg_read_all_stats") == 1
    (wait,) = run.document["waits"]
    assert wait["what"] == f"{who})"
    assert 5 <= wait["seconds"] < 10
    assert list(run.document)[-2:] == ["waits", "governor"]
    world.check_finished()


@pytest.mark.parametrize("flags", [["-p", "2"], ["--processes", "2"]], ids=["one process", "two"])
def test_a_table_locked_in_mid_run_is_named_on_the_way_and_in_the_document(
    world: World, postgres_proxy: PostgresFaultProxy, flags: list[str]
) -> None:
    """With several processes it is the workers that tell of it."""
    with world.database.connect() as holder:
        pid = holder.info.backend_pid
        statement = "BEGIN; LOCK TABLE avatars IN ACCESS EXCLUSIVE MODE"
        locking = threading.Thread(target=holder.execute, args=[statement])  # it waits for that update
        postgres_proxy.before_statement = at_the_first_update(locking.start)
        process = world.start(*flags, "-b", "5", database=world.database.via(postgres_proxy.port), range_rows=20)
        named = f"waits for a lock on avatars held by pid {pid}"
        said = wait_for_line(process, f"The run {named}")
        if flags[0] == "-p":  # the bar's plain line
            said += wait_for_line(process, f"; {named}")
        locking.join()
        holder.execute("ROLLBACK")
    run = world.finish(process)
    assert run.code == 0, run.err
    assert run.outcomes == ALL
    for line in said.splitlines():
        if f"; {named}" in line:
            assert "left" not in line
            assert "limit:" not in line
    (wait,) = run.document["waits"]
    assert wait["what"].startswith(f"a lock on avatars held by pid {pid} (user ")
    world.check_finished()


@pytest.mark.parametrize(
    ("lock", "is_flip"),
    [
        ("LOCK TABLE avatars IN SHARE MODE", True),
        ("LOCK TABLE part_1 IN EXCLUSIVE MODE", True),
        ("LOCK TABLE part_1 IN ACCESS EXCLUSIVE MODE", False),
        ("REINDEX TABLE part_1", False),
    ],
)
async def test_every_lock_that_is_in_the_way_is_waited_for(any_database: Database, lock: str, *, is_flip: bool) -> None:
    any_database.execute("CREATE TABLE avatars (id bigint PRIMARY KEY, path text) PARTITION BY RANGE (id)")
    any_database.execute("CREATE TABLE part_1 PARTITION OF avatars FOR VALUES FROM (0) TO (100)")
    any_database.execute("INSERT INTO avatars VALUES (1, 'image/a')")
    work = doing(FLIP if is_flip else "SELECT path FROM avatars WHERE id = 1")
    async with shared(any_database, lock_timeout_ms=50) as ours, ours.session() as session, asyncio.timeout(20):
        with any_database.connect() as holder:
            holder.execute("BEGIN")
            holder.execute(lock.encode())
            waiting = asyncio.create_task(session.run(work, doing="it", is_flip=is_flip, attempts=0))
            await asyncio.sleep(1.5)
            assert not waiting.done()
            holder.execute("ROLLBACK")
        await waiting


async def test_a_lock_that_ends_just_before_it_is_asked_for_was_waited_for(
    database: Database, postgres_proxy: PostgresFaultProxy
) -> None:
    """A unit has waited in vain for it, and finds nobody in the way when it asks who that was."""
    database.create_avatars(["image/a"])
    questions: list[str] = []
    with database.connect() as holder:
        holder.execute("BEGIN; LOCK TABLE avatars IN SHARE MODE")

        def give_back(statement: str) -> None:
            if "pg_locks" in statement:
                questions.append(statement)
                if len(questions) == 2:
                    holder.execute("ROLLBACK")

        postgres_proxy.before_statement = give_back
        reached = database.via(postgres_proxy.port)
        async with shared(reached, lock_timeout_ms=50) as ours, ours.session() as session, asyncio.timeout(20):
            await session.run(doing(FLIP), doing="it", is_flip=True, attempts=0)
    assert len(questions) == 2
    assert database.paths() == {1: "avatar/a"}


@pytest.mark.usefixtures("at_once")
async def test_who_waits_in_front_of_us_is_waited_for_too(database: Database) -> None:
    """An ALTER TABLE behind a long report, and everybody behind the ALTER TABLE."""
    database.create_avatars(["image/a"])
    async with shared(database, lock_timeout_ms=50) as ours, ours.session() as session, asyncio.timeout(20):
        with database.connect() as report:
            report.execute("BEGIN; SELECT FROM avatars")
            async with await psycopg.AsyncConnection.connect(database.conninfo) as altering:
                pid = altering.info.backend_pid
                change = asyncio.create_task(altering.execute("ALTER TABLE avatars ADD COLUMN more text"))
                await until(lambda: database.execute("SELECT 1 FROM pg_locks WHERE NOT granted"))
                read = session.run(doing("SELECT path FROM avatars"), doing="reading", attempts=0)
                reading = asyncio.create_task(read)
                await until(lambda: "asked for before us" in ours.waits.present(time.monotonic()))
                assert f"by pid {pid} (user " in ours.waits.present(time.monotonic())
                report.execute("ROLLBACK")
                await change
                await altering.commit()
                await reading


async def test_a_row_that_is_locked_is_no_lock_on_the_table(database: Database) -> None:
    database.create_avatars(["image/a"])
    with database.connect() as holder:
        holder.execute("BEGIN; SELECT FROM avatars WHERE id = 1 FOR UPDATE")
        async with shared(database, lock_timeout_ms=50) as ours, ours.session() as session, asyncio.timeout(5):
            with pytest.raises(DatabaseBusy):
                await session.run(doing(FLIP), doing="one row", is_flip=True, attempts=0)


async def said_of_a_row(database: Database, **settings: Any) -> str:
    """Try row 1 again and again, as a round for locked rows does, until something is said of whoever holds it."""
    async with shared(database, **settings) as ours, ours.session() as session, asyncio.timeout(20):
        while not (said := ours.waits.present(time.monotonic())):
            with pytest.raises(DatabaseBusy):
                await session.run(doing(FLIP), doing="a row", is_flip=True, attempts=0, watched=True)
    return said


async def test_who_holds_a_row_is_named(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "SAID_AFTER_SECONDS", 1.0)
    any_database.create_avatars(["image/a"])
    with psycopg.connect(any_database.conninfo, application_name="puma", autocommit=True) as holder:
        holder.execute("BEGIN; SELECT FROM avatars WHERE id = 1 FOR UPDATE")
        said = await said_of_a_row(any_database)
        user, pid = any_database.user, holder.info.backend_pid
    assert said.startswith(
        f"waits for a lock on avatars held by pid {pid} (user {user}, application_name 'puma', idle in transaction for "
    )


@pytest.mark.usefixtures("at_once")
async def test_a_role_that_may_see_less_names_less(any_database: Database, caplog: pytest.LogCaptureFixture) -> None:
    any_database.create_avatars(["image/a"])
    limited = any_database.make_user("SELECT ON avatars", "UPDATE ON avatars")
    with any_database.connect() as holder:
        holder.execute("BEGIN; SELECT FROM avatars WHERE id = 1 FOR UPDATE")
        pid = holder.info.backend_pid
        said = await said_of_a_row(limited)
    assert said == f"waits for a lock on avatars held by pid {pid} (user {any_database.user})"
    assert caplog.text.count("GRANT pg_read_all_stats") == 1


@pytest.mark.usefixtures("at_once")
async def test_a_prepared_transaction_is_named_as_one(private_postgres: PostgresServer) -> None:
    with private_postgres.connect() as admin:
        admin.execute("ALTER SYSTEM SET max_prepared_transactions = 2")
    private_postgres.restart()
    with fresh_database(private_postgres) as database:
        database.create_avatars(["image/a"])
        with database.connect() as holder:
            holder.execute("BEGIN; SELECT FROM avatars WHERE id = 1 FOR UPDATE; PREPARE TRANSACTION 'two'")
            said = await said_of_a_row(database)
            holder.execute("ROLLBACK PREPARED 'two'")
    assert said == "waits for a lock on avatars held by a prepared transaction"


@pytest.mark.usefixtures("at_once")
async def test_without_a_second_connection_nothing_is_named_and_nothing_fails(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    database.create_avatars(["image/a"])
    limited = database.make_user("SELECT ON avatars", "UPDATE ON avatars")
    database.execute(f"ALTER ROLE {limited.user} CONNECTION LIMIT 1")
    with database.connect() as holder:
        holder.execute("BEGIN; SELECT FROM avatars WHERE id = 1 FOR UPDATE")
        async with shared(limited, lock_timeout_ms=200) as ours, ours.session() as session, asyncio.timeout(20):
            for _ in range(3):
                with pytest.raises(DatabaseBusy, match="lock timeout"):
                    await session.run(doing(FLIP), doing="a row", is_flip=True, attempts=0, watched=True)
            assert ours.waits.present(time.monotonic()) == ""
    assert not caplog.records


@pytest.mark.usefixtures("at_once")
async def test_one_long_wait_is_looked_into_as_well(database: Database) -> None:
    database.create_avatars(["image/a"])
    with database.connect() as holder:
        holder.execute("BEGIN; SELECT FROM avatars WHERE id = 1 FOR UPDATE")
        async with shared(database) as ours, ours.session() as session, asyncio.timeout(20):
            limits = replace(Limits.usual(ours.settings), lock_ms=10_000)
            run = session.run(doing(FLIP), doing="a row", is_flip=True, limits=limits, watched=True)
            waiting = asyncio.create_task(run)
            await until(lambda: ours.waits.present(time.monotonic()))
            holder.execute("ROLLBACK")
            await waiting


async def test_it_gives_way_before_the_server_looks_for_deadlocks(private_postgres: PostgresServer) -> None:
    with private_postgres.connect() as admin:
        admin.execute("ALTER SYSTEM SET deadlock_timeout = '150ms'")
        admin.execute("SELECT pg_reload_conf()")
    with fresh_database(private_postgres) as database:
        async with shared(database) as ours, ours.session() as session:
            assert await session.run(doing("SHOW lock_timeout"), doing="asking") == [("75ms",)]
            assert await session.run(doing("SHOW lock_timeout"), doing="asking") == [("75ms",)]
            (notice,) = ours.notices
            assert "LOCK_TIMEOUT_MS is 75, not 200" in notice
            assert Limits.usual(ours.settings).lock_ms == 75
        async with shared(database, lock_timeout_ms=60) as ours, ours.session() as session:
            assert await session.run(doing("SHOW lock_timeout"), doing="asking") == [("60ms",)]
            assert not ours.notices
