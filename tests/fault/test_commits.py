"""A COMMIT that waits for a synchronous standby is named and never cancelled; one that is not on disk is waited for."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.errors import DatabaseError, DatabaseUnreachable
from sketchmigrate.postgres import watchdog
from sketchmigrate.postgres.transactions import until_flushed
from tests.fault.promises import ROWS, World, make_world
from tests.fault.shared import doing, shared, until
from tests.fault.test_postgres_faults import wait_for_line
from tests.servers.databases import fresh_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sketchmigrate.demo.servers import PostgresServer
    from tests.servers.databases import Database
    from tests.servers.postgres_fault_proxy import PostgresFaultProxy
    from tests.servers.stores import Store

NAMED = "COMMIT waits for a synchronous standby (synchronous_standby_names = 'other')"
FLIP = "UPDATE avatars SET path = 'avatar/' || id WHERE id = {}"
WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


def name_standby(server: PostgresServer, name: str) -> None:
    """Set who has to confirm a COMMIT; nobody is there who could."""
    with server.connect() as admin:
        admin.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'".encode())
        admin.execute("SELECT pg_reload_conf()")


@pytest.fixture
def lonely(private_postgres: PostgresServer) -> Iterator[Database]:
    """A database whose server waits for a standby that is not there, once there are some rows."""
    with fresh_database(private_postgres) as database:
        database.create_avatars([f"image/{number}" for number in range(3)])
        name_standby(private_postgres, "other")
        yield database
        name_standby(private_postgres, "")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a COMMIT asked after at once, and named."""
    monkeypatch.setattr(watchdog, "COMMIT_SECONDS", 0.2)
    monkeypatch.setattr("sketchmigrate.postgres.waits.SAID_AFTER_SECONDS", 0.2)


