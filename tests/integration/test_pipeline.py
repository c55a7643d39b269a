"""A flip that is sent as a whole, with its BEGIN and COMMIT, against real servers."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Self

import psycopg
import pytest

from sketchmigrate.core.outcome import Outcome
from sketchmigrate.core.reference import Reference
from sketchmigrate.ledger import SqliteLedger
from sketchmigrate.migration import flip_transaction
from sketchmigrate.migration.breaker import Breaker
from sketchmigrate.migration.copier import Copied, Verdict
from sketchmigrate.migration.flipping import IN_STEPS_SECONDS, FlipControl, Flipping
from sketchmigrate.migration.pace import Pace
from sketchmigrate.migration.stop import Stop
from sketchmigrate.postgres import pipeline
from sketchmigrate.postgres.database import Database as Reach
from sketchmigrate.postgres.flip import flip_at_once
from sketchmigrate.postgres.limits import Limits
from sketchmigrate.postgres.privileges import inspect_table
from sketchmigrate.postgres.references import References
from sketchmigrate.settings import Settings
from tests.mappings import mapping_of, source_of
from tests.servers.postgres_fault_proxy import PostgresFaultProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.outcome import Result
    from sketchmigrate.postgres.patient_connection import PatientConnection
    from sketchmigrate.postgres.table import Table
    from tests.servers.databases import Database

MAPPING = mapping_of()
LIMITS = Limits(lock_ms=20, statement_ms=5_000, idle_ms=1_000)
ROWS = 61
BUSY_SECONDS = 0.05
"""For so long at a time the event loop does something else."""

_STATES = "SELECT state FROM pg_stat_activity WHERE application_name LIKE 'sketch-migrate%'"

OTHERWISE = """
    CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.path := 'other'; RETURN NEW; END $$;
    CREATE TRIGGER meddle BEFORE UPDATE ON avatars FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION meddle()"""


def moves(*keys: int) -> list[Move]:
    return [MAPPING.move(Reference(key, f"image/{key}")) for key in keys]


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[tuple[PatientConnection, Table]]:
    """A connection of the tool's, and the table as it is."""
    settings = Settings(db_host=database.host, db_port=database.port, db_name=database.name)
    async with await Reach(settings, stopping=asyncio.Event()).connect() as connection:
        yield connection, await inspect_table(connection, source_of(settings), for_writing=True)


@asynccontextmanager
async def flipping(database: Database, tmp_path: Path) -> AsyncIterator[Flipping]:
    """What flips the rows of a table."""
    settings = Settings(db_host=database.host, db_port=database.port, db_name=database.name)
    async with (
        Reach(settings, stopping=asyncio.Event()).session() as session,
        opened(database) as (_, table),
        SqliteLedger(tmp_path / "ledger.sqlite", description={}) as ledger,
    ):
        control, stop = FlipControl.of(settings), Stop()
        source = source_of(settings)
        yield Flipping(References(session, table), ledger, control, Breaker(20), stop, Pace(stop), settings, source)


