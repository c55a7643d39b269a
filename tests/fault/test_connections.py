"""Too few connections are no outage: the sessions share those that there are, and it is said once."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import time
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from sketchmigrate.demo.process import free_port
from sketchmigrate.postgres import connections
from tests.fault.promises import ROWS, World, make_world
from tests.fault.shared import doing, shared
from tests.servers.databases import fresh_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import AsyncConnection

    from sketchmigrate.demo.servers import PostgresServer
    from tests.servers.databases import Database
    from tests.servers.stores import Store

ALL = {"migrated": ROWS}
PGBOUNCER = "/usr/sbin/pgbouncer"


def limited_to(world: World, connections_allowed: int) -> Database:
    """Return the world's database as a user who may have so many connections."""
    limited = world.database.make_user("SELECT ON avatars", "UPDATE (path) ON avatars")
    world.database.execute(f"ALTER ROLE {limited.user} CONNECTION LIMIT {connections_allowed}")
    return limited


def slow_down(database: Database, seconds: float) -> None:
    """Let each UPDATE of a row take so long: a run that is over in 0.2 s might not want all its connections at once."""
    database.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql"
        f" AS 'BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END'"
    )
    database.execute("CREATE TRIGGER slow BEFORE UPDATE ON avatars FOR EACH ROW EXECUTE FUNCTION slow()")


@pytest.mark.parametrize("allowed", [1, 2, 3])
def test_a_role_with_few_connections(world: World, allowed: int) -> None:
    slow_down(world.database, 0.03)
    run = world.migrate("-p", "4", "-b", "5", database=limited_to(world, allowed), db_retry_seconds=20)
    assert run.code == 0, run.err
    assert run.outcomes == ALL
    assert run.err.count("-p 4 needs 7 connections") == 1
    assert f"-p 4 needs 7 connections, {allowed} were given" in run.err
    assert "away" not in run.err
    assert run.document["elapsed_seconds"] < 10
    world.check_finished()


def test_none_at_the_start(world: World) -> None:
    limited = limited_to(world, 1)
    with psycopg.connect(limited.conninfo):
        run = world.migrate(database=limited)
    assert run.code == 3, run.err
    assert "no connection left" in run.err


def test_a_server_that_is_full(private_postgres: PostgresServer, rclone_store: Store, tmp_path: Path) -> None:
    with fresh_database(private_postgres) as database:
        world = make_world(database, rclone_store, tmp_path)
        slow_down(database, 0.03)
        limited = world.database.make_user("SELECT ON avatars", "UPDATE (path) ON avatars")
        with database.connect() as admin:
            admin.execute("ALTER SYSTEM SET max_connections = 8")
            admin.execute("ALTER SYSTEM SET superuser_reserved_connections = 3")
            admin.execute("ALTER SYSTEM SET max_wal_senders = 0")
        private_postgres.restart()
        with psycopg.connect(limited.conninfo), psycopg.connect(limited.conninfo):
            run = world.migrate("-p", "4", "-b", "5", database=limited)
        assert run.code == 0, run.err
        assert "-p 4 needs 7 connections, 3 were given" in run.err
        assert "away" not in run.err
        world.check_finished()


@contextmanager
def pgbouncer(database: Database, folder: Path, *settings: str) -> Iterator[Database]:
    """Run pgbouncer in front of a database; give the way by it."""
    if not Path(PGBOUNCER).exists():
        pytest.skip(f"pgbouncer is not installed: no {PGBOUNCER}")
    port = free_port()
    home = folder / "pgbouncer"
    home.mkdir()
    (home / "users.txt").write_text(f'"{database.user}" "{database.password}"\n')
    lines = [
        "[databases]",
        f"{database.name} = host={database.host} port={database.port}",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "auth_type = scram-sha-256",
        f"auth_file = {home}/users.txt",
        *settings,
    ]
    (home / "pgbouncer.ini").write_text("\n".join(lines))
    for path in (folder.parent, folder, home, *home.iterdir()):
        path.chmod(path.stat().st_mode | 0o055)
    copied = Path("/tmp") / f"pgbouncer-{port}"  # noqa: S108 # where its user may enter, as pytest's folders may not be
    shutil.copytree(home, copied)
    ini = copied / "pgbouncer.ini"
    ini.write_text(ini.read_text().replace(str(home), str(copied)))
    process = subprocess.Popen([PGBOUNCER, "-u", "nobody", str(ini)], stderr=subprocess.DEVNULL)
    try:
        way = replace(database, port=port)
        for _ in range(100):
            try:
                way.execute("SELECT 1")
                break
            except psycopg.OperationalError:
                time.sleep(0.05)
        yield way
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(copied)


