"""Keys of every type and of several columns, on real PostgreSQL servers: pages, look-ups, flips, order."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from sketchmigrate.core.errors import DatabaseRefused, UsageError
from sketchmigrate.core.reference import Key, KeyRange, Reference
from sketchmigrate.migration.rollback import select
from sketchmigrate.postgres.database import Database as Reach
from sketchmigrate.postgres.flip import flip, free_rows
from sketchmigrate.postgres.pages import copy_page, read_page
from sketchmigrate.postgres.privileges import inspect_table
from sketchmigrate.postgres.references import References, current_paths, look_up
from sketchmigrate.postgres.row_key import KeyColumn, RowKey
from sketchmigrate.postgres.statistics import ends, histogram, in_order, key_after, sample
from sketchmigrate.postgres.table import Table
from sketchmigrate.settings import Settings
from tests.mappings import mapping_of, source_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from psycopg import AsyncConnection

    from sketchmigrate.postgres.session import Session
    from tests.servers.databases import Database

MAPPING = mapping_of()


class Kind(NamedTuple):
    """A type of key: what makes the table, its keys in order as SQL writes them, and as they travel."""

    setup: str
    columns: str
    values: Sequence[str]
    keys: Sequence[Key]


def single(column_type: str, values: Sequence[str], keys: Sequence[Key], setup: str = "") -> Kind:
    return Kind(setup, f"id {column_type} PRIMARY KEY", values, keys)


KINDS = {
    "numeric": single(
        "numeric", ["-1.50", "0", "9", "10.000", "'NaN'"], ["-1.50", "0", "9", "10.000", "NaN"]
    ),
    "char": single('char(4) COLLATE "C"', ["'a'", "'a b'", "'b'", "'c'"], ["a", "a b", "b", "c"]),
    "date": single(
        "date",
        ["'-infinity'", "'0044-03-15 BC'", "'1999-12-31'", "'2026-02-01'", "'infinity'"],
        ["-infinity", "0044-03-15 BC", "1999-12-31", "2026-02-01", "infinity"],
    ),
    "timestamptz": single(
        "timestamptz",
        ["'0044-03-15 12:00:00+00 BC'", "'2026-02-01 00:00:00.123456+00'", "'2026-11-01 05:30+00'", "'infinity'"],
        ["0044-03-15T12:00:00 BC", "2026-02-01T00:00:00.123456", "2026-11-01T05:30:00", "infinity"],
    ),
    "timestamp": single(
        "timestamp", ["'2026-02-01 00:00'", "'2026-02-01 00:00:01'"], ["2026-02-01T00:00:00", "2026-02-01T00:00:01"]
    ),
    "bytea": single("bytea", [r"'\x'", r"'\x00'", r"'\x00ff'", r"'\x5c'"], [r"\x", r"\x00", r"\x00ff", r"\x5c"]),
    "oid": single("oid", ["1", "2", "2147483648", "4294967295"], ["1", "2", "2147483648", "4294967295"]),
    "name": single("name", ["'a'", "'b c'", "'d%s'"], ["a", "b c", "d%s"]),
    "citext": single(
        "citext", ["'A'", "'b'", "'C'"], ["A", "b", "C"], setup="CREATE EXTENSION citext"
    ),
    "domain over bigint": single(
        "number", ["-1", "0", str(2**62)], [-1, 0, 2**62], setup="CREATE DOMAIN number AS bigint CHECK (VALUE > -9)"
    ),
    "domain over a domain over text": single(
        "word",
        ["''", "'a'", "'b'"],
        ["", "a", "b"],
        setup='CREATE DOMAIN letters AS text COLLATE "C"; CREATE DOMAIN word AS letters',
    ),
    "domain over date": single(
        "day", ["'1999-12-31'", "'2000-01-01'"], ["1999-12-31", "2000-01-01"], setup="CREATE DOMAIN day AS date"
    ),
    "two columns": Kind(
        "",
        'tenant integer, id text COLLATE "C", PRIMARY KEY (tenant, id)',
        ["9, 'b'", "9, 'c\"\\'", "10, ''", "10, 'a'"],
        ['["9", "b"]', '["9", "c\\"\\\\"]', '["10", ""]', '["10", "a"]'],
    ),
    "with a boolean": Kind(
        "",
        "id integer, animated boolean, PRIMARY KEY (id, animated)",
        ["9, false", "9, true", "10, false"],
        ['["9", "false"]', '["9", "true"]', '["10", "false"]'],
    ),
    "three columns": Kind(
        "",
        "tenant uuid, day timestamptz, number numeric, PRIMARY KEY (tenant, day, number)",
        [f"'{'0' * 8}-0000-0000-0000-{'0' * 12}', '2026-01-0{n} 00:00+00', {m}" for n, m in ((1, 9), (1, 10), (2, 1))],
        [f'["{"0" * 8}-0000-0000-0000-{"0" * 12}", "2026-01-0{n}T00:00:00", "{m}"]'
         for n, m in ((1, 9), (1, 10), (2, 1))],
    ),
}  # fmt: skip


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, any_database: Database) -> Iterator[Kind]:
    """A table with such a key, in a database whose dates and bytes are written in other ways than usual.

    At the end nothing is set for the database any more, so that another test may have it: to make one takes longer.
    """
    made: Kind = KINDS[request.param]
    if "EXTENSION" in made.setup and not any_database.execute(
        "SELECT 1 FROM pg_available_extensions WHERE name = 'citext'"
    ):
        pytest.skip("this server has no citext")
    with any_database.connect() as connection:
        for setting in ("DateStyle = 'SQL, DMY'", "TimeZone = 'America/New_York'", "bytea_output = 'escape'"):
            connection.execute(f"ALTER DATABASE {any_database.name} SET {setting}".encode())
    with any_database.connect() as connection:
        for statement in made.setup.split(";"):
            if statement:
                connection.execute(statement.encode())
        connection.execute(f"CREATE TABLE avatars ({made.columns}, path text)".encode())
        for number, value in enumerate(made.values):
            connection.execute(f"INSERT INTO avatars VALUES ({value}, 'image/{number}')".encode())  # noqa: S608 - ours
    yield made
    any_database.execute(f"ALTER DATABASE {any_database.name} RESET ALL")


@asynccontextmanager
async def opened(
    database: Database, monkeypatch: pytest.MonkeyPatch, *, db_key_column: str = "id"
) -> AsyncIterator[tuple[Session, Table]]:
    monkeypatch.setenv("SKETCH_DB_USER", database.user)
    monkeypatch.setenv("SKETCH_DB_PASS", database.password)
    settings = Settings(
        db_host=database.host, db_port=str(database.port), db_name=database.name, db_key_column=db_key_column
    )
    reach = Reach(settings, stopping=asyncio.Event())
    columns = [name for (name,) in database.execute(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = 'avatars'::regclass AND attnum > 0 ORDER BY attnum"
    )]  # fmt: skip
    async with reach.session() as session:
        if len(columns) == 2:
            table = await session.run(
                partial(inspect_table, source=source_of(settings), for_writing=True), doing="looking"
            )
        else:
            types = dict(database.execute(
                "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute "
                "WHERE attrelid = 'avatars'::regclass AND attnum > 0"
            ))  # fmt: skip
            key = RowKey(tuple(KeyColumn(name, types[name]) for name in columns[:-1]))
            table = Table(("avatars",), key, "path")
        yield session, table


async def test_pages_look_ups_and_flips(kind: Kind, any_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = list(kind.keys)
    async with opened(any_database, monkeypatch) as (session, table):
        references = References(session, table)
        read: list[Reference] = []
        async for page in references.legacy_pages(KeyRange(), MAPPING):
            read += page.references
        assert read == [Reference(key, f"image/{number}") for number, key in enumerate(keys)]
        one = await session.run(read_page, table, KeyRange(keys[0], keys[1]), MAPPING, 9, doing="reading")
        assert [each.key for each in one.references] == keys[1:2], "after the one, up to the other"
        assert (one.rows, one.last_key) == (1, keys[1])
        csv = await session.run(copy_page, table, KeyRange(keys[0]), 1, doing="reading")
        assert csv.last_key == keys[1]
        shown = csv.csv.decode().rpartition(",")[0][1:-1].replace('""', '"')
        assert shown == str(keys[1])
        assert await session.run(current_paths, table, [str(key) for key in keys[1:]], doing="looking") == {
            str(key): f"image/{number}" for number, key in enumerate(keys) if number
        }
        any_database.execute("UPDATE avatars SET path = 'avatar/new' WHERE path = 'image/0'")
        assert await session.run(free_rows, table, read, doing="looking") == set(keys[1:])
        answer = await session.run(flip, table, [MAPPING.move(each) for each in read], doing="flipping")
        assert answer.flipped == frozenset(keys[1:])
        assert not answer.held_back
        assert not answer.stored
        found = await references.look_up(keys)
        assert found == {key: f"avatar/{number or 'new'}" for number, key in enumerate(keys)}


async def test_a_row_that_is_held_back_or_rewritten_is_named_by_its_key(
    kind: Kind, any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    any_database.execute("""
        CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.path = 'avatar/0' THEN RETURN NULL; END IF;
            NEW.path := 'avatar/other'; RETURN NEW; END $$""")
    any_database.execute("CREATE TRIGGER meddle BEFORE UPDATE ON avatars FOR EACH ROW EXECUTE FUNCTION meddle()")
    moves = [MAPPING.move(Reference(key, f"image/{number}")) for number, key in enumerate(kind.keys[:2])]
    async with opened(any_database, monkeypatch) as (session, table):
        answer = await session.run(flip, table, moves, doing="flipping")
    assert answer.held_back == {kind.keys[0]}
    assert answer.stored == {kind.keys[1]: "avatar/other"}


async def test_what_is_known_of_the_spread_is_in_the_order_of_the_rows(
    kind: Kind, any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = list(kind.keys)
    any_database.execute("ANALYZE avatars")
    async with opened(any_database, monkeypatch) as (session, table):
        assert await session.run(ends, table, doing="looking") == (keys[0], keys[-1])
        assert await session.run(in_order, table, keys[::-1], doing="looking") == keys
        bounds = await session.run(histogram, table, doing="looking")
        assert set(bounds) <= set(keys)
        assert bool(bounds) == (len(table.key.columns) == 1)
        assert (await sample(session, table)).keys == keys
        assert await key_after(session, table, KeyRange(), 1) == keys[1]


async def test_a_person_may_select_keys_and_a_range_of_them(
    kind: Kind, any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = list(kind.keys)
    async with opened(any_database, monkeypatch) as (session, table):
        references = References(session, table)
        some = await select(references, [str(key) for key in keys[1:]], str(keys[0]), str(keys[1]))
        assert await some.among(keys, references) == {keys[1]}
        from_second = await select(references, None, str(keys[1]), None)
        assert await from_second.among(keys, references) == set(keys[1:])
        if table.key.columns[0].type_name in {"numeric", "date", "timestamp with time zone", "integer", "bigint"}:
            with pytest.raises(UsageError, match="cannot be a key of table"):
                await select(references, ["what?"], None, None)


async def test_every_statement_goes_by_the_index_of_the_key(
    kind: Kind, any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key is cast, and never the column: else each flip would read the whole table."""
    async with opened(any_database, monkeypatch) as (session, table):

        async def scans(connection: AsyncConnection) -> tuple[int, int]:
            await connection.execute("SET LOCAL enable_seqscan = off")  # of a few rows it would be chosen rightly
            await read_page(connection, table, KeyRange(kind.keys[0], kind.keys[-1]), MAPPING, 9)
            await look_up(connection, table, kind.keys)
            await current_paths(connection, table, [str(key) for key in kind.keys])
            await flip(connection, table, [MAPPING.move(Reference(key, "image/0")) for key in kind.keys])
            counted = "SELECT seq_scan, idx_scan FROM pg_stat_xact_user_tables WHERE relname = 'avatars'"
            row: Any = await (await connection.execute(counted)).fetchone()
            return row[0], row[1]

        whole, by_index = await session.run(scans, doing="asking")
    assert (whole, by_index >= 4) == (0, True), (whole, by_index)


