"""What the catalogue says of all columns of a database that may hold references: texts, JSON, arrays of texts.

It is read without a lock on any table, so that one which is locked holds up nothing here. PostgreSQL manual, chapter
"System Catalogs"; functions such as ``pg_partition_tree`` and ``pg_relation_size`` would lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

from sketchmigrate.postgres.row_key import KeyColumn, RowKey

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from psycopg import AsyncConnection

_SYSTEM = "nspname ~ '^pg_' OR nspname = 'information_schema'"

_SCHEMAS: LiteralString = f"SELECT nspname::text FROM pg_namespace WHERE NOT ({_SYSTEM}) ORDER BY 1"  # noqa: S608 - ours

# The type below domains, of a column or of an array's elements. Partitions are in their parents.
_COLUMNS: LiteralString = """
WITH RECURSIVE below (type, base) AS (
    SELECT oid, oid FROM pg_type
    UNION ALL
    SELECT below.type, d.typbasetype FROM below JOIN pg_type AS d ON d.oid = below.base AND d.typtype = 'd'
), base_type AS (
    SELECT below.type, t.oid, t.typname::text, t.typelem, t.typcategory::text
    FROM below JOIN pg_type AS t ON t.oid = below.base WHERE t.typtype <> 'd'
), kind (type, kind) AS (
    SELECT b.type, CASE
        WHEN b.typname IN ('text', 'varchar', 'bpchar', 'citext') THEN 'text'
        WHEN b.typname IN ('json', 'jsonb') THEN 'json'
        WHEN b.typcategory = 'A' AND e.typname IN ('text', 'varchar') THEN 'array'
    END
    FROM base_type AS b LEFT JOIN base_type AS e ON e.type = b.typelem
), tree (root, oid) AS (
    SELECT c.oid, c.oid FROM pg_class AS c WHERE c.relkind IN ('r', 'p', 'm', 'f') AND NOT c.relispartition
    UNION ALL
    SELECT tree.root, i.inhrelid FROM tree JOIN pg_class AS p ON p.oid = tree.oid AND p.relkind = 'p'
    JOIN pg_inherits AS i ON i.inhparent = tree.oid
), size (root, rows) AS (
    SELECT tree.root, sum(greatest(c.reltuples, 0))::bigint
    FROM tree JOIN pg_class AS c ON c.oid = tree.oid WHERE c.relkind <> 'p' GROUP BY tree.root
)
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, pg_table_is_visible(c.oid), coalesce(size.rows, 0),
       c.relrowsecurity AND row_security_active(c.oid), a.attname::text, format_type(a.atttypid, a.atttypmod),
       kind.kind, a.attgenerated::text <> '',
       has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT')
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN kind ON kind.type = a.atttypid AND kind.kind IS NOT NULL
LEFT JOIN size ON size.root = c.oid
WHERE c.relkind IN ('r', 'p', 'm', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname = ANY (%(schemas)s)
ORDER BY n.nspname, c.relname, a.attnum
"""

# What tells rows apart, the primary key first, then what has the fewest columns.
_KEYS: LiteralString = """
SELECT i.indrelid, array_agg(a.attname::text ORDER BY k.place), array_agg(base.named ORDER BY k.place),
       array_agg(t.typtype = 'd' ORDER BY k.place)
FROM pg_index AS i
CROSS JOIN LATERAL unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k (number, place)
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number
JOIN pg_type AS t ON t.oid = a.atttypid
CROSS JOIN LATERAL (
    WITH RECURSIVE below (depth, type) AS (
        SELECT 0, a.atttypid
        UNION ALL
        SELECT depth + 1, d.typbasetype FROM below JOIN pg_type AS d ON d.oid = below.type AND d.typtype = 'd'
    )
    SELECT (array_agg(CASE type WHEN 'bpchar'::regtype THEN 'bpchar' ELSE format_type(type, NULL) END
               ORDER BY depth DESC))[1] AS named
    FROM below
) AS base
WHERE i.indrelid = ANY (%(tables)s) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
GROUP BY i.indexrelid, i.indrelid, i.indisprimary
HAVING bool_and(a.attnotnull AND has_column_privilege(i.indrelid, a.attnum, 'SELECT'))
ORDER BY i.indrelid, i.indisprimary DESC, count(*), i.indexrelid
"""

# As structure.on_update has it, without a lock on partitions. In tgtype, 16 is UPDATE.
_BEARING: LiteralString = """
WITH RECURSIVE tree (oid) AS (
    SELECT %(table)s::oid
    UNION
    SELECT i.inhrelid FROM tree JOIN pg_class AS p ON p.oid = tree.oid AND p.relkind = 'p'
    JOIN pg_inherits AS i ON i.inhparent = tree.oid
), part AS (
    SELECT a.attrelid, a.attnum FROM tree JOIN pg_attribute AS a ON a.attrelid = tree.oid
    WHERE a.attname = %(column)s AND NOT a.attisdropped
)
SELECT ARRAY(SELECT DISTINCT k.relname::text FROM part
             JOIN pg_index AS i ON i.indrelid = part.attrelid JOIN pg_class AS k ON k.oid = i.indexrelid
             WHERE part.attrelid = %(table)s AND (part.attnum = ANY (i.indkey) OR EXISTS (
                 SELECT FROM pg_depend AS d WHERE d.objid = i.indexrelid AND d.refobjid = part.attrelid
                     AND d.refobjsubid = part.attnum)) ORDER BY 1),
       ARRAY(SELECT DISTINCT g.tgname::text FROM part JOIN pg_trigger AS g ON g.tgrelid = part.attrelid
             WHERE (NOT g.tgisinternal OR (g.tgparentid <> 0 AND g.tgconstraint = 0)) AND g.tgenabled <> 'D'
               AND g.tgtype & 16 <> 0 AND (g.tgattr::text = '' OR part.attnum = ANY (g.tgattr)) ORDER BY 1)
"""

_ENCODING = b"SELECT current_setting('server_encoding')"

_NOT_TABLES = {"m": "a materialized view: its rows come from its query", "f": "a foreign table: its rows are elsewhere"}


class ColumnKind(StrEnum):
    """What a column can hold references in."""

    TEXT = "text"
    JSON = "json"
    ARRAY = "array"


class TextColumn(NamedTuple):
    """A column; ``type_name`` is as SQL names it, and ``kind`` that of the type below its domains."""

    name: str
    type_name: str
    kind: ColumnKind
    may_select: bool


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table with such columns. ``keys`` are what tells its rows apart, the best first; none where nothing does.

    ``estimated_rows`` is the planner's estimate, 0 where it was never analysed. ``is_visible``: it needs no schema in
    front. ``hides_rows``: row-level security is active for this user. ``encoding`` is the database's.
    """

    oid: int
    schema: str
    name: str
    is_visible: bool
    is_partitioned: bool
    estimated_rows: int
    hides_rows: bool
    encoding: str
    columns: tuple[TextColumn, ...]
    keys: tuple[RowKey, ...] = ()

    @property
    def path(self) -> tuple[str, ...]:
        """The parts of its name, as few as are needed."""
        return (self.name,) if self.is_visible else (self.schema, self.name)

    def is_named(self, parts: tuple[str, ...]) -> bool:
        """Whether this is the table that the parts of a name mean."""
        return parts == (self.schema, self.name) or (self.is_visible and parts == (self.name,))

    @property
    def readable(self) -> tuple[TextColumn, ...]:
        """The columns that this user may read."""
        return tuple(column for column in self.columns if column.may_select)

    def key_beside(self, column: str) -> RowKey | None:
        """Return the key by which rows are found whose ``column`` changes: one without it, or it alone."""
        names = [[part.name for part in key.columns] for key in self.keys]
        pairs = list(zip(self.keys, names, strict=True))
        apart = (key for key, parts in pairs if column not in parts)
        return next(apart, next((key for key, parts in pairs if parts == [column]), None))


class NotMigrated(NamedTuple):
    """A column, or all such columns of what is no table (``column`` is empty then), and ``why`` it cannot be set."""

    table: tuple[str, ...]
    column: str
    why: str


@dataclass(frozen=True, slots=True)
class TextCatalogue:
    """All tables of the schemas that have such columns, and what cannot be migrated."""

    schemas: tuple[str, ...]
    tables: tuple[TextTable, ...]
    not_migrated: tuple[NotMigrated, ...]


class Bearing(NamedTuple):
    """The indexes that have a column, and the users' triggers that fire when it is set."""

    indexes: tuple[str, ...]
    triggers: tuple[str, ...]


async def schemas_of(connection: AsyncConnection) -> tuple[str, ...]:
    """Return the schemas that are not the system's. psycopg's errors pass through, here and below."""
    return tuple(name for (name,) in await (await connection.execute(_SCHEMAS)).fetchall())


async def read_text_columns(connection: AsyncConnection, schemas: Sequence[str]) -> TextCatalogue:
    """Return the columns of these schemas that may hold references."""
    rows: list[Any] = await (await connection.execute(_COLUMNS, {"schemas": list(schemas)})).fetchall()
    row: Any = await (await connection.execute(_ENCODING)).fetchone()
    keys = await _keys_of(connection, {each[0] for each in rows})
    columns: dict[int, list[TextColumn]] = {}
    facts: dict[int, dict[str, Any]] = {}
    not_migrated: list[NotMigrated] = []
    for oid, schema, name, relkind, visible, estimate, hides, column, type_name, kind, is_generated, may in rows:
        place = (name,) if visible else (schema, name)
        if relkind in _NOT_TABLES:
            not_migrated.append(NotMigrated(place, "", _NOT_TABLES[relkind]))
        elif is_generated:
            not_migrated.append(NotMigrated(place, column, "a generated column: it follows those that it is made from"))
        else:
            facts[oid] = {"schema": schema, "name": name, "is_visible": visible, "is_partitioned": relkind == "p"}
            facts[oid] |= {"estimated_rows": estimate, "hides_rows": hides, "encoding": row[0]}
            columns.setdefault(oid, []).append(TextColumn(column, type_name, ColumnKind(kind), may))
    tables = tuple(
        TextTable(oid=oid, columns=tuple(of_table), keys=keys.get(oid, ()), **facts[oid])
        for oid, of_table in columns.items()
    )
    return TextCatalogue(tuple(schemas), tables, tuple(dict.fromkeys(not_migrated)))


async def _keys_of(connection: AsyncConnection, tables: Collection[int]) -> dict[int, tuple[RowKey, ...]]:
    found: dict[int, tuple[RowKey, ...]] = {}
    rows: list[Any] = await (await connection.execute(_KEYS, {"tables": list(tables)})).fetchall()
    for table, names, types, are_domains in rows:
        key = RowKey(tuple(KeyColumn(*each) for each in zip(names, types, are_domains, strict=True)))
        if all(column.is_known for column in key.columns):
            found[table] = (*found.get(table, ()), key)
    return found


async def read_bearing(connection: AsyncConnection, table: int, column: str) -> Bearing:
    """Return what bears on a column."""
    row: Any = await (await connection.execute(_BEARING, {"table": table, "column": column})).fetchone()
    return Bearing(tuple(row[0]), tuple(row[1]))
