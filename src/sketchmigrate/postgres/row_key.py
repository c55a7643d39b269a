"""What tells rows apart, in SQL: one column or several, of any type that can be ordered and compared.

A key of a usual type travels as a value of that type. Every other is a text: the server's own of a single column, and
a JSON array of these where there are several. Dates are in ISO 8601 and UTC in it, whatever DateStyle and TimeZone are,
so that the text of a key is the same in every session, and in every ledger. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from psycopg import sql

from sketchmigrate.core.keys import NATIVE_TYPES, TEXT_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_OTHER_TYPES = frozenset({"numeric", "bpchar", "date", "bytea", "oid", "name", "citext", "boolean"})
_IN_UTC = "timestamp with time zone"
KNOWN_TYPES = NATIVE_TYPES | _OTHER_TYPES | {_IN_UTC, "timestamp without time zone"}
"""The SQL types that a key column may have, below its domains."""

_NUMBERED = frozenset({"smallint", "integer", "bigint"})

_JSON_TEXT = sql.SQL("(to_jsonb({}) #>> '{{}}')")  # ISO 8601, whatever DateStyle is
_DATES = frozenset({"date", "timestamp without time zone"})


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A column of a key. ``type_name`` is how SQL names its type, or the type below it where it ``is_domain``."""

    name: str
    type_name: str
    is_domain: bool = False

    @property
    def is_known(self) -> bool:
        """Whether a key may have this type; that of an extension may be named with its schema."""
        return self.type_name.rpartition(".")[2] in KNOWN_TYPES

    @property
    def of_row(self) -> sql.Identifier:
        """Return the column, quoted, of the table ``t``."""
        return sql.Identifier("t", self.name.replace("%", "%%"))

    def as_text(self, value: sql.Composable) -> sql.Composed:
        """Return the text as which a value of this column travels."""
        if self.type_name == _IN_UTC:
            return _JSON_TEXT.format(sql.SQL("{} AT TIME ZONE 'UTC'").format(value))
        if self.type_name in _DATES:
            return _JSON_TEXT.format(value)
        if self.type_name == "bytea":
            return sql.SQL("('\\x' || encode({}, 'hex'))").format(value)
        return sql.SQL("{}::text").format(value)

    def equalised(self, value: sql.Composable) -> sql.Composed:
        """Return a text that equal values of this column share: 1.0 and 1.00 travel as different ones."""
        base = self.type_name.rpartition(".")[2]
        if base == "numeric":
            return sql.SQL("trim_scale({})::text").format(value)
        return sql.SQL("lower({}::text)").format(value) if base == "citext" else self.as_text(value)

    def from_text(self, text: sql.Composable) -> sql.Composed:
        """Return the value that travels as this text."""
        if self.type_name == _IN_UTC:
            return sql.SQL("({}::timestamp AT TIME ZONE 'UTC')").format(text)
        return self.cast(text)

    def cast(self, text: sql.Composable) -> sql.Composed:
        """Return the value that the server reads from a text, which for dates depends on the session."""
        return sql.SQL("{}::{}").format(text, sql.SQL(self.type_name))


