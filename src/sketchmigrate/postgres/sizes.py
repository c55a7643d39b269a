"""How large the table and all of its indexes are, and what bounds the WAL of its updates. Only reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

from sketchmigrate.postgres.structure import only_row

if TYPE_CHECKING:
    from sketchmigrate.postgres.session import Connection
    from sketchmigrate.postgres.table import Table

# Sizes are asked of the files: a role with rights to two columns sees no statistics of the others. What is not
# partitioned is in no partition tree, not even in one of its own.
_SIZES: LiteralString = """
WITH t AS (
    SELECT c.oid, c.relname, c.relnamespace, c.reloptions, p.attnum AS path_number, k.attnum AS key_number
    FROM pg_class c
    JOIN pg_attribute p ON p.attrelid = c.oid AND p.attname = %(path)s
    JOIN pg_attribute k ON k.attrelid = c.oid AND k.attname = %(key)s
    WHERE c.oid = to_regclass(%(table)s)
)
SELECT jsonb_build_object(
    'table_bytes', pg_relation_size(t.oid)
        + (SELECT coalesce(sum(pg_relation_size(relid)), 0) FROM pg_partition_tree(t.oid) WHERE relid <> t.oid),
    'fillfactor', coalesce((SELECT option_value::int FROM pg_options_to_table(t.reloptions)
        WHERE option_name = 'fillfactor'), 100),
    'width_is_known', (SELECT count(*) FROM pg_attribute a
            WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped)
        = (SELECT count(DISTINCT s.attname) FROM pg_stats s
            WHERE s.schemaname = t.relnamespace::regnamespace::text AND s.tablename = t.relname),
    'is_in_key_order', coalesce((SELECT abs(s.correlation) > 0.9 FROM pg_stats s
        WHERE s.schemaname = t.relnamespace::regnamespace::text AND s.tablename = t.relname AND s.attname = %(key)s
        ORDER BY s.inherited DESC LIMIT 1), false),
    'checkpoint_seconds', extract(epoch FROM current_setting('checkpoint_timeout')::interval)::int,
    'checkpoint_bytes', pg_size_bytes(current_setting('max_wal_size')),
    'indexes', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', c.relname, 'method', am.amname,
            'size_bytes', pg_relation_size(c.oid)
                + (SELECT coalesce(sum(pg_relation_size(relid)), 0) FROM pg_partition_tree(c.oid)
                   WHERE relid <> c.oid),
            'is_in_key_order', i.indkey[0] = t.key_number, 'has_path', t.path_number = ANY (i.indkey)
                OR EXISTS (SELECT FROM pg_depend d WHERE d.objid = i.indexrelid AND d.refobjid = t.oid
                    AND d.refobjsubid = t.path_number)) ORDER BY c.relname), '[]')
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am am ON am.oid = c.relam
        WHERE i.indrelid = t.oid AND i.indisready)
) FROM t
"""


@dataclass(frozen=True, slots=True)
class IndexSize:
    """An index of the table, whatever its columns. ``is_in_key_order`` says that flips go through it in order."""

    name: str
    method: str
    size_bytes: int
    is_in_key_order: bool
    has_path: bool


@dataclass(frozen=True, slots=True)
class Sizes:
    """Partitions included. A checkpoint comes after so many seconds or bytes of WAL, whichever is first.

    ``width_is_known`` says that this user sees statistics of all columns.
    """

    table_bytes: int
    fillfactor: int
    width_is_known: bool
    is_in_key_order: bool
    checkpoint_seconds: int
    checkpoint_bytes: int
    indexes: tuple[IndexSize, ...]


async def read_sizes(connection: Connection, table: Table) -> Sizes:
    """Look the sizes up. Within one transaction; psycopg's errors pass through."""
    name = sql.Identifier(*table.name).as_string(connection)
    names = {"table": name, "path": table.path_column, "key": table.key_column}
    sizes: dict[str, Any] = (await only_row(connection, _SIZES, names))[0]
    return Sizes(**{**sizes, "indexes": tuple(IndexSize(**index) for index in sizes["indexes"])})
