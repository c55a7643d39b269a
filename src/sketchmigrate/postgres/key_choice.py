"""Which columns tell the rows of a table apart: those that the settings name, or else those of a unique index. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.errors import DatabaseRefused
from sketchmigrate.postgres.row_key import KNOWN_TYPES, KeyColumn, RowKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sketchmigrate.core.source import Source
    from sketchmigrate.postgres.structure import Column, UniqueIndex

_TYPES_HINT = f"A key of type {', '.join(sorted(KNOWN_TYPES))}, or of a domain over one, is needed."


def choose_key(
    source: Source, columns: Mapping[str, Column], indexes: Sequence[UniqueIndex], *, is_view: bool
) -> RowKey:
    """Return the key of a source's rows; ``indexes`` are the table's unique ones, for other keys than one column.

    Raises ``DatabaseRefused`` where it cannot order the rows, or tell each from the other. A view has no indexes: what
    the settings say of it is taken.
    """
    if not source.key and is_view:
        message = f"{source.table} is a view, of which the catalogue does not say what tells its rows apart"
        raise DatabaseRefused(message, hint=f"Set {source.setting('key')} to columns that do.")
    names = source.key or _found(source, columns, indexes)
    for name in names:
        if name not in columns:
            hint = f"Set {source.setting('key')}: the table has {', '.join(sorted(columns))}."
            raise DatabaseRefused(f"table {source.table} has no column {name}", hint=hint)
    if not is_view:
        _check_unique(source, columns, indexes, names)
    key = tuple(_column(columns[name], source) for name in names)
    may_be_null = any(not columns[name].not_null for name in names)
    return RowKey(key, may_be_null=may_be_null, is_path=names == (source.column,))


def key_notices(key: RowKey, indexes: Sequence[UniqueIndex]) -> list[str]:
    """Return what a person should know of a key."""
    names = [column.name for column in key.columns]
    notices = []
    if key.may_be_null:
        notices.append(f"Rows in which {' or '.join(names)} is NULL have no key: they are left as they are.")
    if indexes and not any(index.columns == names for index in indexes):
        notices.append(f"No index begins with the key's columns in this order ({key}): each page sorts the table.")
    return notices


def _found(source: Source, columns: Mapping[str, Column], indexes: Sequence[UniqueIndex]) -> tuple[str, ...]:
    """Return the columns of the first index that can be a key. What a flip changes is one only by itself, and last."""
    usable = _usable(columns, indexes)
    for names in (*(each for each in usable if not set(source.written) & set(each)), (source.column,)):
        if names in usable:
            return names
    raise DatabaseRefused(
        f"table {source.table} has no primary key, and no unique index of columns that are NOT NULL, which could be"
        " the key of its rows",
        hint=f"{_TYPES_HINT} Set {source.setting('key')}, or make such an index (CREATE UNIQUE INDEX CONCURRENTLY).",
    )


def _usable(columns: Mapping[str, Column], indexes: Sequence[UniqueIndex]) -> list[tuple[str, ...]]:
    return [
        tuple(index.columns)
        for index in indexes
        if all(columns[name].not_null and _is_known(columns[name]) for name in index.columns)
    ]


def _column(found: Column, source: Source) -> KeyColumn:
    if not _is_known(found):
        message = f"column {found.name} of table {source.table} is of type {found.type_name}"
        raise DatabaseRefused(message, hint=_TYPES_HINT)
    return KeyColumn(found.name, found.base_type, found.is_domain)


def _is_known(column: Column) -> bool:
    return KeyColumn(column.name, column.base_type).is_known


def _check_unique(
    source: Source, columns: Mapping[str, Column], indexes: Sequence[UniqueIndex], names: Sequence[str]
) -> None:
    if len(names) == 1:
        if not columns[names[0]].unique:
            hint = f"Set {source.setting('key')} to a column that is unique and NOT NULL: pages and flips go by it."
            several = [
                names for names in _usable(columns, indexes) if len(names) > 1 and not set(source.written) & set(names)
            ]
            if source.is_classic and several:
                together = ", ".join(f'"{name}"' for name in several[0])
                hint += f" A key of several columns is told by an entry of REFERENCES: key = [{together}]."
            message = f"column {names[0]} of table {source.table} is neither its primary key nor unique"
            raise DatabaseRefused(message, hint=hint)
        return
    if nullable := [name for name in names if not columns[name].not_null]:
        raise DatabaseRefused(
            f"column {nullable[0]} of table {source.table} may be NULL, and no column of a key of several may",
            hint=f"Set {source.setting('key')} to columns that are NOT NULL.",
        )
    if not any(sorted(index.columns) == sorted(names) for index in indexes):
        unique = "; ".join(", ".join(index.columns) for index in indexes) or "none"
        raise DatabaseRefused(
            f"columns {', '.join(names)} of table {source.table} are not together the columns of a unique index",
            hint=f"Set {source.setting('key')} to all columns of one. There are: {unique}.",
        )
