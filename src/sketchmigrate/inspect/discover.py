"""Where a database mentions legacy: every column that may hold references is looked at, in a sample or in full.

Nothing is written, every statement is short, and what cannot be looked at is named.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from psycopg import sql

from sketchmigrate.core.errors import DatabaseBusy, DatabaseError, DatabaseRefused, DatabaseUnreachable
from sketchmigrate.inspect.mention_patterns import Sought
from sketchmigrate.inspect.mention_shapes import Eye, Form, Place, Sights, chosen_forms, entries
from sketchmigrate.ledger.postgres.tables import SCHEMA_NAME
from sketchmigrate.postgres.blocking import table_locks
from sketchmigrate.postgres.mentions import pages, sample
from sketchmigrate.postgres.text_columns import (
    ColumnKind,
    read_bearing,
    read_text_columns,
    schemas_of,
)
from sketchmigrate.settings.entries import ReferenceEntry
from sketchmigrate.settings.values import table_name
from sketchmigrate.settings.writing import written_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from psycopg import AsyncConnection

    from sketchmigrate.core.shapes.contract import Shape
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.mentions import Looked
    from sketchmigrate.postgres.session import Session
    from sketchmigrate.postgres.text_columns import Bearing, NotMigrated, TextCatalogue, TextColumn, TextTable
    from sketchmigrate.settings import Settings
    from sketchmigrate.settings.lists import Lists


@dataclass(frozen=True, slots=True)
class FoundColumn:
    """A column with legacy references. ``table`` is its name as settings have it.

    ``rows`` mention legacy; of them sources cover ``covered_rows`` already, ``unmovable_rows`` have a reference that
    cannot be moved as it is, and ``left_rows`` are written in a way that none of the ``entries`` reads. All are counted
    where ``is_counted``, else estimated by a sample. ``why_no_entry`` says why there is no entry. ``moves`` are those
    that its keys take. ``told_by_row``: the sources that cover it tell the sides of a row by ``where`` and ``set``, so
    that its keys may be those of either.
    """

    table: str
    column: str
    type_name: str
    forms: Mapping[Form, int]
    rows: int
    is_counted: bool
    covered_rows: int
    covered_by: tuple[str, ...]
    unmovable_rows: int
    left_rows: int
    examples: tuple[str, ...]
    key: tuple[str, ...]
    indexes: tuple[str, ...]
    triggers: tuple[str, ...]
    moves: tuple[str, ...]
    entries: tuple[ReferenceEntry, ...]
    why_no_entry: str = ""
    told_by_row: bool = False

    @property
    def is_covered(self) -> bool:
        """Whether sources cover all that was found in it."""
        return bool(self.covered_by) and self.covered_rows >= self.rows


@dataclass(frozen=True, slots=True)
class OtherColumn:
    """A column of which ``rows`` have something that is no reference, but that a person may want to know of."""

    table: str
    column: str
    rows: int
    is_counted: bool
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotLookedAt:
    """A table that could not be looked at, or not to its end, and ``why``."""

    table: str
    why: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found. ``rows`` were looked at, in ``tables`` tables of the ``schemas``.

    ``naming`` are columns that mention legacy in a way that no entry reads, ``media_types`` those with media types that
    begin as legacy keys do, ``too_long`` those with values that were too long to be read. ``unreadable`` are columns
    without the right to SELECT, by table and column, and ``hidden`` the tables of which row-level security may hide
    rows. Keys of the moves in ``empty_prefixes`` cannot be found.
    """

    schemas: tuple[str, ...]
    is_full: bool
    tables: int
    rows: int
    columns: tuple[FoundColumn, ...]
    naming: tuple[OtherColumn, ...]
    media_types: tuple[OtherColumn, ...]
    too_long: tuple[OtherColumn, ...]
    unreadable: tuple[tuple[str, str], ...]
    hidden: tuple[str, ...]
    not_looked_at: tuple[NotLookedAt, ...]
    not_migrated: tuple[NotMigrated, ...]
    empty_prefixes: tuple[str, ...]

    @property
    def columns_not_covered(self) -> tuple[FoundColumn, ...]:
        """The columns with references that no source covers, or not all of them."""
        return tuple(column for column in self.columns if not column.is_covered)

    @property
    def columns_of_legacy(self) -> tuple[FoundColumn, ...]:
        """The columns in which what was found tells that something is on the legacy side."""
        return tuple(column for column in self.columns if not (column.told_by_row and column.is_covered))

    @property
    def is_complete(self) -> bool:
        """Whether every column was read in which references could be."""
        return not (self.unreadable or self.hidden or self.not_looked_at or self.too_long)


