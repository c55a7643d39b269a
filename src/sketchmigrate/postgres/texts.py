"""Text that does not come as UTF-8: it is read once more, as the bytes that the database stores.

An SQL_ASCII database holds any bytes, and some encodings have characters that Unicode has not: the server refuses to
send these (22021, 22P05), and with them the whole answer. PostgreSQL manual, section "Character Set Support".
"""

from __future__ import annotations

import codecs
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol, TypeVar

from psycopg import errors, sql

from sketchmigrate.core.reference import Key, Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sketchmigrate.postgres.session import Connection
    from sketchmigrate.postgres.table import Table

T_co = TypeVar("T_co", covariant=True)

UNREADABLE = (errors.CharacterNotInRepertoire, errors.UntranslatableCharacter)

_STORED = sql.SQL("convert_to({}::text, getdatabaseencoding())")
"""A text as bytes: where no encoding is changed, none is missed."""


class Reading(Protocol[T_co]):
    """A query whose texts come as they are, or ``stored``: as bytes."""

    async def __call__(self, *, stored: bool) -> T_co:
        """Ask, and return what is made of the answer."""


async def read_either(connection: Connection, table: Table, reading: Reading[T_co]) -> T_co:
    """Read texts, or their bytes where they do not come as UTF-8. psycopg's other errors pass through."""
    try:
        async with _savepoint(connection, table):
            return await reading(stored=False)
    except UNREADABLE:
        if table.encoding == "UTF8":  # damaged, and the transaction is over
            raise
        return await reading(stored=True)


def _savepoint(connection: Connection, table: Table) -> AbstractAsyncContextManager[object]:
    """Return what keeps the transaction alive if the server refuses; of UTF8 it sends all there is."""
    return nullcontext() if table.encoding == "UTF8" else connection.transaction()


def columns(table: Table, *, stored: bool) -> dict[str, sql.Composable]:
    """Return the columns ``key`` and ``path`` of a subquery as they are to be selected: ``found_key``, ``found_path``.

    Keys that are no text stay what they are.
    """
    key, path = sql.SQL("key"), sql.SQL("path")
    if not stored:
        return {"found_key": key, "found_path": path}
    return {"found_key": _STORED.format(key) if table.has_text_key else key, "found_path": _STORED.format(path)}


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
