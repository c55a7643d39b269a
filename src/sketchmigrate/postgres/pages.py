"""Pages of the application's table, in the order of its key: legacy references, counts by side, rows as CSV.

Each function is one question to the server, within a transaction of its caller, and lets psycopg's errors pass.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

from psycopg import sql

from sketchmigrate.core.errors import KeyNotUnique
from sketchmigrate.core.reference import Key, KeyRange, Reference, make_all
from sketchmigrate.core.rule import SideName
from sketchmigrate.postgres.row_value import is_told
from sketchmigrate.postgres.table import bytes_of, columns, decode, decode_key, read_either

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg import AsyncConnection

    from sketchmigrate.core.mapping import Mapping
    from sketchmigrate.postgres.table import Table

MOST_VALUE_BYTES = 16 * 2**20
"""Of the values of a page: it ends with the row that reaches this, so that memory does not grow with their length."""

LONGEST_PATH_CHARS = 2048
"""Twice the longest key that there is. A path beyond it is cut: that it is too long is all there is to say of it."""

# The order of a sorted subquery is that of the array (PostgreSQL manual, "Aggregate Functions"). There is no max(uuid)
# before version 18. A page takes less than half of the time that it takes with a CTE and starts_with(): 2.2 ms for
# 4.5 with 10 000 legacy rows, 0.9 for 2.7 with none. "C" compares bytes: other collations may not have LIKE.
_PAGE: LiteralString = """
SELECT count(*), (array_agg({found_key}))[count(*)],
       array_agg({found_key}) FILTER (WHERE is_legacy), array_agg({found_path}) FILTER (WHERE is_legacy)
FROM (
    SELECT {key} AS key, {value} AS path, {is_legacy} AS is_legacy
    FROM {table} AS t WHERE {range} ORDER BY {order} LIMIT {rows}
) AS page
"""

# A page of values of any length ends with the row with which they reach so many bytes.
_BOUNDED_PAGE: LiteralString = """
SELECT count(*), (array_agg({found_key}))[count(*)],
       array_agg({found_key}) FILTER (WHERE is_legacy), array_agg({found_path}) FILTER (WHERE is_legacy)
