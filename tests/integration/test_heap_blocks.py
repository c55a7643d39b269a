"""Legacy rows block by block, on real servers: each block once and nothing else, and only where that is fewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sketchmigrate.migration.reading_order import choose_order
from sketchmigrate.postgres.heap_blocks import MOST_BLOCKS, PROBED, HeapBlocks, page_of
from sketchmigrate.postgres.path_index import PathIndex
from sketchmigrate.postgres.references import References
from tests.integration.test_path_index import on
from tests.mappings import mapping_of

if TYPE_CHECKING:
    from sketchmigrate.postgres.session import Session
    from sketchmigrate.postgres.table import Table
    from tests.servers.databases import Database

ROWS = 30_000
LEGACY_OF_THREE = 2


async def chosen(session: Session, table: Table) -> Any:
    return await session.run(choose_order, table, mapping_of(), doing="")


def fill(database: Database, *, key_type: str = "uuid", more: str = "", rows: int = ROWS) -> None:
    """Make a table, two of three rows of which are legacy."""
    database.execute(f"CREATE TABLE avatars (id {key_type} PRIMARY KEY, path text) {more}")
    number = "n" if key_type == "bigint" else "md5(n::text)::uuid"
    rows_made = f"SELECT {number}, CASE WHEN n %% 3 < %s THEN 'image/' ELSE 'avatar/' END || n"
    database.execute(f"INSERT INTO avatars {rows_made} FROM generate_series(1, %s) n", LEGACY_OF_THREE, rows)
    analyze(database)


def analyze(database: Database) -> None:
    with database.connect() as connection:
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE avatars")


def test_each_legacy_row_is_found_once_where_keys_are_random(any_database: Database) -> None:
    fill(any_database)

    async def work(session: Session, table: Table) -> tuple[Any, list[Any]]:
        order = await chosen(session, table)
        pages = References(session, table).pages_by_block(order, mapping_of())
        return order, [page async for page in pages]

    order, pages = on(any_database, work)
    assert isinstance(order, HeapBlocks)
    assert (order.first, order.end) == (0, any_database.execute("SELECT pg_relation_size('avatars') / 8192")[0][0])
    assert sum(page.rows for page in pages) == ROWS
    found = [tuple(reference) for page in pages for reference in page.references]
    assert len(set(found)) == len(found) == ROWS * LEGACY_OF_THREE // 3
    assert set(found) == set(any_database.execute("SELECT id, path FROM avatars WHERE path LIKE 'image/%%'"))


def test_a_page_reads_the_blocks_that_hold_its_rows_and_no_other(any_database: Database) -> None:
    fill(any_database)
    first, end = 20, 120

    async def work(session: Session, table: Table) -> dict[str, Any]:
        statement, values = page_of(table, mapping_of(), HeapBlocks(end, 100.0, first))

        async def explain(connection: Any) -> Any:
            explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.as_string(connection)}"
            return await (await connection.execute(explained, values)).fetchone()

        answer = await session.run(explain, doing="")
        plan: dict[str, Any] = answer[0][0]["Plan"]
        return plan

    plan = on(any_database, work)
    of_blocks = "SELECT count(*) FROM avatars WHERE (ctid::text::point)[0] >= %s AND (ctid::text::point)[0] < %s"
    assert plan["Plans"][0]["Actual Rows"] == any_database.execute(of_blocks, first, end)[0][0]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] == end - first


def test_a_page_has_a_bounded_number_of_blocks() -> None:
    table = HeapBlocks(10_000, 100.0)
    assert table.of_rows(1_000).end == 10
    assert table.behind(HeapBlocks(9_995, 100.0)).of_rows(1_000) == HeapBlocks(10_000, 100.0, 9_995)
    assert HeapBlocks(10_000, 5.0).of_rows(10_000).end == MOST_BLOCKS
    assert HeapBlocks(10_000, 300.0, 7).of_rows(100).end == 8


def test_keys_in_the_order_of_the_blocks_are_read_by_the_key(database: Database) -> None:
    fill(database, key_type="bigint")
    assert on(database, chosen) is None


def test_a_role_needs_the_right_to_it(database: Database) -> None:
    fill(database)
    user = f"mover_{database.name}"
    database.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{user}'")
    database.execute(f"GRANT SELECT (id, path), UPDATE (path) ON avatars TO {user}")
    try:
        assert on(database, chosen, user) is None
        database.execute(f"GRANT SELECT (ctid) ON avatars TO {user}")
        assert isinstance(on(database, chosen, user), HeapBlocks)
    finally:
        database.execute(f"DROP OWNED BY {user}")
        database.execute(f"DROP ROLE {user}")


def test_an_index_is_better_where_few_rows_are_left(database: Database) -> None:
    fill(database)
    database.execute(
        "UPDATE avatars SET path = 'avatar/' || id WHERE path LIKE 'image/%%' AND path NOT LIKE 'image/99%%'"
    )
    database.execute("CREATE INDEX of_paths ON avatars (path text_pattern_ops) WHERE path LIKE 'image/%'")
    analyze(database)
    found = on(database, chosen)
    assert isinstance(found, PathIndex)
    assert 0 < found.legacy_rows < database.execute("SELECT relpages FROM pg_class WHERE relname = 'avatars'")[0][0]


@pytest.mark.parametrize("kind", ["partitioned", "never analysed"])
def test_what_cannot_be_judged_is_read_by_the_key(database: Database, kind: str) -> None:
    if kind == "partitioned":
        fill(database, more="PARTITION BY HASH (id)", rows=0)
        database.execute("CREATE TABLE part PARTITION OF avatars FOR VALUES WITH (modulus 1, remainder 0)")
        database.execute("INSERT INTO avatars SELECT md5(n::text)::uuid, 'image/' || n FROM generate_series(1, 5000) n")
        analyze(database)
    else:
        database.execute("CREATE TABLE avatars (id uuid PRIMARY KEY, path text)")
        database.execute("INSERT INTO avatars SELECT md5(n::text)::uuid, 'image/' || n FROM generate_series(1, 5000) n")
    assert on(database, chosen) is None


def test_it_begins_near_the_first_block_of_legacy_rows_and_reads_all_others_as_well(database: Database) -> None:
    database.execute("CREATE TABLE avatars (id uuid PRIMARY KEY, path text)")
    done = ROWS // 2
    rows = "SELECT md5(n::text)::uuid, CASE WHEN n <= %s AND n <> 7 THEN 'avatar/' ELSE 'image/' END || n"
    database.execute(f"INSERT INTO avatars {rows} FROM generate_series(1, %s) n", done, ROWS)
    analyze(database)

    async def work(session: Session, table: Table) -> tuple[HeapBlocks, list[str]]:
        blocks = await chosen(session, table)
        pages = References(session, table).pages_by_block(blocks, mapping_of())
        return blocks, [reference.path async for page in pages for reference in page.references]

    blocks, paths = on(database, work)
    boundary = database.execute("SELECT (ctid::text::point)[0]::int FROM avatars WHERE path = %s", f"image/{done + 1}")
    assert boundary[0][0] - 2 * -(-blocks.end // PROBED) <= blocks.begin <= boundary[0][0]
    assert len(paths) == ROWS - done + 1
    assert paths[-1] == "image/7", "it is before that, and comes last"
    database.execute("UPDATE avatars SET path = replace(path, 'image/', 'avatar/')")
    analyze(database)
    assert on(database, chosen).begin == 0, "nothing is left"
