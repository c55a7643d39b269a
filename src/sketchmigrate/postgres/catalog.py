"""What the catalog says of the table that bears on a migration: indexes, triggers, constraints, sizes. Only reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from psycopg import sql

from sketchmigrate.postgres.fence import read_fences
from sketchmigrate.postgres.structure import find, gone, on_update, only_row

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from sketchmigrate.postgres.table import Table

# PostgreSQL manual, chapter "System Catalogs".
# An update is heap-only, without a new entry in any index, where no index but a summarising one (brin) has the column
# (manual, section "Heap-Only Tuples").
_FACTS: LiteralString = """
WITH t AS (
    SELECT c.*, a.attnum AS path_number, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = %(path)s WHERE c.oid = to_regclass(%(table)s)
)
SELECT jsonb_build_object(
    'rows', greatest(t.reltuples, 0), 'pages', pg_relation_size(t.oid) / current_setting('block_size')::int,
    'page_bytes', current_setting('block_size')::int,
    'row_bytes', coalesce((SELECT sum(s.avg_width) FROM pg_stats s
        WHERE s.schemaname = t.nspname AND s.tablename = t.relname), 64),
    'full_page_writes', current_setting('full_page_writes') = 'on',
    'is_standby', pg_is_in_recovery(),
    'may_update', has_column_privilege(t.oid, t.path_number, 'UPDATE'), 'user', current_user,
    'row_security', t.relrowsecurity,
    'partition_key', EXISTS (SELECT FROM pg_partitioned_table p
        WHERE p.partrelid = t.oid AND t.path_number = ANY (p.partattrs)),
    'indexes', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', k.relname,
            'unique', i.indisunique AND (i.indpred IS NOT NULL OR i.indexprs IS NOT NULL
                OR t.path_number = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])),
            'on_path_alone', i.indnkeyatts = 1 AND i.indkey[0] = t.path_number,
            'partial', i.indpred IS NOT NULL, 'method', am.amname)), '[]')
        FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid JOIN pg_am am ON am.oid = k.relam
        WHERE i.indrelid = t.oid AND (t.path_number = ANY (i.indkey) OR EXISTS (SELECT FROM pg_depend d
            WHERE d.objid = i.indexrelid AND d.refobjid = t.oid AND d.refobjsubid = t.path_number))),
    'constraints', (SELECT
            coalesce(jsonb_agg(o.conname || ': ' || pg_get_constraintdef(o.oid) ORDER BY o.conname), '[]')
        FROM pg_constraint o
        WHERE (o.conrelid = t.oid AND o.contype IN ('c', 'f', 'x') AND t.path_number = ANY (o.conkey)
            AND NOT o.conname = ANY (%(fences)s))
          OR (o.confrelid = t.oid AND o.contype = 'f' AND t.path_number = ANY (o.confkey))),
    'generated_columns', (SELECT coalesce(jsonb_agg(DISTINCT b.attname), '[]') FROM pg_depend d
        JOIN pg_attrdef f ON f.oid = d.objid AND d.classid = 'pg_attrdef'::regclass
        JOIN pg_attribute b ON b.attrelid = f.adrelid AND b.attnum = f.adnum AND b.attgenerated <> ''
        WHERE d.refobjid = t.oid AND d.refobjsubid = t.path_number AND b.attnum <> t.path_number),
    'publications', (SELECT coalesce(jsonb_agg(DISTINCT p.pubname), '[]') FROM pg_publication_tables p
        WHERE p.schemaname = t.nspname AND p.tablename = t.relname),
    'standbys', (SELECT count(*) FROM pg_stat_replication),
    'slots', (SELECT coalesce(jsonb_agg(r.slot_name ORDER BY r.slot_name), '[]') FROM pg_replication_slots r)
) FROM t
"""


@dataclass(frozen=True, slots=True)
class Index:
    """An index that has the path column: in its key, its condition, an expression, or beside the key (INCLUDE).

    ``unique`` says that a new path may hit it, which one beside the key cannot.
    """

    name: str
    unique: bool
    on_path_alone: bool
    partial: bool
    method: str


@dataclass(frozen=True, slots=True)
class TableFacts:
    """The table as its catalog has it. ``rows`` and ``row_bytes`` (of data) are the planner's estimates.

    ``fences`` are those of this tool (``postgres.fence``), which are no ``constraints``.
    ``triggers`` fire on a flip, those in ``after_triggers`` when it is done; its partitions' own are among them.
    """

    rows: float
    pages: int
    page_bytes: int
    row_bytes: int
    full_page_writes: bool
    is_standby: bool
    may_update: bool
    user: str
    row_security: bool
    partition_key: bool
    indexes: tuple[Index, ...]
    triggers: tuple[str, ...]
    after_triggers: tuple[str, ...]
    constraints: tuple[str, ...]
    generated_columns: tuple[str, ...]
    publications: tuple[str, ...]
    standbys: int
    slots: tuple[str, ...]
    fences: tuple[str, ...] = ()

    @property
    def heap_only(self) -> bool:
        """Whether a flip leaves the indexes alone, where its page has room."""
        return all(index.method == "brin" and not index.partial for index in self.indexes)


async def read_facts(connection: AsyncConnection, table: Table) -> TableFacts:
    """Look the table up. Within one transaction; psycopg's errors pass through.

    Raises ``DatabaseRefused`` where the table or the column is gone.
    """
    name = sql.Identifier(*table.name).as_string(connection)
    relation = await find(connection, name)
    if relation is None:
        raise gone()
    fences = await read_fences(connection, table)
    values = {"table": name, "path": table.path_column, "fences": list(fences)}
    (found,) = await only_row(connection, _FACTS, values)
    meets = await on_update(connection, relation, table.written)
    facts: dict[str, Any] = {**found, "triggers": meets.triggers, "after_triggers": meets.after_triggers}
    facts["fences"] = fences
    indexes = tuple(Index(**index) for index in facts.pop("indexes"))
    lists = {name: tuple(value) for name, value in facts.items() if isinstance(value, list)}
    return TableFacts(**{**facts, **lists, "indexes": indexes})


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


async def read_sizes(connection: AsyncConnection, table: Table) -> Sizes:
    """Look the sizes up. Within one transaction; psycopg's errors pass through."""
    name = sql.Identifier(*table.name).as_string(connection)
    names = {"table": name, "path": table.path_column, "key": table.key.columns[0].name}
    sizes: dict[str, Any] = (await only_row(connection, _SIZES, names))[0]
    return Sizes(**{**sizes, "indexes": tuple(IndexSize(**index) for index in sizes["indexes"])})