def classic_source(settings: Settings) -> ReferenceEntry:
    """Return the source of a site without REFERENCES."""
    return ReferenceEntry(
        table=settings.db_table, key=(settings.db_key_column,), column=settings.db_path_column, shape="key"
    )


def sources_of(settings: Settings, lists: Lists) -> tuple[ReferenceEntry, ...]:
    """Return the sources of a site: the entries of REFERENCES, or the one of the classic settings."""
    return lists.references or (classic_source(settings),)


async def discover(
    database: Database,
    lists: Lists,
    *,
    sources: Sequence[ReferenceEntry] | None = None,
    schemas: Sequence[str] = (),
    full: bool = False,
    reach: Callable[[int, int | None], None] = lambda _done, _total: None,
) -> Discovery:
    """Look through the ``schemas``, or all that are not the system's, for what ``lists`` call legacy.

    ``sources`` are those that are covered already, unless given those of the lists. ``reach`` hears how many rows of
    how many, with ``full``, or else tables, are done. Raises ``DatabaseRefused`` for a schema that is not there, and
    ``DatabaseUnreachable``; a table that cannot be looked at is in the result.
    """
    sought = Sought(lists)
    given = lists.references if sources is None else tuple(sources)
    async with database.session() as session:
        catalogue = await session.run(_catalogue, tuple(schemas), doing="reading the catalogue")
        covering = [(table_name(source.table), source, lists.shape_of(source)) for source in given]
        survey = _Survey(session, sought, full=full, reach=reach, catalogue=catalogue)
        for table in catalogue.tables:
            await survey.look_at(table, [each for each in covering if table.is_named(each[0])])
    return survey.result()


async def _catalogue(connection: AsyncConnection, wanted: tuple[str, ...]) -> TextCatalogue:
    there = await schemas_of(connection)
    missing = [name for name in wanted if name not in there]
    if missing:
        hint = f"There are: {', '.join(there)}." if there else "There is none but the system's."
        raise DatabaseRefused(f"there is no schema {missing[0]!r} in the database", hint=hint)
    return await read_text_columns(connection, wanted or tuple(name for name in there if name != SCHEMA_NAME))


def likely_rows(by_sample: int, by_statistics: int) -> int:
    """Return how many rows a table has: statistics are more exact than a sample, unless they are old."""
    is_near = by_sample / 2 <= by_statistics <= 2 * by_sample
    return by_statistics if is_near else by_sample


_Covering = tuple[tuple[str, ...], ReferenceEntry, "Shape"]