FROM (
    SELECT *, coalesce(sum(size) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS size_before
    FROM (
        SELECT *, CASE WHEN is_legacy THEN octet_length(path) ELSE 0 END AS size FROM (
            SELECT {key} AS key, {value} AS path, {is_legacy} AS is_legacy
            FROM {table} AS t WHERE {range} ORDER BY {order} LIMIT {rows}
        ) AS page
    ) AS sized
) AS page
WHERE size_before < {most_bytes}
"""

# With the first row of the next page, which would be passed over if it had the last key of this one.
_TWICE: LiteralString = """
SELECT {key}::text, count(*) FROM (
    SELECT {order} FROM {table} AS t WHERE {range} ORDER BY {order} LIMIT {rows}
) AS t
GROUP BY {order} HAVING count(*) > 1 ORDER BY {order} LIMIT 3
"""

_COUNT: LiteralString = """
SELECT count(*), (array_agg({found_key}))[count(*)],
       count(*) FILTER (WHERE is_legacy), count(*) FILTER (WHERE is_production AND NOT is_legacy),
       count(*) FILTER (WHERE has_path)
FROM (
    SELECT {key} AS key, coalesce({is_legacy}, false) AS is_legacy, coalesce({is_production}, false) AS is_production,
           {text} <> '' AS has_path
    FROM {table} AS t WHERE {range} ORDER BY {order} LIMIT {rows}
) AS page
"""

# Which side a value is on is judged here of those that may be on either.
_OF_EITHER: LiteralString = """
FROM (
    SELECT *, coalesce(sum(size) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS size_before
    FROM (
        SELECT *, CASE WHEN is_either THEN octet_length(path) ELSE 0 END AS size FROM (
            SELECT {key} AS key, {value} AS path, ({is_legacy}) OR ({is_production}) AS is_either, {meets} AS meets,
                   {text} <> '' AS has_path
            FROM {table} AS t WHERE {range} ORDER BY {order} LIMIT {rows}
        ) AS page
    ) AS sized
) AS page
WHERE size_before < {most_bytes}
"""

_EITHER: LiteralString = (
    """
SELECT count(*), (array_agg({found_key}))[count(*)],
       array_agg({found_path}) FILTER (WHERE is_either), array_agg(meets) FILTER (WHERE is_either),
       count(*) FILTER (WHERE has_path)
"""
    + _OF_EITHER
)

_VALUES: LiteralString = (
    """
SELECT count(*), (array_agg({found_key}))[count(*)], array_agg({found_key}) FILTER (WHERE is_either),
       array_agg({found_path}) FILTER (WHERE is_either), array_agg(meets) FILTER (WHERE is_either)
"""
    + _OF_EITHER
)

_END: LiteralString = """
SELECT count(*), (array_agg({found_key}))[count(*)]
FROM (SELECT {key} AS key FROM {table} AS t WHERE {range} ORDER BY {order} LIMIT {rows}) AS page
"""

# The server writes the CSV, a page as one value, so that no row becomes a Python object, and none a message: each row
# of a COPY is taken one by one, which costs 2 µs. NULL is an empty field, an empty text is "", as COPY has it. "C", as
# PostgreSQL before 18 searches no text of a nondeterministic collation.
_LINES: LiteralString = """
SELECT count(*), (array_agg({found_key}))[count(*)], convert_to(string_agg(
    '"' || replace(key::text COLLATE "C", '"', '""') || '",'
    || coalesce('"' || replace(path COLLATE "C", '"', '""') || '"', '') || E'\\n', ''
), 'UTF8')
FROM (
    SELECT {key} AS key, {shortened} AS path FROM {table} AS t WHERE {range} ORDER BY {order} LIMIT {rows}
) AS page
"""

_ROWS: LiteralString = """
SELECT {found_key}, {found_path} FROM (
    SELECT {key} AS key, {shortened} AS path FROM {table} AS t WHERE {range} ORDER BY {order}
) AS page
"""

_AFTER, _UNTIL = sql.SQL(">"), sql.SQL("<=")


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


class RowNow(NamedTuple):
    """What a row holds, and whether it meets the condition of the settings."""

    key: Key
    value: str | None
    meets: bool


@dataclass(frozen=True, slots=True)
class ValuePage:
    """``rows`` rows up to ``last_key``, and those of them that may be on a side."""

    rows: int
    last_key: Key | None
    found: list[RowNow]


@dataclass(frozen=True, slots=True)
class CsvPage:
    """``rows`` rows up to ``last_key``, as CSV of two columns: key and path. The last page has no rows."""

    rows: int
    last_key: Key | None
    csv: bytes


async def read_page(
    connection: AsyncConnection, table: Table, key_range: KeyRange, mapping: Mapping, rows: int
) -> Page:
    """Look at the next ``rows`` rows of a key range, in the order of the key; an empty page is the end of the range.

    Raises ``KeyNotUnique`` where two rows of a view have one key.
    """
    if table.is_view:
        await _check_unique(connection, table, key_range, rows + 1)
    condition, values = in_range(table, key_range)
    is_legacy, patterns = table.value.may_be_on(SideName.LEGACY, mapping)
    exact = is_told(mapping)
    cursor = connection.cursor(binary=True)

    async def read(*, stored: bool) -> Page:
        names = columns(table, stored=stored)
        statement = table.compose(
            _PAGE if exact else _BOUNDED_PAGE,
            range=condition,
            rows=sql.Literal(rows),
            is_legacy=is_legacy,
            most_bytes=sql.Literal(MOST_VALUE_BYTES),
            **names,
        )
        row = await (await cursor.execute(statement, {**values, **patterns})).fetchone()
        looked_at, last_key, keys, paths = row if row is not None else (0, None, None, None)
        found: Iterable[tuple[Any, Any]] = zip(keys or (), paths or (), strict=True)
        if stored:
            last_key, found = decode_key(table, last_key), decode(table, found)
        references = make_all(Reference, found)
        if not exact:
            references = [each for each in references if mapping.is_legacy(each.path)]
        return Page(looked_at, last_key, references)

    return await read_either(connection, table, read)


async def _check_unique(connection: AsyncConnection, table: Table, key_range: KeyRange, rows: int) -> None:
    condition, values = in_range(table, key_range)
    statement = table.compose(_TWICE, range=condition, rows=sql.Literal(rows))
    found = await (await connection.execute(statement, values)).fetchall()
    if found:
        name, keys = ".".join(table.name), ", ".join(f"{key} ({count} rows)" for key, count in found)
        message = f"rows of the view {name} share a key ({table.key}), which should tell them apart: {keys}"
        raise KeyNotUnique(message, hint="Set the key of its source to columns that are different in each row.")


async def count_page(
    connection: AsyncConnection, table: Table, key_range: KeyRange, mapping: Mapping, rows: int
) -> CountedPage:
    """Count the next ``rows`` rows of a key range by their sides."""
    condition, in_it = in_range(table, key_range)
    sides, patterns = of_both_sides(table, mapping)
    exact = is_told(mapping)
    cursor = connection.cursor(binary=True)

    async def count(*, stored: bool) -> CountedPage:
        statement = table.compose(
            _COUNT if exact else _EITHER,
            range=condition,
            rows=sql.Literal(rows),
            meets=table.value.meets(),
            text=table.value.text(),
            most_bytes=sql.Literal(MOST_VALUE_BYTES),
            **sides,
            **columns(table, stored=stored),
        )
        answer: Any = await (await cursor.execute(statement, {**in_it, **patterns})).fetchone()
        looked_at, last_key, *counts = answer
        if stored:
            last_key = decode_key(table, last_key)
        if exact:
            return CountedPage(looked_at, last_key, *counts)
        values_found, meeting, with_path = counts
        texts = (
            [text for _, text in decode(table, ((0, each) for each in values_found or ()))] if stored else values_found
        )
        found = Counter(
            mapping.side_of(text, meets=bool(meets)) for text, meets in zip(texts or (), meeting or (), strict=True)
        )
        return CountedPage(looked_at, last_key, found[SideName.LEGACY], found[SideName.PRODUCTION], with_path)

    return await read_either(connection, table, count)


async def value_page(
    connection: AsyncConnection, table: Table, key_range: KeyRange, mapping: Mapping, rows: int
) -> ValuePage:
    """Read those of the next ``rows`` rows of a key range that may be on a side.

    Those are among them that the settings leave out by their condition. Where the row itself tells its side they are
    all: one that is on neither may name a legacy object all the same.
    """
    condition, in_it = in_range(table, key_range)
    sides, patterns = of_both_sides(table if mapping.sides_by_row else table.backwards(), mapping)
    if mapping.sides_by_row:
        sides["is_legacy"] = sql.SQL("true")
    cursor = connection.cursor(binary=True)

    async def read(*, stored: bool) -> ValuePage:
        statement = table.compose(
            _VALUES,
            range=condition,
            rows=sql.Literal(rows),
            meets=table.value.meets(),
            text=table.value.text(),
            most_bytes=sql.Literal(MOST_VALUE_BYTES),
            **sides,
            **columns(table, stored=stored),
        )
        answer: Any = await (await cursor.execute(statement, {**in_it, **patterns})).fetchone()
        looked_at, last_key, keys, values, meeting = answer
        found: Iterable[tuple[Any, Any]] = zip(keys or (), values or (), strict=True)
        if stored:
            last_key, found = decode_key(table, last_key), decode(table, found)
        of_rows = [RowNow(key, value, bool(meets)) for (key, value), meets in zip(found, meeting or (), strict=True)]
        return ValuePage(looked_at, last_key, of_rows)

    return await read_either(connection, table, read)


async def copy_page(connection: AsyncConnection, table: Table, key_range: KeyRange, rows: int) -> CsvPage:
    """Read the next ``rows`` rows of a key range as CSV."""
    cursor = connection.cursor(binary=True)
    condition, values = in_range(table, key_range)

    async def read(*, stored: bool) -> CsvPage:
        names = columns(table, stored=stored)
        if not stored:
            lines = shortened(table, stored=False)
            statement = table.compose(_LINES, range=condition, rows=sql.Literal(rows), shortened=lines, **names)
            row: Any = await (await cursor.execute(statement, values)).fetchone()
            looked_at, last, csv = row
            return CsvPage(looked_at, last, csv or b"")
        end = table.compose(_END, range=condition, rows=sql.Literal(rows), **names)
        answer: Any = await (await cursor.execute(end, values)).fetchone()
        count, last_key = answer[0], decode_key(table, answer[1])
        if not count:
            return CsvPage(0, None, b"")
        page, bounds = in_range(table, KeyRange(key_range.after, last_key))
        statement = table.compose(_ROWS, range=page, shortened=shortened(table, stored=True), **names)
        found: list[Any] = await (await cursor.execute(statement, bounds)).fetchall()
        return CsvPage(count, last_key, csv_of(decode(table, found)))

    return await read_either(connection, table, read)


def in_range(table: Table, key_range: KeyRange) -> tuple[sql.Composed, dict[str, Key | bytes]]:
    """Return the condition that a key is in the range, and the values that it names."""
    conditions: list[sql.Composable] = [table.key.is_there()]
    values: dict[str, Key | bytes] = {}
    for name, operator, value in (("after", _AFTER, key_range.after), ("until", _UNTIL, key_range.until)):
        if value is not None:
            place = sql.Placeholder(name)
            stored = bytes_of(table, value)
            bound = sql.SQL("({})" if stored is None else "convert_from({}, getdatabaseencoding())").format(place)
            conditions.append(table.key.compared(operator, bound))
            values[name] = value if stored is None else stored
    return sql.SQL(" AND ").join(conditions), values


def of_both_sides(table: Table, mapping: Mapping) -> tuple[dict[str, sql.Composable], dict[str, Any]]:
    """Return the conditions ``is_legacy`` and ``is_production`` that a row may be there, and the parameters they name.

    No row can be in production where the database cannot hold the prefix.
    """
    is_legacy, of_legacy = table.value.may_be_on(SideName.LEGACY, mapping)
    if not table.holds_production:
        return {"is_legacy": is_legacy, "is_production": sql.SQL("false")}, of_legacy
    is_production, of_production = table.value.may_be_on(SideName.PRODUCTION, mapping)
    return {"is_legacy": is_legacy, "is_production": is_production}, {**of_legacy, **of_production}


def shortened(table: Table, *, stored: bool) -> sql.Composed:
    """Return the path, cut, or whole where it may have characters that cannot be counted."""
    if stored:
        return table.compose("{path}::text")
    return table.compose("left({path}::text, {longest})", longest=sql.Literal(LONGEST_PATH_CHARS))


def csv_of(rows: Iterable[Iterable[object]]) -> bytes:
    """Write rows as COPY does: None, which is NULL, is an empty field."""
    lines = (",".join("" if each is None else _quoted(str(each)) for each in row) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
