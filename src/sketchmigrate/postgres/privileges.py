"""Whether the table is there and can be paged and flipped, and what about it a person should know. Only reads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import sql

from sketchmigrate.core.errors import DatabaseRefused, RowsHidden, SettingsError
from sketchmigrate.core.keys import TEXT_TYPES
from sketchmigrate.core.notation import prefixes
from sketchmigrate.core.rule import SideName
from sketchmigrate.postgres import structure
from sketchmigrate.postgres.faults import translate
from sketchmigrate.postgres.key_choice import choose_key, key_notices
from sketchmigrate.postgres.row_value import RowValue, ValueColumn
from sketchmigrate.postgres.table import MOST_MOVED_ROWS, Table
from sketchmigrate.settings.values import table_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import AsyncConnection

    from sketchmigrate.core.source import Source
    from sketchmigrate.postgres.structure import Column, OnUpdate, Relation

_NOT_TABLES = {
    "v": ("a view", "Set {table} to the table that it shows."),
    "m": ("a materialized view", "Set {table} to the table that it is made from."),
    "f": ("a foreign table", "Point DB_HOST and DB_NAME at the database that has its rows."),
    "i": ("an index", "Set {table} to its table."),
    "I": ("an index", "Set {table} to its table."),
    "S": ("a sequence", "Set {table} to the table whose keys it makes."),
    "c": ("a type", "Set {table} to a table."),
    "t": ("storage for the long values of a table", "Set {table} to a table."),
}

_SHOWS_A_ROW: LiteralString = "SELECT EXISTS (SELECT FROM {table})"

_SEE_ALL = "Use a user who sees every row: ALTER ROLE … BYPASSRLS, or a policy FOR ALL … USING (true)."


async def inspect_table(connection: AsyncConnection, source: Source, *, for_writing: bool) -> Table:
    """Describe the table of a source, or raise ``DatabaseRefused`` saying what is missing and how to mend it.

    With ``for_writing`` the right to update the path column is required and the server must accept writes. Only the
    catalog is read: whoever has locked the table is not waited for.
    """
    try:
        # behind a pooler this is also what tells that transactions are possible
        async with connection.transaction():
            return await _inspect(connection, source, for_writing=for_writing)
    except psycopg.errors.InsufficientPrivilege as error:  # everyone may read the catalog: it is the schema
        schema = sql.Identifier(table_name(source.table)[0]).as_string(connection)
        hint = (
            f"GRANT USAGE ON SCHEMA {schema} TO {connection.info.user}; the command grants prints all that is needed."
        )
        raise DatabaseRefused(f"table {source.table} cannot be looked at: {error}", hint=hint) from error
    except psycopg.Error as error:
        raise translate(error, f"looking at table {source.table}") from error


async def with_key(connection: AsyncConnection, source: Source) -> Source:
    """Return a source with the key that the catalogue has for it. Raises ``DatabaseRefused``."""
    try:
        async with connection.transaction():
            name = table_name(source.table)
            relation = await structure.find(connection, sql.Identifier(*name).as_string(connection))
            if relation is None:
                raise await _no_table(connection, source, name)
            _check_relation(relation, source)
            columns = await structure.columns_of(connection, relation)
            indexes = await structure.unique_indexes(connection, relation)
    except psycopg.Error as error:
        raise translate(error, f"looking at table {source.table}") from error
    key = choose_key(source, columns, indexes, is_view=relation.kind == "v")
    return replace(source, key=tuple(column.name for column in key.columns))


async def check_rows_are_shown(connection: AsyncConnection, table: Table) -> None:
    """Raise ``RowsHidden`` where row-level security shows this user none of the rows. psycopg's errors pass through."""
    if not table.estimated_rows:
        return
    row: Any = await (await connection.execute(table.compose(_SHOWS_A_ROW), ())).fetchone()
    if not row[0]:
        user, name = connection.info.user, ".".join(table.name)
        message = f"row-level security shows user {user} no row of {name}, which has about {table.estimated_rows:,}"
        raise RowsHidden(message, hint=_SEE_ALL)


