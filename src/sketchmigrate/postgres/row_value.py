"""The value of a row in SQL: the text of its columns that a flip compares and exchanges as a whole.

It is the text of the one column that holds the references, or a JSON array of the texts of several (``core.layout``):
the column, those that a flip sets beside it, and those that the SQL of the settings reads. That SQL is the settings'
own; it sees the columns of the value and nothing else, whatever they are called. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from psycopg import sql

from sketchmigrate.core.rule import SideName
from sketchmigrate.postgres.row_key import KeyColumn

if TYPE_CHECKING:
    from sketchmigrate.core.mapping import Mapping
    from sketchmigrate.core.shapes.contract import Patterns


@dataclass(frozen=True, slots=True)
class ValueColumn:
    """A column of a value. ``type_name`` is how SQL names its type, or the one below its domains, without a length.

    ``is_text``: a text is assigned to it as it is.
    """

    name: str
    type_name: str = "text"
    is_text: bool = True

    @property
    def _typed(self) -> KeyColumn:
        return KeyColumn(self.name, self.type_name)

    @property
    def quoted(self) -> sql.Identifier:
        """Return its name."""
        return sql.Identifier(self.name.replace("%", "%%"))

    @property
    def of_row(self) -> sql.Identifier:
        """Return it, of the table ``t``."""
        return sql.Identifier("t", self.name.replace("%", "%%"))

    def text_of(self, value: sql.Composable) -> sql.Composable:
        """Return the text of a value of the column, which is the same in every session."""
        return self._typed.as_text(value)

    def text(self) -> sql.Composable:
        """Return the text that a row has in it."""
        return self.text_of(self.of_row)

    def value_of(self, text: sql.Composable) -> sql.Composable:
        """Return the value of the column's type that has this text."""
        return self._typed.from_text(text)

    def from_text(self, text: sql.Composable) -> sql.Composable:
        """Return what is assigned to the column for a text; its length is checked then."""
        return text if self.is_text else self.value_of(text)


