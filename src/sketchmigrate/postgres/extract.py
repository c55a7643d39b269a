"""The whole table's references as CSV, page by page: what plan and verify look at.

Each page is a short transaction of its own, and not one COPY of everything: a snapshot that is held for the minutes or
hours of a large table keeps vacuum from removing any row that died meanwhile (PostgreSQL manual, section "Routine
Vacuuming"), and a connection that breaks would lose all of it. COPY writes the CSV on the server, so that no row
becomes a Python object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import AsyncClientCursor, sql

from sketchmigrate.core.reference import KeyRange
from sketchmigrate.postgres.references import in_range
from sketchmigrate.postgres.texts import columns, decode, decode_key, read_either

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sketchmigrate.core.reference import Key
    from sketchmigrate.postgres.session import Connection
    from sketchmigrate.postgres.table import Table

LONGEST_PATH_CHARS = 2048
"""Twice the longest key that there is. A path beyond it is cut: that it is too long is all there is to say of it."""

_END: LiteralString = """
SELECT count(*), (array_agg({found_key}))[count(*)]
FROM (SELECT {key} AS key FROM {table} WHERE {range} ORDER BY {key} LIMIT {rows}) AS page
"""

# NULL is an empty field, an empty text is "" (PostgreSQL manual, COPY, "CSV Format"). COPY takes no parameters.
_COPY: LiteralString = """
COPY (SELECT {key}, {shortened} FROM {table} WHERE {range} ORDER BY {key})
TO STDOUT (FORMAT csv, FORCE_QUOTE *, ENCODING 'UTF8')
"""

_ROWS: LiteralString = """
SELECT {found_key}, {found_path} FROM (
    SELECT {key} AS key, {shortened} AS path FROM {table} WHERE {range} ORDER BY {key}
) AS page
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
    condition, values = in_range(table, key_range)

    async def read(*, stored: bool) -> CopiedPage:
        names = columns(table, stored=stored)
        end = table.compose(_END, range=condition, rows=sql.Literal(rows), **names)
        answer: Any = await (await cursor.execute(end, values)).fetchone()
        count, last_key = answer[0], decode_key(table, answer[1])
        if not count:
            return CopiedPage(0, None, b"")
        page, bounds = in_range(table, KeyRange(key_range.after, last_key))
        if stored:
            statement = table.compose(_ROWS, range=page, shortened=_shortened(table, stored=True), **names)
            found: list[Any] = await (await cursor.execute(statement, bounds)).fetchall()
            return CopiedPage(count, last_key, _csv(decode(table, found)))
        statement = table.compose(_COPY, range=page, shortened=_shortened(table, stored=False))
        content = await _copied(connection, AsyncClientCursor(connection).mogrify(statement, bounds))
        return CopiedPage(count, last_key, content)

    return await read_either(connection, table, read)


async def _copied(connection: Connection, statement: str) -> bytes:
    """Return what COPY writes."""
    content = bytearray()
    async with connection.cursor().copy(sql.SQL(statement)) as copy:
        async for chunk in copy:
            content += chunk
    return bytes(content)


def _shortened(table: Table, *, stored: bool) -> sql.Composed:
    """Return the path, cut, or whole where it may have characters that cannot be counted."""
    if stored:
        return table.compose("{path}::text")
    return table.compose("left({path}::text, {longest})", longest=sql.Literal(LONGEST_PATH_CHARS))


def _csv(rows: Iterable[tuple[Key, str | None]]) -> bytes:
    """Write rows as COPY does."""
    lines = (",".join("" if each is None else _quoted(str(each)) for each in row) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


_NOW: LiteralString = """
SELECT {found_key}, {found_path} FROM (
    SELECT {key}::text AS key, {shortened} AS path FROM {table}
    WHERE {key} = ANY(%s::text[]::{key_type}[])
) AS page
"""


async def current_paths(connection: Connection, table: Table, keys: Sequence[str]) -> dict[str, str | None]:
    """Look rows up by the text of their keys; deleted ones are not in the answer. psycopg's errors pass through."""

    async def read(*, stored: bool) -> dict[str, str | None]:
        names = columns(table, stored=stored)
        statement = table.compose(_NOW, shortened=_shortened(table, stored=stored), **names)
        found: list[Any] = await (await connection.execute(statement, [list(keys)])).fetchall()
        return {str(key): path for key, path in (decode(table, found) if stored else found)}

    return await read_either(connection, table, read)
