"""Legacy rows by an index of their paths, on real servers: which index is used, and that each row is had once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from sketchmigrate.postgres.database import Database as Reach
from sketchmigrate.postgres.paging import PageSize, PageTooSlow, read_in_time
from sketchmigrate.postgres.path_index import (
    PathIndex,
    choose_index,
    find_index,
    offer_of,
    only_pattern,
    read_by_path,
)
from sketchmigrate.postgres.privileges import inspect_table
from sketchmigrate.postgres.references import References
from sketchmigrate.postgres.row_spread import RowSpread, read_spread
from sketchmigrate.settings import Settings
from tests.mappings import mapping_of, source_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from psycopg import AsyncConnection

    from sketchmigrate.postgres.session import Session
    from sketchmigrate.postgres.table import Table
    from tests.servers.databases import Database, Databases

ROWS = 3_000
LEGACY = 700
USED = {
    "pattern": "(path text_pattern_ops)",
    "pattern, partial": "(path text_pattern_ops) WHERE path LIKE 'image/%%'",
    "C": '(path COLLATE "C")',
    "C, with more columns": '(path COLLATE "C", seen)',
}
OF_A_LANGUAGE = '(path COLLATE "en-x-icu")'
PARTIAL = "WHERE path LIKE 'image/%%'"
NOT_USED = {
    "of something else": "(seen)",
    "of an expression": "(lower(path) text_pattern_ops)",
    "of other rows": "(path text_pattern_ops) WHERE path LIKE 'avatar/%%'",
    "backwards": "(path text_pattern_ops DESC)",
    "behind another column": "(seen, path text_pattern_ops)",
}


def on(database: Database, work: Callable[[Session, Table], Awaitable[Any]], user: str = "") -> Any:
    """Do something with the table as the tool does; ``user`` is one whose password is its name."""
    conninfo = make_conninfo(database.conninfo, **({"user": user, "password": user} if user else {}))
    site = Settings(db_host=database.host, db_port=database.port, db_name=database.name)

    async def run() -> Any:
        reach = Reach(site, stopping=asyncio.Event(), reached_by={"conninfo": conninfo})
        async with reach.session() as session:
            table = await session.run(
                lambda connected: inspect_table(connected, source_of(site), for_writing=False), doing=""
            )
            return await work(session, table)

    return asyncio.run(run())


def fill(database: Database, *, path: str = "text") -> None:
    """Make a table with a random key, in which some rows are legacy, and more of them share a path than a page has."""
    database.execute(f"CREATE TABLE avatars (id uuid PRIMARY KEY, path {path}, seen int DEFAULT 0)")
    database.execute(
        "INSERT INTO avatars SELECT md5(n::text)::uuid, CASE WHEN n <= %s THEN 'image/' ELSE 'avatar/' END ||"
        " CASE WHEN n <= 150 THEN 'shared' WHEN n %% 2 = 0 THEN 'Ä' || n ELSE 'b' || n END"
        " FROM generate_series(1, %s) n",
        LEGACY,
        ROWS,
    )
    database.execute("INSERT INTO avatars VALUES (gen_random_uuid(), NULL), (gen_random_uuid(), '')")


def index(database: Database, definition: str) -> None:
    database.execute(f"CREATE INDEX of_paths ON avatars {definition.replace('%%', '%')}")
    database.execute("VACUUM ANALYZE avatars")


async def keys_by_path(session: Session, table: Table, found: PathIndex) -> list[Any]:
    pages = References(session, table).pages_by_path(found)
    return [reference.key async for page in pages for reference in page.references]


@pytest.mark.parametrize("kind", USED)
def test_each_legacy_row_is_found_once_by_an_index_that_can_tell_them(any_database: Database, kind: str) -> None:
    check_each_is_found(any_database, USED[kind])


def test_in_the_order_of_a_language_only_one_that_has_no_other_rows(debian_databases: Databases) -> None:
    with debian_databases.fresh() as database:
        check_each_is_found(database, f"{OF_A_LANGUAGE} {PARTIAL}")
        database.execute("DROP INDEX of_paths")
        check_none_is_used(database, OF_A_LANGUAGE)


def check_each_is_found(database: Database, definition: str) -> None:
    fill(database)
    index(database, definition)

    async def work(session: Session, table: Table) -> list[Any]:
        found = await session.run(choose_index, table, mapping_of(), doing="")
        assert found is not None
        assert found.name == "of_paths"
        assert LEGACY / 2 < found.legacy_rows < 2 * LEGACY
        return await keys_by_path(session, table, found)

    keys = on(database, work)
    assert len(keys) == LEGACY
    assert set(keys) == {key for (key,) in database.execute("SELECT id FROM avatars WHERE path LIKE 'image/%%'")}


@pytest.mark.parametrize("kind", NOT_USED)
def test_no_other_index_is_used(database: Database, kind: str) -> None:
    fill(database)
    check_none_is_used(database, NOT_USED[kind])


def check_none_is_used(database: Database, definition: str) -> None:
    index(database, definition)

    async def work(session: Session, table: Table) -> None:
        assert await session.run(find_index, table, mapping_of(), doing="") is None

    on(database, work)


def test_where_going_by_the_key_reads_no_more_blocks_no_index_is_chosen(database: Database) -> None:
    database.execute("CREATE TABLE avatars (id bigint PRIMARY KEY, path text)")
    database.execute("INSERT INTO avatars SELECT n, 'image/' || md5(n::text) FROM generate_series(1, %s) n", ROWS)
    index(database, USED["pattern"])
    database.execute(f"ALTER DATABASE {database.name} SET enable_seqscan = off")

    async def work(session: Session, table: Table) -> None:
        assert await session.run(find_index, table, mapping_of(), doing="") is not None
        assert await session.run(choose_index, table, mapping_of(), doing="") is None

    on(database, work)


def test_the_rows_of_a_page_lie_together_where_their_paths_do(database: Database) -> None:
    database.execute("CREATE TABLE avatars (id uuid PRIMARY KEY, path text)")
    database.execute(
        "INSERT INTO avatars SELECT md5(n::text)::uuid, 'image/' || lpad(n::text, 9, '0')"
        " FROM generate_series(1, 20000) n"
    )
    index(database, USED["pattern, partial"])

    async def work(session: Session, table: Table) -> int:
        found = await session.run(choose_index, table, mapping_of(), doing="")
        assert found is not None
        page = await session.run(read_by_path, table, found, None, 5_000, doing="")
        keys = [reference.key for reference in page.references]
        assert len(keys) == 5_000
        blocks = "SELECT count(DISTINCT (ctid::text::point)[0]) FROM avatars WHERE id = ANY (%s)"
        return int(database.execute(blocks, keys)[0][0])

    blocks = on(database, work)
    assert (
        blocks <= 1 + 5_000 / 20_000 * database.execute("SELECT relpages FROM pg_class WHERE relname = 'avatars'")[0][0]
    )


def test_only_a_key_below_one_prefix_in_an_ordinary_table_is_looked_for_so(database: Database) -> None:
    fill(database, path="varchar(80)")

    async def work(_: Session, table: Table) -> None:
        assert only_pattern(table, mapping_of()) == "image/%"
        assert only_pattern(table, mapping_of("100%_of/")) == r"100\%\_of/%"
        assert only_pattern(table, mapping_of("")) is None

    on(database, work)


@pytest.mark.parametrize("path", ["text", "varchar(80)"])
@pytest.mark.parametrize("prefix", ["image/", "it's_100%/"])
def test_what_is_offered_makes_an_index_that_is_used(database: Database, path: str, prefix: str) -> None:
    fill(database, path=path)
    database.execute("UPDATE avatars SET path = replace(path, 'image/', %s)", prefix)

    async def work(_: Session, table: Table) -> str:
        pattern = only_pattern(table, mapping_of(prefix))
        assert pattern is not None
        return offer_of(table, pattern)

    offer = on(database, work)
    with database.connect() as connection:
        connection.autocommit = True
        connection.execute(offer)
    database.execute("VACUUM ANALYZE avatars")

    async def use(session: Session, table: Table) -> int:
        found = await session.run(choose_index, table, mapping_of(prefix), doing="")
        assert found is not None
        assert found.is_partial
        return len(await keys_by_path(session, table, found))

    assert on(database, use) == LEGACY


class Slept(NamedTuple):
    """A page."""

    rows: int


def test_a_page_that_has_no_bound_is_given_up(database: Database) -> None:
    fill(database)

    async def sleep(connection: AsyncConnection, rows: int) -> Slept:
        await connection.execute("SELECT pg_sleep(30)")
        return Slept(rows)

    async def work(session: Session, _: Table) -> None:
        with pytest.raises(PageTooSlow):
            await read_in_time(session, PageSize(), sleep, doing="", is_bounded=False)

    on(database, work)


def test_what_statistics_say_is_read(database: Database) -> None:
    fill(database)
    database.execute("ANALYZE avatars")

    async def work(session: Session, table: Table) -> RowSpread | None:
        return await session.run(read_spread, table, doing="")

    spread = on(database, work)
    assert spread.rows == ROWS + 2
    assert abs(spread.key_correlation) < 0.3


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(1, 1e9))
def test_few_rows_left_are_sooner_found_by_their_paths(key: float, path: float, legacy_rows: float) -> None:
    spread = RowSpread(1e9, 1e7, key, path)
    if spread.is_less_by_path(legacy_rows):
        assert spread.is_less_by_path(legacy_rows / 2)
    assert spread.is_less_by_path(1)
    assert not RowSpread(1e9, 1e7, None, path).is_less_by_path(1)
    assert not RowSpread(1e9, 1e7, 1.0, 0.0).is_less_by_path(1e9)
    assert RowSpread(1e9, 1e7, 0.0, 1.0).is_less_by_path(1e9)
