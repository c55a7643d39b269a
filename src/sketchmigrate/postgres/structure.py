"""What the catalogue says of the table's own structure: its columns, and what fires or locks on an UPDATE. Only reads.

PostgreSQL manual, chapter "System Catalogs". In tgtype, 2 is BEFORE, 16 is UPDATE and 64 is INSTEAD OF
(src/include/catalog/pg_trigger.h).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

from psycopg import sql

from sketchmigrate.core.errors import DatabaseRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg import AsyncConnection

    from sketchmigrate.postgres.table import Table

# to_regclass() finds the table along the search path and answers NULL where there is none or no right to see it.
# Autovacuum analyses partitions, but never their parent: the sum is its estimate then.
_TABLE: LiteralString = """
SELECT c.oid, c.relkind::text,
       greatest(c.reltuples, (SELECT sum(p.reltuples) FROM pg_partition_tree(c.oid) AS part
                              JOIN pg_class p ON p.oid = part.relid WHERE part.isleaf AND p.reltuples > 0),
                -1)::bigint,
       c.relrowsecurity, row_security_active(c.oid),
       pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', current_user::text,
       has_schema_privilege(c.relnamespace, 'USAGE'), c.relnamespace::regnamespace::text,
       current_setting('server_encoding'), current_setting('max_identifier_length')::int,
       (SELECT coalesce(array_agg(i.inhrelid::regclass::text ORDER BY i.inhrelid), '{}') FROM pg_inherits i
        WHERE i.inhparent = c.oid)
