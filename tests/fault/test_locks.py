"""Rows that somebody else holds: the tool passes them over, gives way at once, and comes back for them.

What the application feels is measured in its own updates. "At once" is a second here: a flip that waited for one row
while it held the others made them wait for five.
"""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests import tool
from tests.fault.promises import LEGACY, ROWS, World, production_path
from tests.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.databases import Database, Databases
    from tests.servers.postgres_fault_proxy import PostgresFaultProxy

ALL = {"migrated": ROWS}
AT_ONCE_SECONDS = 1.0
HELD = 7


@contextmanager
def held(database: Database, *keys: int) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """Hold rows as an application does, until the block ends or the connection is rolled back."""
    with psycopg.connect(database.conninfo) as connection:
        for key in keys:
            connection.execute("SELECT FROM avatars WHERE id = %s FOR UPDATE", [key])
        yield connection


@contextmanager
def application_updates(database: Database, without: int = 0) -> Iterator[list[float]]:
    """Update one row after the other as an application does, its own column; give the seconds that each took."""
    stopping, seconds = threading.Event(), list[float]()

    def update() -> None:
        with database.connect() as connection:
            while not stopping.wait(0.002):
                for key in range(1, ROWS + 1):
                    if key != without:
                        began = time.monotonic()
                        connection.execute("UPDATE avatars SET owner = owner || '.' WHERE id = %s", [key])
                        seconds.append(time.monotonic() - began)

    with ThreadPoolExecutor() as threads:
        updating = threads.submit(update)
        try:
            yield seconds
        finally:
            stopping.set()
            updating.result()


def wait_until_all_others_are_flipped(world: World, but: int = 1) -> None:
    done_before = sum((path or "").startswith("avatar/") for path, _ in world.before.rows.values())
    wait_for_rows("avatar/", world.database, done_before + ROWS - but)


def wait_for_rows(side: str, database: Database, count: int) -> None:
    """Wait until so many rows are on a side. To make a connection for each look would cost more than the pause."""
    with database.connect() as connection:
        look = "SELECT count(*) >= %s FROM avatars WHERE starts_with(path, %s)"
        wait_until(lambda: connection.execute(look, [count, side]).fetchone() == (True,), f"{count} rows at {side}")


def reset_owners(world: World) -> None:
    """Undo what the application wrote into its own column, for the promises to be checked."""
    world.database.execute("UPDATE avatars SET owner = 'user ' || id")


def test_a_row_that_stays_locked_fails_alone_and_nobody_waits_for_it(world: World) -> None:
    with held(world.database, HELD), application_updates(world.database, without=HELD) as seconds:
        run = world.migrate(db_retry_seconds=2)
    assert run.code == 1, run.err
    assert run.outcomes == {"migrated": ROWS - 1, "failed": 1}
    assert run.reasons[HELD].startswith("locked: ")
    assert len(seconds) > ROWS
    assert max(seconds) < AT_ONCE_SECONDS
    reset_owners(world)
    assert world.check_promises() == ROWS - 1
    world.check_resumed()


@pytest.mark.parametrize("command", [(), ("rollback", "--all", "runs")], ids=["migrate", "rollback"])
def test_rows_that_are_locked_for_a_while_are_taken_up_when_they_are_free(
    world: World, command: tuple[str, ...]
) -> None:
    if command:
        assert world.migrate().code == 0
    held_rows = range(HELD, HELD + 30)
    with held(world.database, *held_rows) as lock:
        process = world.start(command=command)
        if command:
            wait_for_rows(LEGACY, world.database, ROWS - 30)
        else:
            wait_until_all_others_are_flipped(world, but=30)
        lock.rollback()
        run = world.finish(process)
    assert run.code == 0, run.err
    assert run.outcomes == {"restored" if command else "migrated": ROWS}
    if command:
        assert world.check_promises() == 0
    else:
        world.check_finished()


def test_what_the_application_writes_into_a_row_that_it_holds_stays(world: World) -> None:
    with held(world.database, HELD, HELD + 1, HELD + 2) as lock:
        process = world.start()
        wait_until_all_others_are_flipped(world, but=3)
        lock.execute("UPDATE avatars SET path = 'avatar/done-1.png' WHERE id = %s", [HELD])
        lock.execute("DELETE FROM avatars WHERE id = %s", [HELD + 1])
        lock.commit()
        run = world.finish(process)
    assert run.code == 0, run.err
    assert run.outcomes == {"migrated": ROWS - 2, "superseded": 2}
    paths = world.database.paths()
    assert paths[HELD] == "avatar/done-1.png"
    assert HELD + 1 not in paths
    assert paths[HELD + 2] == production_path(world.before.legacy_paths[HELD + 2])


@pytest.mark.parametrize("flags", [(), ("-w",), ("--processes", "2")])
def test_locked_rows_count_for_the_limit(world: World, flags: tuple[str, ...]) -> None:
    with held(world.database, HELD):
        run = world.migrate("-l", "20", *flags, db_retry_seconds=5)  # for the rows that a slow machine makes late
    assert run.code == 1, run.err
    assert run.outcomes == {"migrated": 19, "failed": 1}
    assert run.document["rows_left"]


