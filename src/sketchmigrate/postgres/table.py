"""The table of the references, as far as statements need to know it, and how its texts are read.

Text that does not come as UTF-8 is read once more, as the bytes that the database stores: an SQL_ASCII database holds
any bytes, and some encodings have characters that Unicode has not. The server refuses to send these (22021, 22P05), and
with them the whole answer. PostgreSQL manual, section "Character Set Support".
"""

from __future__ import annotations

import codecs
import json
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, LiteralString, Protocol, TypeVar

from psycopg import errors, sql

from sketchmigrate.core.reference import Key, Unreadable
from sketchmigrate.postgres.row_key import fragments
from sketchmigrate.postgres.row_value import RowValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from psycopg import AsyncConnection

    from sketchmigrate.postgres.row_key import RowKey

T_co = TypeVar("T_co", covariant=True)

UNREADABLE = (errors.CharacterNotInRepertoire, errors.UntranslatableCharacter)

MOST_MOVED_ROWS = 50
"""Of a flip that moves rows to other partitions: an UPDATE that waits for such a row does not only wait, it fails."""

_STORED = sql.SQL("convert_to({}::text, getdatabaseencoding())")
"""A text as bytes: where no encoding is changed, none is missed."""


@dataclass(frozen=True, slots=True)
class Table:
    """The table as the catalog describes it.

    ``max_path_chars`` and ``max_path_bytes`` are the path column's length or None, ``estimated_rows`` the planner's
    estimate or None where the table was never analysed. ``notices`` are facts that bear on a migration and that a
    person should know: triggers, row-level security.

    ``path_is_unique``: the path is in the key of a unique index without a condition and an expression, so that an
    UPDATE of it takes the row's strongest lock; ``no_path_twice``: alone in the key of one, as a text, so that no two
    rows hold the same. ``fires_after_update``: enabled AFTER UPDATE or constraint triggers of
    users may change the row once more, which RETURNING does not see. ``hides_rows``: row-level security is active for
    this user. ``encoding`` is the database's; ``holds_production`` says whether it has all of PRODUCTION_PREFIX.
    ``columns`` are those that make up a row's value, None where that is the path column alone; ``set_texts`` is what
    the server writes for what a flip sets beside it. ``is_view``: nothing in the catalog says that the key tells its
    rows apart. ``moves_rows``: a flip may move a row to another partition.
    """

    name: tuple[str, ...]
    key: RowKey
    path_column: str
    max_path_chars: int | None = None
    max_path_bytes: int | None = None
    estimated_rows: int | None = None
    notices: tuple[str, ...] = ()
    is_partitioned: bool = False
    path_is_unique: bool = False
    no_path_twice: bool = False
    fires_after_update: bool = False
    hides_rows: bool = False
    encoding: str = "UTF8"
    holds_production: bool = True
    columns: RowValue | None = None
    set_texts: tuple[str | None, ...] = ()
    is_view: bool = False
    moves_rows: bool = False

    @property
    def written(self) -> tuple[str, ...]:
        """The columns that a flip sets."""
        own = () if self.value.column is None else (self.value.column,)
        return tuple(column.name for column in (*own, *self.value.sets))

    @property
    def value(self) -> RowValue:
        """What a flip compares and exchanges: ``columns``, or the path column alone."""
        return self.columns or RowValue.of(self.path_column)

    def key_after(self, key: Key, value: str) -> Key:
        """Return the key of a row that has got this value."""
        return (self.path_of(value) or "") if self.key.is_path else key

    def path_of(self, value: str) -> str | None:
        """Return the text of the path column in a row's value; it is the first of several columns."""
        if self.value.is_plain:
            return value
        texts: list[str | None] = json.loads(value)
        return texts[0]

    def sampled(self, percent: float) -> sql.Composable:
        """Return what has a query read this part of the table's blocks. Of a view there are none to choose from."""
        return sql.SQL("" if self.is_view else "TABLESAMPLE SYSTEM ({})").format(sql.Literal(percent))

    def backwards(self) -> Table:
        """Return the table for a rollback, whose rows do not meet the condition of the settings any more."""
        return self if self.columns is None else replace(self, columns=self.columns.backwards())

    def compose(self, template: LiteralString, **more: sql.Composable) -> sql.Composed:
        """Fill a statement's names in, quoted: rows of an ordinary table are its own (ONLY), not those of a child.

        What it may say of keys is in ``fragments``. The statement is to be executed with parameters, ``()`` where it
        has none: a ``%`` in a name is doubled.
        """
        table = _identifier(*self.name)
        return sql.SQL(template).format(
            table=table if self.is_partitioned or self.is_view else sql.SQL("ONLY ") + table,
            path=_identifier(self.path_column),
            value=self.value.value(),
            **fragments(self.key),
            **more,
        )


