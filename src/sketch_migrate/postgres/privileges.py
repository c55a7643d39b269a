"""Whether the table is there and can be paged and flipped, and what about it a person should know. Only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from sketch_migrate.errors import DatabaseRefused
from sketch_migrate.postgres.faults import translate
from sketch_migrate.postgres.table import Table
from sketch_migrate.settings import table_name

if TYPE_CHECKING:
    from sketch_migrate.postgres.session import Connection
    from sketch_migrate.settings import Settings

# to_regclass() finds the table along the search path and answers NULL where there is none or no right to see it.
# Autovacuum analyses partitions, but never their parent: the sum is its estimate then.
_TABLE = """
SELECT c.oid, c.relkind::text,
       greatest(c.reltuples, (SELECT sum(p.reltuples) FROM pg_partition_tree(c.oid) AS part
                              JOIN pg_class p ON p.oid = part.relid WHERE part.isleaf AND p.reltuples > 0),
                -1)::bigint,
       c.relrowsecurity,
       (SELECT array_agg(tgname::text ORDER BY tgname) FROM pg_trigger
        WHERE tgrelid = c.oid AND NOT tgisinternal AND tgenabled <> 'D' AND (tgtype & 16) <> 0),
       pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', current_user::text,
       has_schema_privilege(c.relnamespace, 'USAGE')
FROM pg_class c WHERE c.oid = to_regclass(%s)
"""

_COLUMNS = """
SELECT a.attname::text, format_type(a.atttypid, NULL), t.typcategory::text,
       CASE WHEN a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND a.atttypmod > 4 THEN a.atttypmod - 4 END,
       a.attnotnull, has_column_privilege(a.attrelid, a.attnum, 'SELECT'),
       has_column_privilege(a.attrelid, a.attnum, 'UPDATE'), a.attgenerated::text <> '',
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indisvalid
               AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
"""

_KEY_TYPES = frozenset({"smallint", "integer", "bigint", "uuid", "text", "character varying"})


async def inspect_table(connection: Connection, settings: Settings, *, for_writing: bool) -> Table:
    """Describe the configured table, or raise ``DatabaseRefused`` saying what is missing and how to mend it.

    With ``for_writing`` the right to update the path column is required and the server must accept writes.
    """
    try:
        return await _inspect(connection, settings, for_writing=for_writing)
    except psycopg.errors.InsufficientPrivilege as error:  # everyone may read the catalog: it is the schema
        hint = "GRANT USAGE ON SCHEMA … TO the user; the command grants prints all that is needed."
        raise DatabaseRefused(f"table {settings.db_table} cannot be looked at: {error}", hint=hint) from error
    except psycopg.Error as error:
        raise translate(error, f"looking at table {settings.db_table}") from error


async def _inspect(connection: Connection, settings: Settings, *, for_writing: bool) -> Table:
    name = table_name(settings.db_table)
    quoted = psycopg.sql.Identifier(*name).as_string(connection)
    row: Any = await (await connection.execute(_TABLE, [quoted])).fetchone()
    if row is None:
        hint = "Set DB_TABLE to its name, with the schema if it is not on the search path (schema.table)."
        raise DatabaseRefused(f"there is no table {settings.db_table} in the database", hint=hint)
    oid, kind, estimated_rows, row_security, triggers, standby, read_only, user, may_use_schema = row
    if kind not in {"r", "p"}:
        hint = "Set DB_TABLE to a table, not a view or index."
        raise DatabaseRefused(f"{settings.db_table} is not a table", hint=hint)
    if not may_use_schema:
        hint = f"GRANT USAGE ON SCHEMA … TO {user};"
        raise DatabaseRefused(f"user {user} may not use the schema of {settings.db_table}", hint=hint)
    columns = {column[0]: column for column in await (await connection.execute(_COLUMNS, [oid])).fetchall()}
    key_type = _check_key(columns, settings, user)
    max_path_chars = _check_path(columns, settings, user, for_writing=for_writing)
    if for_writing and (standby or read_only):
        hint = "Point DB_HOST at the primary."
        raise DatabaseRefused("the database is read-only (a standby, or default_transaction_read_only)", hint=hint)
    notices = []
    if triggers:
        notices.append(f"Triggers fire on each flip: {', '.join(triggers)}.")
    if row_security:
        notices.append("Row-level security is on: rows that it hides from this user are not migrated.")
    return Table(
        name=name,
        key_column=settings.db_key_column,
        path_column=settings.db_path_column,
        key_type=key_type,
        max_path_chars=max_path_chars,
        estimated_rows=estimated_rows if estimated_rows >= 0 else None,
        notices=tuple(notices),
    )


def _check_key(columns: dict[str, Any], settings: Settings, user: str) -> str:
    """Return the key column's type; it must order the rows and tell each from the other."""
    table, name = settings.db_table, settings.db_key_column
    if name not in columns:
        raise DatabaseRefused(f"table {table} has no column {name}", hint=f"Set DB_KEY_COLUMN: {_known(columns)}.")
    _, type_name, _, _, not_null, may_select, _, _, unique = columns[name]
    if not (unique and not_null):
        raise DatabaseRefused(
            f"column {name} of table {table} is neither its primary key nor unique and NOT NULL",
            hint="Set DB_KEY_COLUMN to a column that is: pages and flips go by it.",
        )
    if type_name not in _KEY_TYPES:
        hint = f"A key of type {', '.join(sorted(_KEY_TYPES))} is needed."
        raise DatabaseRefused(f"column {name} of table {table} is of type {type_name}", hint=hint)
    if not may_select:
        raise _missing("SELECT", name, table, user)
    return str(type_name)


def _check_path(columns: dict[str, Any], settings: Settings, user: str, *, for_writing: bool) -> int | None:
    """Return the path column's length, or None where it has no limit."""
    table, name = settings.db_table, settings.db_path_column
    if name not in columns:
        raise DatabaseRefused(f"table {table} has no column {name}", hint=f"Set DB_PATH_COLUMN: {_known(columns)}.")
    _, type_name, category, max_chars, _, may_select, may_update, generated, _ = columns[name]
    if category != "S":
        hint = "Set DB_PATH_COLUMN to the text column that holds the objects' keys."
        raise DatabaseRefused(f"column {name} of table {table} is of type {type_name}, not text", hint=hint)
    if not may_select:
        raise _missing("SELECT", name, table, user)
    if for_writing and generated:
        hint = "Set DB_PATH_COLUMN to the column that it is made from."
        raise DatabaseRefused(f"column {name} of table {table} is generated", hint=hint)
    if for_writing and not may_update:
        raise _missing("UPDATE", name, table, user)
    return None if max_chars is None else int(max_chars)


def _missing(privilege: str, column: str, table: str, user: str) -> DatabaseRefused:
    message = f"user {user} lacks the privilege {privilege} on column {column} of table {table}"
    return DatabaseRefused(message, hint=f"GRANT {privilege} ({column}) ON {table} TO {user};")


def _known(columns: dict[str, Any]) -> str:
    return "the table has " + ", ".join(sorted(columns))
