"""The run slows down by itself when the database feels it, waits as long as it takes, and says for what.

On a server with a streaming standby. Limits are low and rows few; ``scripts/soak --governor`` has those of every day.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from sketchmigrate.demo.servers import postgres_server
from tests.e2e.site import Site, counts
from tests.fault.governed import (
    OPTIONS,
    STANDBY,
    check_stands_still,
    fill,
    flipped,
    make_old,
    paused,
    vacuum_at_work,
    wait_until_logged,
    wal_bytes,
)
from tests.patience import wait_until
from tests.servers.databases import Databases
from tests.servers.postgres_fault_proxy import PostgresFaultProxy
from tests.servers.standby import standby_of
from tests.tool import finish, start

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from sketchmigrate.demo.servers import PostgresServer
    from tests.servers.databases import Database
    from tests.servers.standby import Standby
    from tests.servers.stores import Store
    from tests.tool import Finished

ROWS = 2_000
PACE = 1_000
LOW = {
    "SKETCH_MAX_REPLICA_LAG_SECONDS": "0",
    "SKETCH_MAX_REPLICA_LAG_BYTES": "200000",
    "SKETCH_MAX_ROWS_PER_SECOND": str(PACE),
}
"""Limits that a run of so many rows meets."""

LATE_SECONDS = 0.3
"""So much longer than another one a flip may take on a busy machine."""

ONE_PROCESS, TWO_PROCESSES = "-p 2", "--processes 2 --range-rows 500"


@pytest.fixture(scope="module")
def primary() -> Iterator[PostgresServer]:
    """A server of this module's own."""
    with postgres_server(options=OPTIONS) as server:
        yield server


@pytest.fixture(scope="module")
def standby(primary: PostgresServer) -> Iterator[Standby]:
    """Its standby."""
    with standby_of(primary, STANDBY) as server:
        yield server


@pytest.fixture(scope="module")
def databases(primary: PostgresServer) -> Iterator[Databases]:
    """The databases of that server."""
    with contextlib.closing(Databases(primary)) as of_server:
        yield of_server


@pytest.fixture
def site(databases: Databases, rclone_store: Store, tmp_path: Path) -> Iterator[Site]:
    """Legacy rows on that server."""
    with databases.fresh() as database:
        site = Site(database, rclone_store, tmp_path)
        fill(site, ROWS)
        yield site


def check_stopped(process: subprocess.Popen[str]) -> Finished:
    """Stop a run that waits; it ends at once, and says that it was stopped."""
    process.send_signal(signal.SIGINT)
    stopped = finish(process, timeout_seconds=20)
    assert stopped.code == 128 + signal.SIGINT, stopped
    return stopped


def commits(database: Database) -> list[tuple[float, int]]:
    """When flips were committed, in seconds, and how many rows each of them had."""
    flips = """
        SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS committed, count(*)
        FROM avatars WHERE path LIKE 'avatar/%' GROUP BY xmin ORDER BY committed
    """
    return [(float(at), int(rows)) for at, rows in database.execute(flips)]


def check_all_migrated(done: Finished, site: Site) -> dict[str, Any]:
    """It ended well, with all rows; return what the document says of the governor."""
    assert done.code == 0, done
    document = json.loads(done.out)
    assert document["outcomes"] == counts_of(migrated=ROWS)
    assert flipped(site.database) == ROWS
    assert list(document)[-1] == "governor"
    return dict(document["governor"])


def limit_named(setting: str, governor: dict[str, Any]) -> dict[str, Any]:
    """What the document says of one limit."""
    (limited,) = [each for each in governor["limited_by"] if each["setting"] == setting]
    return dict(limited)


def counts_of(**numbers: int) -> dict[str, int]:
    return {word: number for word, number in counts(**numbers).items() if word not in {"scanned", "copied"}}


@pytest.mark.parametrize("flags", [ONE_PROCESS, TWO_PROCESSES], ids=["one process", "two"])
def test_a_standby_that_replays_nothing_stops_the_run_until_it_does(site: Site, standby: Standby, flags: str) -> None:
    limit = 300_000
    slowed = site.with_environ(**LOW | {"SKETCH_MAX_REPLICA_LAG_BYTES": str(limit)})
    began_at = wal_bytes(site.database)
    with paused(standby, site.database):
        process = slowed.start(f"-y --json {flags}")
        wait_until_logged(site, process, f"The run waits: database: {STANDBY} is ")
        done = check_stands_still(site.database)
        added = wal_bytes(site.database) - began_at
        assert 0 < done < ROWS
        assert added <= limit + PACE * 600, "more than the limit and one second's WAL of ours"
    run = finish(process)
    governor = check_all_migrated(run, site)
    limited = limit_named("MAX_REPLICA_LAG_BYTES", governor)
    assert re.fullmatch(rf"{STANDBY} is [\d.]+ kB behind \(limit 300\.0 kB\)", limited["what"])
    assert limited["seconds"] > limited["stopped_seconds"] >= 1
    assert governor["not_watched"] == []
    assert "The run goes on, after" in run.err
    named = (
        rf"limit: database: ({STANDBY} is [\d.]+ kB behind \(limit 300\.0 kB\), (stopped|at most [\d,]+ rows/s)"
        r"|coming back from MAX_REPLICA_LAG_BYTES, at most [\d,]+ rows/s)$"
    )
    assert re.search(named, run.err, re.MULTILINE), (
        "the plain line of the bar names it: not the first one on a slow machine"
    )


