"""What plan and verify ask PostgreSQL, on both flavours: pages as CSV, rows by the text of their keys, the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.reference import KeyRange
from sketchmigrate.postgres.catalog import read_facts
from sketchmigrate.postgres.pages import LONGEST_PATH_CHARS, copy_page
from sketchmigrate.postgres.references import current_paths
from sketchmigrate.postgres.row_key import RowKey
from sketchmigrate.postgres.table import Table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from psycopg import AsyncConnection

    from tests.servers.databases import Database

import psycopg
import pytest_asyncio

TABLE = Table(("avatars",), RowKey.of("id", "bigint"), "path")


@pytest_asyncio.fixture
async def connection(any_database: Database) -> AsyncIterator[AsyncConnection]:
    any_database.create_avatars(["image/a.png", None, "", 'say "hi",\nor not', "x" * 5000])
    async with await psycopg.AsyncConnection.connect(any_database.conninfo, autocommit=True) as connected:
        yield connected


async def test_pages_cover_the_table_and_end(connection: AsyncConnection) -> None:
    first = await copy_page(connection, TABLE, KeyRange(), rows=2)
    assert (first.rows, first.last_key) == (2, 2)
    assert first.csv == b'"1","image/a.png"\n"2",\n'
    second = await copy_page(connection, TABLE, KeyRange(after=2), rows=100)
    assert (second.rows, second.last_key) == (3, 5)
    cut = b"x" * LONGEST_PATH_CHARS
    assert second.csv == b'"3",""\n"4","say ""hi"",\nor not"\n"5","' + cut + b'"\n'
    assert (await copy_page(connection, TABLE, KeyRange(after=5), rows=9)).rows == 0
    assert (await copy_page(connection, TABLE, KeyRange(after=1, until=3), rows=9)).rows == 2


@pytest.mark.parametrize("key_type", ["uuid", "text"])
async def test_keys_of_other_types(any_database: Database, key_type: str) -> None:
    keys = [f"00000000-0000-0000-0000-00000000000{digit}" for digit in "123"]
    any_database.execute(f"CREATE TABLE avatars (id {key_type} PRIMARY KEY, path text)")
    for key in keys:
        any_database.execute("INSERT INTO avatars VALUES (%s, 'image/x')", key)
    table = Table(("avatars",), RowKey.of("id", key_type), "path")
    async with await psycopg.AsyncConnection.connect(any_database.conninfo, autocommit=True) as connection:
        first = await copy_page(connection, table, KeyRange(), rows=2)
        second = await copy_page(connection, table, KeyRange(after=first.last_key), rows=2)
        assert (first.rows, second.rows) == (2, 1)
        assert await current_paths(connection, table, [keys[2], keys[0]]) == {
            keys[0]: "image/x",
            keys[2]: "image/x",
        }


async def test_rows_by_the_text_of_their_keys(connection: AsyncConnection) -> None:
    assert await current_paths(connection, TABLE, ["1", "2", "77"]) == {"1": "image/a.png", "2": None}


async def test_the_catalog(any_database: Database, connection: AsyncConnection) -> None:
    facts = await read_facts(connection, TABLE)
    assert (facts.may_update, facts.is_standby, facts.row_security) == (True, False, False)
    assert (facts.indexes, facts.triggers, facts.constraints, facts.partition_key) == ((), (), (), False)
    assert facts.heap_only
    assert (facts.rows, facts.page_bytes) == (5.0, 8192)
    any_database.execute("CREATE TABLE thumbnails (path text)")
    for statement in (
        "CREATE UNIQUE INDEX one ON avatars (path)",
        "CREATE INDEX parted ON avatars (id) WHERE path LIKE 'image/%'",
        "CREATE INDEX folded ON avatars (lower(path))",
        "CREATE INDEX not_this ON avatars ((id + 1))",
        "ALTER TABLE thumbnails ADD CONSTRAINT of_avatar FOREIGN KEY (path) REFERENCES avatars (path)",
        "ALTER TABLE avatars ADD name text GENERATED ALWAYS AS (split_part(path, '/', 2)) STORED",
    ):
        any_database.execute(statement)
    facts = await read_facts(connection, TABLE)
    assert {(index.name, index.unique, index.on_path_alone, index.partial) for index in facts.indexes} == {
        ("one", True, True, False),
        ("parted", False, False, True),
        ("folded", False, False, False),
    }
    assert not facts.heap_only
    assert facts.constraints == ("of_avatar: FOREIGN KEY (path) REFERENCES avatars(path)",)
    assert facts.generated_columns == ("name",)


async def test_a_path_that_places_the_row(any_database: Database) -> None:
    any_database.execute("CREATE TABLE avatars (id bigint, path text) PARTITION BY LIST (path)")
    async with await psycopg.AsyncConnection.connect(any_database.conninfo, autocommit=True) as connection:
        assert (await read_facts(connection, TABLE)).partition_key
