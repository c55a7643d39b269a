"""The flip itself, beside other sessions that hold rows: what it waits for, and what it tells of each row."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from sketchmigrate.core.errors import DatabaseBusy, DatabaseRefused
from sketchmigrate.core.outcome import Outcome
from sketchmigrate.core.reference import Reference
from sketchmigrate.ledger import SqliteLedger
from sketchmigrate.migration import flip_transaction
from sketchmigrate.migration.breaker import Breaker
from sketchmigrate.migration.copier import Copied, Verdict
from sketchmigrate.migration.flip_transaction import FlipTransaction
from sketchmigrate.migration.flipping import FlipControl, Flipping, limits_of_many
from sketchmigrate.migration.pace import Pace
from sketchmigrate.migration.stop import Stop
from sketchmigrate.postgres.database import Database as Reach
from sketchmigrate.postgres.flip import Answer, flip, free_rows
from sketchmigrate.postgres.privileges import inspect_table
from sketchmigrate.postgres.references import References, look_at
from sketchmigrate.postgres.transactions import current_transaction, transaction_status
from sketchmigrate.settings import Settings
from tests.mappings import mapping_of, source_of
from tests.servers.databases import fresh_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from psycopg import AsyncConnection

    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.outcome import Result
    from sketchmigrate.core.reference import Key
    from sketchmigrate.demo.servers import PostgresServer
    from sketchmigrate.postgres.table import Table
    from tests.servers.databases import Database

MAPPING = mapping_of()
AT_ONCE_SECONDS = 0.5
LONG = "SET lock_timeout = '5s'"


def settings_of(database: Database, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("SKETCH_DB_USER", database.user)
    monkeypatch.setenv("SKETCH_DB_PASS", database.password)
    return Settings(db_host=database.host, db_port=database.port, db_name=database.name)


@asynccontextmanager
async def opened(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[AsyncConnection, Table]]:
    """A connection, in autocommit, and the table as it is."""
    settings = settings_of(database, monkeypatch)
    async with await Reach(settings, stopping=asyncio.Event()).connect() as connection:
        yield connection, await inspect_table(connection, source_of(settings), for_writing=True)


def references(*keys: Key) -> list[Reference]:
    return [Reference(key, f"image/{key}") for key in keys]


def moves(*keys: Key) -> list[Move]:
    return [MAPPING.move(reference) for reference in references(*keys)]


def held(database: Database, statement: str) -> psycopg.Connection[tuple[object, ...]]:
    """Begin a transaction with a statement, and stay in it until it is closed."""
    holder = psycopg.connect(database.conninfo)
    holder.execute(statement)
    return holder


async def test_a_held_row_is_passed_over_however_long_a_lock_might_be_waited_for(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    any_database.create_avatars([f"image/{key}" for key in (1, 2, 3)])
    async with opened(any_database, monkeypatch) as (connection, table):
        await connection.execute(LONG)
        with held(any_database, "SELECT FROM avatars WHERE id = 2 FOR UPDATE"):
            began = time.monotonic()
            assert await free_rows(connection, table, references(1, 2, 3)) == {1, 3}
            answer = await flip(connection, table, moves(1, 2, 3))
            assert time.monotonic() - began < AT_ONCE_SECONDS
    assert answer.flipped == {1, 3}
    assert not answer.held_back
    assert not answer.stored
    assert any_database.paths() == {1: "avatar/1", 2: "image/2", 3: "avatar/3"}


@pytest.mark.parametrize("is_unique", [True, False])
async def test_a_check_of_a_foreign_key_is_waited_for_by_nobody(
    database: Database, monkeypatch: pytest.MonkeyPatch, is_unique: bool
) -> None:
    """Where the path is a key, its UPDATE takes a stronger lock than FOR NO KEY UPDATE, which passes FOR KEY SHARE."""
    database.create_avatars(["image/1", "image/2"])
    if is_unique:
        database.execute("CREATE UNIQUE INDEX ON avatars (path)")
    async with opened(database, monkeypatch) as (connection, table):
        await connection.execute(LONG)
        with held(database, "SELECT FROM avatars WHERE id = 2 FOR KEY SHARE"):
            began = time.monotonic()
            answer = await flip(connection, table, moves(1, 2))
            assert time.monotonic() - began < AT_ONCE_SECONDS
    assert answer.flipped == ({1} if is_unique else {1, 2})


async def test_what_no_lock_of_a_row_tells_is_waited_for_no_longer_than_twenty_milliseconds(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has stored an equal path, and has not committed: who flips to it has to wait, with all it has locked."""
    database.create_avatars(["image/1", "image/2"])
    database.execute("CREATE UNIQUE INDEX ON avatars (path)")
    settings = settings_of(database, monkeypatch)
    async with opened(database, monkeypatch) as (_, table), Reach(settings, stopping=asyncio.Event()).session() as tool:
        with held(database, "INSERT INTO avatars VALUES (9, 'avatar/2')"), database.connect() as application:

            async def work(connection: AsyncConnection) -> None:
                await flip(connection, table, moves(1, 2))

            flipping_them = asyncio.create_task(
                tool.run(work, doing="flipping", limits=limits_of_many(settings), attempts=0, is_flip=True)
            )
            longest_seconds = 0.0
            while not flipping_them.done():
                began = time.monotonic()
                await asyncio.to_thread(application.execute, "UPDATE avatars SET id = id WHERE id = 1")
                longest_seconds = max(longest_seconds, time.monotonic() - began)
            with pytest.raises(DatabaseBusy):
                await flipping_them
    assert longest_seconds < 0.15