def test_the_time_of_lag_counts_only_while_bytes_are_behind(site: Site, standby: Standby) -> None:
    """Replay is paused while nothing is written, and so for longer than the limit: the run begins at full speed."""
    slowed = site.with_environ(SKETCH_MAX_REPLICA_LAG_SECONDS="2", SKETCH_MAX_ROWS_PER_SECOND="600")
    with paused(standby, site.database):
        time.sleep(2.5)
        process = slowed.start(f"-y --json {ONE_PROCESS}")
        log = wait_until_logged(site, process, "s behind (limit 2 s). It goes on by itself")
        assert re.search(rf"The run waits: database: {STANDBY} is [23] s behind", log)
        assert 0 < check_stands_still(site.database) < ROWS
        check_stopped(process)


def test_a_stop_is_obeyed_while_the_run_waits(site: Site, standby: Standby) -> None:
    slowed = site.with_environ(**LOW)
    with paused(standby, site.database):
        process = slowed.start(f"-y --json {ONE_PROCESS}")
        wait_until_logged(site, process, "The run waits")
        before = check_stands_still(site.database)
        document = json.loads(check_stopped(process).out)
        assert document["outcomes"]["migrated"] == flipped(site.database) == before
        assert document["rows_left"]
    again = site.run("-y --json")
    assert json.loads(again.out)["outcomes"]["migrated"] == ROWS - before


def test_a_standby_that_vanishes_is_a_warning_and_no_limit(site: Site, primary: PostgresServer) -> None:
    slowed = site.with_environ(**LOW)
    with standby_of(primary, "standby-3") as third:
        third.pause()
        process = slowed.start(f"-y --json {ONE_PROCESS}")
        wait_until_logged(site, process, "The run waits: database: standby-3 is ")
        third.stop(signal.SIGQUIT)
        run = finish(process)
        third.start()
    check_all_migrated(run, site)
    assert "Warning: Standby standby-3 is not there any more: it limits nothing." in run.err


def test_an_unread_slot_is_not_lost(site: Site) -> None:
    """At a small part of what it may keep the run waits until somebody reads it."""
    database = site.database
    database.execute("SELECT pg_create_logical_replication_slot('reader', 'pgoutput')")
    try:
        slowed = site.with_environ(SKETCH_MAX_SLOT_WAL_PERCENT="2", SKETCH_MAX_ROWS_PER_SECOND=str(PACE))
        process = slowed.start(f"-y --json {ONE_PROCESS}")
        wait_until_logged(site, process, "The run waits: database: slot reader keeps ")
        assert 0 < check_stands_still(database) < ROWS
        ((kept, status),) = database.execute(
            "SELECT (pg_current_wal_lsn() - restart_lsn)::bigint, wal_status FROM pg_replication_slots"
            " WHERE slot_name = 'reader'"
        )
        assert status == "reserved"
        assert kept <= 0.02 * 16 * 2**20 + PACE * 600

        def is_read() -> bool:
            database.execute("SELECT pg_log_standby_snapshot()")
            database.execute("SELECT pg_replication_slot_advance('reader', pg_current_wal_lsn())")
            return process.poll() is not None or flipped(database) == ROWS

        wait_until(is_read, "the run ends while the slot is read")
        governor = check_all_migrated(finish(process), site)
        assert limit_named("MAX_SLOT_WAL_PERCENT", governor)["stopped_seconds"] >= 1
    finally:
        database.execute("SELECT pg_drop_replication_slot('reader')")


def test_the_run_waits_for_a_vacuum_that_prevents_wraparound(site: Site) -> None:
    """Which role sees it: one that may see neither the table that a vacuum is at, nor its query."""
    make_old(site.database)
    limited = site.database.make_user("SELECT ON avatars", "UPDATE (path) ON avatars")
    with vacuum_at_work(site.database):
        process = site.at(database=limited).start(f"-y --json {ONE_PROCESS}")
        said = "The run waits: database: a vacuum to prevent wraparound is at work on avatars"
        wait_until_logged(site, process, said)
        assert check_stands_still(site.database) < ROWS
    governor = check_all_migrated(finish(process), site)
    assert limit_named("PAUSE_FOR_AUTOVACUUM", governor)["stopped_seconds"] >= 1


