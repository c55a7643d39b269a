"""What makes a database strained, and how a run that feels it is looked at."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import psycopg

from tests.patience import wait_until
from tests.servers.databases import FAST_AND_LOOSE
from tests.tool import finish

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.e2e.site import Site
    from tests.servers.databases import Database
    from tests.servers.standby import Standby

STANDBY = "standby-2"
OBJECTS = 10
OPTIONS = {
    **FAST_AND_LOOSE,
    "wal_level": "logical",
    "max_slot_wal_keep_size": "16MB",
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "track_commit_timestamp": "on",
}
"""Of a server whose WAL is a run's own, and which knows when a row was set."""

HOLD_A_LOOK_UP = "LOCK TABLE pg_stat_archiver IN ACCESS EXCLUSIVE MODE"
"""That is asked by one part of a look alone, and in this database alone."""
CANCEL_A_LOOK = """
SELECT pg_cancel_backend(pid) FROM pg_locks
WHERE NOT granted AND relation = 'pg_stat_archiver'::regclass
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
"""What waits for that."""


def fill(site: Site, rows: int) -> None:
    """Make rows that share ten objects, which are in production.

    Of several processes that copy one object, one may meet it half written: rclone's server shows it with 0 bytes then.
    """
    store = site.store
    for bucket, prefix in ((store.legacy_bucket, "image"), (store.production_bucket, "avatar")):
        store.put_all(bucket, {f"{prefix}/{number}.png": b"picture" for number in range(OBJECTS)})
    site.database.create_avatars(f"image/{number % OBJECTS}.png" for number in range(rows))


def flipped(database: Database) -> int:
    """How many rows are in production."""
    ((number,),) = database.execute("SELECT count(*) FROM avatars WHERE path LIKE 'avatar/%'")
    return int(number)


def check_stands_still(database: Database, seconds: float = 1.1) -> int:
    """See that nothing is flipped and nothing held meanwhile; return how many rows are flipped."""
    time.sleep(0.3)  # an order to a worker is on its way
    before = flipped(database)
    time.sleep(seconds)  # longer than from one look to the next; below a limit some rows go on in that time
    assert flipped(database) == before
    open_transactions = """
        SELECT state, query FROM pg_stat_activity
        WHERE application_name LIKE 'sketch-migrate%' AND datname = current_database() AND state LIKE 'idle in%'
        AND clock_timestamp() - xact_start > interval '250 ms'  -- a look is one for some milliseconds
    """
    assert database.execute(open_transactions) == []
    return before


def wal_bytes(database: Database) -> int:
    """How long the WAL is."""
    ((lsn,),) = database.execute("SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint")
    return int(lsn)


def log_of(site: Site) -> str:
    """What the last run has logged."""
    return (site.last_run() / "migrate.log").read_text()


def wait_until_logged(site: Site, process: subprocess.Popen[str], text: str) -> str:
    """Wait until the run's log has a text, and return the log."""

    def has_it() -> bool:
        assert process.poll() is None, finish(process)
        with contextlib.suppress(FileNotFoundError, IndexError):  # there is no run yet
            return text in log_of(site)
        return False

    wait_until(has_it, f"the log says {text!r}")
    return log_of(site)


@contextlib.contextmanager
def paused(standby: Standby, database: Database | None) -> Iterator[None]:
    """A standby that replays nothing meanwhile; with the primary's database it had replayed all."""
    behind = "SELECT 1 FROM pg_stat_replication WHERE application_name = %s AND replay_lsn < pg_current_wal_lsn()"
    if database is not None:
        wait_until(lambda: not database.execute(behind, STANDBY), f"{STANDBY} has replayed all")
    standby.pause()
    try:
        yield
    finally:
        standby.resume()


@contextlib.contextmanager
def vacuum_at_work(database: Database) -> Iterator[None]:
    """A vacuum of the table that takes minutes; it is ended at the end."""
    with database.connect() as connection:
        connection.execute("SET vacuum_cost_delay = '100ms'; SET vacuum_cost_limit = 1")

        def vacuum() -> None:
            with contextlib.suppress(psycopg.errors.QueryCanceled):
                connection.execute("VACUUM (FREEZE) avatars")

        thread = threading.Thread(target=vacuum)
        thread.start()
        try:
            at_work = "SELECT 1 FROM pg_stat_progress_vacuum WHERE relid = 'avatars'::regclass"
            wait_until(lambda: bool(database.execute(at_work)), "the vacuum is at work")
            yield
        finally:
            connection.cancel_safe()
            thread.join()


def make_old(database: Database) -> None:
    """Make the table so old that a vacuum of it is one to prevent wraparound."""
    database.execute("ALTER TABLE avatars SET (autovacuum_freeze_max_age = 100000)")
    database.execute(
        "DO $$ BEGIN CREATE TABLE burnt (number int); FOR i IN 1..11 LOOP FOR j IN 1..10000 LOOP"
        " BEGIN INSERT INTO burnt VALUES (j); EXCEPTION WHEN others THEN NULL; END;"
        " END LOOP; COMMIT; END LOOP; END $$"
    )