def hidden_rows(tables: str) -> RowsHidden:
    """Return the error of a command that has to see every row, where row-level security applies to this user."""
    message = f"row-level security on {tables} is active for this user: a row that it hides may be legacy"
    return RowsHidden(message, hint=_SEE_ALL)


def hidden_meanwhile(tables: str) -> RowsHidden:
    """Return the error of a run during which row-level security became active."""
    message = f"row-level security on {tables} became active for this user meanwhile: rows may be hidden"
    return RowsHidden(f"{message}, and the counts are of those that were seen", hint=f"{_SEE_ALL} Then run it again.")


async def _inspect(connection: AsyncConnection, source: Source, *, for_writing: bool) -> Table:
    name = table_name(source.table)
    relation = await structure.find(connection, sql.Identifier(*name).as_string(connection))
    if relation is None:
        raise await _no_table(connection, source, name)
    _check_relation(relation, source)
    is_view = relation.kind == "v"
    columns = await structure.columns_of(connection, relation)
    only = columns.get(source.key[0]) if len(source.key) == 1 else None
    is_needed = not is_view and (only is None or not only.unique)  # of a single column it is known already
    indexes = await structure.unique_indexes(connection, relation) if is_needed else []
    key = choose_key(source, columns, indexes, is_view=is_view)
    for each in key.columns:
        if not columns[each.name].may_select:
            raise _missing("SELECT", each.name, source.table, relation.user)
    value = _check_value(columns, source, relation.user, for_writing=for_writing)
    if for_writing and (relation.is_standby or relation.is_read_only):
        hint = "Point DB_HOST at the primary."
        if not relation.is_standby:
            hint = "See where default_transaction_read_only is set (server, database, role), and set it to off there."
        raise DatabaseRefused("the database is read-only (a standby, or default_transaction_read_only)", hint=hint)
    lacking = {side: await _lacking(connection, relation, prefixes(source.routes, side)) for side in SideName}
    if any(lacking[SideName.LEGACY]):
        prefix = lacking[SideName.LEGACY][0]
        message = f"the database's encoding {relation.encoding} has not all of LEGACY_PREFIX {prefix!r}"
        raise DatabaseRefused(f"{message}: no row begins with it", hint="Set LEGACY_PREFIX to what the rows have.")
    meets = await structure.on_update(connection, relation, source.written)
    column = columns.get(source.column)
    max_chars, max_bytes = _lengths(column, relation) if column is not None else (None, None)
    notices = (*_notices(relation, meets), *key_notices(key, indexes))
    for prefix in lacking[SideName.PRODUCTION]:
        notices = (*notices, _cannot_hold(relation, prefix))
    return Table(
        name=name,
        key=key,
        path_column=source.column or source.sets[0][0],
        max_path_chars=max_chars,
        max_path_bytes=max_bytes,
        estimated_rows=relation.estimated_rows if relation.estimated_rows >= 0 else None,
        notices=notices,
        is_partitioned=relation.kind == "p",
        path_is_unique=meets.path_is_unique or is_view,  # its table is not looked at: what is stronger is right
        no_path_twice=column is not None and column.unique and column.type_name in TEXT_TYPES and value.is_plain,
        fires_after_update=bool(meets.after_triggers) or is_view,
        hides_rows=relation.hides_rows,
        encoding=relation.encoding,
        holds_production=not lacking[SideName.PRODUCTION],
        columns=None if value == RowValue.of(source.column) else value,
        set_texts=await _set_texts(connection, columns, source),
        is_view=is_view,
        moves_rows=meets.moves_rows,
    )


