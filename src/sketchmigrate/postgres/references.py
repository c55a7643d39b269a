"""What is read of the application's table: pages of its references by key, counts, and rows looked up.

``References`` has what the rest of the tool calls; each of the functions above it is one question to the server, within
a transaction of its caller, and lets psycopg's errors pass. What is written to the table is in ``flip``.

All pages are short transactions of their own, and none is one COPY of everything: a snapshot that is held for the
minutes or hours of a large table keeps vacuum from removing any row that died meanwhile (PostgreSQL manual, section
"Routine Vacuuming"), and a connection that breaks would lose all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar, TypeVarTuple

from psycopg import AsyncClientCursor, sql

from sketchmigrate.core.errors import DatabaseError, UsageError
from sketchmigrate.core.reference import Key, KeyRange, Reference, make_all
from sketchmigrate.postgres.paging import PageSize, look_up_in_time, read_in_time
from sketchmigrate.postgres.structure import hides_rows
from sketchmigrate.postgres.table import bytes_of, columns, decode, decode_key, read_either

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

    from psycopg import AsyncConnection

    from sketchmigrate.core.rule import Rule
    from sketchmigrate.postgres.session import Session
    from sketchmigrate.postgres.table import Table

P = TypeVar("P", "Page", "CountedPage", "CsvPage")
Ts = TypeVarTuple("Ts")

_DATA = "22"
"""The class of SQLSTATEs for values that are none of their type (PostgreSQL manual, "PostgreSQL Error Codes")."""

LONGEST_PATH_CHARS = 2048
"""Twice the longest key that there is. A path beyond it is cut: that it is too long is all there is to say of it."""

# The order of a sorted subquery is that of the array (PostgreSQL manual, "Aggregate Functions"). There is no max(uuid)
# before version 18. A page takes less than half of the time that it takes with a CTE and starts_with(): 2.2 ms for
# 4.5 with 10 000 legacy rows, 0.9 for 2.7 with none. "C" compares bytes: other collations may not have LIKE.
_PAGE: LiteralString = """
SELECT count(*), (array_agg({found_key}))[count(*)],
       array_agg({found_key}) FILTER (WHERE is_legacy), array_agg({found_path}) FILTER (WHERE is_legacy)
FROM (
    SELECT {key} AS key, {path}::text COLLATE "C" AS path, {path}::text COLLATE "C" LIKE %(legacy)s AS is_legacy
    FROM {table} AS t WHERE {range} ORDER BY {order} LIMIT {rows}
) AS page
"""

_COUNT: LiteralString = """
SELECT count(*), (array_agg({found_key}))[count(*)],
       count(*) FILTER (WHERE path LIKE %(legacy)s), count(*) FILTER (WHERE path LIKE %(production)s),
       count(*) FILTER (WHERE path <> '')
