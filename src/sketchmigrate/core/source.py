"""A source of references: a table, where in a row they stand, which rows are legacy, and what a flip sets. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sketchmigrate.core.routes import Routes
    from sketchmigrate.core.shapes.contract import Shape


@dataclass(frozen=True, slots=True)
class Source:
    """What the settings say of one source. ``number`` is its place among them, as ledgers have it.

    ``key`` are the columns of the key; empty: the catalogue tells. ``column`` holds the references; where it is empty
    they are computed by ``expression``, SQL that gives ``text`` or ``text[]``. ``shape`` says where in the value (of
    the column, or computed) they stand, and ``shape_name`` how the settings call it.

    ``sets`` are further columns, and the literals that a flip sets them to. ``where`` is an SQL condition; with
    ``sets`` it tells which rows are legacy, else which rows count at all. ``also_move`` is SQL that gives further
    legacy keys of a row. ``reads`` are the columns that the SQL of this source sees besides ``column`` and ``sets``.
    ``partial``: a row of which some objects cannot be brought is flipped for the others.
    """

    name: str
    number: int
    table: str
    key: tuple[str, ...]
    column: str
    shape: Shape
    shape_name: str
    routes: Routes
    sets: tuple[tuple[str, str | int | float | bool], ...] = ()
    where: str = ""
    reads: tuple[str, ...] = ()
    expression: str = ""
    also_move: str = ""
    partial: bool = False
    is_classic: bool = False
    """Whether it is that of DB_TABLE, DB_KEY_COLUMN and DB_PATH_COLUMN, and not an entry of REFERENCES."""

    @property
    def sides_by_row(self) -> bool:
        """Whether the row tells the side that it is on, by ``where`` and ``sets``, and not its references."""
        return bool(self.sets and self.where)

    @property
    def written(self) -> tuple[str, ...]:
        """Return the columns that a flip sets."""
        return (*((self.column,) if self.column else ()), *(name for name, _ in self.sets))

    @property
    def columns(self) -> tuple[str, ...]:
        """Return all columns that are read besides the key, in the order in which they stand in a row's value."""
        return tuple(dict.fromkeys((*self.written, *self.reads)))

    @property
    def is_plain(self) -> bool:
        """Whether the value of a row is that of its one column."""
        return self.columns == (self.column,) and not self.sets

    @property
    def is_of_keys(self) -> bool:
        """Whether the value of a row is a key and nothing more, so that SQL tells its side without a condition."""
        return self.is_plain and self.shape_name == "key" and not self.where

    def setting(self, what: str) -> str:
        """Return how the settings call a part of it (``table``, ``key``, ``column``, …), for hints."""
        if not self.is_classic:
            return f"{what} of the source {self.name!r}"
        return {"table": "DB_TABLE", "key": "DB_KEY_COLUMN", "column": "DB_PATH_COLUMN"}[what]