async def _no_table(connection: AsyncConnection, source: Source, name: tuple[str, ...]) -> DatabaseRefused:
    """Say where else there is a table of that name, or that it is in a schema that the user may not use."""
    user = connection.info.user
    setting = source.setting("table")
    hint = f"Set {setting} to its name, with the schema if it is not on the search path (schema.table)."
    for schema, may_use in await structure.schemas_with(connection, name[-1]):
        quoted = sql.Identifier(schema).as_string(connection)
        if not may_use:
            message = f"user {user} may not use the schema {schema}, which has a table {name[-1]}"
            return DatabaseRefused(message, hint=f"GRANT USAGE ON SCHEMA {quoted} TO {user};")
        hint = f"The schema {schema} has one: set {setting} to {schema}.{name[-1]}, if that is meant."
    message = f"there is no table {source.table} in the database"
    return DatabaseRefused(message, hint=f"{hint} Perhaps it was renamed or dropped.")


def _check_relation(relation: Relation, source: Source) -> None:
    name, setting = source.table, source.setting("table")
    # an entry of REFERENCES says which columns tell the rows of a view apart
    if relation.kind not in {"r", "p"} and (relation.kind != "v" or source.is_classic):
        what, hint = _NOT_TABLES.get(relation.kind, ("something else", "Set {table} to a table."))
        raise DatabaseRefused(f"{name} is {what}, not a table", hint=hint.format(table=setting))
    if not relation.may_use_schema:
        hint = f"GRANT USAGE ON SCHEMA {relation.schema} TO {relation.user};"
        raise DatabaseRefused(f"user {relation.user} may not use the schema of {name}", hint=hint)
    if relation.kind == "r" and relation.children:
        raise DatabaseRefused(
            f"tables inherit from {name}: {', '.join(relation.children)}",
            hint=f"Migrate each by itself: set {setting} to one after the other, and to this one once none inherits"
            " from it (ALTER TABLE … NO INHERIT).",
        )
    if relation.foreign_partitions:
        raise DatabaseRefused(
            f"partitions of {name} are foreign tables: {', '.join(relation.foreign_partitions)}",
            hint=f"Set {setting} to each of the other partitions, and migrate those in the database that has them.",
        )


async def _lacking(connection: AsyncConnection, relation: Relation, texts: Sequence[str]) -> list[str]:
    """Return those of the texts of which the database's encoding has not all characters."""
    return [text for text in texts if not await _holds(connection, relation, text)]


async def _holds(connection: AsyncConnection, relation: Relation, text: str) -> bool:
    """Whether the database's encoding has all characters of a text."""
    if text.isascii() or relation.encoding in {"UTF8", "SQL_ASCII"}:
        return True
    try:
        async with connection.transaction():
            await connection.execute("SELECT %s::text", [text])
    except psycopg.errors.UntranslatableCharacter:
        return False
    return True


def _notices(relation: Relation, meets: OnUpdate) -> tuple[str, ...]:
    notices = []
    if meets.triggers:
        notices.append(f"Triggers fire on each flip: {', '.join(meets.triggers)}.")
    if meets.moves_rows:
        notices.append(
            "The table is partitioned by a column that a flip sets: rows move to other partitions. An UPDATE of the"
            " application that waits for such a row fails (40001, “tuple to be locked was already moved to another"
            f" partition”) and has to be made again. Flips have at most {MOST_MOVED_ROWS} rows here."
        )
    if relation.row_security:
        notices.append("Row-level security is on: rows that it hides from this user are not migrated.")
    return tuple(notices)


def _cannot_hold(relation: Relation, prefix: str) -> str:
    lacking = f"has not all of PRODUCTION_PREFIX {prefix!r}: no row can be set to it"
    return f"The database's encoding {relation.encoding} {lacking}."