FROM pg_class c WHERE c.oid = to_regclass(%s)
"""

_SAME_NAME: LiteralString = """
SELECT n.nspname::text, has_schema_privilege(n.oid, 'USAGE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = %s AND c.relkind IN ('r', 'p') ORDER BY 1
"""

# A domain's length is that of the type below it, perhaps by way of other domains.
_COLUMNS: LiteralString = """
SELECT a.attname::text, format_type(a.atttypid, NULL), t.typcategory::text, base.chars, base.is_name, a.attnotnull,
       has_column_privilege(a.attrelid, a.attnum, 'SELECT'), has_column_privilege(a.attrelid, a.attnum, 'UPDATE'),
       a.attgenerated::text <> '',
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indisvalid
               AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum),
       base.named, t.typtype = 'd'
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid CROSS JOIN LATERAL (
    WITH RECURSIVE below (depth, type, modifier) AS (
        SELECT 0, a.atttypid, a.atttypmod
        UNION ALL
        SELECT depth + 1, d.typbasetype, d.typtypmod FROM below JOIN pg_type d ON d.oid = below.type AND d.typtype = 'd'
    )
    SELECT (array_agg(CASE type WHEN 'bpchar'::regtype THEN 'bpchar' ELSE format_type(type, NULL) END
               ORDER BY depth DESC))[1] AS named,
           min(modifier - 4) FILTER (WHERE type IN ('varchar'::regtype, 'bpchar'::regtype) AND modifier > 4) AS chars,
           bool_or(type = 'name'::regtype) AS is_name
    FROM below
) AS base
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
"""

# An UPDATE of a column in the key of such an index locks the row FOR UPDATE (manual, section "Row-Level Locks"), and
# a partition may have indexes and triggers of its own. Up to PostgreSQL 14 its copies of the parent's are internal.
_ON_UPDATE: LiteralString = """
WITH part AS (
    SELECT a.attrelid, a.attnum FROM pg_attribute a
    WHERE a.attname = %(path)s AND NOT a.attisdropped AND (
        a.attrelid = %(oid)s OR a.attrelid IN (SELECT relid FROM pg_partition_tree(%(oid)s::oid::regclass)))
), fires AS (
    SELECT g.tgname, g.tgtype & 66 = 0 AS is_after FROM part JOIN pg_trigger g ON g.tgrelid = part.attrelid
    WHERE (NOT g.tgisinternal OR (g.tgparentid <> 0 AND g.tgconstraint = 0)) AND g.tgenabled <> 'D'
      AND g.tgtype & 16 <> 0 AND (g.tgattr::text = '' OR part.attnum = ANY (g.tgattr))
)
SELECT (SELECT coalesce(array_agg(DISTINCT tgname::text ORDER BY tgname::text), '{}') FROM fires),
       (SELECT coalesce(array_agg(DISTINCT tgname::text ORDER BY tgname::text), '{}') FROM fires WHERE is_after),
       EXISTS (SELECT FROM part JOIN pg_index i ON i.indrelid = part.attrelid
               WHERE i.indisunique AND i.indislive AND i.indpred IS NULL AND i.indexprs IS NULL
                 AND part.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
"""

_HIDES_ROWS: LiteralString = "SELECT row_security_active(to_regclass(%s)::oid)"


class Relation(NamedTuple):
    """What has the table's name; ``estimated_rows`` is -1 where nobody knows, ``children`` inherit from it."""

    oid: int
    kind: str
    estimated_rows: int
    row_security: bool
    hides_rows: bool
    is_standby: bool
    is_read_only: bool
    user: str
    may_use_schema: bool
    schema: str
    encoding: str
    max_name_bytes: int
    children: list[str]


class Column(NamedTuple):
    """A column; ``base_type``, ``max_chars`` and ``is_name`` are of the type below its domains, if it has any."""

    name: str
    type_name: str
    category: str
    max_chars: int | None
    is_name: bool
    not_null: bool
    may_select: bool
    may_update: bool
    generated: bool
    unique: bool
    base_type: str
    is_domain: bool


class OnUpdate(NamedTuple):
    """What an UPDATE of the path meets; those of the ``triggers`` that fire after it are in ``after_triggers``."""

    triggers: list[str]
    after_triggers: list[str]
    path_is_unique: bool


async def find(connection: AsyncConnection, quoted_name: str) -> Relation | None:
    """Look a name up along the search path. Psycopg's errors pass through, here and below."""
    row: Any = await (await connection.execute(_TABLE, [quoted_name])).fetchone()
    return None if row is None else Relation(*row)


async def schemas_with(connection: AsyncConnection, name: str) -> list[tuple[str, bool]]:
    """Return the schemas that have a table of that name, and whether the user may use each."""
    rows: list[Any] = await (await connection.execute(_SAME_NAME, [name])).fetchall()
    return rows


async def columns_of(connection: AsyncConnection, relation: Relation) -> dict[str, Column]:
    """Return the columns by their names."""
    rows = await (await connection.execute(_COLUMNS, [relation.oid])).fetchall()
    return {row[0]: Column(*row) for row in rows}


async def on_update(connection: AsyncConnection, relation: Relation, path_column: str) -> OnUpdate:
    """Return what fires on an UPDATE of the path, and whether it changes a key."""
    row: Any = await (await connection.execute(_ON_UPDATE, {"oid": relation.oid, "path": path_column})).fetchone()
    return OnUpdate(*row)


async def hides_rows(connection: AsyncConnection, table: Table) -> bool:
    """Whether row-level security is active on the table for this user."""
    name = sql.Identifier(*table.name).as_string(connection)
    row: Any = await (await connection.execute(_HIDES_ROWS, [name])).fetchone()
    return bool(row[0])


async def only_row(
    connection: AsyncConnection, question: LiteralString, values: Mapping[str, object] | Sequence[object]
) -> tuple[Any, ...]:
    """Return the row that answers a question about the table. Raises ``DatabaseRefused`` where there is none."""
    row = await (await connection.execute(question, values)).fetchone()
    if row is None:
        raise gone()
    return row


def gone() -> DatabaseRefused:
    """Return the error of a table that was there when the command began."""
    hint = (
        "Look at DB_TABLE, DB_KEY_COLUMN and DB_PATH_COLUMN: something was renamed, moved or dropped, "
        "or the right to use the schema was revoked."
    )
    return DatabaseRefused("the table, or a column of it, is not there any more", hint=hint)