@pytest.mark.usefixtures("soon")
async def test_no_flip_begins_while_a_commit_waits_and_all_go_on_when_a_standby_is_back(
    lonely: Database, private_postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with shared(lonely) as ours, ours.session() as first, ours.session() as second, asyncio.timeout(30):
        one = asyncio.create_task(first.run(doing(FLIP.format(1)), doing="one row", is_flip=True))
        await until(lambda: NAMED in caplog.text)
        two = asyncio.create_task(second.run(doing(FLIP.format(2)), doing="another", is_flip=True))
        async with ours.session() as reader:  # what is read waits for nobody
            await reader.run(doing("SELECT count(*) FROM avatars"), doing="reading")
        await asyncio.sleep(0.5)
        assert len(lonely.execute(WAITING)) == 1
        assert ours.waits.present(time.monotonic()) == NAMED
        name_standby(private_postgres, "")
        await asyncio.gather(one, two)
        assert ours.waits.present(time.monotonic()) == ""
        assert ours.losses == 0
    assert lonely.paths() == {1: "avatar/1", 2: "avatar/2", 3: "image/2"}
    assert "away" not in caplog.text


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("end", ["patience", "stop", "cancelled"])
async def test_a_commit_that_waits_is_left_to_the_server(
    lonely: Database, private_postgres: PostgresServer, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    """Cancelled, it would count here alone, and be reported as done."""
    async with shared(lonely, db_retry_seconds=1 if end == "patience" else 600) as ours, asyncio.timeout(30):
        async with ours.session() as first, ours.session() as second:
            one = asyncio.create_task(first.run(doing(FLIP.format(1)), doing="one row", is_flip=True))
            await until(lambda: NAMED in caplog.text)
            two = asyncio.create_task(second.run(doing(FLIP.format(2)), doing="another", is_flip=True))
            if end == "stop":
                ours.stopping.set()
            if end == "cancelled":
                one.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await one
            else:
                for each, what in ((one, "one row"), (two, "another")):
                    with pytest.raises(DatabaseUnreachable, match=f"{what}: COMMIT waits") as error:
                        await each
                    assert error.value.exit_code == 3
        if end == "cancelled":
            two.cancel()
            await asyncio.gather(two, return_exceptions=True)
        assert lonely.execute(WAITING)
        assert lonely.paths()[1] == "image/0"
    name_standby(private_postgres, "")
    await until(lambda: lonely.paths()[1] == "avatar/1")


def test_the_run_names_it_and_goes_on(private_postgres: PostgresServer, rclone_store: Store, tmp_path: Path) -> None:
    with fresh_database(private_postgres) as database:
        world = make_world(database, rclone_store, tmp_path)
        name_standby(private_postgres, "other")
        process = world.start("-b", "5")
        said = wait_for_line(process, f"; {NAMED}")  # the bar's plain line
        name_standby(private_postgres, "")
        run = world.finish(process)
        assert run.code == 0, run.err
        assert run.outcomes == {"migrated": ROWS}
        assert f"Warning: {NAMED}" in said
        assert "away" not in said + run.err
        waits = {wait["what"] for wait in run.document["waits"]}
        assert NAMED in waits
        assert waits <= {NAMED, NAMED.partition(" (")[0]}, "it may have looked just when there was no name any more"
        world.check_finished()


def test_the_run_ends_where_no_standby_comes(
    private_postgres: PostgresServer, rclone_store: Store, tmp_path: Path
) -> None:
    with fresh_database(private_postgres) as database:
        world = make_world(database, rclone_store, tmp_path)
        name_standby(private_postgres, "other")
        run = world.migrate("-b", "5", db_retry_seconds=1)
        assert run.code == 3, run.err
        assert NAMED in run.document["error"]["message"]
        assert "standby" in run.document["error"]["hint"]
        name_standby(private_postgres, "")
        world.check_resumed()


def test_a_commit_without_an_answer_from_a_host_that_is_gone_is_hung_up_on(
    world: World, postgres_proxy: PostgresFaultProxy
) -> None:
    postgres_proxy.stall_at(r"\bCOMMIT$", after=r"WITH free", after_server=True)
    process = world.start(database=world.database.via(postgres_proxy.port), statement_timeout_ms=500)
    wait_for_line(process, "The database is away (no answer in time)")
    run = world.finish(process)
    assert postgres_proxy.hits["reply_stalls"] or postgres_proxy.hits["stall"]
    assert run.code == 0, run.err
    world.check_finished()


# -- on disk


async def test_what_was_committed_is_on_disk_before_the_word_is_given(any_database: Database) -> None:
    """A role with ``synchronous_commit = off``, and no further right."""
    any_database.create_avatars(["image/a"])
    limited = any_database.make_user("SELECT ON avatars", "UPDATE ON avatars")
    any_database.execute(f"ALTER ROLE {limited.user} SET synchronous_commit = off")
    async with shared(limited) as ours, ours.session() as session, asyncio.timeout(20):
        assert await session.run(doing("SHOW synchronous_commit"), doing="asking") == [("off",)]
        await session.run(doing(FLIP.format(1)), doing="one row", is_flip=True)
        ((lsn,),) = any_database.execute("SELECT pg_current_wal_insert_lsn()::text")
        await until_flushed(ours)
        assert any_database.execute("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn", lsn) == [(True,)]


async def test_locks_of_others_at_the_end_of_the_log_are_not_taken_for_a_disk_that_is_late(
    private_postgres: PostgresServer,
) -> None:
    """Nothing but the next commit brings them to the disk, and nobody else commits."""
    with fresh_database(private_postgres) as database:
        database.create_avatars(["image/a", "image/b"])
        limited = database.make_user("SELECT ON avatars", "UPDATE ON avatars")
        async with shared(limited, db_retry_seconds=3) as ours, ours.session() as session, asyncio.timeout(20):
            await session.run(doing(FLIP.format(1)), doing="one row", is_flip=True)
            with database.connect() as holder, holder.transaction():
                holder.execute("SELECT FROM avatars WHERE id = 2 FOR UPDATE")
                await asyncio.sleep(0.5)  # two rounds of the server's writer
                late = "SELECT pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn()"
                assert database.execute(late) == [(True,)]
                await until_flushed(ours)


def test_a_crash_right_after_exit_0_loses_nothing(
    private_postgres: PostgresServer, rclone_store: Store, tmp_path: Path
) -> None:
    with fresh_database(private_postgres) as database:
        world = make_world(database, rclone_store, tmp_path)
        limited = database.make_user("SELECT ON avatars", "UPDATE (path) ON avatars")
        database.execute(f"ALTER ROLE {limited.user} SET synchronous_commit = off")
        with private_postgres.connect() as admin:
            admin.execute("ALTER SYSTEM SET wal_writer_delay = '2s'")
            admin.execute("ALTER SYSTEM SET wal_writer_flush_after = '1GB'")
            admin.execute("SELECT pg_reload_conf()")
        run = world.migrate(database=limited)
        private_postgres.restart(signal.SIGQUIT)
        assert run.code == 0, run.err
        world.check_finished()
        back = world.migrate(command=["rollback", "--all", str(world.runs)], database=limited)
        private_postgres.restart(signal.SIGQUIT)
        assert back.code == 0, back.err
        assert world.check_promises() == 0


async def test_what_does_not_get_to_the_disk_is_an_error(private_postgres: PostgresServer) -> None:
    with fresh_database(private_postgres) as database:
        database.create_avatars(["image/a"])
        with private_postgres.connect() as admin:
            admin.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
            admin.execute("ALTER SYSTEM SET synchronous_commit = off")
            admin.execute("SELECT pg_reload_conf()")
            await until(lambda: admin.execute("SHOW wal_writer_delay").fetchone() == ("10s",))
        async with shared(database, db_retry_seconds=0.3) as ours, ours.session() as session, asyncio.timeout(20):

            async def flip_and_wait() -> None:  # once the server's writer sleeps for its ten seconds
                while True:
                    await session.run(doing(FLIP.format(1)), doing="one row", is_flip=True)
                    await until_flushed(ours)

            with pytest.raises(DatabaseError, match="not on the database's disk yet"):
                await flip_and_wait()