def _as_its_user(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKETCH_DB_USER", database.user)
    monkeypatch.setenv("SKETCH_DB_PASS", database.password)


@pytest.fixture(autouse=True)
def _as_the_superuser(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    _as_its_user(database, monkeypatch)


async def test_rows_are_set_and_the_server_tells_for_how_long_they_were_locked(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_its_user(any_database, monkeypatch)
    any_database.create_avatars(["image/1", "image/2", "image/3"])
    any_database.execute("""
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$;
        CREATE TRIGGER slow BEFORE UPDATE ON avatars FOR EACH ROW EXECUTE FUNCTION slow()""")
    async with opened(any_database) as (connection, table):
        answer, seconds = await flip_at_once(connection, table, moves(1, 2), LIMITS)
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        told = await (await connection.execute("SHOW lock_timeout")).fetchone()
    assert answer.flipped == {1, 2}
    assert seconds is not None
    assert 0.2 <= seconds < 2
    assert told != ("20ms",), "the limits end with the transaction"
    assert any_database.paths() == {1: "avatar/1", 2: "avatar/2", 3: "image/3"}


async def test_a_row_that_comes_back_otherwise_fails_all_of_it_and_the_log_says_why(database: Database) -> None:
    database.create_avatars(["image/1", "image/2"])
    database.execute(OTHERWISE)
    async with opened(database) as (connection, table):
        with pytest.raises(
            psycopg.errors.InvalidTextRepresentation, match="1 rows are not as asked for: nothing is set"
        ):
            await flip_at_once(connection, table, moves(1, 2), LIMITS)
        await connection.rollback()
    assert database.paths() == {1: "image/1", 2: "image/2"}


async def test_a_flip_that_was_refused_is_made_in_steps_and_so_are_those_after_it(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.create_avatars(f"image/{key}" for key in range(1, 5))
    database.execute(OTHERWISE)
    at_once: list[int] = []

    async def counted(*arguments: object) -> object:
        at_once.append(1)
        return await flip_at_once(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(flip_transaction, "flip_at_once", counted)
    results: list[Result] = []
    async with flipping(database, tmp_path) as work:
        for keys in ((1, 2), (3,), (4,)):
            assert await work.flip([(move, Copied(Verdict.COPIED)) for move in moves(*keys)], results) == []
            if 3 in keys:
                assert len(at_once) == 1, "in steps, as the one before was refused"
                work.control.in_steps_until -= IN_STEPS_SECONDS
        assert len(at_once) == 2
        assert work.control.unanswered == set(), "what was refused was not committed"
    assert {each.reference.key: each.outcome for each in results} == {
        1: Outcome.MIGRATED,
        2: Outcome.FAILED,
        3: Outcome.MIGRATED,
        4: Outcome.MIGRATED,
    }
    assert database.paths() == {1: "avatar/1", 2: "image/2", 3: "avatar/3", 4: "avatar/4"}


async def test_a_pooler_that_bears_no_pipeline_costs_a_connection_now_and_then(
    database: Database, tmp_path: Path
) -> None:
    database.create_avatars(f"image/{key}" for key in range(1, 7))
    results: list[Result] = []
    with PostgresFaultProxy(database.port) as pooler:
        pooler.cut_at("^SET LOCAL statement_timeout = 0$", times=None)
        async with flipping(database.via(pooler.port), tmp_path) as work:
            for keys in ((1, 2), (3, 4), (5, 6)):
                assert await work.flip([(move, Copied(Verdict.COPIED)) for move in moves(*keys)], results) == []
        assert pooler.hits["cut"] == 1
    assert {each.outcome for each in results} == {Outcome.MIGRATED}
    assert database.paths() == {key: f"avatar/{key}" for key in range(1, 7)}


async def test_a_row_that_ends_its_session_has_failed_and_is_not_taken_for_one_that_may_be_set(
    database: Database, tmp_path: Path
) -> None:
    """The first try, at once, had all rows in it and no answer. That the row is free afterwards tells what became."""
    database.create_avatars(f"image/{key}" for key in range(1, 4))
    database.execute("""
        CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(1); RETURN NEW; END $$;
        CREATE TRIGGER leave BEFORE UPDATE ON avatars FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION leave()""")
    results: list[Result] = []
    async with flipping(database, tmp_path) as work:
        assert await work.flip([(move, Copied(Verdict.COPIED)) for move in moves(1, 2, 3)], results) == []
        assert work.control.in_steps_until > 0, "it was sent at once"
        assert work.control.unanswered == set()
    (failed,) = [each for each in results if each.reference.key == 2]
    assert failed.outcome is Outcome.FAILED
    assert "the connection broke three times" in str(failed.reason)
    assert database.paths() == {1: "avatar/1", 2: "image/2", 3: "avatar/3"}
    assert {each.outcome for each in results if each is not failed} == {Outcome.MIGRATED}


async def test_a_row_may_be_set_by_a_commit_without_an_answer_until_it_is_free(
    database: Database, tmp_path: Path
) -> None:
    database.create_avatars(["image/1"])
    (move,) = moves(1)
    async with flipping(database, tmp_path) as work:
        assert not await work.may_be_set(move), "no COMMIT had it"
        work.control.unanswered.add(1)
        with database.connect() as pending, pending.transaction():
            pending.execute("UPDATE avatars SET path = 'avatar/1'")
            assert await work.may_be_set(move)
        assert await work.may_be_set(move), "it is set"
        assert work.control.unanswered == {1}
        database.execute("UPDATE avatars SET path = 'image/1'")
        assert not await work.may_be_set(move)
        assert work.control.unanswered == set()


async def test_a_commit_that_fails_sets_nothing(database: Database) -> None:
    database.create_avatars(["image/1", "image/2"])
    database.execute("ALTER TABLE avatars ADD CONSTRAINT once UNIQUE (path) DEFERRABLE INITIALLY DEFERRED")
    database.execute("INSERT INTO avatars VALUES (3, 'avatar/2')")
    async with opened(database) as (connection, table):
        with pytest.raises(psycopg.errors.UniqueViolation):
            await flip_at_once(connection, table, moves(1, 2), LIMITS)
        assert not connection.closed
        await connection.rollback()
        assert (await flip_at_once(connection, table, moves(1), LIMITS))[0].flipped == {1}
    assert database.paths() == {1: "avatar/1", 2: "image/2", 3: "avatar/2"}


async def test_what_fails_after_the_commit_is_no_failure_of_the_flip(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody cancels the question for the time: the rows are set, and nobody may be told otherwise."""
    database.create_avatars(["image/1"])
    monkeypatch.setattr(pipeline, "_NOW", b"SELECT 1 / 0")
    async with opened(database) as (connection, table):
        answer, seconds = await flip_at_once(connection, table, moves(1), LIMITS)
        assert not connection.closed
    assert answer.flipped == {1}
    assert seconds is None
    assert database.paths() == {1: "avatar/1"}


async def test_who_is_cancelled_meanwhile_leaves_the_connection_and_the_server_finishes(database: Database) -> None:
    database.create_avatars(["image/1"])
    database.execute("""
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END $$;
        CREATE TRIGGER slow BEFORE UPDATE ON avatars FOR EACH ROW EXECUTE FUNCTION slow()""")
    async with opened(database) as (connection, table):
        connection.is_committing = True  # as the session says of all that is sent with its COMMIT
        task = asyncio.create_task(flip_at_once(connection, table, moves(1), LIMITS))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert connection.closed
    assert database.paths() == {1: "image/1"}, "it was cancelled while the server was at work"
    deadline = time.monotonic() + 10
    while database.paths() != {1: "avatar/1"}:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


class Relay:
    """Passes one connection on to a server, and keeps what comes from the client at a time. A context manager."""

    def __init__(self, port: int) -> None:
        self._server = socket.create_connection(("127.0.0.1", port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.received: list[bytes] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self._listener.close()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        threading.Thread(target=self._pass, args=(self._server, client, []), daemon=True).start()
        self._pass(client, self._server, self.received)

    def _pass(self, source: socket.socket, target: socket.socket, kept: list[bytes]) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 20):
                kept.append(data)
                target.sendall(data)


async def test_all_of_it_leaves_together(database: Database) -> None:
    """Between two of them the process may be stopped, and nothing then limits for how long the rows are locked."""
    database.create_avatars(f"image/{key}" for key in range(1, 11))
    with Relay(database.port) as relay:
        async with opened(database.via(relay.port)) as (connection, table):
            relay.received.clear()
            assert (await flip_at_once(connection, table, moves(*range(1, 11)), LIMITS))[0].flipped == {*range(1, 11)}
    (sent,) = [data for data in relay.received if b"WITH free" in data]
    assert b"BEGIN" in sent
    assert b"COMMIT" in sent


@pytest.mark.parametrize("in_steps", [False, True])
async def test_no_transaction_waits_for_a_turn_of_a_busy_event_loop(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_steps: bool
) -> None:
    """The server is asked all the time whether a session of the tool is idle in a transaction."""
    monkeypatch.setattr(flip_transaction, "IS_SUPPORTED", not in_steps)
    database.create_avatars(f"image/{key}" for key in range(1, ROWS + 1))
    is_over = threading.Event()
    seen: set[str] = set()

    def look() -> None:
        with database.connect() as connection:
            while not is_over.is_set():
                seen.update(state for (state,) in connection.execute(_STATES))

    async def be_busy() -> None:
        while True:
            time.sleep(BUSY_SECONDS)  # noqa: ASYNC251 - that is what it is about
            await asyncio.sleep(0)

    async with flipping(database, tmp_path) as work:
        results: list[Result] = []
        await work.flip([(move, Copied(Verdict.COPIED)) for move in moves(1)], results)  # it is connected now
        looking = asyncio.create_task(asyncio.to_thread(look))
        busy = asyncio.create_task(be_busy())
        for first in range(2, ROWS, 10):
            await work.flip([(move, Copied(Verdict.COPIED)) for move in moves(*range(first, first + 10))], results)
        busy.cancel()
        is_over.set()
        await looking
    assert len(results) == ROWS
    assert "idle" in seen
    assert ("idle in transaction" in seen) is in_steps
