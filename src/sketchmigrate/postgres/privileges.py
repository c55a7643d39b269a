"""Whether the table is there and can be paged and flipped, and what about it a person should know. Only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import sql

from sketchmigrate.core.errors import DatabaseRefused, RowsHidden
from sketchmigrate.core.keys import TEXT_TYPES
from sketchmigrate.postgres import structure
from sketchmigrate.postgres.faults import translate
from sketchmigrate.postgres.row_key import KNOWN_TYPES, KeyColumn, RowKey
from sketchmigrate.postgres.table import Table
from sketchmigrate.settings import table_name

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from sketchmigrate.postgres.structure import Column, OnUpdate, Relation
    from sketchmigrate.settings import Settings


_NOT_TABLES = {
    "v": ("a view", "Set DB_TABLE to the table that it shows."),
    "m": ("a materialized view", "Set DB_TABLE to the table that it is made from."),
    "f": ("a foreign table", "Point DB_HOST and DB_NAME at the database that has its rows."),
    "i": ("an index", "Set DB_TABLE to its table."),
    "I": ("an index", "Set DB_TABLE to its table."),
    "S": ("a sequence", "Set DB_TABLE to the table whose keys it makes."),
    "c": ("a type", "Set DB_TABLE to a table."),
    "t": ("storage for the long values of a table", "Set DB_TABLE to a table."),
}

_SHOWS_A_ROW: LiteralString = "SELECT EXISTS (SELECT FROM {table})"

_SEE_ALL = "Use a user who sees every row: ALTER ROLE … BYPASSRLS, or a policy FOR ALL … USING (true)."


async def inspect_table(connection: AsyncConnection, settings: Settings, *, for_writing: bool) -> Table:
    """Describe the configured table, or raise ``DatabaseRefused`` saying what is missing and how to mend it.

    With ``for_writing`` the right to update the path column is required and the server must accept writes. Only the
    catalog is read: whoever has locked the table is not waited for.
    """
    try:
        # behind a pooler this is also what tells that transactions are possible
        async with connection.transaction():
            return await _inspect(connection, settings, for_writing=for_writing)
    except psycopg.errors.InsufficientPrivilege as error:  # everyone may read the catalog: it is the schema
        schema = sql.Identifier(table_name(settings.db_table)[0]).as_string(connection)
        hint = (
            f"GRANT USAGE ON SCHEMA {schema} TO {connection.info.user}; the command grants prints all that is needed."
        )
        raise DatabaseRefused(f"table {settings.db_table} cannot be looked at: {error}", hint=hint) from error
    except psycopg.Error as error:
        raise translate(error, f"looking at table {settings.db_table}") from error


async def check_rows_are_shown(connection: AsyncConnection, table: Table) -> None:
    """Raise ``RowsHidden`` where row-level security shows this user none of the rows. psycopg's errors pass through."""
    if not table.estimated_rows:
        return
    row: Any = await (await connection.execute(table.compose(_SHOWS_A_ROW), ())).fetchone()
    if not row[0]:
        user, name = connection.info.user, ".".join(table.name)
        message = f"row-level security shows user {user} no row of {name}, which has about {table.estimated_rows:,}"
        raise RowsHidden(message, hint=_SEE_ALL)


def hidden_rows(settings: Settings) -> RowsHidden:
    """Return the error of a command that has to see every row, where row-level security applies to this user."""
    message = f"row-level security on {settings.db_table} is active for this user: a row that it hides may be legacy"
    return RowsHidden(message, hint=_SEE_ALL)


def hidden_meanwhile(settings: Settings) -> RowsHidden:
    """Return the error of a run during which row-level security became active."""
    message = f"row-level security on {settings.db_table} became active for this user meanwhile: rows may be hidden"
    return RowsHidden(f"{message}, and the counts are of those that were seen", hint=f"{_SEE_ALL} Then run it again.")


async def _inspect(connection: AsyncConnection, settings: Settings, *, for_writing: bool) -> Table:
    name = table_name(settings.db_table)
    relation = await structure.find(connection, sql.Identifier(*name).as_string(connection))
    if relation is None:
        raise await _no_table(connection, settings, name)
    _check_relation(relation, settings)
    columns = await structure.columns_of(connection, relation)
    key = _check_key(columns, settings, relation.user)
    path = _check_path(columns, settings, relation.user, for_writing=for_writing)
    if for_writing and (relation.is_standby or relation.is_read_only):
        hint = "Point DB_HOST at the primary."
        if not relation.is_standby:
            hint = "See where default_transaction_read_only is set (server, database, role), and set it to off there."
        raise DatabaseRefused("the database is read-only (a standby, or default_transaction_read_only)", hint=hint)
    if not await _holds(connection, relation, settings.legacy_prefix):
        message = f"the database's encoding {relation.encoding} has not all of LEGACY_PREFIX {settings.legacy_prefix!r}"
        raise DatabaseRefused(f"{message}: no row begins with it", hint="Set LEGACY_PREFIX to what the rows have.")
    holds_production = await _holds(connection, relation, settings.production_prefix)
    meets = await structure.on_update(connection, relation, settings.db_path_column)
    max_chars, max_bytes = _lengths(path, relation)
    return Table(
        name=name,
        key=key,
        path_column=settings.db_path_column,
        max_path_chars=max_chars,
        max_path_bytes=max_bytes,
        estimated_rows=relation.estimated_rows if relation.estimated_rows >= 0 else None,
        notices=(*_notices(relation, meets), *([] if holds_production else [_cannot_hold(relation, settings)])),
        is_partitioned=relation.kind == "p",
        path_is_unique=meets.path_is_unique,
        no_path_twice=path.unique and path.type_name in TEXT_TYPES,
        fires_after_update=bool(meets.after_triggers),
        hides_rows=relation.hides_rows,
        encoding=relation.encoding,
        holds_production=holds_production,
    )