@pytest.mark.parametrize(
    "settings",
    [
        ["pool_mode = transaction", "max_client_conn = 3"],
        ["pool_mode = session", "default_pool_size = 3", "query_wait_timeout = 1"],
    ],
    ids=["max_client_conn", "query_wait_timeout"],
)
def test_a_pooler_that_is_full(world: World, tmp_path: Path, settings: list[str]) -> None:
    slow_down(world.database, 0.1)  # the run must outlast the second after which the pooler refuses
    with pgbouncer(world.database, tmp_path, *settings) as way:
        run = world.migrate("-p", "4", "-b", "5", database=way, db_retry_seconds=20)
    assert run.code == 0, run.err
    assert run.outcomes == ALL
    # the pooler takes a while to give the look-out's connection to somebody else
    assert re.search(r"-p 4 needs 7 connections, [23] were given", run.err), run.err
    assert "away" not in run.err
    world.check_finished()


async def test_sessions_take_turns_and_grow_when_they_may(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    limited = database.make_user()
    database.execute(f"ALTER ROLE {limited.user} CONNECTION LIMIT 2")
    pids: set[int] = set()

    async def work(connection: AsyncConnection) -> None:
        pids.add(connection.info.backend_pid)
        await connection.execute("SELECT pg_sleep(0.01)")

    async with shared(limited) as ours, AsyncExitStack() as opened, asyncio.timeout(20):
        sessions = [await opened.enter_async_context(ours.session()) for _ in range(6)]
        for session in sessions[:2]:  # which hold both, and do nothing
            await session.run(work, doing="working")
        for _ in range(3):
            await asyncio.gather(*(session.run(work, doing="working") for session in sessions))
        assert len(pids) == 2
        assert ours.losses == 0
        database.execute(f"ALTER ROLE {limited.user} CONNECTION LIMIT 4")
        monkeypatch.setattr(connections, "TRY_AGAIN_SECONDS", 0.05)
        ours.connections._next_try = 0.0  # noqa: SLF001 # half a minute is over
        pids.clear()
        for _ in range(10):
            await asyncio.gather(*(session.run(work, doing="working") for session in sessions))
        assert len(pids) == 4


async def test_all_that_are_shared_break_at_once(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    limited = database.make_user()
    database.execute(f"ALTER ROLE {limited.user} CONNECTION LIMIT 2")
    async with shared(limited) as ours, AsyncExitStack() as opened, asyncio.timeout(20):
        sessions = [await opened.enter_async_context(ours.session()) for _ in range(4)]
        await asyncio.gather(*(session.run(doing("SELECT 1"), doing="working") for session in sessions))
        working = [
            asyncio.create_task(session.run(doing("SELECT pg_sleep(0.3)"), doing="working")) for session in sessions
        ]
        await asyncio.sleep(0.1)
        database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", limited.user)
        await asyncio.gather(*working)
    assert "The database is back" in caplog.text


async def test_a_connection_is_not_lost_with_a_session_that_was_stopped_while_it_waited(database: Database) -> None:
    limited = database.make_user()
    database.execute(f"ALTER ROLE {limited.user} CONNECTION LIMIT 1")
    async with shared(limited) as ours, ours.session() as one, ours.session() as other, asyncio.timeout(20):
        working = asyncio.create_task(one.run(doing("SELECT pg_sleep(0.3)"), doing="working"))
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(other.run(doing("SELECT 1"), doing="waiting"))
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)
        assert await other.run(doing("SELECT 1"), doing="again") == [(1,)]


async def test_who_looks_gives_its_connection_up_for_a_session(database: Database) -> None:
    limited = database.make_user()
    database.execute(f"ALTER ROLE {limited.user} CONNECTION LIMIT 2")
    async with shared(limited) as ours, ours.session() as one, ours.session() as other, asyncio.timeout(20):
        ((pid,),) = await one.run(doing("SELECT pg_backend_pid()"), doing="working")
        await ours.monitor._answer("SELECT 1", [])  # noqa: SLF001 # as a wait would have it ask
        ((second,),) = await other.run(doing("SELECT pg_backend_pid()"), doing="working")
        assert second != pid
        assert not ours.connections.is_short