class _Survey:
    """Goes from table to table, and gathers what it finds."""

    def __init__(
        self,
        session: Session,
        sought: Sought,
        *,
        full: bool,
        reach: Callable[[int, int | None], None],
        catalogue: TextCatalogue,
    ) -> None:
        self._session, self._sought, self._full, self._reach = session, sought, full, reach
        self._catalogue = catalogue
        self._eyes = {kind: Eye(sought, kind) for kind in ColumnKind}
        self._patterns = {kind: sought.patterns(kind) for kind in ColumnKind}
        estimated = sum(table.estimated_rows for table in catalogue.tables)
        self._total = estimated or None if full else len(catalogue.tables)
        self._tables = self._rows = 0
        self._found: dict[str, list[Any]] = {"columns": [], "naming": [], "media_types": [], "too_long": []}
        self._not_looked_at: list[NotLookedAt] = []

    async def look_at(self, table: TextTable, covering: Sequence[_Covering]) -> None:
        """Look at all columns of a table that may be read."""
        shown = written_table(table.path)
        sights = {
            column.name: Sights(
                self._eyes[column.kind], [shape for _, source, shape in covering if source.column == column.name]
            )
            for column in table.readable
        }
        looked_at, table_rows, is_whole = 0, 0, self._full
        try:
            if self._full and sights:
                async with aclosing(pages(self._session, table, self._patterns)) as looks:
                    async for looked in looks:
                        self._take(looked, sights)
                        looked_at += looked.rows
            elif sights:
                sampled = await sample(self._session, table, self._patterns)
                self._take(sampled.looked, sights)
                looked_at, table_rows, is_whole = sampled.looked.rows, sampled.table_rows, sampled.is_whole
        except DatabaseUnreachable:
            raise
        except DatabaseError as error:
            self._not_looked_at.append(NotLookedAt(shown, await self._why(table, error)))
            is_whole = False
        self._tables += bool(sights)
        if not self._full:
            self._reach(self._tables, self._total)
        of_one = (
            1.0 if is_whole or not looked_at else max(1.0, likely_rows(table_rows, table.estimated_rows) / looked_at)
        )
        for column in table.readable:
            await self._conclude(table, column, sights[column.name], covering, of_one, is_counted=is_whole)

    def _take(self, looked: Looked, sights: Mapping[str, Sights]) -> None:
        for name, of_column in sights.items():
            for value in looked.values[name]:
                of_column.add(value)
            of_column.add_too_long(looked.too_long[name])
        self._rows += looked.rows
        if self._full:
            self._reach(self._rows, self._total)

    async def _why(self, table: TextTable, error: DatabaseError) -> str:
        """Say why a table could not be looked at, and who holds it."""
        if not isinstance(error, DatabaseBusy):
            return error.message
        name = sql.Identifier(table.schema, table.name).as_string()
        blockers = await self._session.run(
            partial(table_locks, relations=[name], is_flip=False), doing="looking who holds a lock"
        )
        if not blockers:
            return error.message
        return f"{error.message}; the lock is {blockers[0].named(with_state=True)}"

    async def _conclude(
        self,
        table: TextTable,
        column: TextColumn,
        sights: Sights,
        covering: Sequence[_Covering],
        of_one: float,
        *,
        is_counted: bool,
    ) -> None:
        shown = written_table(table.path)
        for what, rows, examples in (
            ("naming", sights.other, sights.other_examples),
            ("media_types", sights.media, ()),
            ("too_long", sights.too_long, ()),
        ):
            if rows:
                other = OtherColumn(shown, column.name, round(rows * of_one), is_counted, examples)
                self._found[what].append(other)
        if not sights.rows:
            return
        bearing = await self._bearing(table, column)
        made, why_not = self._entries(table, column, sights)
        key = table.key_beside(column.name)
        chosen = chosen_forms(column.kind, sights.forms or sights.unmovable_forms) if made else ()
        self._found["columns"].append(
            FoundColumn(
                table=shown,
                column=column.name,
                type_name=column.type_name,
                forms={form: round(rows * of_one) for form, rows in (sights.forms + sights.unmovable_forms).items()},
                rows=round(sights.rows * of_one),
                is_counted=is_counted,
                covered_rows=round(sights.covered * of_one),
                covered_by=tuple(source.title for _, source, _ in covering if source.column == column.name),
                unmovable_rows=round(sights.unmovable * of_one),
                left_rows=round(sights.left(chosen) * of_one),
                examples=sights.examples,
                key=tuple(part.name for part in key.columns) if key is not None else (),
                indexes=bearing.indexes,
                triggers=bearing.triggers,
                moves=tuple(sights.moves),
                entries=made,
                why_no_entry=why_not,
                told_by_row=any(source.column == column.name for _, source, _ in covering)
                and all(source.where and source.set for _, source, _ in covering if source.column == column.name),
            )
        )

    async def _bearing(self, table: TextTable, column: TextColumn) -> Bearing:
        return await self._session.run(read_bearing, table.oid, column.name, doing="reading the catalogue")

    def _entries(self, table: TextTable, column: TextColumn, sights: Sights) -> tuple[tuple[ReferenceEntry, ...], str]:
        """Return the entries that cover a column, or why there is none."""
        key = table.key_beside(column.name)
        if key is None:
            return (), "nothing that is unique and never NULL tells its rows apart"
        try:
            made = entries(
                Place(written_table(table.path), tuple(part.name for part in key.columns), column.name),
                column.kind,
                sights,
            )
        except ValueError as error:
            return (), f"settings cannot name it: {' '.join(str(error).split())}"
        if self._sought.why_no_keys and any(not entry.holds_urls or entry.value == "key" for entry in made):
            return (), f"its keys do not tell which move they take: {self._sought.why_no_keys}"
        return made, ""

    def result(self) -> Discovery:
        """Return what was found."""
        tables = self._catalogue.tables
        return Discovery(
            schemas=self._catalogue.schemas,
            is_full=self._full,
            tables=self._tables,
            rows=self._rows,
            unreadable=tuple(
                (written_table(table.path), column.name)
                for table in tables
                for column in table.columns
                if not column.may_select
            ),
            hidden=tuple(written_table(table.path) for table in tables if table.hides_rows),
            not_looked_at=tuple(self._not_looked_at),
            not_migrated=self._catalogue.not_migrated,
            empty_prefixes=self._sought.empty_prefixes,
            **{name: tuple(found) for name, found in self._found.items()},
        )
