"""References in the table: pages of them by primary key, the flip, and the counts.

The statements below are all that the tool ever says to the application's table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

from sketch_migrate.model import Key, KeyRange, Reference, make_all
from sketch_migrate.postgres.texts import bytes_of, columns, decode, decode_key, read_either

if TYPE_CHECKING:
    from sketch_migrate.postgres.session import Connection
    from sketch_migrate.postgres.table import Table

SCAN_ROWS = 10_000
"""Rows that one page looks at. Bounded, so that a table whose first hundred million rows are done is passed in short
statements; large enough that a page of legacy rows feeds many iterations. A page of 10 000 takes the server ~10 ms."""

# "C" compares bytes: with a nondeterministic collation of the column there is no starts_with().
_PAGE: LiteralString = """
WITH page AS MATERIALIZED (
    SELECT {key} AS key, {path}::text COLLATE "C" AS path FROM {table} WHERE {range} ORDER BY {key} LIMIT {rows}
)
SELECT count(*), (SELECT {found_key} FROM page ORDER BY key DESC LIMIT 1),
       array_agg({found_key}) FILTER (WHERE starts_with(path, %(prefix)s)),
       array_agg({found_path}) FILTER (WHERE starts_with(path, %(prefix)s))
FROM page
"""

_FIRST_LEGACY: LiteralString = """
SELECT key, {found_path} FROM (
    SELECT 0 AS key, {path}::text COLLATE "C" AS path FROM {table} ORDER BY {key} LIMIT {rows}
) AS page
WHERE starts_with(path, %s) LIMIT 1
"""

_COUNT: LiteralString = """
SELECT count(*) FILTER (WHERE starts_with({path}::text COLLATE "C", %s)),
       count(*) FILTER (WHERE starts_with({path}::text COLLATE "C", %s)), count(*)
FROM {table}
"""


@dataclass(frozen=True, slots=True)
class Page:
    """``rows`` rows of the table that were looked at, up to ``last_key``, and the legacy references among them."""

    rows: int
    last_key: Key | None
    references: list[Reference]


async def read_page(connection: Connection, table: Table, key_range: KeyRange, prefix: str, *, rows: int) -> Page:
    """Look at the next ``rows`` rows of a key range, in the order of the key; an empty page is the end of the range."""
    condition, values = in_range(table, key_range)
    cursor = connection.cursor(binary=True)

    async def read(*, stored: bool) -> Page:
        names = columns(table, stored=stored)
        statement = table.compose(_PAGE, range=condition, rows=sql.Literal(rows), **names)
        row = await (await cursor.execute(statement, {**values, "prefix": prefix})).fetchone()
        looked_at, last_key, keys, paths = row if row is not None else (0, None, None, None)
        found = zip(keys or (), paths or (), strict=True)
        if not stored:
            return Page(looked_at, last_key, make_all(Reference, found))
        return Page(looked_at, decode_key(table, last_key), make_all(Reference, decode(table, found)))

    return await read_either(connection, table, read)


async def first_legacy_path(connection: Connection, table: Table, prefix: str, *, rows: int) -> str | None:
    """Return a legacy path from among the first ``rows`` rows, in the order of the key; None if there is none."""

    async def read(*, stored: bool) -> str | None:
        statement = table.compose(_FIRST_LEGACY, rows=sql.Literal(rows), **columns(table, stored=stored))
        found: list[Any] = await (await connection.execute(statement, [prefix])).fetchall()
        return next((path for _, path in (decode(table, found) if stored else found)), None)

    return await read_either(connection, table, read)


def in_range(table: Table, key_range: KeyRange) -> tuple[sql.Composed, dict[str, Key | bytes]]:
    """Return the condition that a key is in the range, and the values that it names."""
    conditions: list[sql.Composable] = [sql.SQL("true")]
    values: dict[str, Key | bytes] = {}
    for name, operator, value in (("after", ">", key_range.after), ("until", "<=", key_range.until)):
        if value is not None:
            place = sql.Placeholder(name)
            stored = bytes_of(table, value)
            bound = sql.SQL("({})" if stored is None else "convert_from({}, getdatabaseencoding())").format(place)
            conditions.append(table.compose("{key} " + operator + " {bound}::{key_type}", bound=bound))
            values[name] = value if stored is None else stored
    return sql.SQL(" AND ").join(conditions), values


async def count_sides(connection: Connection, table: Table, legacy: str, production: str) -> tuple[int, int, int]:
    """Count the rows of the legacy side, of the production side, and all of them, in one query."""
    prefixes = [legacy, production if table.holds_production else None]
    row: Any = await (await connection.execute(table.compose(_COUNT), prefixes)).fetchone()
    return row[0], row[1], row[2]