@pytest.mark.parametrize("flags", [ONE_PROCESS, TWO_PROCESSES], ids=["one process", "two"])
def test_a_persons_own_cap_is_kept_to_and_named(site: Site, flags: str) -> None:
    """In each span of time, as the server has committed them: a flip may have the rows of a second at once."""
    cap = 150
    run = site.run(f"-y --json -l 500 --max-rows-per-second {cap} {flags}")
    assert run.code == 1, run  # rows are left
    document = json.loads(run.out)
    assert document["outcomes"]["migrated"] == 500
    flips = commits(site.database)
    assert sum(rows for _, rows in flips) == 500
    for first, (begin, _) in enumerate(flips):
        rows = 0
        for end, flipped_then in flips[first:]:
            rows += flipped_then
            assert rows <= cap * (end - begin + 1 + LATE_SECONDS), flips
    assert limit_named("MAX_ROWS_PER_SECOND", document["governor"])["what"] == "MAX_ROWS_PER_SECOND, 150 rows/s"


def test_a_rollback_is_governed_as_well(site: Site, standby: Standby) -> None:
    assert site.run("-y").code == 0
    there = site.last_run()
    slowed = site.with_environ(**LOW)
    with paused(standby, site.database):
        process = start("rollback", str(there), "-y", "--json", environ=slowed.settings, cwd=site.folder)
        wait_until_logged(site, process, f"The run waits: database: {STANDBY} is ")
        assert 0 < check_stands_still(site.database) < ROWS
    run = finish(process)
    assert run.code == 0, run
    assert flipped(site.database) == 0
    assert limit_named("MAX_REPLICA_LAG_BYTES", json.loads(run.out)["governor"])["stopped_seconds"] >= 1


def test_what_the_role_may_not_see_is_said_before_the_question(site: Site, standby: Standby) -> None:
    """And with REPLICA_URLS it is asked of the standby, where the role may see it."""
    limited = site.database.make_user("SELECT ON avatars", "UPDATE (path) ON avatars")
    blind = site.at(database=limited)
    run = blind.run(f"-y --json {ONE_PROCESS} -l 10")
    note = f"not watched: standby lag ({STANDBY}); GRANT pg_read_all_stats shows it, and REPLICA_URLS does"
    assert f"Note: {note}." in run.err
    assert json.loads(run.out)["governor"]["not_watched"] == [note.removeprefix("not watched: ")]
    url = f"postgresql://{standby.host}:{standby.port}/{limited.name}"
    seeing = blind.with_environ(SKETCH_REPLICA_URLS=url, **LOW)
    with paused(standby, site.database):
        process = seeing.start(f"-y --json {ONE_PROCESS}")
        wait_until_logged(site, process, f"The run waits: database: {standby.host}:{standby.port} is ")
        assert "not watched" not in check_stopped(process).err
    site.database.execute(f"GRANT pg_read_all_stats TO {limited.user}")
    assert "not watched" not in blind.run("-y").err
    assert flipped(site.database) == ROWS


def test_a_replica_url_that_is_no_standby_or_does_not_answer_is_refused(site: Site) -> None:
    database = site.database
    for port, words in ((database.port, "is no standby"), (1, "REPLICA_URLS: nothing listens")):
        url = f"postgresql://{database.host}:{port}/{database.name}"
        run = site.run("-y --replica-urls", url)
        assert run.code == 3, run
        assert words in run.err
    assert flipped(database) == 0


def test_a_lost_connection_of_the_vitals_costs_nothing(site: Site) -> None:
    """It is told, as that of any session is, and opened again while the flips go on."""
    with PostgresFaultProxy(site.database.port) as proxy:
        proxy.cut_at(r"pg_stat_archiver AS a WHERE", times=2, skip=2)  # one before the question, one of the run
        way = site.at(database=site.database.via(proxy.port))
        run = way.run(f"-y --json {ONE_PROCESS} --max-rows-per-second 700")
        assert sum(proxy.hits.values()) == 2
    check_all_migrated(run, site)
    assert "Warning: The database is away" in run.err
    assert "Warning: The database is back" in run.err


def test_a_right_that_is_taken_away_on_the_way_is_named_and_the_rest_is_watched_on(site: Site) -> None:
    limited = site.database.make_user("SELECT ON avatars", "UPDATE (path) ON avatars")
    process = site.at(database=limited).start(f"-y --json {ONE_PROCESS} --max-rows-per-second 600")
    wait_until(lambda: flipped(site.database) > 0, "the run flips")
    site.database.execute("REVOKE EXECUTE ON FUNCTION pg_blocking_pids(int) FROM PUBLIC")
    wait_until_logged(
        site, process, "Not watched any more: lock waiters (permission denied for function pg_blocking_pids)."
    )
    check_all_migrated(finish(process), site)
