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
        WHERE i.inhparent = c.oid),
       (SELECT coalesce(array_agg(part.relid::regclass::text ORDER BY part.relid), '{}')
        FROM pg_partition_tree(c.oid) AS part JOIN pg_class p ON p.oid = part.relid WHERE p.relkind = 'f')
FROM pg_class c WHERE c.oid = to_regclass(%s)
"""

_SAME_NAME: LiteralString = """
SELECT n.nspname::text, has_schema_privilege(n.oid, 'USAGE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = %s AND c.relkind IN ('r', 'p') ORDER BY 1
"""

# A domain's length is that of the type below it, perhaps by way of other domains. Whether a column can be updated is
# asked of views alone, as that waits for whoever has locked the relation.
_COLUMNS: LiteralString = """
SELECT a.attname::text, format_type(a.atttypid, NULL), t.typcategory::text, base.chars, base.is_name, a.attnotnull,
       has_column_privilege(a.attrelid, a.attnum, 'SELECT'), has_column_privilege(a.attrelid, a.attnum, 'UPDATE'),
       a.attgenerated::text <> '' OR a.attidentity::text = 'a',
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indisvalid
               AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum),
       base.named, t.typtype = 'd', format_type(a.atttypid, a.atttypmod),
       CASE (SELECT relkind FROM pg_class WHERE oid = a.attrelid) WHEN 'v'
           THEN pg_column_is_updatable(a.attrelid, a.attnum, false) ELSE true END
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

# What a unique index with a weaker equality than its column's calls two rows, the column may call one: only collations
# that are not deterministic have such equalities.
_UNIQUE_INDEXES: LiteralString = """
SELECT c.relname::text, ARRAY(
    SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS has (number, place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = has.number
    WHERE has.place <= i.indnkeyatts ORDER BY has.place)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
  AND (i.indimmediate OR i.indisprimary)
  AND NOT EXISTS (
    SELECT FROM unnest(i.indkey::int2[], i.indcollation::oid[]) AS has (number, collation_id)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = has.number
    JOIN pg_collation l ON l.oid = a.attcollation
    WHERE NOT l.collisdeterministic AND has.collation_id <> a.attcollation)
ORDER BY NOT i.indisprimary, i.indnkeyatts, c.relname
"""

# An UPDATE of a column in the key of such an index locks the row FOR UPDATE (manual, section "Row-Level Locks"), and
# a partition may have indexes and triggers of its own, and so may the table that a view shows, where it shows the
# columns under their own names. Up to PostgreSQL 14 its copies of the parent's are internal.
# An UPDATE of what a table is partitioned by may move a row, which is a DELETE (8) and an INSERT (4) to triggers
# (manual, section "Overview of Trigger Behavior"). A column in a partition key depends on the table itself, as it is
# dropped with it alone, in an expression too.
_ON_UPDATE: LiteralString = """
WITH part AS (
    WITH RECURSIVE below (oid) AS (
        SELECT %(oid)s::oid
        UNION
        SELECT d.refobjid FROM below JOIN pg_rewrite r ON r.ev_class = below.oid AND r.ev_type = '1'
        JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
            AND d.refclassid = 'pg_class'::regclass
    )
    SELECT a.attrelid, a.attnum FROM pg_attribute a
    WHERE a.attname = ANY (%(written)s) AND NOT a.attisdropped AND (a.attrelid IN (SELECT oid FROM below)
        OR a.attrelid IN (SELECT tree.relid FROM below, pg_partition_tree(below.oid) AS tree))
), moves AS (
    SELECT EXISTS (SELECT FROM part JOIN pg_depend d ON d.objid = part.attrelid AND d.objsubid = part.attnum
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
          AND d.refobjid = part.attrelid AND d.refobjsubid = 0 AND d.deptype = 'i') AS rows
), fires AS (
    SELECT g.tgname, g.tgtype & 66 = 0 AS is_after FROM part JOIN pg_trigger g ON g.tgrelid = part.attrelid, moves
    WHERE (NOT g.tgisinternal OR (g.tgparentid <> 0 AND g.tgconstraint = 0)) AND g.tgenabled <> 'D'
      AND (g.tgtype & 16 <> 0 AND (g.tgattr::text = '' OR part.attnum = ANY (g.tgattr))
           OR moves.rows AND g.tgtype & 12 <> 0)
)
SELECT (SELECT coalesce(array_agg(DISTINCT tgname::text ORDER BY tgname::text), '{}') FROM fires),
       (SELECT coalesce(array_agg(DISTINCT tgname::text ORDER BY tgname::text), '{}') FROM fires WHERE is_after),
       EXISTS (SELECT FROM part JOIN pg_index i ON i.indrelid = part.attrelid
               WHERE i.indisunique AND i.indislive AND i.indpred IS NULL AND i.indexprs IS NULL
                 AND part.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])),
       (SELECT rows FROM moves)
"""

_HIDES_ROWS: LiteralString = "SELECT row_security_active(to_regclass(%s)::oid)"


class Relation(NamedTuple):
    """What has the table's name; ``estimated_rows`` is -1 where nobody knows, ``children`` inherit from it.

    ``foreign_partitions`` are those whose rows are in another database.
    """

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
    foreign_partitions: Sequence[str] = ()


class Column(NamedTuple):
    """A column; ``base_type``, ``max_chars`` and ``is_name`` are of the type below its domains, if it has any.

    ``full_type`` is how SQL names its type, with the length. ``generated``: the server alone sets it.
    ``can_be_set``: not so of a view's that is no column of a table below it.
    """

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
    full_type: str
    can_be_set: bool = True


class OnUpdate(NamedTuple):
    """What an UPDATE of some columns meets; those of the ``triggers`` that fire after it are in ``after_triggers``.

    ``moves_rows``: the table is partitioned by one of them, so that rows may go to another partition.
    """

    triggers: list[str]
    after_triggers: list[str]
    path_is_unique: bool
    moves_rows: bool = False


class UniqueIndex(NamedTuple):
    """A unique index, that of the primary key first: no two rows have the same in all of the ``columns``."""

    name: str
    columns: list[str]


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


async def unique_indexes(connection: AsyncConnection, relation: Relation) -> list[UniqueIndex]:
    """Return the unique indexes that tell rows apart: the primary key, then those of few columns, then by name."""
    rows = await (await connection.execute(_UNIQUE_INDEXES, [relation.oid])).fetchall()
    return [UniqueIndex(*row) for row in rows]


async def on_update(connection: AsyncConnection, relation: Relation, written: Sequence[str]) -> OnUpdate:
    """Return what fires on an UPDATE of these columns, and whether it changes a key."""
    values = {"oid": relation.oid, "written": list(written)}
    row: Any = await (await connection.execute(_ON_UPDATE, values)).fetchone()
    return OnUpdate(*row)


async def hides_rows(connection: AsyncConnection, name: tuple[str, ...]) -> bool:
    """Whether row-level security is active on the table of this name for this user."""
    quoted = sql.Identifier(*name).as_string(connection)
    row: Any = await (await connection.execute(_HIDES_ROWS, [quoted])).fetchone()
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
