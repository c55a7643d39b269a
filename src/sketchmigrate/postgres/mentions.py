"""Values of text columns that may mention something: in a sample of a table, or page by page in all of it.

The server filters roughly, by patterns of LIKE; what comes back is for the caller to judge. All columns of a table are
looked at in one go. Each statement is short and in a transaction of its own (``paging``), and waits for no lock longer
than LOCK_TIMEOUT_MS, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

from psycopg import sql

from sketchmigrate.core.reference import KeyRange
from sketchmigrate.postgres.pages import in_range
from sketchmigrate.postgres.paging import PageSize, read_in_time
from sketchmigrate.postgres.row_key import RowKey
from sketchmigrate.postgres.table import Table, decode_key, python_encoding
from sketchmigrate.postgres.table import columns as key_and_path

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from psycopg import AsyncConnection

    from sketchmigrate.core.reference import Key
    from sketchmigrate.postgres.session import Session
    from sketchmigrate.postgres.text_columns import ColumnKind, TextColumn, TextTable

SAMPLED_ROWS = 10_000
"""About so many rows of a table are sampled, wherever they lie; a table that has no more blocks is read whole."""

ROWS_OF_A_BLOCK = 100
MOST_ROWS_OF_A_BLOCK = 291
"""Of 8 KiB, as a row takes 28 bytes at least (PostgreSQL manual, "Database Page Layout")."""

LONGEST_VALUE_CHARS = 1 << 20
"""A longer value is not sent: it is only counted."""

_ATTEMPTS = 1
"""What is locked is named and passed over."""

# Of values in an encoding that is not UTF-8, the bytes come as they are stored.
_LOOK: LiteralString = """
SELECT count(*), {last}, {found}
FROM (SELECT {key} AS key, {values} FROM {table} AS t {which}) AS page
"""

_FOUND: LiteralString = """
array_agg({value}) FILTER (WHERE {matches} AND length({text}) <= {longest}),
count(*) FILTER (WHERE {matches} AND length({text}) > {longest})
"""

# What is not partitioned is in no partition tree, not even in one of its own.
_BLOCKS: LiteralString = """
SELECT pg_relation_size(%(table)s::oid::regclass) / current_setting('block_size')::int,
       coalesce(max(pg_relation_size(relid)), 0)::bigint / current_setting('block_size')::int,
       coalesce(sum(pg_relation_size(relid)), 0)::bigint / current_setting('block_size')::int
FROM pg_partition_tree(%(table)s::oid::regclass) WHERE relid <> %(table)s
"""


class Patterns(NamedTuple):
    """Patterns of LIKE under the collation "C": as they are, and in any case. A value that is like one matches."""

    exact: tuple[str, ...]
    any_case: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Looked:
    """``rows`` rows that were looked at, up to ``last_key``; by column the ``values`` that match, as texts.

    ``too_long`` counts those that match and are too long to be sent.
    """

    rows: int
    last_key: Key | None
    values: Mapping[str, Sequence[str]]
    too_long: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Sampled:
    """What a sample found. ``table_rows`` is how many the table has by it; ``is_whole``: that is all of them."""

    looked: Looked
    table_rows: int
    is_whole: bool


class _Page(NamedTuple):
    """A page, and how many ``rows`` its size is measured by."""

    rows: int
    looked: Looked


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked of each part of a table. ``keyed`` is the table as statements of pages know it; it has no path."""

    table: TextTable
    patterns: Mapping[ColumnKind, Patterns]
    keyed: Table

    @classmethod
    def about(cls, table: TextTable, patterns: Mapping[ColumnKind, Patterns], key: RowKey | None = None) -> _Question:
        name = (table.schema, table.name)
        keyed = Table(name, key or RowKey(()), "", is_partitioned=table.is_partitioned, encoding=table.encoding)
        return cls(table, patterns, keyed)

    @property
    def doing(self) -> str:
        return f"looking at {'.'.join(self.table.path)}"

    async def ask(self, connection: AsyncConnection, which: sql.Composed, bounds: Mapping[str, Any]) -> Looked:
        """Look at the rows that ``which`` says, behind the table's name."""
        is_stored = self.table.encoding != "UTF8"
        columns = self.table.readable
        names = [sql.Identifier(f"value_{number}") for number, _ in enumerate(columns)]
        pairs = list(zip(names, columns, strict=True))
        found_key = key_and_path(self.keyed, stored=is_stored)["found_key"]
        last = sql.SQL("(array_agg({}))[count(*)]").format(found_key) if self.keyed.key.columns else sql.SQL("NULL")
        statement = self.keyed.compose(
            _LOOK,
            last=last,
            found=sql.SQL(", ").join(_found(name, column, is_stored=is_stored) for name, column in pairs),
            values=sql.SQL(", ").join(
                sql.SQL('{}::text COLLATE "C" AS {}').format(_of_row(column.name), name) for name, column in pairs
            ),
            which=which,
        )
        patterns = {
            f"{kind}_{sort}": list(each)
            for kind in {column.kind for column in columns}
            for sort, each in self.patterns[kind]._asdict().items()
        }
        cursor = connection.cursor(binary=True)
        await cursor.execute(statement, {**bounds, **patterns})
        row: Any = await cursor.fetchone()
        rows, last_key, *found = row
        encoding = python_encoding(self.table.encoding)
        sent = zip(columns, found[::2], strict=True)
        return Looked(
            rows,
            decode_key(self.keyed, last_key),
            {column.name: [_text(value, encoding) for value in values or ()] for column, values in sent},
            {column.name: counted for column, counted in zip(columns, found[1::2], strict=True)},
        )


