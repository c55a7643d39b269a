"""What is read of the application's table: pages of its references by key (``pages``), counts, and rows looked up.

``References`` has what the rest of the tool calls; each of the functions below it is one question to the server, within
a transaction of its caller, and lets psycopg's errors pass. What is written to the table is in ``flip``.

All pages are short transactions of their own, and none is one COPY of everything: a snapshot that is held for the
minutes or hours of a large table keeps vacuum from removing any row that died meanwhile (PostgreSQL manual, section
"Routine Vacuuming"), and a connection that breaks would lose all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple, TypeVar, TypeVarTuple

from psycopg import sql

from sketchmigrate.core.errors import DatabaseError, UsageError
from sketchmigrate.core.reference import Key, KeyRange
from sketchmigrate.core.rule import SideName
from sketchmigrate.postgres.heap_blocks import read_by_block
from sketchmigrate.postgres.pages import RowNow, copy_page, count_page, read_page, shortened, value_page
from sketchmigrate.postgres.paging import PageSize, look_up_in_time, read_in_time
from sketchmigrate.postgres.path_index import Place, read_by_path
from sketchmigrate.postgres.structure import hides_rows
from sketchmigrate.postgres.table import columns, decode, read_either

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence

    from psycopg import AsyncConnection

    from sketchmigrate.core.mapping import Mapping as RowMapping
    from sketchmigrate.core.mapping import Move
    from sketchmigrate.postgres.heap_blocks import HeapBlocks
    from sketchmigrate.postgres.pages import CountedPage, CsvPage, Page, ValuePage
    from sketchmigrate.postgres.path_index import PathIndex
    from sketchmigrate.postgres.session import Session
    from sketchmigrate.postgres.table import Table

P = TypeVar("P", "Page", "CountedPage", "CsvPage", "ValuePage")
Ts = TypeVarTuple("Ts")

_DATA = "22"
"""The class of SQLSTATEs for values that are none of their type (PostgreSQL manual, "PostgreSQL Error Codes")."""

_NOW: LiteralString = """
SELECT {found_key}, {found_path} FROM (
    SELECT {key}::text AS key, {shortened} AS path FROM {table} AS t
    WHERE {among_texts}
) AS page
"""

_VALUES_NOW: LiteralString = """
SELECT {found_key}, {found_path}, meets FROM (
    SELECT {key}::text AS key, {value} AS path, {meets} AS meets FROM {table} AS t WHERE {among_texts}
) AS page
"""

_LOOK_UP: LiteralString = """
SELECT {found_key}, {found_path} FROM (
    SELECT {key} AS key, {value} AS path FROM {table} AS t WHERE {among}
) AS page
"""

_WITHOUT_KEY: LiteralString = """
SELECT count(*), count(*) FILTER (WHERE {is_legacy}) FROM {table} AS t WHERE NOT ({has_key})
"""

# By the unique index: the planner hashes no table for a list of constants.
_HELD: LiteralString = "SELECT {path}::text FROM {table} WHERE {path} = ANY(%b::text[])"


@dataclass(frozen=True, slots=True)
class Looked:
    """The path that each row holds now. Of a row that is not there a policy may hide those in ``hidden``."""

    paths: dict[Key, str | None]
    hidden: frozenset[Key] = frozenset()


class WithoutKey(NamedTuple):
    """How many ``rows`` have no key, and how many of them may be legacy."""

    rows: int
    legacy: int


class References:
    """The references of a table, as one session reads them. All of it raises what ``Session.run`` raises.

    How many rows are looked up at once follows from how long the look-ups before took (see ``paging``).
    """

    def __init__(self, session: Session, table: Table) -> None:
        self.session, self.table = session, table
        self._by_key, self._by_path = PageSize(), PageSize()

    async def legacy_pages(self, key_range: KeyRange, mapping: RowMapping) -> AsyncIterator[Page]:
        """Read a range page by page, until there are no more rows."""
        size = PageSize()
        async for page in self._pages(read_page, key_range, mapping, doing="reading references", size=size):
            size.found(len(page.references), page.rows)
            yield page

    async def pages_by_path(self, index: PathIndex) -> AsyncIterator[Page]:
        """Read all legacy rows by an index, until there are no more behind the last one.

        Raises ``PageTooSlow`` where it goes through so many dead entries that a page takes too long.
        """
        size, after, doing = PageSize(), None, "reading references by their paths"
        while (
            page := await read_in_time(
                self.session, size, read_by_path, self.table, index, after, doing=doing, is_bounded=False
            )
        ).rows:
            yield page
            last = page.references[-1]
            after = Place(last.path, last.key)

    async def pages_by_block(self, blocks: HeapBlocks, mapping: RowMapping) -> AsyncIterator[Page]:
        """Read the rows of all blocks, in their order, and what seems to be finished last."""
        size, doing = PageSize(), "reading references block by block"
        for stretch in blocks.stretches:
            left = stretch
            while left.first < left.end:
                read = await read_in_time(self.session, size, read_by_block, self.table, mapping, left, doing=doing)
                size.found(len(read.page.references), read.rows)
                yield read.page
                left = left.behind(read.blocks)

    def counted_pages(self, key_range: KeyRange, mapping: RowMapping) -> AsyncIterator[CountedPage]:
        """Count a range page by page."""
        return self._pages(count_page, key_range, mapping, doing=f"counting the rows of {'.'.join(self.table.name)}")

    def value_pages(self, mapping: RowMapping) -> AsyncIterator[ValuePage]:
        """Read the rows of the whole table that may be on a side, page by page."""
        return self._pages(value_page, KeyRange(), mapping, doing="reading references")

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

    async def look_up_values(self, keys: Sequence[str]) -> dict[str, RowNow]:
        """Return what each row holds now, by the text of its key; a row that is not seen is absent."""
        doing = "looking at references once more"
        return await self.session.run(current_values, self.table, keys, doing=doing)

    async def look_again(self, moves: Sequence[Move]) -> Looked:
        """Return what rows hold now, and which of those that are not seen a policy may hide."""
        hidden: set[Key] = set()
        doing = "looking at references again"
        keys = [move.reference.key for move in moves]
        paths = await look_up_in_time(self.session, self._by_key, keys, _look_and_note, self.table, hidden, doing=doing)
        paths |= await self._moved_on({move.reference.key: move.new_path for move in moves}, paths)
        return Looked(paths, frozenset(hidden - paths.keys()))

    async def look_up_flipped(
        self, new_paths: Mapping[Key, str], *, doing: str = "looking at references again"
    ) -> dict[Key, str | None]:
        """Return the path that each row holds now which may have been flipped, by the key that it had before."""
        paths = await self.look_up(list(new_paths), doing=doing)
        return paths | await self._moved_on(new_paths, paths)

    async def _moved_on(self, new_paths: Mapping[Key, str], seen: Collection[Key]) -> dict[Key, str | None]:
        """Return the paths of rows, not seen under their old key, that have the key that their new path gives them."""
        if not self.table.key.is_path:
            return {}
        keys = {key: self.table.key_after(key, path) for key, path in new_paths.items() if key not in seen}
        now = await self.look_up(list(keys.values()))
        return {key: now[new_key] for key, new_key in keys.items() if new_key in now}

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

    async def computed(self, values: Sequence[str], expressions: Sequence[str]) -> list[tuple[str | None, ...]]:
        """Return what SQL of the settings gives for each value, text or ``text[]``, as texts of ``text[]``."""
        return await self.session.run(_computed, self.table, values, expressions, doing="computing keys")

    async def without_key(self, mapping: RowMapping) -> WithoutKey:
        """Count the rows that have no key, which no page has."""
        if not self.table.key.may_be_null:
            return WithoutKey(0, 0)
        return await self.session.run(_without_key, self.table, mapping, doing="counting the rows without a key")

    async def still_meeting(self, values: Sequence[str]) -> list[str]:
        """Return those of the values of rows that meet the condition of the settings."""
        return await self.session.run(_still_meeting, self.table, values, doing="trying the condition of the settings")

    async def _pages(
        self,
        read: Callable[[AsyncConnection, Table, KeyRange, *Ts, int], Awaitable[P]],
        key_range: KeyRange,
        *args: *Ts,
        doing: str,
        size: PageSize | None = None,
    ) -> AsyncIterator[P]:
        size = size or PageSize()
        while (page := await read_in_time(self.session, size, read, self.table, key_range, *args, doing=doing)).rows:
            yield page
            key_range = KeyRange(page.last_key, key_range.until)


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
    return Looked(paths, unseen if unseen and await hides_rows(connection, table.name) else frozenset())


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
        statement = table.compose(_NOW, shortened=shortened(table, stored=stored), among_texts=among_texts, **names)
        found: list[Any] = await (await connection.execute(statement, [list(keys)])).fetchall()
        return {str(key): path for key, path in (decode(table, found) if stored else found)}

    return await read_either(connection, table, read)


async def current_values(connection: AsyncConnection, table: Table, keys: Sequence[str]) -> dict[str, RowNow]:
    """Look up the whole values of rows by the text of their keys; deleted ones are not in the answer."""

    async def read(*, stored: bool) -> dict[str, RowNow]:
        among_texts = table.key.among(sql.SQL("%s::text[]"))
        statement = table.compose(
            _VALUES_NOW, among_texts=among_texts, meets=table.value.meets(), **columns(table, stored=stored)
        )
        found: list[Any] = await (await connection.execute(statement, [list(keys)])).fetchall()
        rows = [(key, value) for key, value, _ in found]
        pairs = zip(decode(table, rows) if stored else rows, found, strict=True)
        return {str(key): RowNow(key, value, bool(meets)) for (key, value), (_, _, meets) in pairs}

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


async def _computed(
    connection: AsyncConnection, table: Table, values: Sequence[str], expressions: Sequence[str]
) -> list[tuple[str | None, ...]]:
    given = sql.SQL("given.value")
    # the array of a text has that in it, and the array of an array has one dimension more
    results = [
        sql.SQL("ARRAY[{}]::text[]::text").format(table.value.computed_from(each, given)) for each in expressions
    ]
    statement = sql.SQL(
        "SELECT {} FROM unnest(%b::text[]) WITH ORDINALITY AS given(value, place) ORDER BY place"
    ).format(sql.SQL(", ").join(results))
    return await (await connection.cursor(binary=True).execute(statement, [list(values)])).fetchall()


async def _without_key(connection: AsyncConnection, table: Table, mapping: RowMapping) -> WithoutKey:
    is_legacy, patterns = table.value.may_be_on(SideName.LEGACY, mapping)
    statement = table.compose(_WITHOUT_KEY, is_legacy=is_legacy)
    row: Any = await (await connection.execute(statement, patterns)).fetchone()
    return WithoutKey(*row)


async def _still_meeting(connection: AsyncConnection, table: Table, values: Sequence[str]) -> list[str]:
    meets = table.value.computed_from(table.value.where, sql.SQL("given.value"))
    statement = sql.SQL("SELECT value FROM unnest(%b::text[]) AS given(value) WHERE {}").format(meets)
    cursor = await connection.cursor(binary=True).execute(statement, [list(values)])
    return [value for (value,) in await cursor.fetchall()]


async def held_paths(connection: AsyncConnection, table: Table, paths: Sequence[str]) -> dict[str, str | None]:
    """Return those of the paths that a row holds now, each by itself."""
    cursor = connection.cursor(binary=True)
    await cursor.execute(table.compose(_HELD), [list(paths)])
    return {path: path for (path,) in await cursor.fetchall()}
