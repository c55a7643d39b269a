"""Keys of rows: how one is kept in a ledger, told in JSON and as text, read from there, and ordered. Pure.

Nobody else takes a key apart or puts one together, so that a key of another type, or of several columns, is added here.
A ledger and JSON know numbers and texts: a uuid is its text there, and the type of the key column makes it one again.
A key of several columns is a text, a JSON array.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sketchmigrate.core.reference import Key

StoredKey: TypeAlias = int | str
"""A key as ledgers and JSON documents have it."""

TEXT_TYPES = frozenset({"text", "character varying"})
NATIVE_TYPES = frozenset({"smallint", "integer", "bigint", "uuid"}) | TEXT_TYPES
"""The SQL types of keys that are values of their own here; all others are texts (``postgres.row_key``)."""


def stored_key(key: Key) -> StoredKey:
    """Return what stands for a key in an SQLite ledger, and as a value of a JSON document."""
    return str(key) if isinstance(key, UUID) else key


def key_from_stored(stored: StoredKey, key_type: str) -> Key:
    """Return the key of a column of this SQL type that is stored so, or typed so by a person. Raises ``ValueError``."""
    if key_type == "uuid":
        return UUID(str(stored))
    return str(stored) if key_type in TEXT_TYPES else int(stored)


def key_json(key: Key) -> str:
    """Return a key as a JSON document of its own, as ledgers in PostgreSQL have it."""
    return json.dumps(stored_key(key))


def keys_json(keys: Iterable[Key]) -> str:
    """Return keys as one JSON array."""
    return json.dumps([stored_key(key) for key in keys])


def key_text(key: Key) -> str:
    """Return a key as people read it, and as PostgreSQL casts it to text."""
    return str(key)


def key_order(key: Key) -> int | str:
    """Return what keys of one column are sorted by: numbers and uuids by value, texts by their code points."""
    return key.int if isinstance(key, UUID) else key


def is_before(one: Key, other: Key) -> bool:
    """Whether a key comes before another one of the same column."""
    return key_order(one) < key_order(other)  # type: ignore[operator]  # keys of one column are of one type


def key_between(one: Key, other: Key, part: int, parts: int) -> Key:
    """Return the key that is ``part`` of ``parts`` on the way, which of two texts is the nearer one."""
    if isinstance(one, int) and isinstance(other, int):
        return one + (other - one) * part // parts
    if isinstance(one, UUID) and isinstance(other, UUID):
        return UUID(int=one.int + (other.int - one.int) * part // parts)
    return other if 2 * part >= parts else one
