"""The SQL of the settings is tried before anything is asked: what is wrong, or not repeatable, is exit 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sketchmigrate.core.errors import SettingsError
from sketchmigrate.core.exit_codes import ExitCode
from sketchmigrate.postgres.references import References
from sketchmigrate.postgres.settings_sql import check_sql
from tests.sources import as_user, looked_at

if TYPE_CHECKING:
    from tests.servers.databases import Database

TABLE = """
CREATE TABLE docs (id int PRIMARY KEY, path text, kind varchar(9), tags text[], data jsonb, made timestamptz, day date,
    pages int, "key" text, "old" text, "new" text, t text, v text, "100%" text, hidden text)
"""
READS = ["kind", "tags", "data", "made", "day", "pages", "key", "old", "new", "t", "v", "100%"]
ENTRY: dict[str, Any] = {"name": "docs", "table": "docs", "column": "path", "shape": "key", "reads": READS}
ROWS = """
INSERT INTO docs SELECT n, 'image/' || n, 'upload', ARRAY['a', 'b'], '{"thumb": "image/t", "n": [1]}', now(), now(), n,
    'k', 'o', 'n', 't', 'v', 'p', 'h' FROM generate_series(1, 30) n
"""
FUNCTIONS = """
CREATE FUNCTION is_volatile(text) RETURNS text LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN $1; END';
CREATE FUNCTION is_stable(text) RETURNS text LANGUAGE plpgsql STABLE AS 'BEGIN RETURN $1; END';
CREATE FUNCTION is_immutable(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE FUNCTION all_of(text) RETURNS SETOF text LANGUAGE plpgsql STABLE AS 'BEGIN RETURN NEXT $1; END'
"""


@pytest.fixture
def database(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    more = "CREATE TABLE other (path text, hidden text); CREATE VIEW more AS SELECT * FROM other"
    any_database.execute(f"{TABLE};{ROWS};{FUNCTIONS};{more}")
    return as_user(monkeypatch, any_database)


async def tried(database: Database, **sql: str) -> None:
    async with looked_at(database, ENTRY | sql) as looked:
        await looked.session.run(check_sql, looked.table, looked.source.source, doing="trying")


RIGHT_CONDITIONS = [
    "kind = 'upload'",
    "kind = 'upload' -- with a comment at its end",
    "kind /* and one */ = 'upload'",
    "path LIKE 'image/%' AND path NOT LIKE '%%.tmp'",
    "docs.kind = 'upload' AND docs.path > ''",
    "\"key\" = 'k' AND old = 'o' AND new = 'n' AND t = 't' AND v = 'v' AND \"100%\" = 'p'",
    "data @> '{\"n\": [1]}' AND data ? 'thumb'",
    "data ->> 'thumb' ~ '^image/'",
    "made > '2020-01-01 00:00+00' AND day > '2020-01-01'",
    "is_immutable(kind) = 'upload'",
    "kind IN ('upload', 'x') OR pages % 2 = 0",
    "kind = ANY ('{upload,x}')",
    "EXISTS (SELECT FROM unnest(tags) AS tag WHERE tag = 'a')",
    "'a' = ANY (ARRAY(SELECT tag || '' FROM unnest(tags) AS tag))",
    "(SELECT count(*) FROM generate_series(1, pages)) > 0",
    "kind = 'now() random('",
    "docs IS NOT NULL",
    "true",
]
RIGHT_KEYS = [
    "'image/thumb/' || split_part(path, '/', 2)",
    "ARRAY['image/thumb/' || split_part(path, '/', 2), data ->> 'thumb']",
    "tags",
    "kind",
    "CASE WHEN kind = 'upload' THEN ARRAY[path || '.small'] ELSE '{}' END",
    "(SELECT array_agg('image/' || tag) FROM unnest(tags) AS tag)",
    "ARRAY(SELECT jsonb_array_elements_text(data -> 'n'))",
    "'image/' || pages",
    "regexp_replace(path, '%', '')",
    "NULL",
]


@pytest.mark.parametrize("where", RIGHT_CONDITIONS)
async def test_conditions_that_are_right(database: Database, where: str) -> None:
    await tried(database, where=where)


@pytest.mark.parametrize("also_move", RIGHT_KEYS)
async def test_keys_that_are_right(database: Database, also_move: str) -> None:
    await tried(database, also_move=also_move)


NOT_REPEATABLE = {
    "made < now()": "(now)",
    "kind = 'x' AND random() < 1": "(random)",
    "clock_timestamp() IS NULL": "(clock_timestamp)",
    "day <> CURRENT_DATE": "(CURRENT_DATE)",
    "kind = current_user": "(CURRENT_USER)",
    "is_volatile(kind) = 'x'": "(is_volatile)",
    "kind = 'nothing' AND is_stable(kind) = 'x'": "(is_stable)",
    "made::text LIKE '2%'": "",
    "day::text LIKE '2%'": "",
    "made > day": "",
    "date_trunc('day', made) > '2020-01-01 00:00+00'": "(date_trunc)",
    "to_char(made, 'YYYY') = '2026'": "(to_char)",
    "concat(kind, 'x') = 'x'": "(concat)",
    "(SELECT now() > '2020-01-01')": "(now)",
    "EXISTS (SELECT FROM unnest(tags) AS tag WHERE is_stable(tag) = 'a')": "(is_stable)",
    "EXISTS (SELECT FROM all_of(kind) AS found WHERE found = 'a')": "(all_of)",
    "EXISTS (SELECT FROM unnest(tags) AS tag WHERE tag <> CURRENT_USER)": "(CURRENT_USER)",
    "EXISTS (SELECT FROM unnest(tags) AS tag WHERE made::text LIKE '%+05:45' OR made::text ~ '^..[.]')": "",
}


@pytest.mark.parametrize("where", NOT_REPEATABLE)
async def test_what_is_not_repeatable_is_refused(database: Database, where: str) -> None:
    with pytest.raises(SettingsError) as refused:
        await tried(database, where=where)
    assert refused.value.exit_code == ExitCode.USAGE
    assert f"where of the source 'docs': it is not repeatable{' ' * bool(NOT_REPEATABLE[where])}" in str(refused.value)
    assert NOT_REPEATABLE[where] in str(refused.value)
    assert "IMMUTABLE" in refused.value.hint


WRONG = {
    "hidden = 'h'": ('column "hidden" does not exist', "add the column to reads"),
    "docs.hidden = 'h'": ("column docs.hidden does not exist", "add the column to reads"),
    "ctid IS NOT NULL": ('column "ctid" does not exist', "add the column to reads"),
    "t.hidden = 'h'": ('missing FROM-clause entry for table "t"', "called docs"),
    "given.value = 'h'": ('missing FROM-clause entry for table "given"', "called docs"),
    "other.hidden = 'h'": ('missing FROM-clause entry for table "other"', "called docs"),
    "EXISTS (SELECT FROM other)": ("it reads the table other", "columns of its own row alone"),
    "path = (SELECT max(o.path) FROM other AS o WHERE o.path = docs.path)": ("it reads the table other", "own row"),
    "path IN (SELECT path FROM more)": ("it reads the table other", "own row"),
    "EXISTS (SELECT FROM pg_class)": ("it reads the table pg_class", "own row"),
    "true; DELETE FROM other": ('syntax error at or near ";"', "one SQL expression"),
    "true) UNION SELECT (false": ('syntax error at or near "UNION"', "one SQL expression"),
    "true) FROM other WHERE (true": ('syntax error at or near "FROM"', "one SQL expression"),
    "true /* never closed": ("unterminated /* comment", "one SQL expression"),
    "kind = 'x": ("syntax error", "one SQL expression"),
    "kind =": ("syntax error", "one SQL expression"),
    "kind": ("it gives character varying, and not boolean", ""),
    "NULL": ("it gives text, and not boolean", ""),
    "pages": ("it gives integer, and not boolean", ""),
    "kind::int = 1": ('invalid input syntax for type integer: "upload"', "one SQL expression"),
    "1 / (pages - 7) > 0": ("division by zero", "one SQL expression"),
    "generate_series(1, 2) = 1": ("set-returning functions are not allowed", "one SQL expression"),
    "none_such(kind)": ("function none_such(character varying) does not exist", "one SQL expression"),
}


@pytest.mark.parametrize("where", WRONG)
async def test_what_is_wrong_is_told_in_the_servers_words(database: Database, where: str) -> None:
    words, hint = WRONG[where]
    with pytest.raises(SettingsError) as refused:
        await tried(database, where=where)
    assert refused.value.exit_code == ExitCode.USAGE
    assert str(refused.value).startswith("where of the source 'docs': ")
    assert words in str(refused.value)
    assert hint in refused.value.hint


@pytest.mark.parametrize("also_move", ["pages", "data", "ARRAY[1, 2]", "true"])
async def test_keys_are_texts(database: Database, also_move: str) -> None:
    with pytest.raises(SettingsError, match=r"also_move of the source 'docs': it gives .*, and not text or text\[\]"):
        await tried(database, also_move=also_move)


async def test_keys_are_computed_of_rows_that_meet_the_condition_alone(database: Database) -> None:
    database.execute("UPDATE docs SET kind = 'number', path = '7' WHERE id = 1")
    await tried(database, where="kind = 'number'", also_move="'image/' || path::int")
    with pytest.raises(SettingsError, match="also_move of the source 'docs': invalid input syntax"):
        await tried(database, where="kind = 'upload'", also_move="'image/' || path::int")


async def test_trying_writes_nothing(database: Database) -> None:
    database.execute("CREATE FUNCTION w(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'DELETE FROM docs; SELECT $1'")
    with pytest.raises(SettingsError, match="DELETE is not allowed"):
        await tried(database, where="w(kind) = 'x'")
    assert database.execute("SELECT count(*) FROM docs") == [(30,)]


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("'image/' || pages", '{"image/1"}'),
        ("'a,\"b'", '{"a,\\"b"}'),
        ("ARRAY[path, NULL]", "{{image/1,NULL}}"),
        ("tags[3]", "{NULL}"),
        ("NULL::text[]", "{}"),
    ],
)
async def test_a_text_and_an_array_are_both_taken(database: Database, sql: str, found: str) -> None:
    async with looked_at(database, ENTRY | {"also_move": sql}) as looked:
        statement = looked.table.compose("SELECT {value} FROM {table} AS t WHERE id = 1")

        async def value(connection: Any) -> str:
            row = await (await connection.execute(statement, ())).fetchone()
            return str(row[0])

        given = await looked.session.run(value, doing="reading")
        ((text,),) = await References(looked.session, looked.table).computed([given], [sql])
        assert text is not None
        assert text == found.replace('{"image/1"}', "{image/1}")