async def _no_table(connection: AsyncConnection, settings: Settings, name: tuple[str, ...]) -> DatabaseRefused:
    """Say where else there is a table of that name, or that it is in a schema that the user may not use."""
    user = connection.info.user
    hint = "Set DB_TABLE to its name, with the schema if it is not on the search path (schema.table)."
    for schema, may_use in await structure.schemas_with(connection, name[-1]):
        quoted = sql.Identifier(schema).as_string(connection)
        if not may_use:
            message = f"user {user} may not use the schema {schema}, which has a table {name[-1]}"
            return DatabaseRefused(message, hint=f"GRANT USAGE ON SCHEMA {quoted} TO {user};")
        hint = f"The schema {schema} has one: set DB_TABLE to {schema}.{name[-1]}, if that is meant."
    message = f"there is no table {settings.db_table} in the database"
    return DatabaseRefused(message, hint=f"{hint} Perhaps it was renamed or dropped.")


def _check_relation(relation: Relation, settings: Settings) -> None:
    name = settings.db_table
    if relation.kind not in {"r", "p"}:
        what, hint = _NOT_TABLES.get(relation.kind, ("something else", "Set DB_TABLE to a table."))
        raise DatabaseRefused(f"{name} is {what}, not a table", hint=hint)
    if not relation.may_use_schema:
        hint = f"GRANT USAGE ON SCHEMA {relation.schema} TO {relation.user};"
        raise DatabaseRefused(f"user {relation.user} may not use the schema of {name}", hint=hint)
    if relation.kind == "r" and relation.children:
        raise DatabaseRefused(
            f"tables inherit from {name}: {', '.join(relation.children)}",
            hint="Migrate each by itself: set DB_TABLE to one after the other, and to this one once none inherits from"
            " it (ALTER TABLE … NO INHERIT).",
        )


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
    if relation.row_security:
        notices.append("Row-level security is on: rows that it hides from this user are not migrated.")
    return tuple(notices)


def _cannot_hold(relation: Relation, settings: Settings) -> str:
    lacking = f"has not all of PRODUCTION_PREFIX {settings.production_prefix!r}: no row can be set to it"
    return f"The database's encoding {relation.encoding} {lacking}."


def _check_key(columns: dict[str, Column], settings: Settings, user: str) -> RowKey:
    """Return the key; it must order the rows and tell each from the other."""
    table, name = settings.db_table, settings.db_key_column
    if name not in columns:
        raise DatabaseRefused(f"table {table} has no column {name}", hint=f"Set DB_KEY_COLUMN: {_known(columns)}.")
    key = columns[name]
    if not (key.unique and key.not_null):
        raise DatabaseRefused(
            f"column {name} of table {table} is neither its primary key nor unique and NOT NULL",
            hint="Set DB_KEY_COLUMN to a column that is: pages and flips go by it.",
        )
    column = KeyColumn(name, key.base_type, key.is_domain)
    if not column.is_known:
        hint = f"A key of type {', '.join(sorted(KNOWN_TYPES))}, or of a domain over one, is needed."
        raise DatabaseRefused(f"column {name} of table {table} is of type {key.type_name}", hint=hint)
    if not key.may_select:
        raise _missing("SELECT", name, table, user)
    return RowKey((column,))


def _check_path(columns: dict[str, Column], settings: Settings, user: str, *, for_writing: bool) -> Column:
    """Return the path column, which must be a text that can be changed."""
    table, name = settings.db_table, settings.db_path_column
    if name not in columns:
        raise DatabaseRefused(f"table {table} has no column {name}", hint=f"Set DB_PATH_COLUMN: {_known(columns)}.")
    path = columns[name]
    if path.category != "S":
        hint = "Set DB_PATH_COLUMN to the text column that holds the objects' keys."
        raise DatabaseRefused(f"column {name} of table {table} is of type {path.type_name}, not text", hint=hint)
    if not path.may_select:
        raise _missing("SELECT", name, table, user)
    if for_writing and path.generated:
        hint = "Set DB_PATH_COLUMN to the column that it is made from."
        raise DatabaseRefused(f"column {name} of table {table} is generated", hint=hint)
    if for_writing and not path.may_update:
        raise _missing("UPDATE", name, table, user)
    return path


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
