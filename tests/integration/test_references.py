"""Pages, flips and the catalog, on real PostgreSQL servers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, LiteralString
from uuid import UUID

import pytest

from sketchmigrate.core.errors import DatabaseError, DatabaseRefused, DatabaseUnreachable
from sketchmigrate.core.reference import KeyRange, Reference
from sketchmigrate.postgres.database import Database as Reach
from sketchmigrate.postgres.flip import flip
from sketchmigrate.postgres.pages import CountedPage, count_page, read_page
from sketchmigrate.postgres.privileges import inspect_table
from sketchmigrate.postgres.references import look_at
from sketchmigrate.settings import Settings
from tests.mappings import mapping_of, source_of
from tests.servers.databases import Database, fresh_database

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from sketchmigrate.demo.servers import PostgresServer
    from sketchmigrate.postgres.table import Table

MAPPING = mapping_of()


def _settings(database: Database, monkeypatch: pytest.MonkeyPatch, **more: object) -> Settings:
    monkeypatch.setenv("SKETCH_DB_USER", database.user)
    monkeypatch.setenv("SKETCH_DB_PASS", database.password)
    values = {"db_host": database.host, "db_port": database.port, "db_name": database.name, **more}
    return Settings(**values)  # type: ignore[arg-type]  # the test's own values, by name


async def _table(settings: Settings, *, for_writing: bool = True) -> tuple[AsyncConnection, Table]:
    connection = await Reach(settings, stopping=asyncio.Event()).connect()
    try:
        return connection, await inspect_table(connection, source_of(settings), for_writing=for_writing)
    except BaseException:
        await connection.close()
        raise


@pytest.mark.parametrize(
    ("key_type", "keys"),
    [
        ("smallint", [-3, 1, 2, 7]),
        ("bigint", [-(2**62), 0, 5, 2**62]),
        ("uuid", [UUID(int=n) for n in (0, 1, 2**64, 2**127)]),
        ('text COLLATE "C"', ["", "a", "a b'\"", "é"]),
        ('varchar(20) COLLATE "C"', ["", "a", "a b'\"", "é"]),
    ],
)
async def test_pages_and_flips_for_every_type_of_key(
    any_database: Database, monkeypatch: pytest.MonkeyPatch, key_type: LiteralString, keys: list[int | str | UUID]
) -> None:
    any_database.execute(f'CREATE TABLE "Av atars" ("I d" {key_type} PRIMARY KEY, "pa""th" varchar(90))')
    for number, key in enumerate(keys):
        any_database.execute('INSERT INTO "Av atars" VALUES (%s, %s)', key, f"image/{number}")
    settings = _settings(any_database, monkeypatch, db_table='"Av atars"', db_key_column="I d", db_path_column='pa"th')
    connection, table = await _table(settings)
    async with connection:
        assert table.max_path_chars == 90
        read: list[Reference] = []
        key_range = KeyRange()
        while (page := await read_page(connection, table, key_range, MAPPING, rows=3)).rows:
            read += page.references
            key_range = KeyRange(page.last_key)
        assert read == [Reference(key, f"image/{number}") for number, key in enumerate(keys)]
        bounded = await read_page(connection, table, KeyRange(keys[0], keys[2]), MAPPING, rows=10)
        assert [reference.key for reference in bounded.references] == keys[1:3]
        counted = await count_page(connection, table, KeyRange(keys[0]), mapping_of("image/2", "image/1"), rows=2)
        assert counted == CountedPage(2, keys[2], 1, 1, 2)
        flipped = await flip(connection, table, [MAPPING.move(reference) for reference in read])
        assert flipped.flipped == frozenset(keys)
    assert {row[0] for row in any_database.execute('SELECT "pa""th" FROM "Av atars"')} == {
        f"avatar/{number}" for number in range(len(keys))
    }


async def test_a_page_passes_rows_of_other_sides_without_returning_them(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.create_avatars([None, "", "image/", "image/a", "avatar/b", "Image/c", "images/d", "imag_/e", "image/%"])
    connection, table = await _table(_settings(database, monkeypatch))
    async with connection:
        page = await read_page(connection, table, KeyRange(), MAPPING, rows=100)
        assert (page.rows, page.last_key) == (9, 9)
        assert [reference.path for reference in page.references] == ["image/", "image/a", "image/%"]
        assert (await read_page(connection, table, KeyRange(9), MAPPING, rows=100)).rows == 0
        assert await count_page(connection, table, KeyRange(), MAPPING, rows=100) == CountedPage(9, 9, 3, 1, 7)
        assert await count_page(connection, table, KeyRange(3, 8), MAPPING, rows=2) == CountedPage(2, 5, 1, 1, 2)
        assert (await count_page(connection, table, KeyRange(9), MAPPING, rows=100)).rows == 0


async def test_every_flip_has_one_outcome_and_the_application_wins(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    any_database.create_avatars([f"image/{n}" for n in range(1, 7)])
    connection, table = await _table(_settings(any_database, monkeypatch))
    async with connection:
        page = await read_page(connection, table, KeyRange(), MAPPING, rows=100)
        any_database.execute("UPDATE avatars SET path = 'avatar/2' WHERE id = 2")
        any_database.execute("UPDATE avatars SET path = 'avatar/new' WHERE id = 3")
        any_database.execute("DELETE FROM avatars WHERE id = 4")
        any_database.execute("UPDATE avatars SET path = NULL WHERE id = 5")
        answer = await flip(connection, table, [MAPPING.move(reference) for reference in page.references])
        looked = await look_at(connection, table, [2, 3, 4, 5])
    assert answer.flipped == {1, 6}
    assert not answer.held_back
    assert not answer.stored
    assert looked.paths == {2: "avatar/2", 3: "avatar/new", 5: None}
    assert not looked.hidden
    assert any_database.paths() == {1: "avatar/1", 2: "avatar/2", 3: "avatar/new", 5: None, 6: "avatar/6"}


async def test_a_trigger_that_holds_back_or_rewrites_is_noticed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.create_avatars(["image/hold", "image/rewrite", "image/pass"])
    database.execute("""
        CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.path = 'avatar/hold' THEN RETURN NULL; END IF;
            IF NEW.path = 'avatar/rewrite' THEN NEW.path := 'avatar/other'; END IF;
            RETURN NEW; END $$""")
    database.execute("CREATE TRIGGER meddle BEFORE UPDATE ON avatars FOR EACH ROW EXECUTE FUNCTION meddle()")
    connection, table = await _table(_settings(database, monkeypatch))
    async with connection:
        assert "meddle" in " ".join(table.notices)
        page = await read_page(connection, table, KeyRange(), MAPPING, rows=100)
        answer = await flip(connection, table, [MAPPING.move(reference) for reference in page.references])
    assert answer.flipped == {3}
    assert answer.held_back == {1}
    assert answer.stored == {2: "avatar/other"}


async def test_texts_that_only_a_collation_calls_equal_are_not_the_old_path(
    debian_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fresh_database(debian_postgres) as database:  # the other flavour is built without ICU
        await _flip_case_insensitively(database, monkeypatch)


async def _flip_case_insensitively(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database.execute("CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    database.execute("CREATE TABLE avatars (id int PRIMARY KEY, path text COLLATE nocase)")
    database.execute("INSERT INTO avatars VALUES (1, 'image/A')")
    connection, table = await _table(_settings(database, monkeypatch))
    async with connection:
        answer = await flip(connection, table, [MAPPING.move(Reference(1, "image/a"))])
    assert not answer.flipped
    assert database.execute("SELECT path FROM avatars") == [("image/A",)]


async def test_no_column_but_the_path_is_touched(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database.create_avatars(["image/1", "avatar/2"])
    database.execute("ALTER TABLE avatars ADD note text DEFAULT 'kept', ADD changed timestamptz DEFAULT now()")
    before = database.execute("SELECT id, note, changed FROM avatars ORDER BY id")
    connection, table = await _table(_settings(database, monkeypatch))
    async with connection:
        await flip(connection, table, [MAPPING.move(Reference(1, "image/1"))])
    assert database.execute("SELECT id, note, changed FROM avatars ORDER BY id") == before
    assert database.paths() == {1: "avatar/1", 2: "avatar/2"}


async def test_the_grants_of_the_readme_are_enough(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    any_database.create_avatars(["image/1"])
    limited = any_database.make_user("SELECT (id, path), UPDATE (path) ON avatars")
    connection, table = await _table(_settings(limited, monkeypatch))
    async with connection:
        page = await read_page(connection, table, KeyRange(), MAPPING, rows=10)
        assert (await flip(connection, table, [MAPPING.move(page.references[0])])).flipped == {1}
        counted = await count_page(connection, table, KeyRange(), MAPPING, rows=10)
        assert counted == CountedPage(1, 1, 0, 1, 1)


async def test_where_the_key_has_several_columns_the_hint_has_the_entry(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute("CREATE TABLE avatars (id int, n int, m int, path text, PRIMARY KEY (id, n))")
    database.execute("CREATE UNIQUE INDEX a_first ON avatars (id, m)")  # m may be NULL: it is no key
    with pytest.raises(DatabaseRefused) as caught:
        await _table(_settings(database, monkeypatch))
    assert 'REFERENCES: key = ["id", "n"]' in caught.value.hint


CREATE = "CREATE TABLE avatars (id bigint PRIMARY KEY, path text)"
MISSING: list[tuple[LiteralString, dict[str, object], str]] = [
    ("CREATE TABLE other (id int)", {}, "no table avatars"),
    (CREATE, {"db_table": "absent.avatars"}, r"no table absent\.avatars"),
    ("CREATE TABLE avatars (key int PRIMARY KEY, path text)", {}, "no column id"),
    ("CREATE TABLE avatars (id int PRIMARY KEY, name text)", {}, "no column path"),
    ("CREATE TABLE avatars (id int, path text)", {}, "neither its primary key nor unique"),
    (
        "CREATE TABLE avatars (id int, path text); CREATE UNIQUE INDEX ON avatars (id) WHERE id > 0",
        {},
        "neither its primary key nor unique",
    ),
    ("CREATE TABLE avatars (id int, n int, path text, PRIMARY KEY (id, n))", {}, "neither its primary key"),
    ("CREATE TABLE avatars (id interval PRIMARY KEY, path text)", {}, "of type interval"),
    ("CREATE TABLE avatars (id int PRIMARY KEY, path bytea)", {}, "of type bytea, not text"),
    ("CREATE VIEW avatars AS SELECT 1 AS id, 'image/a' AS path", {}, "is a view, not a table"),
    (
        "CREATE TABLE avatars (id int PRIMARY KEY, n text, path text GENERATED ALWAYS AS ('image/' || n) STORED)",
        {},
        "generated",
    ),
]


@pytest.mark.parametrize(("statement", "more", "message"), MISSING)
async def test_a_table_that_cannot_be_migrated_is_named(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    statement: LiteralString,
    more: dict[str, object],
    message: str,
) -> None:
    database.execute(statement)
    with pytest.raises(DatabaseRefused, match=message) as caught:
        await _table(_settings(database, monkeypatch, **more))
    assert caught.value.hint
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("grants", "message"),
    [
        ([], "lacks the privilege SELECT on column id"),
        (["SELECT (id) ON avatars"], "lacks the privilege SELECT on column path"),
        (["SELECT ON avatars"], "lacks the privilege UPDATE on column path"),
        (["SELECT ON avatars", "UPDATE (id) ON avatars"], "lacks the privilege UPDATE on column path"),
    ],
)
async def test_a_missing_privilege_is_named_with_its_grant(
    database: Database, monkeypatch: pytest.MonkeyPatch, grants: list[str], message: str
) -> None:
    database.create_avatars(["image/1"])
    with pytest.raises(DatabaseRefused, match=message) as caught:
        await _table(_settings(database.make_user(*grants), monkeypatch))
    assert caught.value.hint.startswith("GRANT ")


async def test_reading_needs_no_right_to_update(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database.create_avatars(["image/1"])
    settings = _settings(database.make_user("SELECT ON avatars"), monkeypatch)
    connection, table = await _table(settings, for_writing=False)
    await connection.close()
    assert table.estimated_rows == 1


async def test_a_partitioned_table_has_the_estimate_of_its_partitions(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    any_database.execute("CREATE TABLE avatars (id bigint PRIMARY KEY, path text) PARTITION BY RANGE (id)")
    for begin in (0, 50):
        any_database.execute(
            f"CREATE TABLE part_{begin} PARTITION OF avatars FOR VALUES FROM ({begin}) TO ({begin + 50})"
        )
    connection, unknown = await _table(_settings(any_database, monkeypatch))
    await connection.close()
    any_database.execute("INSERT INTO avatars SELECT n, 'image/x' FROM generate_series(1, 70) AS n")
    for begin in (0, 50):
        any_database.execute(f"ANALYZE part_{begin}")
    connection, analysed = await _table(_settings(any_database, monkeypatch))
    await connection.close()
    assert (unknown.estimated_rows, analysed.estimated_rows) == (None, 70)


async def test_a_read_only_database_is_refused_before_anything_is_changed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.create_avatars(["image/1"])
    database.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")
    with pytest.raises(DatabaseRefused, match="read-only"):
        await _table(_settings(database, monkeypatch))


async def test_connections_that_cannot_be_made_say_why(
    postgres: PostgresServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert postgres.port == database.port
    wrong: list[tuple[dict[str, object], type[DatabaseError], str]] = [
        ({"db_host": "no-such-host.invalid"}, DatabaseUnreachable, "DB_HOST"),
        ({"db_port": 1}, DatabaseUnreachable, "DB_PORT"),
        ({"db_name": "absent"}, DatabaseRefused, "DB_NAME"),
        ({"db_sslmode": "require"}, DatabaseRefused, "DB_SSLMODE"),
    ]
    for more, kind, named in wrong:
        with pytest.raises(kind) as caught:
            await _table(_settings(database, monkeypatch, **more))
        assert named in caught.value.hint, (more, caught.value.message, caught.value.hint)
    monkeypatch.setenv("SKETCH_DB_PASS", "wrong-and-secret")
    settings = Settings(db_host=database.host, db_port=database.port, db_name=database.name)
    with pytest.raises(DatabaseRefused) as caught:
        await _table(settings)
    assert "SKETCH_DB_PASS" in caught.value.hint
    assert "wrong-and-secret" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("prefix", ["im_ge/", "im%/", "im\\/", "\\%_/", "é/", ""])
async def test_counts_take_a_prefix_as_it_is(
    any_database: Database, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    paths = ["im_ge/a", "image/a", "im%/a", "imx/a", "im\\/a", "im/a", "\\%_/a\nb", "é/", "É/", "", None]
    any_database.create_avatars(paths)
    connection, table = await _table(_settings(any_database, monkeypatch))
    async with connection:
        legacy = await count_page(connection, table, KeyRange(), mapping_of(prefix, "elsewhere/"), rows=100)
        production = await count_page(connection, table, KeyRange(), mapping_of("elsewhere/", prefix), rows=100)
        both = await count_page(connection, table, KeyRange(), mapping_of(prefix, prefix), rows=100)
    expected = sum(path is not None and path.startswith(prefix) for path in paths)
    assert legacy == CountedPage(len(paths), len(paths), expected, 0, sum(map(bool, paths)))
    assert production == CountedPage(len(paths), len(paths), 0, expected, sum(map(bool, paths)))
    assert both == legacy, "what is on both sides is legacy"
