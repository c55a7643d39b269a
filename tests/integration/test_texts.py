"""Texts that are not UTF-8: pages go on past them, and Python reads an encoding as the server does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.reference import KeyRange, Reference, Unreadable
from sketchmigrate.postgres.database import Database as Reach
from sketchmigrate.postgres.pages import copy_page, read_page
from sketchmigrate.postgres.privileges import inspect_table
from sketchmigrate.postgres.references import current_paths, look_up
from sketchmigrate.postgres.table import python_encoding
from sketchmigrate.settings import Settings
from tests.mappings import mapping_of, source_of
from tests.servers.databases import fresh_database

if TYPE_CHECKING:
    from sketchmigrate.demo.servers import PostgresServer
    from tests.servers.databases import Database

MAPPING = mapping_of()
SINGLE_BYTE = (
    *(f"LATIN{number}" for number in range(1, 11)),
    *(f"ISO_8859_{number}" for number in range(5, 9)),
    *(f"WIN{number}" for number in (866, 874, *range(1250, 1259))),
    "KOI8R",
    "KOI8U",
)
CONVERT = """
CREATE FUNCTION read(stored bytea, encoding name) RETURNS text LANGUAGE plpgsql AS $$
BEGIN RETURN convert_from(stored, encoding);
EXCEPTION WHEN untranslatable_character THEN RETURN NULL; END $$
"""


def test_python_reads_each_encoding_of_a_server_as_the_server_does(database: Database) -> None:
    database.execute(CONVERT)
    for encoding in SINGLE_BYTE:
        name = python_encoding(encoding)
        assert name != "ascii", encoding
        question = "SELECT n, read(set_byte('\\x00', 0, n), %s) FROM generate_series(128, 255) AS n"
        for number, text in database.execute(question, encoding):
            if text is not None:
                assert bytes([number]).decode(name) == text, (encoding, number)
            else:
                with pytest.raises(UnicodeDecodeError):
                    bytes([number]).decode(name)
    assert [python_encoding(name) for name in ("UTF8", "SQL_ASCII", "EUC_CN")] == ["utf-8", "utf-8", "gb2312"]
    assert python_encoding("MULE_INTERNAL") == "ascii", "Python has it not"


async def test_every_way_of_reading_goes_on_past_what_is_not_text(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fresh_database(postgres, encoding="SQL_ASCII") as database:
        database.execute("CREATE TABLE avatars (id text PRIMARY KEY, path text)")
        rows = [
            (b"a", b"image/1"),
            (b"b", b"image/\xe9"),
            (b"k\xe9", b"image/3"),
            (b"l\xe9", b"image/\xe9"),
            (b"z", None),
        ]
        for row in rows:
            stored = "convert_from(%s, 'SQL_ASCII')"
            database.execute(f"INSERT INTO avatars VALUES ({stored}, {stored})", *row)  # noqa: S608 - our own words
        monkeypatch.setenv("SKETCH_DB_USER", database.user)
        monkeypatch.setenv("SKETCH_DB_PASS", database.password)
        settings = Settings(db_host=database.host, db_port=database.port, db_name=database.name)
        async with await Reach(settings, stopping=asyncio.Event()).connect() as connection:
            table = await inspect_table(connection, source_of(settings), for_writing=True)
            async with connection.transaction():
                for size in range(1, 6):
                    read: list[Reference] = []
                    copied = b""
                    key_range = KeyRange()
                    while (page := await read_page(connection, table, key_range, MAPPING, rows=size)).rows:
                        copy = await copy_page(connection, table, key_range, rows=size)
                        assert copy.last_key == page.last_key
                        read += page.references
                        copied += copy.csv
                        key_range = KeyRange(page.last_key)
                    assert [reference.path for reference in read] == [
                        "image/1",
                        "image/\\xe9",
                        "image/3",
                        "image/\\xe9",
                    ]
                    assert [isinstance(reference.path, Unreadable) for reference in read] == [False, True, True, True]
                    assert copied.splitlines() == [
                        b'"a","image/1"',
                        b'"b","image/\\xe9"',
                        b'"k\\xe9","image/3"',
                        b'"l\\xe9","image/\\xe9"',
                        b'"z",',
                    ]
                assert await look_up(connection, table, ["a", "b"]) == {"a": "image/1", "b": "image/\\xe9"}
                assert await current_paths(connection, table, ["b", "z"]) == {"b": "image/\\xe9", "z": None}