FROM (
    SELECT {key} AS key, {path}::text COLLATE "C" AS path FROM {table} AS t WHERE {range} ORDER BY {order} LIMIT {rows}
) AS page
"""

_END: LiteralString = """
SELECT count(*), (array_agg({found_key}))[count(*)]
FROM (SELECT {key} AS key FROM {table} AS t WHERE {range} ORDER BY {order} LIMIT {rows}) AS page
"""

# COPY writes the CSV on the server, so that no row becomes a Python object. NULL is an empty field, an empty text is ""
# (PostgreSQL manual, COPY, "CSV Format"). COPY takes no parameters.
_COPY: LiteralString = """
COPY (SELECT {key}, {shortened} FROM {table} AS t WHERE {range} ORDER BY {order})
TO STDOUT (FORMAT csv, FORCE_QUOTE *, ENCODING 'UTF8')
"""

_ROWS: LiteralString = """
SELECT {found_key}, {found_path} FROM (
    SELECT {key} AS key, {shortened} AS path FROM {table} AS t WHERE {range} ORDER BY {order}
) AS page
"""

_NOW: LiteralString = """
SELECT {found_key}, {found_path} FROM (
    SELECT {key}::text AS key, {shortened} AS path FROM {table} AS t
    WHERE {among_texts}
) AS page
"""

_LOOK_UP: LiteralString = """
SELECT {found_key}, {found_path} FROM (
    SELECT {key} AS key, {path}::text AS path FROM {table} AS t WHERE {among}
) AS page
"""

_AFTER, _UNTIL = sql.SQL(">"), sql.SQL("<=")

# By the unique index: the planner hashes no table for a list of constants.
_HELD: LiteralString = "SELECT {path}::text FROM {table} WHERE {path} = ANY(%b::text[])"


@dataclass(frozen=True, slots=True)
class Page:
    """``rows`` rows of the table that were looked at, up to ``last_key``, and the legacy references among them."""

    rows: int
    last_key: Key | None
    references: list[Reference]


@dataclass(frozen=True, slots=True)
class CountedPage:
    """``rows`` rows up to ``last_key``, how many are on each side, and ``paths``: how many have one, not empty."""

    rows: int
    last_key: Key | None
    legacy: int
    production: int
    paths: int


@dataclass(frozen=True, slots=True)
class CsvPage:
    """``rows`` rows up to ``last_key``, as CSV of two columns: key and path. The last page has no rows."""

    rows: int
    last_key: Key | None
    csv: bytes


@dataclass(frozen=True, slots=True)
class Looked:
    """The path that each row holds now. Of a row that is not there a policy may hide those in ``hidden``."""

    paths: dict[Key, str | None]
    hidden: frozenset[Key] = frozenset()


class References:
    """The references of a table, as one session reads them. All of it raises what ``Session.run`` raises.

    How many rows are looked up at once follows from how long the look-ups before took (see ``paging``).
    """

    def __init__(self, session: Session, table: Table) -> None:
        self.session, self.table = session, table
        self._by_key, self._by_path = PageSize(), PageSize()

    def legacy_pages(self, key_range: KeyRange, rule: Rule) -> AsyncIterator[Page]:
        """Read a range page by page, until there are no more rows."""
        return self._pages(read_page, key_range, rule, doing="reading references")

    def counted_pages(self, key_range: KeyRange, rule: Rule) -> AsyncIterator[CountedPage]:
        """Count a range page by page."""
        return self._pages(count_page, key_range, rule, doing=f"counting the rows of {'.'.join(self.table.name)}")

    def csv_pages(self) -> AsyncIterator[CsvPage]:
        """Read the whole table page by page, as CSV."""
        return self._pages(copy_page, KeyRange(), doing="reading references")

    async def look_up(
        self, keys: Sequence[Key], *, doing: str = "looking at references again"
    ) -> dict[Key, str | None]:
        """Return the path that each row holds now; a row that is not seen is absent."""
        return await look_up_in_time(self.session, self._by_key, keys, look_up, self.table, doing=doing)

    async def look_up_texts(self, keys: Sequence[str]) -> dict[str, str | None]:
        """Return the path that each row holds now, cut where it is too long, by the text of its key."""
        doing = "looking at references once more"
        return await look_up_in_time(self.session, self._by_key, keys, current_paths, self.table, doing=doing)

    async def look_again(self, keys: Sequence[Key]) -> Looked:
        """Return what rows hold now, and which of those that are not seen a policy may hide."""
        hidden: set[Key] = set()
        doing = "looking at references again"
        paths = await look_up_in_time(self.session, self._by_key, keys, _look_and_note, self.table, hidden, doing=doing)
        return Looked(paths, frozenset(hidden))

    async def held(self, paths: Sequence[str]) -> set[str]:
        """Return those of the paths that a row holds now, where no two rows may hold the same."""
        doing = "looking for new paths"
        return set(await look_up_in_time(self.session, self._by_path, paths, held_paths, self.table, doing=doing))

    async def between(self, keys: Sequence[Key], first: Key | None, last: Key | None) -> set[Key]:
        """Return those of some texts of keys that are from ``first`` to ``last``, both included, where given."""
        return await self.session.run(_between, self.table, keys, first, last, doing="putting keys in order")

    async def equalised(self, keys: Sequence[Key]) -> list[Key]:
        """Return, for each text of a key, one that equal keys share. Raises ``UsageError`` where it is of none."""
        try:
            return await self.session.run(_equalised, self.table, keys, doing="reading keys")
        except DatabaseError as error:
            if not error.sqlstate.startswith(_DATA):
                raise
            raise UsageError(f"that cannot be a key of table {'.'.join(self.table.name)}: {error}") from error

    async def _pages(
        self,
        read: Callable[[AsyncConnection, Table, KeyRange, *Ts, int], Awaitable[P]],
        key_range: KeyRange,
        *args: *Ts,
        doing: str,
    ) -> AsyncIterator[P]:
        size = PageSize()
        while (page := await read_in_time(self.session, size, read, self.table, key_range, *args, doing=doing)).rows:
            yield page
            key_range = KeyRange(page.last_key, key_range.until)


async def read_page(connection: AsyncConnection, table: Table, key_range: KeyRange, rule: Rule, rows: int) -> Page:
    """Look at the next ``rows`` rows of a key range, in the order of the key; an empty page is the end of the range."""
    condition, values = in_range(table, key_range)
    cursor = connection.cursor(binary=True)

    async def read(*, stored: bool) -> Page:
        names = columns(table, stored=stored)
        statement = table.compose(_PAGE, range=condition, rows=sql.Literal(rows), **names)
        row = await (await cursor.execute(statement, {**values, "legacy": rule.legacy_pattern})).fetchone()
        looked_at, last_key, keys, paths = row if row is not None else (0, None, None, None)
        found = zip(keys or (), paths or (), strict=True)
        if not stored:
            return Page(looked_at, last_key, make_all(Reference, found))
        return Page(looked_at, decode_key(table, last_key), make_all(Reference, decode(table, found)))

    return await read_either(connection, table, read)


async def count_page(
    connection: AsyncConnection, table: Table, key_range: KeyRange, rule: Rule, rows: int
) -> CountedPage:
    """Count the next ``rows`` rows of a key range by their sides."""
    condition, values = in_range(table, key_range)
    cursor = connection.cursor(binary=True)

    async def count(*, stored: bool) -> CountedPage:
        found_key = columns(table, stored=stored)["found_key"]
        statement = table.compose(_COUNT, range=condition, rows=sql.Literal(rows), found_key=found_key)
        await cursor.execute(statement, {**values, **of_both_sides(table, rule)})
        answer: Any = await cursor.fetchone()
        return CountedPage(answer[0], decode_key(table, answer[1]) if stored else answer[1], *answer[2:])

    return await read_either(connection, table, count)


async def copy_page(connection: AsyncConnection, table: Table, key_range: KeyRange, rows: int) -> CsvPage:
    """Read the next ``rows`` rows of a key range as CSV."""
    cursor = connection.cursor(binary=True)
    condition, values = in_range(table, key_range)

    async def read(*, stored: bool) -> CsvPage:
        names = columns(table, stored=stored)
        end = table.compose(_END, range=condition, rows=sql.Literal(rows), **names)
        answer: Any = await (await cursor.execute(end, values)).fetchone()
        count, last_key = answer[0], decode_key(table, answer[1])
        if not count:
            return CsvPage(0, None, b"")
        page, bounds = in_range(table, KeyRange(key_range.after, last_key))
        if stored:
            statement = table.compose(_ROWS, range=page, shortened=_shortened(table, stored=True), **names)
            found: list[Any] = await (await cursor.execute(statement, bounds)).fetchall()
            return CsvPage(count, last_key, _csv(decode(table, found)))
        statement = table.compose(_COPY, range=page, shortened=_shortened(table, stored=False))
        content = await _copied(connection, AsyncClientCursor(connection).mogrify(statement, bounds))
        return CsvPage(count, last_key, content)

    return await read_either(connection, table, read)


async def look_up(connection: AsyncConnection, table: Table, keys: Sequence[Key]) -> dict[Key, str | None]:
    """Return the path that each row holds now; a row that is not seen is absent."""
    cursor = connection.cursor(binary=True)

    async def read(*, stored: bool) -> dict[Key, str | None]:
        statement = table.compose(_LOOK_UP, **columns(table, stored=stored))
        found: list[Any] = await (await cursor.execute(statement, [list(keys)])).fetchall()
        return dict(decode(table, found) if stored else found)

    return await read_either(connection, table, read)


async def look_at(connection: AsyncConnection, table: Table, keys: Sequence[Key]) -> Looked:
    """Return what rows hold now, and which a policy may hide, as of the same transaction."""
    paths = await look_up(connection, table, keys)
    unseen = frozenset(keys) - paths.keys()
    return Looked(paths, unseen if unseen and await hides_rows(connection, table) else frozenset())


async def _look_and_note(
    connection: AsyncConnection, table: Table, hidden: set[Key], keys: Sequence[Key]
) -> dict[Key, str | None]:
    looked = await look_at(connection, table, keys)
    hidden |= looked.hidden
    return looked.paths


async def current_paths(connection: AsyncConnection, table: Table, keys: Sequence[str]) -> dict[str, str | None]:
    """Look rows up by the text of their keys; deleted ones are not in the answer."""

    async def read(*, stored: bool) -> dict[str, str | None]:
        names = columns(table, stored=stored)
        among_texts = table.key.among(sql.SQL("%s::text[]"))
        statement = table.compose(_NOW, shortened=_shortened(table, stored=stored), among_texts=among_texts, **names)
        found: list[Any] = await (await connection.execute(statement, [list(keys)])).fetchall()
        return {str(key): path for key, path in (decode(table, found) if stored else found)}

    return await read_either(connection, table, read)


async def _between(
    connection: AsyncConnection, table: Table, keys: Sequence[Key], first: Key | None, last: Key | None
) -> set[Key]:
    key = sql.SQL("key")
    bounds = [(">=", first), ("<=", last)]
    conditions = [table.key.compared(sql.SQL(side), sql.Literal(at), key) for side, at in bounds if at is not None]
    statement = sql.SQL("SELECT key FROM unnest({}::text[]) AS given(key) WHERE {}").format(
        sql.Literal(list(keys)), sql.SQL(" AND ").join(conditions)
    )
    return {found for (found,) in await (await connection.execute(statement)).fetchall()}


async def _equalised(connection: AsyncConnection, table: Table, keys: Sequence[Key]) -> list[Key]:
    await connection.execute("SET LOCAL timezone = 'UTC'")
    await connection.execute("SET LOCAL datestyle = 'ISO, YMD'")
    statement = sql.SQL("SELECT {} FROM unnest({}::text[]) WITH ORDINALITY AS given(key, place) ORDER BY place").format(
        table.key.equalised(sql.SQL("key")), sql.Literal(list(keys))
    )
    return [found for (found,) in await (await connection.execute(statement)).fetchall()]


async def held_paths(connection: AsyncConnection, table: Table, paths: Sequence[str]) -> dict[str, str | None]:
    """Return those of the paths that a row holds now, each by itself."""
    cursor = connection.cursor(binary=True)
    await cursor.execute(table.compose(_HELD), [list(paths)])
    return {path: path for (path,) in await cursor.fetchall()}


def in_range(table: Table, key_range: KeyRange) -> tuple[sql.Composed, dict[str, Key | bytes]]:
    """Return the condition that a key is in the range, and the values that it names."""
    conditions: list[sql.Composable] = [sql.SQL("true")]
    values: dict[str, Key | bytes] = {}
    for name, operator, value in (("after", _AFTER, key_range.after), ("until", _UNTIL, key_range.until)):
        if value is not None:
            place = sql.Placeholder(name)
            stored = bytes_of(table, value)
            bound = sql.SQL("({})" if stored is None else "convert_from({}, getdatabaseencoding())").format(place)
            conditions.append(table.key.compared(operator, bound))
            values[name] = value if stored is None else stored
    return sql.SQL(" AND ").join(conditions), values


def of_both_sides(table: Table, rule: Rule) -> dict[str, str | None]:
    """Return the patterns of LIKE for the paths of ``legacy`` and ``production``, None where no path can be there."""
    return {
        "legacy": rule.legacy_pattern,
        "production": rule.production_pattern if table.holds_production else None,
    }


async def _copied(connection: AsyncConnection, statement: str) -> bytes:
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