async def test_a_path_that_only_a_collation_calls_as_asked_is_another_path(
    debian_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fresh_database(debian_postgres) as database:  # the other flavour is built without ICU
        database.execute("CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
        database.execute("CREATE TABLE avatars (id int PRIMARY KEY, path text COLLATE nocase)")
        database.execute("INSERT INTO avatars VALUES (1, 'image/1a'), (2, 'image/2')")
        database.execute("""
            CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN NEW.path := upper(NEW.path); RETURN NEW; END $$;
            CREATE TRIGGER loud BEFORE UPDATE ON avatars FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION loud()""")
        async with opened(database, monkeypatch) as (connection, table):
            answer = await flip(connection, table, [*moves(2), MAPPING.move(Reference(1, "image/1a"))])
    assert answer.flipped == {2}
    assert answer.stored == {1: "AVATAR/1A"}


async def test_a_row_that_a_policy_hides_is_told_from_one_that_is_gone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.create_avatars(["image/1", "image/2"])
    limited = database.make_user("SELECT, UPDATE ON avatars")
    async with opened(limited, monkeypatch) as (connection, table):
        looked = await look_at(connection, table, [1, 2, 3])
        assert not looked.hidden, "nobody hides anything: row 3 is not there"
        database.execute("CREATE POLICY one ON avatars USING (id = 1); ALTER TABLE avatars ENABLE ROW LEVEL SECURITY")
        looked = await look_at(connection, table, [1, 2, 3])
        assert looked.paths == {1: "image/1"}
        assert looked.hidden == {2, 3}
        assert not (await look_at(connection, table, [1])).hidden


async def test_what_became_of_a_transaction(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    any_database.create_avatars(["image/1"])
    numbers: dict[str, int] = {}
    async with opened(any_database, monkeypatch) as (connection, _):
        for fate in ("committed", "aborted"):
            await connection.execute("BEGIN")
            numbers[fate] = await current_transaction(connection)
            await connection.execute("COMMIT" if fate == "committed" else "ROLLBACK")
        async with await psycopg.AsyncConnection.connect(any_database.conninfo) as other:
            numbers["in progress"] = await current_transaction(other)
            told = {fate: await transaction_status(connection, xid) for fate, xid in numbers.items()}
        assert told == {fate: fate for fate in numbers}
        assert await transaction_status(connection, 2**40) is None, "of one that has not been yet nothing is known"


class SlowLedger(SqliteLedger):
    """A ledger that takes a second for the first numbers of transactions, and looks what is open meanwhile."""

    database: Database
    noted = 0
    open_meanwhile: list[int]

    async def note_transaction(self, keys: Iterable[Key], xid: int | None) -> None:
        """Be slow with the first one; and see, where none is noted, whether a transaction is open."""
        if xid is None:
            asked = (
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE application_name LIKE 'sketch-migrate%' AND xact_start < now()"
            )
            self.open_meanwhile += [count for (count,) in await asyncio.to_thread(self.database.execute, asked)]
        else:
            self.noted += 1
            if self.noted == 1:
                await asyncio.sleep(5)
        await super().note_transaction(keys, xid)


@asynccontextmanager
async def made(database: Database, ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Flipping]:
    """What flips the rows of a table, with this ledger."""
    settings = settings_of(database, monkeypatch)
    async with (
        Reach(settings, stopping=asyncio.Event()).session() as session,
        opened(database, monkeypatch) as (_, table),
    ):
        control = FlipControl.of(settings)
        stop, source = Stop(), source_of(settings)
        yield Flipping(References(session, table), ledger, control, Breaker(20), stop, Pace(stop), settings, source)


async def test_while_the_ledger_is_slow_no_transaction_stays_open(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(flip_transaction, "LEDGER_SECONDS", 0.3)
    database.create_avatars(["image/1", "image/2"])
    brought = [(move, Copied(Verdict.COPIED, guarded=False)) for move in moves(1, 2)]
    async with SlowLedger(tmp_path / "ledger.sqlite", description={}) as ledger:
        ledger.database, ledger.open_meanwhile = database, []
        await ledger.open_copies([move for move, _ in brought])
        async with made(database, ledger, monkeypatch) as work:
            results: list[Result] = []
            began = time.monotonic()
            assert await work.flip(brought, results, noted={1, 2}) == []
            assert time.monotonic() - began < 4, "the number was waited for with the transaction open"
        assert (ledger.noted, ledger.open_meanwhile) == (2, [0])
        assert [result.outcome for result in results] == [Outcome.MIGRATED] * 2
        assert work.control.unanswered == set(), "each COMMIT was answered"
        assert await ledger.unsettled_among([1, 2]) == set(), "they are struck out at once, not at the end of the run"
    assert database.paths() == {1: "avatar/1", 2: "avatar/2"}


async def test_rows_are_called_failed_by_the_table_as_it_still_is(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A single row has nothing to be halved: the table is looked at before the row is called failed all the same."""
    database.create_avatars(["image/1"])
    limited = database.make_user("SELECT, UPDATE ON avatars")
    results: list[Result] = []
    async with (
        SqliteLedger(tmp_path / "ledger.sqlite", description={}) as ledger,
        made(limited, ledger, monkeypatch) as work,
    ):
        database.execute(f"REVOKE UPDATE ON avatars FROM {limited.user}")
        with pytest.raises(DatabaseRefused, match="UPDATE"):
            await work.flip([(move, Copied(Verdict.COPIED)) for move in moves(1)], results)
    assert results == []


async def test_a_right_that_is_gone_is_named_before_the_breaker_counts_a_single_row(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Flips of one row have nothing to be halved: 500 of them were refused, and the cause told was theirs."""
    database.create_avatars(f"image/{number}" for number in range(1, 40))
    limited = database.make_user("SELECT, UPDATE ON avatars")
    brought = [(move, Copied(Verdict.COPIED)) for move in moves(*range(1, 40))]
    async with (
        SqliteLedger(tmp_path / "ledger.sqlite", description={}) as ledger,
        made(limited, ledger, monkeypatch) as work,
    ):
        work.control.size.rows = 1
        database.execute(f"REVOKE UPDATE ON avatars FROM {limited.user}")
        with pytest.raises(DatabaseRefused, match="UPDATE"):
            await work.flip(brought, [])
        assert work.breaker.counts.flips == 0


@pytest.mark.parametrize(
    ("body", "when", "reason"),
    [
        ("NEW.id := NEW.id + 1000", "BEFORE", "a trigger changes the row's key"),
        (
            "DELETE FROM avatars WHERE id = NEW.id",
            "AFTER",
            "a trigger or a policy takes its path away, or the row itself",
        ),
        ("NEW.path := NULL", "BEFORE", "a trigger or a policy takes its path away, or the row itself"),
    ],
)
async def test_what_else_a_trigger_makes_of_a_row_is_rolled_back_and_named(
    any_database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str, when: str, reason: str
) -> None:
    any_database.create_avatars(["image/1", "image/2"])
    any_database.execute(f"""
        CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NEW; END $$;
        CREATE TRIGGER meddle {when} UPDATE ON avatars FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION meddle()""")
    results: list[Result] = []
    async with (
        SqliteLedger(tmp_path / "ledger.sqlite", description={}) as ledger,
        made(any_database, ledger, monkeypatch) as work,
    ):
        assert await work.flip([(move, Copied(Verdict.COPIED)) for move in moves(1, 2)], results) == []
    assert {(each.reference.key, each.outcome, str(each.reason or "")) for each in results} == {
        (1, Outcome.MIGRATED, ""),
        (2, Outcome.FAILED, reason),
    }
    assert any_database.paths() == {1: "avatar/1", 2: "image/2"}


async def test_a_number_that_a_crash_gave_to_another_transaction_is_not_taken_for_ours(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server crashed before anything of ours was on its disk, and the next transaction has the same number."""
    database.create_avatars(["image/1", "image/2"])
    moves = MAPPING.plan(references(1, 2)).moves
    ((of_another,),) = database.execute("SELECT pg_current_xact_id()::text::bigint")

    class Noting:
        async def note_transaction(self, keys: Iterable[Key], xid: int | None) -> None:
            noted.append((list(keys), xid))

    noted: list[tuple[list[Key], int | None]] = []
    async with opened(database, monkeypatch) as (connection, table):
        ours = Answer(frozenset({1, 2}))
        work = FlipTransaction(table, Noting(), moves, [1, 2], waits=False, tried=[(of_another, ours)])  # type: ignore[arg-type] # all of a ledger that it uses
        async with connection.transaction():
            assert await work.in_steps(connection) == ours
        assert database.paths() == {1: "avatar/1", 2: "avatar/2"}
        assert [keys for keys, _ in noted] == [[1, 2]]
        (again,) = work.tried
        assert again[0] != of_another
        async with connection.transaction():  # and where the number is ours, the flip is done
            assert await work.in_steps(connection) == ours
        assert len(noted) == 1