async def sample(session: Session, table: TextTable, patterns: Mapping[ColumnKind, Patterns]) -> Sampled:
    """Look at some rows of a table, or at all of a small one. Raises what ``Session.run`` raises."""
    question, size = _Question.about(table, patterns), PageSize(SAMPLED_ROWS, most=SAMPLED_ROWS)
    page = await read_in_time(session, size, _sample, question, doing=question.doing, attempts=_ATTEMPTS)
    return page.sampled


async def pages(
    session: Session, table: TextTable, patterns: Mapping[ColumnKind, Patterns]
) -> AsyncGenerator[Looked, None]:
    """Look at all rows of a table, by its key, or block by block where it has none. Raises as ``sample`` does."""
    key = next(iter(table.keys), None)
    question, size = _Question.about(table, patterns, key), PageSize()
    if key is not None:
        key_range = KeyRange()
        while True:
            page = await read_in_time(
                session, size, _by_key, question, key_range, doing=question.doing, attempts=_ATTEMPTS
            )
            if page.looked.last_key is None:
                return
            yield page.looked
            key_range = KeyRange(page.looked.last_key, None)
    block, blocks = 0, 1
    while block < blocks:
        read = await read_in_time(session, size, _by_block, question, block, doing=question.doing, attempts=_ATTEMPTS)
        yield read.looked
        block += read.rows // ROWS_OF_A_BLOCK
        blocks = read.blocks


class _SamplePage(NamedTuple):
    rows: int
    sampled: Sampled


class _BlockPage(NamedTuple):
    rows: int
    looked: Looked
    blocks: int


async def _sample(connection: AsyncConnection, question: _Question, rows: int) -> _SamplePage:
    _, blocks = await _count_blocks(connection, question.table)
    percent = min(100.0, 100 * rows / ROWS_OF_A_BLOCK / max(1, blocks))
    most = MOST_ROWS_OF_A_BLOCK * rows // ROWS_OF_A_BLOCK
    which = sql.SQL("TABLESAMPLE SYSTEM ({}) LIMIT {}").format(sql.Literal(percent), sql.Literal(most))
    looked = await question.ask(connection, which, {})
    is_whole = percent >= 100 and looked.rows < most  # noqa: PLR2004 - all of it
    return _SamplePage(rows, Sampled(looked, round(looked.rows * 100 / percent), is_whole))


async def _by_key(connection: AsyncConnection, question: _Question, key_range: KeyRange, rows: int) -> _Page:
    condition, bounds = in_range(question.keyed, key_range)
    order = question.keyed.key.order()
    which = sql.SQL("WHERE {} ORDER BY {} LIMIT {}").format(condition, order, sql.Literal(rows))
    looked = await question.ask(connection, which, bounds)
    return _Page(looked.rows, looked)


# A range of blocks is read alone since PostgreSQL 14; before, each page of a table without a key reads all of it.
async def _by_block(connection: AsyncConnection, question: _Question, block: int, rows: int) -> _BlockPage:
    blocks, _ = await _count_blocks(connection, question.table)
    end = block + max(1, rows // ROWS_OF_A_BLOCK)
    bounds = [sql.Literal(f"({each},0)") for each in (block, end)]
    which = sql.SQL("WHERE t.ctid >= {}::tid AND t.ctid < {}::tid").format(*bounds)
    looked = await question.ask(connection, which, {})
    return _BlockPage((end - block) * ROWS_OF_A_BLOCK, looked, blocks)


def _found(name: sql.Identifier, column: TextColumn, *, is_stored: bool) -> sql.Composed:
    exact, any_case = (sql.Placeholder(f"{column.kind}_{sort}") for sort in Patterns._fields)
    matches = sql.SQL("({0} LIKE ANY ({1}::text[]) OR {0} ILIKE ANY ({2}::text[]))").format(name, exact, any_case)
    value = sql.SQL("convert_to({}, getdatabaseencoding())").format(name) if is_stored else name
    longest = sql.Literal(LONGEST_VALUE_CHARS)
    return sql.SQL(_FOUND).format(value=value, matches=matches, text=name, longest=longest)


async def _count_blocks(connection: AsyncConnection, table: TextTable) -> tuple[int, int]:
    """Return how many blocks the largest part of a table has, and all of it."""
    row: Any = await (await connection.execute(_BLOCKS, {"table": table.oid})).fetchone()
    own, largest, of_parts = row
    return max(own, largest), own + of_parts


def _of_row(column: str) -> sql.Identifier:
    return sql.Identifier("t", column.replace("%", "%%"))


def _text(value: str | bytes, encoding: str) -> str:
    return value if isinstance(value, str) else value.decode(encoding, "backslashreplace")
