"""A look at a real server's vitals, of the oldest and the newest PostgreSQL at hand."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

import psycopg
import pytest

from sketchmigrate.postgres.vitals import Unanswered, Vacuum, Vitals, read_vitals
from tests.fault.governed import CANCEL_A_LOOK, HOLD_A_LOOK_UP, make_old, vacuum_at_work
from tests.fault.shared import until
from tests.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.databases import Database

NAME = "sketch-migrate"


async def look(database: Database, *before: bytes) -> tuple[tuple[Unanswered, ...], Vitals]:
    """Look once, as the tool does, on a session for which something was set before."""
    async with await psycopg.AsyncConnection.connect(database.conninfo, application_name=NAME) as connection:
        for statement in before:
            await connection.execute(statement)
        vitals, unanswered = await read_vitals(connection, ['"avatars"'])
        return unanswered, vitals


@pytest.mark.parametrize("role", ["superuser", "limited"])
async def test_a_server_answers_all_parts_of_a_look_whatever_the_role(any_database: Database, role: str) -> None:
    any_database.create_avatars(["image/a"])
    user = any_database if role == "superuser" else any_database.make_user("SELECT ON avatars")
    unanswered, vitals = await look(user)
    assert unanswered == ()
    assert vitals.wal_lsn
    assert vitals.slot_keep_bytes == -1
    assert (vitals.standbys, vitals.vacuums, vitals.lock_waiters) == ((), (), 0)
    assert vitals.activity is not None
    assert vitals.activity.transactions > 0


async def test_a_part_that_is_refused_is_named_and_the_others_are_read(database: Database) -> None:
    database.create_avatars(["image/a"])
    database.execute("REVOKE EXECUTE ON FUNCTION pg_blocking_pids(int) FROM PUBLIC")
    unanswered, vitals = await look(database.make_user("SELECT ON avatars"))
    said = "permission denied for function pg_blocking_pids"
    assert unanswered == (Unanswered("lock waiters", said, is_refused=True),)
    assert vitals.lock_waiters is None
    assert vitals.wal_lsn


async def test_a_part_that_waits_in_vain_for_a_lock_is_late_and_not_refused_and_the_others_are_read(
    database: Database,
) -> None:
    with database.connect() as blocking, blocking.transaction():
        blocking.execute(HOLD_A_LOOK_UP)
        unanswered, vitals = await look(database, b"SET LOCAL lock_timeout = '100ms'")
    said = "canceling statement due to lock timeout"
    assert unanswered == (Unanswered("activity", said, is_refused=False),)
    assert vitals.activity is None
    assert vitals.wal_lsn
    assert vitals.lock_waiters == 0


async def test_a_part_that_is_cancelled_is_late_and_the_others_are_read(database: Database) -> None:
    """As by whoever ends statements that take long."""
    with database.connect() as blocking, blocking.transaction():
        blocking.execute(HOLD_A_LOOK_UP)
        looking = asyncio.create_task(look(database))

        def is_over() -> bool:
            database.execute(CANCEL_A_LOOK)  # all parts at once first, and then this one alone
            return looking.done()

        await until(is_over)
        unanswered, vitals = await looking
    assert unanswered == (Unanswered("activity", "canceling statement due to user request", is_refused=False),)
    assert vitals.wal_lsn


async def test_that_it_is_not_told_which_table_a_vacuum_is_at_costs_no_other_part(database: Database) -> None:
    """That is asked only where there is a vacuum at all."""
    database.create_avatars(f"image/{number}.png" for number in range(3000))
    database.execute("REVOKE SELECT ON pg_inherits FROM PUBLIC")
    limited = database.make_user("SELECT ON avatars")
    with vacuum_at_work(database):
        unanswered, vitals = await look(limited)
    assert unanswered == (Unanswered("vacuums", "permission denied for table pg_inherits", is_refused=True),)
    assert vitals.vacuums is None
    assert vitals.wal_lsn
    assert vitals.activity


async def test_a_slot_is_seen_by_every_role(any_database: Database) -> None:
    any_database.create_avatars(["image/a"])
    slot = f"slot_{any_database.name}"
    any_database.execute("SELECT pg_create_physical_replication_slot(%s, true)", slot)
    try:
        _, vitals = await look(any_database.make_user("SELECT ON avatars"))
        (seen,) = [each for each in vitals.slots or () if each.name == slot]
        assert seen.restart_lsn is not None
        assert vitals.wal_lsn is not None
        assert 0 < seen.restart_lsn <= vitals.wal_lsn
        assert not seen.is_lost
    finally:
        any_database.execute("SELECT pg_drop_replication_slot(%s)", slot)


@contextlib.contextmanager
def waiting(database: Database, sessions: int) -> Iterator[None]:
    """So many of the application's sessions wait to set row 1."""
    connections = [database.connect() for _ in range(sessions)]
    threads = [
        threading.Thread(target=each.execute, args=["UPDATE avatars SET path = 'x' WHERE id = 1"])
        for each in connections
    ]
    for thread in threads:
        thread.start()
    waiters = "SELECT 1 FROM pg_locks WHERE NOT granted AND pid = ANY (%s)"
    pids = [each.info.backend_pid for each in connections]
    wait_until(lambda: len(database.execute(waiters, pids)) == sessions, "all of them wait")
    try:
        yield
    finally:
        for thread in threads:
            thread.join()
        for each in connections:
            each.close()


@pytest.mark.parametrize(("application", "counted"), [(NAME, 3), ("puma", 0)])
async def test_sessions_behind_a_transaction_of_ours_count_also_those_that_wait_for_one_another(
    any_database: Database, application: str, counted: int
) -> None:
    """Behind the first one that waits for a row, the next wait for that one. What another holds up is not ours."""
    any_database.create_avatars(["image/a"])
    limited = any_database.make_user("SELECT ON avatars", "UPDATE (path) ON avatars")
    with psycopg.connect(limited.conninfo, application_name=application) as holder:
        holder.execute("UPDATE avatars SET path = 'y' WHERE id = 1")
        with waiting(any_database, 3):
            _, vitals = await look(limited)
            holder.rollback()
    assert vitals.lock_waiters == counted
    _, after = await look(limited)
    assert after.lock_waiters == 0


@pytest.mark.parametrize("is_old", [True, False])
async def test_a_vacuum_is_seen_by_a_role_that_sees_no_query(any_database: Database, *, is_old: bool) -> None:
    """Whether it is to prevent wraparound, the table's age tells."""
    any_database.create_avatars(f"image/{number}.png" for number in range(3000))
    limited = any_database.make_user("SELECT ON avatars")
    if is_old:
        make_old(any_database)
    with vacuum_at_work(any_database):
        _, vitals = await look(limited)
    assert vitals.vacuums == (Vacuum("avatars", prevents_wraparound=is_old),)
