"""What the catalogue has to say of a source: its key, found or given, and what no table of a source may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from psycopg.errors import FeatureNotSupported

from sketchmigrate.core.errors import DatabaseRefused, KeyNotUnique
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.core.reference import KeyRange
from sketchmigrate.migration.flip_size import SMALL_ROWS
from sketchmigrate.postgres.flip import flip
from sketchmigrate.postgres.pages import read_page
from sketchmigrate.postgres.references import References
from sketchmigrate.postgres.statistics import ends, sample, spread_paths
from tests.sources import as_user, looked_at, table_of

if TYPE_CHECKING:
    from tests.servers.databases import Database

ENTRY: dict[str, Any] = {"table": "docs", "column": "path", "shape": "key"}


@pytest.fixture
def database(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    return as_user(monkeypatch, any_database)


FOUND = {
    "primary key": ("CREATE TABLE docs (path text, id bigint PRIMARY KEY, a int NOT NULL UNIQUE)", "id"),
    "primary key of several": ("CREATE TABLE docs (b int, a int, path text, PRIMARY KEY (b, a))", "b, a"),
    "deferrable primary key": ("CREATE TABLE docs (id int PRIMARY KEY DEFERRABLE, path text)", "id"),
    "fewest columns": ("CREATE TABLE docs (path text, a int NOT NULL, b int NOT NULL UNIQUE, UNIQUE (a, b))", "b"),
    "then the name": (
        (
            "CREATE TABLE docs (path text, a int NOT NULL, b int NOT NULL); CREATE UNIQUE INDEX y ON docs (a);"
            "CREATE UNIQUE INDEX x ON docs (b)"
        ),
        "b",
    ),
    "none that may be NULL": ("CREATE TABLE docs (path text, a int UNIQUE, b int NOT NULL UNIQUE)", "b"),
    "none with a condition": (
        (
            "CREATE TABLE docs (path text, a int NOT NULL, b int NOT NULL UNIQUE);"
            "CREATE UNIQUE INDEX a ON docs (a) WHERE a > 5"
        ),
        "b",
    ),
    "none of an expression": (
        "CREATE TABLE docs (path text, a int NOT NULL, b int NOT NULL UNIQUE); CREATE UNIQUE INDEX a ON docs (abs(a))",
        "b",
    ),
    "none that is deferred": (
        "CREATE TABLE docs (path text, a int NOT NULL UNIQUE DEFERRABLE, b int NOT NULL UNIQUE)",
        "b",
    ),
    "none that is not unique": (
        "CREATE TABLE docs (path text, a int NOT NULL, b int NOT NULL UNIQUE); CREATE INDEX a ON docs (a)",
        "b",
    ),
    "what lies beside the key is no part of it": (
        "CREATE TABLE docs (path text, a int NOT NULL, b int); CREATE UNIQUE INDEX ON docs (a) INCLUDE (b)",
        "a",
    ),
    "none with the path": ("CREATE TABLE docs (path text NOT NULL, a int NOT NULL UNIQUE, PRIMARY KEY (a, path))", "a"),
    "the path alone": ("CREATE TABLE docs (path text PRIMARY KEY, a int)", "path"),
    "not the path if there is another": ("CREATE TABLE docs (path text PRIMARY KEY, a int NOT NULL UNIQUE)", "a"),
    "a type that can be one": ("CREATE TABLE docs (path text, a jsonb PRIMARY KEY, b int NOT NULL UNIQUE)", "b"),
    "of a partitioned table": (
        "CREATE TABLE docs (path text, tenant int, id int, PRIMARY KEY (id, tenant)) PARTITION BY LIST (tenant)",
        "id, tenant",
    ),
    "an odd name": ('CREATE TABLE docs (path text, "Key %s" int PRIMARY KEY)', "Key %s"),
    "no weaker equality than the column's": (
        (
            "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
            "CREATE TABLE docs (path text, a text COLLATE ci NOT NULL, b text COLLATE ci NOT NULL UNIQUE);"
            'CREATE UNIQUE INDEX a ON docs (a COLLATE "C")'
        ),
        "b",
    ),
}


@pytest.mark.parametrize("case", FOUND)
async def test_a_key_is_found(database: Database, case: str) -> None:
    made, key = FOUND[case]
    try:
        database.execute(made)
    except FeatureNotSupported:
        pytest.skip("this server was built without ICU")
    table = await table_of(database, ENTRY)
    assert str(table.key) == key
    assert not table.key.may_be_null
    assert table.key.is_path is (key == "path")
    assert not any("sorts" in notice for notice in table.notices)


async def test_a_key_of_the_set_columns_is_not_found(database: Database) -> None:
    database.execute("CREATE TABLE docs (path text, store text NOT NULL UNIQUE, id int NOT NULL, UNIQUE (id, store))")
    with pytest.raises(DatabaseRefused, match="has no primary key, and no unique index"):
        await table_of(database, ENTRY | {"set": {"store": "new"}, "where": "store = 'old'"})


async def test_where_there_is_no_key_the_setting_is_named(database: Database) -> None:
    database.execute("CREATE TABLE docs (path text, id bigint UNIQUE)")
    with pytest.raises(DatabaseRefused) as refused:
        await table_of(database, ENTRY)
    assert refused.value.exit_code == ExitCode.REFUSED
    assert "table docs has no primary key" in str(refused.value)
    assert "Set key of the source 'docs.path'" in refused.value.hint


async def test_a_key_of_several_columns_is_all_of_a_unique_index(database: Database) -> None:
    database.execute("CREATE TABLE docs (path text, a int, b int, c int NOT NULL, d int, PRIMARY KEY (a, b, c))")
    database.execute("CREATE UNIQUE INDEX ON docs (c, d)")
    table = await table_of(database, ENTRY | {"key": ["a", "b", "c"]})
    assert (str(table.key), table.notices) == ("a, b, c", ())
    other = await table_of(database, ENTRY | {"key": ["c", "a", "b"]})
    assert str(other.key) == "c, a, b"
    assert other.notices == (
        "No index begins with the key's columns in this order (c, a, b): each page sorts the table.",
    )
    for wrong, words in (
        (["a", "b"], "columns a, b of table docs are not together the columns of a unique index"),
        (["c", "d"], "column d of table docs may be NULL, and no column of a key of several may"),
        (["a", "x"], "table docs has no column x"),
    ):
        with pytest.raises(DatabaseRefused) as refused:
            await table_of(database, ENTRY | {"key": wrong})
        assert words in str(refused.value)
        assert "key of the source 'docs.path'" in refused.value.hint


async def test_rows_without_a_key_are_passed_over_and_counted(database: Database) -> None:
    database.execute("CREATE TABLE docs (id int UNIQUE, path text)")
    database.execute("INSERT INTO docs SELECT nullif(n, 2), 'image/' || n FROM generate_series(1, 5) n")
    database.execute("INSERT INTO docs VALUES (NULL, 'avatar/x'), (NULL, NULL)")
    database.execute("ANALYZE docs")
    async with looked_at(database, ENTRY | {"key": "id"}) as looked:
        source, session = looked.source, looked.session
        assert "Rows in which id is NULL have no key: they are left as they are." in looked.table.notices
        references = References(session, looked.table)
        pages = [page async for page in references.legacy_pages(KeyRange(), source.mapping)]
        assert [row.key for page in pages for row in page.references] == [1, 3, 4, 5]
        assert sum([page.rows async for page in references.counted_pages(KeyRange(), source.mapping)]) == 4
        assert await session.run(ends, looked.table, doing="looking") == (1, 5)
        assert (await sample(session, looked.table)).keys == [1, 3, 4, 5]
        assert await references.without_key(source.mapping) == (3, 1)


async def test_a_table_whose_rows_all_have_a_key_is_not_read_for_those_without(database: Database) -> None:
    database.execute("CREATE TABLE docs (id int PRIMARY KEY, path text)")
    async with looked_at(database, ENTRY) as looked:
        assert await References(looked.session, looked.table).without_key(looked.source.mapping) == (0, 0)


async def test_a_key_that_is_neither_unique_nor_there(database: Database) -> None:
    database.execute("CREATE TABLE docs (id int, path text)")
    with pytest.raises(DatabaseRefused, match="neither its primary key nor unique"):
        await table_of(database, ENTRY | {"key": "id"})


REFUSED = {
    "materialized view": ("CREATE MATERIALIZED VIEW docs AS SELECT * FROM base", "docs is a materialized view"),
    "foreign table": (
        (
            "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"
            "CREATE FOREIGN TABLE docs (id int, path text) SERVER s"
        ),
        "docs is a foreign table",
    ),
    "foreign partition": (
        (
            "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"
            "CREATE TABLE docs (id int NOT NULL, path text) PARTITION BY LIST (id);"
            "CREATE FOREIGN TABLE far PARTITION OF docs FOR VALUES IN (1) SERVER s"
        ),
        "partitions of docs are foreign tables: far",
    ),
    "generated column": (
        "CREATE TABLE docs (id int PRIMARY KEY, n text, path text GENERATED ALWAYS AS ('image/' || n) STORED)",
        "column path of table docs is generated",
    ),
    "enum": (
        "CREATE TYPE place AS ENUM ('image/a'); CREATE TABLE docs (id int PRIMARY KEY, path place)",
        "column path of table docs is an enum (place)",
    ),
    "domain over an enum": (
        (
            "CREATE TYPE place AS ENUM ('image/a'); CREATE DOMAIN d AS place;"
            "CREATE TABLE docs (id int PRIMARY KEY, path d)"
        ),
        "column path of table docs is an enum (d)",
    ),
    "number": ("CREATE TABLE docs (id int PRIMARY KEY, path int)", "column path of table docs is of type integer"),
    "inheritance parent": (
        "CREATE TABLE docs (id int PRIMARY KEY, path text); CREATE TABLE child () INHERITS (docs)",
        "tables inherit from docs: child",
    ),
    "view that cannot be updated": ("CREATE VIEW docs AS SELECT DISTINCT * FROM base", "column path of the view docs"),
    "computed column of a view": (
        "CREATE VIEW docs AS SELECT id, upper(path) AS path FROM base",
        "column path of the view docs cannot be updated",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_cannot_be_flipped_is_refused_with_the_reason(database: Database, case: str) -> None:
    made, words = REFUSED[case]
    database.execute("CREATE TABLE base (id int PRIMARY KEY, path text)")
    database.execute(made)
    with pytest.raises(DatabaseRefused) as refused:
        await table_of(database, ENTRY | {"key": "id"} if "foreign" not in case else ENTRY)
    assert words in str(refused.value)
    assert refused.value.exit_code == ExitCode.REFUSED
    assert refused.value.hint


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("store text GENERATED ALWAYS AS ('x') STORED", "column store of table docs is generated"),
        ("store int GENERATED ALWAYS AS IDENTITY", "column store of table docs is generated"),
    ],
)
async def test_a_generated_column_cannot_be_set(database: Database, column: str, words: str) -> None:
    database.execute(f"CREATE TABLE docs (id int PRIMARY KEY, path text, {column})")
    with pytest.raises(DatabaseRefused, match=words):
        await table_of(database, ENTRY | {"set": {"store": "1"}, "where": "store IS NULL"})


async def test_an_updatable_view_needs_a_key(database: Database) -> None:
    database.execute("CREATE TABLE base (id int PRIMARY KEY, path text, gone boolean)")
    database.execute("INSERT INTO base SELECT n, 'image/' || n, n = 3 FROM generate_series(1, 5) n")
    database.execute("CREATE VIEW docs AS SELECT id, path FROM base WHERE NOT gone")
    with pytest.raises(DatabaseRefused, match="docs is a view, of which the catalogue does not say") as refused:
        await table_of(database, ENTRY)
    assert "Set key of the source 'docs.path'" in refused.value.hint
    async with looked_at(database, ENTRY | {"key": "id"}) as looked:
        references = References(looked.session, looked.table)
        (page,) = [page async for page in references.legacy_pages(KeyRange(), looked.source.mapping)]
        moves = looked.source.mapping.plan(page.references).moves
        answer = await looked.session.run(flip, looked.table, moves, doing="flipping")
        assert answer.flipped == {1, 2, 4, 5}
        assert (await sample(looked.session, looked.table)).keys == []
        assert len(await spread_paths(looked.session, looked.table)) == 4
    assert database.execute("SELECT path FROM base ORDER BY id") == [
        ("avatar/1",), ("avatar/2",), ("image/3",), ("avatar/4",), ("avatar/5",)
    ]  # fmt: skip


@pytest.mark.parametrize("rows", [1, 2, 3, 10])
async def test_two_rows_of_a_view_with_one_key_end_it(database: Database, rows: int) -> None:
    database.execute("CREATE TABLE base (id int, part text, path text)")
    database.execute("INSERT INTO base VALUES (1, 'a', 'image/1'), (2, 'a', 'image/2'), (2, 'b', 'avatar/2')")
    database.execute("CREATE VIEW docs AS SELECT * FROM base")

    async def pages(key: list[str]) -> int:
        async with looked_at(database, ENTRY | {"key": key}) as looked:
            last, count = None, 0
            while True:
                page = await looked.session.run(
                    read_page, looked.table, KeyRange(last), looked.source.mapping, rows, doing="reading"
                )
                if not page.rows:
                    return count
                last, count = page.last_key, count + page.rows

    assert await pages(["id", "part"]) == 3
    with pytest.raises(KeyNotUnique) as ended:
        await pages(["id"])
    assert ended.value.exit_code == ExitCode.LEFT
    assert "rows of the view docs share a key (id), which should tell them apart: 2 (2 rows)" in str(ended.value)


MOVING: dict[str, tuple[str, dict[str, Any], bool]] = {
    "by its hash": ("CREATE TABLE docs (id int, path text PRIMARY KEY) PARTITION BY HASH (path)", {}, True),
    "by another column": ("CREATE TABLE docs (id int PRIMARY KEY, path text) PARTITION BY RANGE (id)", {}, False),
    "not partitioned": ("CREATE TABLE docs (id int PRIMARY KEY, path text)", {}, False),
    "in the second place": (
        (
            "CREATE TABLE base (id int, path text) PARTITION BY LIST (id);"
            "CREATE TABLE one PARTITION OF base FOR VALUES IN (1) PARTITION BY LIST (path);"
            "CREATE VIEW docs AS SELECT * FROM base"
        ),
        {"key": "id"},
        True,
    ),
    "by an expression": (
        (
            "CREATE TABLE base (id int, path text) PARTITION BY LIST (left(path, 6));"
            "CREATE VIEW v AS SELECT * FROM base; CREATE VIEW docs AS SELECT * FROM v"
        ),
        {"key": "id"},
        True,
    ),
    "by a column that is set": (
        (
            "CREATE TABLE base (id int, path text, store text) PARTITION BY LIST (store);"
            "CREATE VIEW docs AS SELECT * FROM base"
        ),
        {"key": "id", "set": {"store": "new"}, "where": "store = 'old'"},
        True,
    ),
    "by a column that is read": (
        (
            "CREATE TABLE base (id int, path text, store text) PARTITION BY LIST (store);"
            "CREATE VIEW docs AS SELECT * FROM base"
        ),
        {"key": "id", "where": "store = 'old'", "reads": ["store"]},
        False,
    ),
}


@pytest.mark.parametrize("case", MOVING)
async def test_it_is_known_whether_a_flip_moves_rows(database: Database, case: str) -> None:
    made, entry, moves = MOVING[case]
    database.execute(made)
    async with looked_at(database, ENTRY | entry) as looked:
        assert looked.table.moves_rows is moves
        assert any("40001" in each and "at most 50 rows here" in each for each in looked.table.notices) is moves
        pieces = looked.source.control.size.pieces(500, 0.0)
        looked.source.control.size.rows = 10_000
        of_a_moment = round(500 / SMALL_ROWS)  # no row has come yet
        assert looked.source.control.size.pieces(500, 0.1) == (10 if moves else of_a_moment)
        assert pieces == 500  # a flip of one row


async def test_what_fires_when_a_row_moves_is_known(database: Database) -> None:
    database.execute("CREATE TABLE docs (id int, path text PRIMARY KEY) PARTITION BY LIST (path)")
    database.execute("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    database.execute("CREATE TRIGGER d AFTER DELETE ON docs FOR EACH ROW EXECUTE FUNCTION f()")
    assert "Triggers fire on each flip: d." in (await table_of(database, ENTRY)).notices


@pytest.mark.parametrize(
    ("made", "unique", "triggers"),
    [
        ("CREATE UNIQUE INDEX ON docs (store)", True, ""),
        ("CREATE UNIQUE INDEX ON docs (kind)", False, ""),
        ("CREATE TRIGGER t AFTER UPDATE OF store ON docs FOR EACH ROW EXECUTE FUNCTION f()", False, "t"),
        ("CREATE TRIGGER t AFTER UPDATE OF kind ON docs FOR EACH ROW EXECUTE FUNCTION f()", False, ""),
    ],
)
async def test_what_is_set_counts_as_the_path_does(database: Database, made: str, unique: bool, triggers: str) -> None:
    database.execute("CREATE TABLE docs (id int PRIMARY KEY, path text, store text, kind text)")
    database.execute("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    database.execute(made)
    entry = {"set": {"store": "new"}, "where": "store = 'old' AND kind = 'a'", "reads": ["kind"]}
    table = await table_of(database, ENTRY | entry)
    assert table.path_is_unique is unique
    assert table.fires_after_update is bool(triggers)
    assert table.notices == ((f"Triggers fire on each flip: {triggers}.",) if triggers else ())
