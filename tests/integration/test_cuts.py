"""Cutting a real table: each row is in exactly one range as the database reads it, whatever its keys and statistics."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from sketchmigrate.cluster.ranges import cut_ranges, place_of_key, trim
from sketchmigrate.core.reference import Key, KeyRange
from sketchmigrate.postgres.database import Database
from sketchmigrate.postgres.pages import read_page
from sketchmigrate.postgres.privileges import inspect_table
from sketchmigrate.postgres.references import References
from sketchmigrate.postgres.statistics import SAMPLED_BLOCKS, count_blocks, parts, sample
from sketchmigrate.settings import Settings
from tests.mappings import mapping_of, source_of
from tests.servers.databases import fresh_database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from sketchmigrate.demo.servers import PostgresServer
    from sketchmigrate.postgres.session import Session
    from sketchmigrate.postgres.table import Table
    from tests.servers import databases

MAPPING = mapping_of()
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
NAMES: dict[str, Any] = {}
"""Settings of the table's names, where it is not the usual one."""

KINDS = {
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "smallint": st.integers(-(2**15), 2**15 - 1),
    "uuid": st.uuids(),
    'text COLLATE "C"': TEXT,
    "varchar(9)": TEXT,
}


@pytest.fixture
def connection(
    database: databases.Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A connection to a fresh database, to which the tool has the password as well."""
    for name, value in database.environ().items():
        monkeypatch.setenv(name, value)
    with database.connect() as connected:
        yield connected


def on(database: databases.Database, work: Callable[[Session, Table], Awaitable[Any]]) -> Any:
    """Do something with the table as the tool does."""
    site = Settings(db_host=database.host, db_port=database.port, db_name=database.name, **NAMES)

    async def run() -> Any:
        async with Database(site, stopping=asyncio.Event()).session() as session:
            table = await session.run(
                lambda connected: inspect_table(connected, source_of(site), for_writing=False), doing=""
            )
            return await work(session, table)

    return asyncio.run(run())


def keys_by_range(database: databases.Database, range_rows: int) -> list[list[Key]]:
    """Cut the table, trim each range, and read each as a migration does."""

    async def work(session: Session, table: Table) -> list[list[Key]]:
        waiting, found = await cut_ranges(session, table, range_rows, workers=1), []
        while waiting:
            key_range, *rest = await trim(session, table, waiting.pop(0), range_rows)
            waiting = [*rest, *waiting]
            pages = References(session, table).legacy_pages(key_range, MAPPING)
            found.append([reference.key async for page in pages for reference in page.references])
        return found

    return on(database, work)  # type: ignore[no-any-return]  # what ``work`` returns


def counted_by_parts(database: databases.Database, number: int) -> int:
    """Count the table in so many parts, or fewer, as a status does."""

    async def work(session: Session, table: Table) -> int:
        ranges = await parts(session, table, number)
        assert len(ranges) in {1, number}
        assert (ranges[0].after, ranges[-1].until) == (None, None)
        source = References(session, table)
        return sum([page.legacy for each in ranges async for page in source.counted_pages(each, MAPPING)])

    return on(database, work)  # type: ignore[no-any-return]  # what ``work`` returns


def fill(connection: psycopg.Connection[Any], kind: str, keys: set[Any], *, analysed: set[Any] | None) -> None:
    """Make the table with some keys, have it analysed, and then give it those that it is to have."""
    connection.execute("DROP TABLE IF EXISTS avatars")
    connection.execute(f"CREATE TABLE avatars (id {kind} PRIMARY KEY, path text)")
    insert = "INSERT INTO avatars SELECT unnest(%s::{}[]), 'image/x'"
    statement = sql.SQL(insert).format(sql.SQL(kind.partition(" ")[0]))
    if analysed is not None:
        connection.execute(statement, [list(analysed)])
        connection.execute("ANALYZE avatars")
        connection.execute("DELETE FROM avatars")
    connection.execute(statement, [list(keys)])


@pytest.mark.parametrize("kind", KINDS)
def test_each_row_is_in_exactly_one_range(
    database: databases.Database, connection: psycopg.Connection[Any], kind: str
) -> None:
    check_each_row(database, connection, kind)


def test_so_it_is_in_an_order_that_is_the_languages_own(
    debian_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fresh_database(debian_postgres) as database, database.connect() as connection:
        for name, value in database.environ().items():
            monkeypatch.setenv(name, value)
        check_each_row(database, connection, 'text COLLATE "en-x-icu"')


def check_each_row(database: databases.Database, connection: psycopg.Connection[Any], kind: str) -> None:
    """Let hypothesis fill the table, and look for each row."""
    keys_of = st.sets(KINDS.get(kind, TEXT), max_size=30)

    @settings(max_examples=12, suppress_health_check=list(HealthCheck))
    @given(keys_of, st.none() | keys_of, st.integers(1, 8))
    def check(keys: set[Any], analysed: set[Any] | None, range_rows: int) -> None:
        fill(connection, kind, keys, analysed=analysed)
        found = keys_by_range(database, range_rows)
        assert sorted(key for some in found for key in some) == sorted(keys)
        assert max(map(len, found)) <= 2 * range_rows + 1
        assert counted_by_parts(database, range_rows) == len(keys)

    check()


@pytest.mark.parametrize("kind", ["bigint", "uuid", "text"])
def test_the_range_of_a_key_has_what_follows_it(
    database: databases.Database, connection: psycopg.Connection[Any], kind: str
) -> None:
    key = {"bigint": "n", "uuid": "md5(n::text)::uuid", "text": "'user ' || n"}[kind]
    connection.execute(f"CREATE TABLE avatars (id {kind} PRIMARY KEY, path text)")
    insert = "INSERT INTO avatars SELECT {}, 'image/x' FROM generate_series(1, 500) AS n"
    connection.execute(sql.SQL(insert).format(sql.SQL(key)))
    connection.execute("ANALYZE avatars")
    keys = [found for (found,) in connection.execute("SELECT id FROM avatars ORDER BY id")]

    async def work(session: Session, table: Table) -> None:
        ranges = await cut_ranges(session, table, 50, workers=1)
        assert len(ranges) > 5
        for number, at in enumerate(keys[:-1]):
            place = await place_of_key(session, table, ranges, at)
            page = await session.run(read_page, table, ranges[place], MAPPING, 500, doing="")
            assert keys[number + 1] in [reference.key for reference in page.references]
        assert await place_of_key(session, table, ranges, keys[-1]) == len(ranges) - 1
        assert await place_of_key(session, table, [KeyRange()], keys[0]) == 0

    on(database, work)


@pytest.mark.parametrize("kind", ["bigint", "uuid", "text"])
@pytest.mark.parametrize("analysed", [True, False])
def test_ranges_are_about_as_large_as_wanted(
    database: databases.Database, connection: psycopg.Connection[Any], kind: str, analysed: bool
) -> None:
    key = {"bigint": "n", "uuid": "md5(n::text)::uuid", "text": "'user ' || n"}[kind]
    connection.execute(f"CREATE TABLE avatars (id {kind} PRIMARY KEY, path text)")
    insert = "INSERT INTO avatars SELECT {}, 'image/x' FROM generate_series(1, 20000) AS n"
    connection.execute(sql.SQL(insert).format(sql.SQL(key)))
    if analysed:
        connection.execute("ANALYZE avatars")
    sizes = [len(keys) for keys in keys_by_range(database, 1_000)]
    assert sum(sizes) == 20_000
    assert 15 <= len(sizes) <= 30, sizes
    assert max(sizes) <= 2_001


def test_a_small_table_is_for_all_workers_too(
    database: databases.Database, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("CREATE TABLE avatars (id bigint PRIMARY KEY, path text)")
    connection.execute("INSERT INTO avatars SELECT n, 'image/x' FROM generate_series(1, 8000) AS n")
    connection.execute("ANALYZE avatars")
    ranges: list[KeyRange] = on(database, lambda session, table: cut_ranges(session, table, 50_000, workers=4))
    assert len(ranges) >= 12
    assert [each.after for each in ranges[:3]] == [None, 1000, 1875]


def test_a_table_that_grew_since_it_was_analysed_is_cut_all_the_same(
    database: databases.Database, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("CREATE TABLE avatars (id bigint PRIMARY KEY, path text) WITH (autovacuum_enabled = false)")
    connection.execute("INSERT INTO avatars SELECT n, 'image/x' FROM generate_series(1, 1000) AS n")
    connection.execute("ANALYZE avatars")
    connection.execute("INSERT INTO avatars SELECT n, 'image/x' FROM generate_series(1001, 10000) AS n")
    ranges: list[KeyRange] = on(database, lambda session, table: cut_ranges(session, table, 500, workers=1))
    assert len(ranges) >= 15


def test_a_partitioned_table_is_cut_by_a_sample(
    database: databases.Database, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("CREATE TABLE avatars (id uuid PRIMARY KEY, path text) PARTITION BY HASH (id)")
    for part in range(3):
        connection.execute(
            sql.SQL("CREATE TABLE {} PARTITION OF avatars FOR VALUES WITH (MODULUS 3, REMAINDER {})").format(
                sql.Identifier(f"part{part}"), sql.Literal(part)
            )
        )
    connection.execute("INSERT INTO avatars SELECT md5(n::text)::uuid, 'image/x' FROM generate_series(1, 5000) AS n")
    sizes = [len(keys) for keys in keys_by_range(database, 500)]
    assert sum(sizes) == 5_000
    assert len(sizes) >= 8


def test_an_empty_table_is_one_range(database: databases.Database, connection: psycopg.Connection[Any]) -> None:
    connection.execute("CREATE TABLE avatars (id uuid PRIMARY KEY, path text)")
    assert on(database, lambda session, table: cut_ranges(session, table, 10, workers=1)) == [KeyRange(None, None)]
    connection.execute("INSERT INTO avatars VALUES (%s, 'image/x')", [UUID(int=1)])
    assert keys_by_range(database, 10) == [[UUID(int=1)]]


def test_a_schema_whose_name_needs_quotes(
    database: databases.Database, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.execute('CREATE SCHEMA "My Schema"')
    connection.execute('CREATE TABLE "My Schema"."a.b" ("The Key" int PRIMARY KEY, path text)')
    connection.execute("""INSERT INTO "My Schema"."a.b" SELECT n, 'image/x' FROM generate_series(1, 1000) AS n""")
    connection.execute('ANALYZE "My Schema"."a.b"')
    monkeypatch.setitem(NAMES, "db_table", '"My Schema"."a.b"')
    monkeypatch.setitem(NAMES, "db_key_column", "The Key")
    sizes = [len(keys) for keys in keys_by_range(database, 100)]
    assert (sum(sizes), len(sizes)) == (1_000, 10)


def test_a_table_without_statistics_is_sampled_and_not_read_as_a_whole(
    database: databases.Database, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    """It has a page for each row, and half as many again as a sample reads."""
    pages = SAMPLED_BLOCKS * 3 // 2
    connection.execute("CREATE TABLE avatars (id bigint PRIMARY KEY, path text) WITH (fillfactor = 10)")
    connection.execute(
        "INSERT INTO avatars SELECT n, 'image/' || repeat('x', 800) FROM generate_series(1, %s) n", [pages]
    )

    async def count(session: Session, table: Table) -> int:
        return await session.run(count_blocks, table, doing="counting blocks")

    assert on(database, count) == pages
    found = on(database, sample)
    assert 0 < len(found.keys) < pages * 0.9
    assert 0.7 * pages < found.table_rows < 1.3 * pages