@dataclass(frozen=True, slots=True)
class RowKey:
    """The columns of a key, in order. ``is_native``: it travels as a value of its one column's type.

    ``may_be_null``: a row may have none, and is not seen then. ``is_path``: its column is the one that a flip changes,
    so that a row that was flipped has another key.
    """

    columns: tuple[KeyColumn, ...]
    may_be_null: bool = False
    is_path: bool = False

    @classmethod
    def of(cls, name: str, type_name: str) -> RowKey:
        """Return that of a single column."""
        return cls((KeyColumn(name, type_name),))

    def __str__(self) -> str:
        return ", ".join(column.name for column in self.columns)

    @property
    def is_native(self) -> bool:
        """Whether keys are numbers, uuids or texts themselves, which are in order without the server's help."""
        return len(self.columns) == 1 and self.columns[0].type_name in NATIVE_TYPES

    @property
    def grows(self) -> bool:
        """Whether new rows mostly have the largest key: those of a sequence do."""
        return len(self.columns) == 1 and self.columns[0].type_name in _NUMBERED

    @property
    def type_name(self) -> str:
        """Return the SQL type as which keys travel."""
        return self.columns[0].type_name if self.is_native else "text"

    @property
    def is_text(self) -> bool:
        """Whether keys travel as texts, which are as the database's encoding has them."""
        return self.type_name in TEXT_TYPES

    @property
    def array_type(self) -> sql.SQL:
        """Return the SQL type of an array of keys."""
        return sql.SQL(f"{self.type_name}[]")

    def value(self) -> sql.Composable:
        """Return the key of a row, as it travels."""
        if not self.is_native:
            return _joined([column.as_text(column.of_row) for column in self.columns])
        (column,) = self.columns
        return column.cast(column.of_row) if column.is_domain else column.of_row

    def equalised(self, key: sql.Composable) -> sql.Composed:
        """Return a text that equal keys share, of one that travels as a text or that a person wrote.

        For a session whose DateStyle is ISO and whose TimeZone is UTC: what a person writes may have an offset.
        """
        parts = zip(self.columns, self._texts(key), strict=True)
        return _joined([column.equalised(column.cast(text)) for column, text in parts])

    def given(self, key: sql.Composable) -> list[sql.Composable]:
        """Return the columns' values from a key that travels."""
        if self.is_native:
            return [key]
        return [column.from_text(text) for column, text in zip(self.columns, self._texts(key), strict=True)]

    def _texts(self, key: sql.Composable) -> list[sql.Composable]:
        """Return the columns' texts from a key that travels as a text."""
        if len(self.columns) == 1:
            return [key]
        return [sql.SQL("({}::jsonb ->> {})").format(key, sql.Literal(at)) for at, _ in enumerate(self.columns)]

    def histogram_bounds(self, bounds: sql.Composable) -> sql.Composed:
        """Return an array of keys from statistics of the one column, which are an array of whatever type it has."""
        (column,) = self.columns
        values = sql.SQL("{}::text::{}[]").format(bounds, sql.SQL(column.type_name))
        if self.is_native:
            return values
        return sql.SQL("ARRAY(SELECT {} FROM unnest({}) AS bound)").format(
            column.as_text(sql.Identifier("bound")), values
        )

    def order(self) -> sql.Composed:
        """Return what rows are ordered by."""
        return sql.SQL(", ").join(column.of_row for column in self.columns)

    def is_key(self, key: sql.Composable) -> sql.Composed:
        """Return the condition that a row has this key."""
        return _all_equal((column.of_row for column in self.columns), self.given(key))

    def is_there(self) -> sql.Composable:
        """Return the condition that a row has a key."""
        if not self.may_be_null:
            return sql.SQL("true")
        return sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(column.of_row) for column in self.columns)

    def is_free(self) -> sql.Composed:
        """Return the condition that a row ``t`` is that of the row ``free``; see ``free_columns``."""
        if self.is_native:
            return self.is_key(sql.SQL("free.key"))
        own = [sql.Identifier("free", f"key_{at}") for at, _ in enumerate(self.columns)]
        return _all_equal((column.of_row for column in self.columns), own)

    def free_columns(self) -> sql.Composed:
        """Return the columns of ``free``, of rows ``t`` that were joined with keys ``v``: ``key`` and what it is of."""
        if self.is_native:
            return sql.SQL("{} AS key").format(self.value())
        own = [
            sql.SQL("{} AS {}").format(column.of_row, sql.Identifier(f"key_{at}"))
            for at, column in enumerate(self.columns)
        ]
        return sql.SQL(", ").join([sql.SQL("v.key AS key"), *own])

    def compared(self, operator: sql.SQL, bound: sql.Composable, key: sql.Composable | None = None) -> sql.Composed:
        """Return the condition that keys are on that side of a bound, by the order of the columns.

        They are those of rows, or a ``key`` that travels.
        """
        ours = self.order() if key is None else sql.SQL(", ").join(self.given(key))
        values = sql.SQL(", ").join(self.given(sql.SQL("{}::{}").format(bound, sql.SQL(self.type_name))))
        pair = "{} {} {}" if len(self.columns) == 1 else "({}) {} ({})"
        return sql.SQL(pair).format(ours, operator, values)

    def among(self, keys: sql.Composable) -> sql.Composed:
        """Return the condition that the key of a row is in an array of keys, which are of ``array_type``."""
        if self.is_native:
            return sql.SQL("{} = ANY({}::{})").format(self.order(), keys, self.array_type)
        values = sql.SQL(", ").join(self.given(sql.SQL("given.key")))
        wanted = sql.SQL("SELECT {} FROM unnest({}::text[]) AS given(key)").format(values, keys)
        return sql.SQL("({}) IN ({})").format(self.order(), wanted)


@cache
def fragments(key: RowKey) -> Mapping[str, sql.Composable]:
    """Return what statements say of keys, by name. The table is ``t`` in all of them.

    Else ORDER BY would take the name of a column for that of the result. ``key`` is that of a row as it travels, and
    ``order`` is what rows are ordered by. ``keys`` is the type of an array of keys, and ``among`` the condition that a
    row's is in one, which is a parameter. ``is_wanted`` joins a row with a key ``v``, ``is_free`` with the row ``free``
    of ``free_columns``; ``keeps_key``: it is still that row after a flip. ``has_key``: a row has one.
    """
    return {
        "key": key.value(),
        "order": key.order(),
        "keys": key.array_type,
        "among": key.among(sql.SQL("%b")),
        "is_wanted": key.is_key(sql.SQL("v.key")),
        "is_free": key.is_free(),
        "keeps_key": sql.SQL("true") if key.is_path else key.is_free(),
        "has_key": key.is_there(),
        "free_columns": key.free_columns(),
    }


def _joined(texts: Sequence[sql.Composed]) -> sql.Composed:
    if len(texts) == 1:
        return texts[0]
    return sql.SQL("jsonb_build_array({})::text").format(sql.SQL(", ").join(texts))


def _all_equal(some: Iterable[sql.Composable], others: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(" AND ").join(sql.SQL("{} = {}").format(*pair) for pair in zip(some, others, strict=True))
