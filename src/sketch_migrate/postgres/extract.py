"""The whole table's references as CSV, page by page: what plan and verify look at.

Each page is a short transaction of its own, and not one COPY of everything: a snapshot that is held for the minutes or
hours of a large table keeps vacuum from removing any row that died meanwhile (PostgreSQL manual, section "Routine
Vacuuming"), and a connection that breaks would lose all of it. COPY writes the CSV on the server, so that no row
becomes a Python object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketch_migrate.model import Key, KeyRange
    from sketch_migrate.postgres.session import Connection
    from sketch_migrate.postgres.table import Table

LONGEST_PATH_CHARS = 2048
"""Twice the longest key that there is. A path beyond it is cut: that it is too long is all there is to say of it."""

_END: LiteralString = """
SELECT count(*), (array_agg(key))[count(*)]
FROM (SELECT {key} AS key FROM {table} WHERE {range} ORDER BY {key} LIMIT {rows}) AS page
"""

# NULL is an empty field, an empty text is "" (PostgreSQL manual, COPY, "CSV Format"). COPY takes no parameters.
_COPY: LiteralString = """
COPY (SELECT {key}, left({path}::text, {longest}) FROM {table} WHERE {range} ORDER BY {key})
TO STDOUT (FORMAT csv, FORCE_QUOTE *, ENCODING 'UTF8')
"""


@dataclass(frozen=True, slots=True)
class CopiedPage:
    """``rows`` rows up to ``last_key``, as CSV of two columns: key and path. The last page has no rows."""

    rows: int
    last_key: Key | None
    csv: bytes


async def copy_page(connection: Connection, table: Table, key_range: KeyRange, *, rows: int) -> CopiedPage:
    """Read the next ``rows`` rows of a key range. Within one transaction; psycopg's errors pass through."""
    cursor = connection.cursor(binary=True)
    end = table.compose(_END, range=_between(table, key_range.after, key_range.until), rows=sql.Literal(rows))
    answer: Any = await (await cursor.execute(end)).fetchone()
    count, last_key = answer
    if not count:
        return CopiedPage(0, None, b"")
    page = _between(table, key_range.after, last_key)
    statement = table.compose(_COPY, range=page, longest=sql.Literal(LONGEST_PATH_CHARS))
    chunks = bytearray()
    async with cursor.copy(statement) as copy:
        async for chunk in copy:
            chunks += chunk
    return CopiedPage(count, last_key, bytes(chunks))


def _between(table: Table, after: Key | None, until: Key | None) -> sql.Composable:
    conditions: list[sql.Composable] = [sql.SQL("true")]
    for operator, value in ((">", after), ("<=", until)):
        if value is not None:
            bound = sql.Literal(value)
            conditions.append(table.compose("{key} " + operator + " {bound}::{key_type}", bound=bound))
    return sql.SQL(" AND ").join(conditions)


_NOW: LiteralString = """
SELECT {key}::text, left({path}::text, {longest}) FROM {table} WHERE {key} = ANY(%s::text[]::{key_type}[])
"""


async def current_paths(connection: Connection, table: Table, keys: Sequence[str]) -> dict[str, str | None]:
    """Look rows up by the text of their keys; deleted ones are not in the answer. psycopg's errors pass through."""
    statement = table.compose(_NOW, longest=sql.Literal(LONGEST_PATH_CHARS))
    return dict(await (await connection.execute(statement, [list(keys)])).fetchall())