def _identifier(*names: str) -> sql.Identifier:
    return sql.Identifier(*(name.replace("%", "%%") for name in names))


class Reading(Protocol[T_co]):
    """A query whose texts come as they are, or ``stored``: as bytes."""

    async def __call__(self, *, stored: bool) -> T_co:
        """Ask, and return what is made of the answer."""


async def read_either(connection: AsyncConnection, table: Table, reading: Reading[T_co]) -> T_co:
    """Read texts, or their bytes where they do not come as UTF-8. psycopg's other errors pass through."""
    try:
        async with _savepoint(connection, table):
            return await reading(stored=False)
    except UNREADABLE:
        if table.encoding == "UTF8":  # damaged, and the transaction is over
            raise
        return await reading(stored=True)


def _savepoint(connection: AsyncConnection, table: Table) -> AbstractAsyncContextManager[object]:
    """Return what keeps the transaction alive if the server refuses; of UTF8 it sends all there is."""
    return nullcontext() if table.encoding == "UTF8" else connection.transaction()


def columns(table: Table, *, stored: bool) -> dict[str, sql.Composable]:
    """Return the columns ``key`` and ``path`` of a subquery as they are to be selected: ``found_key``, ``found_path``.

    Keys that are no text stay what they are.
    """
    key, path = sql.SQL("key"), sql.SQL("path")
    if not stored:
        return {"found_key": key, "found_path": path}
    return {"found_key": _STORED.format(key) if table.key.is_text else key, "found_path": _STORED.format(path)}


def decode(table: Table, rows: Iterable[tuple[Key | bytes, bytes | None]]) -> Iterator[tuple[Key, str | None]]:
    """Make text of rows of key and path that were read as stored; a path that cannot be taken up is ``Unreadable``."""
    encoding = python_encoding(table.encoding)
    for key, path in rows:
        text, is_text = (None, True) if path is None else _decoded(path, encoding)
        shown, has_key = _decoded(key, encoding) if isinstance(key, bytes) else (key, True)
        yield shown, text if text is None or (is_text and has_key) else Unreadable(text)


def decode_key(table: Table, key: Key | bytes | None) -> Key | None:
    """Make text of a key that was read as stored, to go on from: what is none stays in it, escaped (PEP 383)."""
    return key.decode(python_encoding(table.encoding), "surrogateescape") if isinstance(key, bytes) else key


def bytes_of(table: Table, key: Key) -> bytes | None:
    """Return a key as the database stores it where it cannot be sent as text, else None."""
    if not isinstance(key, str) or not any("\udc80" <= sign <= "\udcff" for sign in key):
        return None
    return key.encode(python_encoding(table.encoding), "surrogateescape")


def _decoded(stored: bytes, encoding: str) -> tuple[str, bool]:
    try:
        return stored.decode(encoding), True
    except UnicodeDecodeError:
        return stored.decode("utf-8", errors="backslashreplace"), False


def python_encoding(name: str) -> str:
    """Return Python's name of a server's encoding; of one that it has not, only ASCII is read.

    SQL_ASCII is none: its bytes are what applications put there, and UTF-8 is what the server would let through.
    """
    known = {"SQL_ASCII": "utf-8", "EUC_CN": "gb2312", "KOI8R": "koi8-r", "KOI8U": "koi8-u"}
    try:
        return codecs.lookup(known.get(name) or name.replace("WIN", "cp")).name
    except LookupError:
        return "ascii"
