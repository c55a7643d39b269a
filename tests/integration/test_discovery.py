"""Discovery as other commands use it: with moves, forms of URL and sources of their own, and keys of every sort."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sketchmigrate.inspect.discover import Discovery, discover
from sketchmigrate.postgres.database import Database as Reach
from sketchmigrate.settings import Settings
from sketchmigrate.settings.files import ValueOrigin
from sketchmigrate.settings.lists import read_lists

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.databases import Database

    Finder = Callable[..., Discovery]

ORIGINS = {name: ValueOrigin(name, "site.toml") for name in ("moves", "urls", "references")}
URLS = [{"legacy": "https://old.example.com/files/{key}", "production": "https://cdn.example.com/{key}"}]


@pytest.fixture
def found_in(database: Database, monkeypatch: pytest.MonkeyPatch) -> Finder:
    """What discovers with lists, by their names; ``full`` is its own."""
    monkeypatch.setenv("SKETCH_DB_USER", database.user)
    monkeypatch.setenv("SKETCH_DB_PASS", database.password)
    settings = Settings(db_host=database.host, db_port=database.port, db_name=database.name)

    def find(*, full: bool = True, **lists: Any) -> Discovery:
        async def main() -> Discovery:
            reach = Reach(settings, stopping=asyncio.Event(), kept=1)
            try:
                return await discover(reach, read_lists(replace(settings, **lists), ORIGINS), full=full)
            finally:
                await reach.close()

        return asyncio.run(main())

    return find


def names(found: Discovery) -> list[str]:
    return [f"{column.table}.{column.column}" for column in found.columns]


def test_hosts_of_forms_are_looked_for(database: Database, found_in: Finder) -> None:
    database.execute("CREATE TABLE pages (id int PRIMARY KEY, link text, about text)")
    database.execute(
        "INSERT INTO pages VALUES (1, 'HTTPS://OLD.example.com/files/image/1', 'see //old.example.com/faq')"
    )
    assert names(found_in()) == []
    found = found_in(urls=URLS)
    assert names(found) == ["pages.link"]
    assert [(each.column, each.examples) for each in found.naming] == [("about", ("see //old.example.com/faq",))]


def test_columns_of_sources_are_covered_as_far_as_they_read_them(database: Database, found_in: Finder) -> None:
    database.execute("CREATE TABLE documents (id int PRIMARY KEY, file jsonb, other jsonb)")
    database.execute("""INSERT INTO documents VALUES
        (1, '{"id": "image/1"}', '{"id": "image/1"}'), (2, '{"id": "image/2", "thumb": "image/3"}', NULL)""")
    whole = {"table": "public.documents", "column": "file", "shape": "json", "paths": ["$.id", "$.thumb"]}
    part = {**whole, "paths": ["$.id"], "name": "files"}
    assert names(found_in(references=[whole])) == ["documents.file", "documents.other"]
    assert [column.column for column in found_in(references=[whole]).columns_not_covered] == ["other"]
    file, _ = found_in(references=[part]).columns_not_covered
    assert (file.rows, file.covered_rows, file.covered_by, file.is_covered) == (2, 1, ("files",), False)


def test_what_is_migrated_is_not_found_any_more(database: Database, found_in: Finder) -> None:
    database.create_avatars(["avatar/1.png", "https://sketch-production-s3.s3.us-east-1.amazonaws.com/avatar/1"])
    found = found_in()
    assert (found.columns, found.naming, found.rows, found.is_complete) == ((), (), 2, True)


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        ("id int PRIMARY KEY, path text", ("id",)),
        ("id int, path text, PRIMARY KEY (id, path)", ()),
        ("id int, path text PRIMARY KEY", ("path",)),
        ("id int UNIQUE, path text", ()),
        ("id int NOT NULL UNIQUE, path text", ("id",)),
        ("a int, b text, path text, PRIMARY KEY (b, a)", ("b", "a")),
        ("a int NOT NULL, b int NOT NULL, path text, PRIMARY KEY (path), UNIQUE (a, b)", ("a", "b")),
        ("id point, path text, number bigserial UNIQUE", ("number",)),
        ("id int NOT NULL, path text", ()),
    ],
)
def test_the_key_is_what_can_tell_rows_apart_that_change(
    database: Database, found_in: Finder, columns: str, key: tuple[str, ...]
) -> None:
    database.execute(f"CREATE TABLE files ({columns})")
    filled = [name for name in ("id", "a", "b") if f"{name} int" in columns or f"{name} text" in columns]
    copied = ", ".join([*filled, "path"])
    with database.connect() as connection, connection.cursor().copy(f"COPY files ({copied}) FROM STDIN") as copy:
        for number in range(250):
            copy.write_row([*(number for _ in filled), f"image/{number}"])
    database.execute("CREATE UNIQUE INDEX partial ON files (path) WHERE path <> ''")
    (column,) = found_in().columns
    assert (column.rows, column.key, bool(column.entries)) == (250, key, bool(key))
    assert [entry.key for entry in column.entries] == [key] * bool(key)


def test_full_reads_partitions_by_key_and_heaps_by_block(database: Database, found_in: Finder) -> None:
    database.execute("CREATE TABLE parted (id int, path text) PARTITION BY HASH (id)")
    for number in range(3):
        database.execute(
            f"CREATE TABLE part_{number} PARTITION OF parted FOR VALUES WITH (MODULUS 3, REMAINDER {number})"
        )
    database.execute(
        "INSERT INTO parted SELECT n, 'image/' || n || repeat('x', n % 300) FROM generate_series(1, 9000) AS n"
    )
    database.execute("CREATE TABLE keyed (LIKE parted, PRIMARY KEY (id, path)) PARTITION BY LIST (path)")
    database.execute("CREATE TABLE keyed_rest PARTITION OF keyed DEFAULT")
    database.execute("INSERT INTO keyed SELECT * FROM parted")
    assert {column.table: column.rows for column in found_in().columns} == {"parted": 9000, "keyed": 9000}


def test_prefixes_that_lie_inside_each_other(database: Database, found_in: Finder) -> None:
    database.create_avatars(["image/1", "image/thumb/2", "thumb/3"])
    moves = [
        {"legacy": f"s3://old/{prefix}", "production": f"s3://new/{number}/"}
        for number, prefix in enumerate(("image/", "image/thumb/", "unused/"))
    ]
    (column,) = found_in(moves=moves).columns
    assert (column.rows, column.moves) == (
        2,
        ("s3://old/image/ -> s3://new/0/", "s3://old/image/thumb/ -> s3://new/1/"),
    )


def test_patterns_are_taken_as_they_are(database: Database, found_in: Finder) -> None:
    database.create_avatars([r"im%_\ge/1", "imXYZge/2"])
    moves = [{"legacy": r"s3://old/im%_\ge/", "production": "s3://new/"}]
    (column,) = found_in(moves=moves).columns
    assert (column.rows, column.examples) == (1, (r"im%_\ge/1",))


def test_values_that_are_too_long_are_counted(database: Database, found_in: Finder) -> None:
    database.create_avatars(
        ["see image/1 " + "x" * (1 << 20), "see image/2 " + "x" * ((1 << 20) - 12), "x" * (1 << 21)]
    )
    found = found_in()
    assert [(each.table, each.rows) for each in found.too_long] == [("avatars", 1)]
    assert [column.rows for column in found.columns] == [1]
    assert not found.is_complete