def _check_value(columns: dict[str, Column], source: Source, user: str, *, for_writing: bool) -> RowValue:
    """Return the columns of the rows' value, each of which must be there, and be readable, and be changed if it is."""
    table = source.table
    written = source.written
    for name in source.columns:
        part = "column" if name == source.column else "set" if name in written else "reads"
        if name not in columns:
            hint = f"Set {source.setting(part)}: {_known(columns)}."
            raise DatabaseRefused(f"table {table} has no column {name}", hint=hint)
        column = columns[name]
        if name == source.column:
            _check_shape(column, source)
        if not column.may_select:
            raise _missing("SELECT", name, table, user)
        if name in written and column.generated:
            hint = f"Set {source.setting(part)} to the column that it is made from."
            raise DatabaseRefused(f"column {name} of table {table} is generated", hint=hint)
        if name in written and not column.can_be_set:
            hint = f"Set {source.setting('table')} to the table that it shows."
            raise DatabaseRefused(f"column {name} of the view {table} cannot be updated", hint=hint)
        if for_writing and name in written and not column.may_update:
            raise _missing("UPDATE", name, table, user)
    sets = tuple(_value_column(columns[name]) for name, _ in source.sets)
    reads = tuple(_value_column(columns[name]) for name in source.columns if name not in written)
    own = _value_column(columns[source.column]) if source.column else None
    return RowValue(own, sets, reads, source.where, alias=table_name(table)[-1])


def _value_column(column: Column) -> ValueColumn:
    return ValueColumn(column.name, column.base_type, column.category == "S")


def _check_shape(column: Column, source: Source) -> None:
    """Check that a column's type can hold values of the shape."""
    table, name = source.table, column.name
    if column.category == "E":
        hint = f"Change its type first (ALTER TABLE … ALTER {name} TYPE text): a new key is no value of an enum."
        raise DatabaseRefused(f"column {name} of table {table} is an enum ({column.type_name})", hint=hint)
    wanted = {"json": "json or jsonb", "array": "text[] or character varying[]"}.get(source.shape_name, "text")
    types = {"json": {"json", "jsonb"}, "array": {"text[]", "character varying[]"}}.get(source.shape_name)
    if column.category != "S" if types is None else column.base_type not in types:
        hint = f"Set {source.setting('column')} to the {wanted} column that holds the objects' keys."
        raise DatabaseRefused(f"column {name} of table {table} is of type {column.type_name}, not {wanted}", hint=hint)


async def _set_texts(connection: AsyncConnection, columns: dict[str, Column], source: Source) -> tuple[str | None, ...]:
    """Return what the server writes for what the source sets, in its columns' types. Raises ``SettingsError``."""
    texts: list[str | None] = []
    if source.sets:  # the same in every session, as what a flip reads
        await connection.execute("SET LOCAL timezone = 'UTC'")
        await connection.execute("SET LOCAL datestyle = 'ISO, YMD'")
    for name, value in source.sets:
        literal = sql.SQL("(%s::text)::{}").format(sql.SQL(columns[name].full_type))
        statement = sql.SQL("SELECT {}").format(_value_column(columns[name]).text_of(literal))
        text = str(value).lower() if isinstance(value, bool) else str(value)
        try:
            async with connection.transaction():
                row: Any = await (await connection.execute(statement, [text])).fetchone()
        except psycopg.Error as error:
            if connection.closed:
                raise
            said = error.diag.message_primary or error
            message = f"the source {source.name!r} sets {name} to {value!r}, which its type does not take: {said}"
            raise SettingsError(message, hint=f"Column {name} is of type {columns[name].full_type}.") from error
        texts.append(row[0])
    return tuple(texts)


def _lengths(path: Column, relation: Relation) -> tuple[int | None, int | None]:
    """Return how many characters and how many bytes of UTF-8 the column holds.

    A ``name`` is cut at a number of bytes in the database's encoding, silently. SQL_ASCII takes each byte for a
    character.
    """
    in_bytes = relation.encoding == "SQL_ASCII"
    limits = [path.max_chars if in_bytes else None, relation.max_name_bytes if path.is_name else None]
    given = [limit for limit in limits if limit is not None]
    return None if in_bytes else path.max_chars, min(given, default=None)


def _missing(privilege: str, column: str, table: str, user: str) -> DatabaseRefused:
    message = f"user {user} lacks the privilege {privilege} on column {column} of table {table}"
    return DatabaseRefused(message, hint=f"GRANT {privilege} ({column}) ON {table} TO {user};")


def _known(columns: dict[str, Column]) -> str:
    return "the table has " + ", ".join(sorted(columns))
