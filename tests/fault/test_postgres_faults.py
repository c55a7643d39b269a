"""The database, or the way to it, fails: nothing is lost, and the counts stay exact.

Connections that are cut, in every command and at every point: ``test_matrix``.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psycopg
import pytest

from tests.fault.promises import ROWS, World, make_world
from tests.servers import s3_faults
from tests.servers.databases import fresh_database

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from sketchmigrate.demo.servers import PostgresServer
    from tests.servers.postgres_fault_proxy import PostgresFaultProxy
    from tests.servers.s3_fault_proxy import S3FaultProxy
    from tests.servers.stores import Store

ALL = {"migrated": ROWS}
IMPATIENT_MS = 100


def is_update(statement: str) -> bool:
    """Whether a statement is a flip."""
    return statement.lstrip().startswith("WITH free")


def at_the_first_update(act: Callable[[], object]) -> Callable[[str], None]:
    """Return a hook for the proxy that acts when the first flip arrives, and only then."""
    first = threading.Lock()

    def hook(statement: str) -> None:
        if is_update(statement) and first.acquire(blocking=False):
            act()

    return hook


def wait_for_line(process: subprocess.Popen[str], text: str) -> str:
    """Read what a run says until it has said ``text``; return what was read, which ``finish`` will not see again."""
    assert process.stderr is not None
    said = ""
    while text not in said:
        piece = os.read(process.stderr.fileno(), 4096)  # unbuffered: the rest is for others
        assert piece, f"it never said {text!r}, but {said}"
        said += piece.decode()
    return said


def kill_all_of(server: PostgresServer) -> None:
    """Kill the postmaster and all of its processes, as if the power was cut."""
    with server.connect() as connection:
        (text,) = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone() or ("",)
    postmaster = int(text.split()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    for pid in (postmaster, *map(int, children)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("moment", ["before", "reply_lost"])
def test_a_connection_cut_while_reading_costs_nothing(
    world: World, postgres_proxy: PostgresFaultProxy, moment: Literal["before", "reply_lost"]
) -> None:
    postgres_proxy.cut_at(r"^\s*SELECT count\(\*\), \(array_agg\(key\)\)", times=2, when=moment)
    run = world.migrate(database=world.database.via(postgres_proxy.port))
    assert sum(postgres_proxy.hits.values()) == 2
    assert run.code == 0, run.err
    assert run.outcomes == ALL
    world.check_finished()


@pytest.mark.parametrize("refusal", ["turn_away", "shut"])
def test_a_database_that_refuses_connections_for_a_while_is_waited_for(
    world: World, postgres_proxy: PostgresFaultProxy, refusal: str
) -> None:
    def refuse() -> None:
        if refusal == "turn_away":
            postgres_proxy.turn_away()
        else:
            postgres_proxy.shut()
        postgres_proxy.cut_all()

    postgres_proxy.before_statement = at_the_first_update(refuse)
    process = world.start(database=world.database.via(postgres_proxy.port))
    if refusal == "turn_away":
        postgres_proxy.wait_for_hit("turned_away", 3)
    else:
        wait_for_line(process, "The database is away")
    postgres_proxy.resume()
    run = world.finish(process)
    assert postgres_proxy.hits["cut_all"] > 0
    assert run.code == 0, run.err
    assert run.outcomes == ALL
    if refusal == "turn_away":  # else it was read above
        assert "The database is away" in run.err
    assert "The database is back" in run.err
    world.check_finished()


def test_a_database_that_stays_away_ends_the_run(world: World, postgres_proxy: PostgresFaultProxy) -> None:
    def go_away() -> None:
        postgres_proxy.turn_away()
        postgres_proxy.cut_all()

    postgres_proxy.before_statement = at_the_first_update(go_away)
    run = world.migrate(database=world.database.via(postgres_proxy.port), db_retry_seconds=1)
    assert postgres_proxy.hits["turned_away"] > 0
    assert run.code == 3, run.err
    assert "run again" in run.document["error"]["hint"]
    assert world.check_promises() < ROWS
    world.check_resumed()


def test_silence_is_noticed(world: World, postgres_proxy: PostgresFaultProxy) -> None:
    """The connection stays open and nothing comes, as behind a firewall that forgot it: no server can limit that."""
    postgres_proxy.before_statement = at_the_first_update(postgres_proxy.stall)
    process = world.start(database=world.database.via(postgres_proxy.port), statement_timeout_ms=500)
    said = wait_for_line(process, "The database is away (no answer in time)")
    assert "cancel" not in said  # psycopg's own words would be on the terminal and not in the log
    postgres_proxy.resume()
    run = world.finish(process)
    assert postgres_proxy.hits["stall"] > 0
    assert run.code == 0, run.err
    assert run.outcomes == ALL
    world.check_finished()


@pytest.mark.parametrize("death", ["restart", "crash", "a backend killed", "power cut"])
def test_the_database_is_gone_in_the_middle(
    private_postgres: PostgresServer, rclone_store: Store, s3_proxy: S3FaultProxy, tmp_path: Path, death: str
) -> None:
    with fresh_database(private_postgres) as database, database.connect() as witness:
        world = make_world(database, rclone_store, tmp_path)
        s3_proxy.on(s3_faults.stall(), operation="copy", skip=50)
        process = world.start(store=world.store.via(s3_proxy.endpoint_url))
        s3_proxy.wait_for_hit("stall")
        match death:
            case "restart":
                private_postgres.restart()
            case "crash":
                private_postgres.restart(signal.SIGQUIT)
            case "a backend killed":  # the server then ends all others and recovers
                pids = database.execute(
                    "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'sketch-migrate%'"
                )
                os.kill(pids[0][0], signal.SIGKILL)
            case "power cut":
                kill_all_of(private_postgres)
                private_postgres.restart()
        s3_proxy.clear()
        s3_proxy.release()
        run = world.finish(process)
        with pytest.raises(psycopg.OperationalError):
            witness.execute("SELECT 1")
        assert run.code == 0, run.err
        assert "The database is away" in run.err
        assert run.outcomes == ALL
        world.check_finished()


def test_a_table_locked_for_too_long_ends_the_run_with_a_clear_sentence(world: World) -> None:
    with world.database.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE avatars IN ACCESS EXCLUSIVE MODE")
        run = world.migrate(lock_timeout_ms=IMPATIENT_MS, db_retry_seconds=1)
        pid = connection.info.backend_pid
    assert run.code == 4, run.err
    message = run.document["error"]["message"]
    assert "reading references: canceling statement due to lock timeout" in message
    assert f"held by pid {pid} (user " in message
    assert "pg_terminate_backend" in run.document["error"]["hint"]
    world.check_resumed()


def test_flips_committed_unseen_are_ours_though_a_lock_holds_up_their_repetition(
    world: World, postgres_proxy: PostgresFaultProxy
) -> None:
    """The reply to a COMMIT is lost, and then the whole table is locked for some of its repetitions."""
    postgres_proxy.cut_at(r"\bCOMMIT$", after=r"^\s*WITH free", when="reply_lost")
    with world.database.connect() as connection:
        after_the_loss: list[str] = []

        def lock_then_unlock(statement: str) -> None:
            if not postgres_proxy.hits["reply_lost"]:
                return
            after_the_loss.append(statement)
            if len(after_the_loss) == 1:
                connection.execute("BEGIN; SET LOCAL lock_timeout = '9s'; LOCK TABLE avatars IN EXCLUSIVE MODE")
            elif sum(map(is_update, after_the_loss)) == 3:
                connection.execute("ROLLBACK")

        postgres_proxy.before_statement = lock_then_unlock
        run = world.migrate("-p", "1", database=world.database.via(postgres_proxy.port), lock_timeout_ms=IMPATIENT_MS)
    assert sum(map(is_update, after_the_loss)) > 3
    assert run.code == 0, run.err
    assert run.outcomes == ALL
    world.check_finished()