@dataclass(frozen=True, slots=True)
class RowValue:
    """The columns of a value, in order. ``where`` is an SQL condition that a row must meet to be flipped; see above.

    ``alias`` is what the SQL may call the row.
    """

    column: ValueColumn | None
    sets: tuple[ValueColumn, ...] = ()
    reads: tuple[ValueColumn, ...] = ()
    where: str = ""
    alias: str = "t"

    @classmethod
    def of(cls, column: str) -> RowValue:
        """Return that of a single column of a text type."""
        return cls(ValueColumn(column))

    @property
    def columns(self) -> tuple[ValueColumn, ...]:
        """All of them."""
        own = () if self.column is None else (self.column,)
        return (*own, *self.sets, *self.reads)

    @property
    def name_of_row(self) -> sql.Identifier:
        """What the SQL may call the row."""
        return sql.Identifier(self.alias.replace("%", "%%"))

    @property
    def is_plain(self) -> bool:
        """Whether the value is the text of the one column."""
        return self.column is not None and not self.sets and not self.reads

    def backwards(self) -> RowValue:
        """Return that of a rollback, whose rows do not meet the condition any more."""
        return replace(self, where="")

    def text(self) -> sql.Composable:
        """Return the text of the column of the references; NULL where there is none."""
        return sql.SQL("NULL::text") if self.column is None else self.column.text()

    def value(self) -> sql.Composable:
        """Return the value of a row, a text."""
        if self.is_plain:
            return self.text()
        texts = [column.text() for column in self.columns]
        return sql.SQL("jsonb_build_array({})::text").format(sql.SQL(", ").join(texts))

    def assignments(self, new: sql.Composable) -> sql.Composable:
        """Return what an UPDATE sets, from a new value."""
        if self.is_plain and self.column is not None:
            return sql.SQL("{} = {}").format(self.column.quoted, self.column.from_text(new))
        written = [*([] if self.column is None else [self.column]), *self.sets]
        return sql.SQL(", ").join(
            sql.SQL("{} = {}").format(column.quoted, column.from_text(_nth(new, at)))
            for at, column in enumerate(written)
        )

    def may_be_on(self, side: SideName, mapping: Mapping) -> tuple[sql.Composable, dict[str, list[str] | str]]:
        """Return the condition that a row may be on a side, and the parameters that it names; see ``is_told``."""
        if not mapping.sides_by_row:
            matches, values = matching(self.text(), mapping.shape.patterns(side), side.value)
            return (sql.SQL("({} AND {})").format(matches, self.meets()) if self.where else matches), values
        if side is SideName.LEGACY:
            return self.meets(), {}
        assert mapping.layout is not None  # noqa: S101 - there are columns that a flip sets
        matches, values = matching(self.text(), mapping.shape.patterns(side), side.value)
        as_set = [
            sql.SQL("{} IS NOT DISTINCT FROM {}").format(column.text(), sql.Literal(text))
            for column, text in zip(self.sets, mapping.layout.sets, strict=True)
        ]
        return sql.SQL("({})").format(sql.SQL(" AND ").join([matches, *as_set])), values

    def meets(self) -> sql.Composable:
        """Return the condition of the settings for a row ``t``; true where there is none."""
        return self.computed(self.where) if self.where else sql.SQL("true")

    def computed(self, expression: str) -> sql.Composable:
        """Return what SQL of the settings gives for a row ``t``."""
        columns = (sql.SQL("{} AS {}").format(column.of_row, column.quoted) for column in self.columns)
        return self._over(expression, sql.SQL("SELECT {}").format(sql.SQL(", ").join(columns)))

    def computed_from(self, expression: str, value: sql.Composable) -> sql.Composable:
        """Return what SQL of the settings gives for a value."""
        texts = [value] if self.is_plain else [_nth(value, at) for at, _ in enumerate(self.columns)]
        columns = (
            sql.SQL("{} AS {}").format(column.value_of(text), column.quoted)
            for text, column in zip(texts, self.columns, strict=True)
        )
        return self._over(expression, sql.SQL("SELECT {}").format(sql.SQL(", ").join(columns)))

    def _over(self, expression: str, row: sql.Composable) -> sql.Composable:
        """Return what SQL gives over the one row of a query. A newline ends a comment that it may end with."""
        own = sql.SQL(expression.replace("%", "%%"))
        return sql.SQL("(SELECT ({}\n) FROM ({}) AS {})").format(own, row, self.name_of_row)


def is_told(mapping: Mapping) -> bool:
    """Whether SQL alone tells the side of a row: of any other it tells those that may be on one."""
    return not mapping.sides_by_row and mapping.shape.patterns(SideName.LEGACY).is_exact


def matching(text: sql.Composable, patterns: Patterns, name: str) -> tuple[sql.Composable, dict[str, list[str] | str]]:
    """Return the condition that a text matches patterns, and the parameters that it names, each beginning so."""
    operator = sql.SQL("ILIKE" if patterns.ignores_case else "LIKE")
    conditions: list[sql.Composable] = []
    values: dict[str, list[str] | str] = {}
    for number, group in enumerate(patterns.groups):
        parameter = f"{name}_{number}" if number else name
        # one pattern by itself may use an index, and an array costs a little for each row
        template = '{} COLLATE "C" {} {}' if len(group) == 1 else '{} COLLATE "C" {} ANY ({}::text[])'
        conditions.append(sql.SQL(template).format(text, operator, sql.Placeholder(parameter)))
        values[parameter] = group[0] if len(group) == 1 else list(group)
    return sql.SQL(" AND ").join(conditions or [sql.SQL("true")]), values


def _nth(value: sql.Composable, at: int) -> sql.Composed:
    return sql.SQL("({}::jsonb ->> {})").format(value, sql.Literal(at))