def test_what_a_trigger_raises_again_and_again_is_told_in_its_words_and_not_called_a_lock(world: World) -> None:
    world.database.execute(
        "CREATE FUNCTION quota() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'quota is used up' USING ERRCODE = '40001'; END $$;"
        f" CREATE TRIGGER quota BEFORE UPDATE ON avatars FOR EACH ROW WHEN (NEW.id = {HELD}) EXECUTE FUNCTION quota()"
    )
    run = world.migrate(db_retry_seconds=2)
    assert run.code == 1, run.err
    assert run.outcomes == {"migrated": ROWS - 1, "failed": 1}
    assert "quota is used up" in run.reasons[HELD]
    assert "locked" not in run.reasons[HELD]
    assert run.document["objects_copied"] == ROWS - 1, "that of the row counts; one was in production before"


def test_a_signal_ends_the_rounds_and_the_row_stays_legacy(world: World) -> None:
    with held(world.database, HELD):
        process = world.start()
        wait_until_all_others_are_flipped(world)
        process.send_signal(signal.SIGINT)
        run = world.finish(process)
    assert run.code == 130, run.err
    assert run.outcomes == {"migrated": ROWS - 1}
    assert world.check_promises() == ROWS - 1
    world.check_resumed()


def test_a_second_take_up_copies_nothing_again(world: World) -> None:
    """With -w a copy is made without a look: of a row that was locked it is made once all the same."""
    key = production_path(world.before.legacy_paths[HELD])
    client, bucket = world.store.client, world.store.production_bucket
    with held(world.database, HELD) as lock:
        process = world.start("-w")
        wait_until_all_others_are_flipped(world)
        copied = client.head_object(Bucket=bucket, Key=key)["LastModified"]
        time.sleep(2.1)
        lock.rollback()
        run = world.finish(process)
    assert run.outcomes == ALL, run.err
    assert client.head_object(Bucket=bucket, Key=key)["LastModified"] == copied


def test_an_application_in_the_other_order_meets_no_deadlock(world: World, postgres_proxy: PostgresFaultProxy) -> None:
    """It holds a row late in the batch and wants an early one, which a flip holds that wants the late one."""
    with ExitStack() as opened:
        application = opened.enter_context(world.database.connect())
        application.execute("BEGIN; SELECT FROM avatars WHERE id = 20 FOR UPDATE")
        process = world.start("-p", "1", database=world.database.via(postgres_proxy.port))
        postgres_proxy.wait_until(lambda: any("WITH free" in text for text in postgres_proxy.statements))
        began = time.monotonic()
        for key in range(19, 0, -1):
            application.execute("UPDATE avatars SET owner = owner WHERE id = %s", [key])
        assert time.monotonic() - began < AT_ONCE_SECONDS
        application.execute("COMMIT")
        run = world.finish(process)
    assert run.code == 0, run.err
    assert run.outcomes == ALL
    world.check_finished()


def test_a_slow_trigger_makes_flips_smaller(world: World, postgres_proxy: PostgresFaultProxy) -> None:
    """10 ms a row: a batch of 20 rows would hold each of them for a fifth of a second."""
    world.database.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.path <> OLD.path THEN PERFORM pg_sleep(0.01); END IF; RETURN NEW; END $$;"
        " CREATE TRIGGER slow BEFORE UPDATE ON avatars FOR EACH ROW EXECUTE FUNCTION slow()"
    )
    with application_updates(world.database) as seconds:
        run = world.migrate(database=world.database.via(postgres_proxy.port))
    assert run.outcomes == ALL, run.err
    flips = [text for text in postgres_proxy.statements if text.lstrip().startswith("WITH free")]
    assert len(flips) >= 10, "with 20 rows a batch and 16 at first there would be six"
    assert max(seconds) < AT_ONCE_SECONDS
    reset_owners(world)
    world.check_finished()


@pytest.mark.parametrize("table", ["flip", "unsettled"])
def test_no_row_is_locked_while_the_ledger_stands_still(world: World, databases: Databases, table: str) -> None:
    """Its table is locked for some seconds. rclone honours no condition, so that transactions are noted as well."""
    with databases.fresh() as ledgers:
        url = f"postgresql://{ledgers.host}:{ledgers.port}/{ledgers.name}"
        secrets = {"SKETCH_LEDGER_USER": ledgers.user, "SKETCH_LEDGER_PASS": ledgers.password}
        world = World(world.database, world.store, world.before, world.cwd, secrets, ledgers)
        environ = {**world.environ, **world.database.environ(), "SKETCH_LEDGER_URL": url}
        assert tool.run("ledger", "init", environ=environ, cwd=world.cwd).code == 0
        with ledgers.connect() as locking, application_updates(world.database) as seconds:
            locking.execute(f"BEGIN; LOCK TABLE sketch_ledger.{table} IN EXCLUSIVE MODE")
            process = world.start(ledger_url=url)
            looks = "SELECT FROM pg_locks WHERE NOT granted"
            wait_until(lambda: bool(locking.execute(looks).fetchall()), "the ledger holds something up")
            time.sleep(1.5)
            locking.execute("COMMIT")
            run = world.finish(process)
    assert run.code == 0, run.err
    assert run.outcomes == ALL
    assert max(seconds) < AT_ONCE_SECONDS