async def test_a_key_that_is_typed_in_another_form_is_the_same_key(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    any_database.execute("CREATE TABLE avatars (id bytea PRIMARY KEY, path text)")
    any_database.execute(r"INSERT INTO avatars VALUES ('\xAB', 'image/1')")
    async with opened(any_database, monkeypatch) as (session, table):
        references = References(session, table)
        typed = await select(references, [r"\xaB"], None, None)
        assert await typed.among([r"\xab", r"\xac"], references) == {r"\xab"}
        page = await session.run(look_up, table, [r"\xab"], doing="looking")
        assert page == {r"\xab": "image/1"}


async def test_an_offset_that_a_person_writes_counts(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What psql shows in a session's time zone is the same moment, and without an offset it is UTC."""
    database.execute("CREATE TABLE avatars (id timestamptz PRIMARY KEY, path text)")
    for setting in ("DateStyle = 'SQL, DMY'", "TimeZone = 'Europe/Paris'"):
        database.execute(f"ALTER DATABASE {database.name} SET {setting}")
    keys = [f"2026-03-31T0{hour}:00:00" for hour in range(3, 8)]
    async with opened(database, monkeypatch) as (session, table):
        references = References(session, table)
        listed = await select(references, ["2026-03-31 05:00:00+02", "2026-03-31 04:00:00"], None, None)
        assert await listed.among(keys, references) == {keys[0], keys[1]}
        bounded = await select(references, None, "2026-03-31 06:00:00+02", "2026-03-31 03:00:00-02:00")
        assert await bounded.among(keys, references) == {keys[1], keys[2]}


@pytest.mark.parametrize("key_type", ["json", "point", "interval", "inet"])
async def test_other_types_are_refused_with_those_that_are_known(
    database: Database, monkeypatch: pytest.MonkeyPatch, key_type: str
) -> None:
    unique = "" if key_type in {"json", "point"} else "UNIQUE"
    database.execute(f"CREATE TABLE avatars (id {key_type} NOT NULL {unique}, path text)")
    with pytest.raises(DatabaseRefused) as caught:
        async with opened(database, monkeypatch):
            pass
    assert ("timestamp with time zone" in caught.value.hint) == bool(unique)


async def test_rows_are_in_order_also_where_the_key_is_called_as_a_result_is(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ORDER BY takes a name for that of the result's column first, which is a text here: '10' comes before '9'."""
    database.execute("CREATE TABLE avatars (key numeric PRIMARY KEY, path text)")
    database.execute("INSERT INTO avatars SELECT n, 'image/' || n FROM generate_series(8, 11) AS n")
    async with opened(database, monkeypatch, db_key_column="key") as (session, table):
        pages = [page async for page in References(session, table).legacy_pages(KeyRange(), MAPPING)]
        assert [each.key for page in pages for each in page.references] == ["8", "9", "10", "11"]
        assert (await sample(session, table)).keys == ["8", "9", "10", "11"]
        assert await session.run(ends, table, doing="looking") == ("8", "11")
