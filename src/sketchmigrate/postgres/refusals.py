"""What the catalog alone makes certain of a flip, without trying one: rules, replica identity, checks. Only reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import sql

from sketchmigrate.postgres.structure import only_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import AsyncConnection

    from sketchmigrate.core.mapping import Move
    from sketchmigrate.postgres.table import Table

# PostgreSQL manual, chapter "System Catalogs": ev_type 2 is UPDATE (pg_rewrite); the replica identity is d (the primary
# key), n (none), f (the whole row) or i (an index), and one is asked of the partition that holds the row (section
# "Publication").
_REFUSALS: LiteralString = """
WITH t AS (
    SELECT c.*, a.attnum AS path_number FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = %(path)s WHERE c.oid = to_regclass(%(table)s)
), leaf AS (
    SELECT c.* FROM t, pg_class c
    WHERE c.oid = t.oid AND c.relkind <> 'p'
       OR c.oid IN (SELECT relid FROM pg_partition_tree(t.oid) WHERE isleaf) AND c.relkind = 'r'
), nameless AS (
    SELECT leaf.oid FROM leaf WHERE CASE leaf.relreplident
        WHEN 'f' THEN false
        WHEN 'n' THEN true
        WHEN 'd' THEN NOT EXISTS (SELECT FROM pg_index i
            WHERE i.indrelid = leaf.oid AND i.indisprimary AND i.indisvalid)
        ELSE NOT EXISTS (SELECT FROM pg_index i
            WHERE i.indrelid = leaf.oid AND i.indisreplident AND i.indisvalid) END
)
SELECT
    (SELECT coalesce(jsonb_agg(r.rulename || CASE WHEN r.is_instead THEN ' (DO INSTEAD)' ELSE ' (DO ALSO)' END
            ORDER BY r.rulename), '[]')
        FROM pg_rewrite r WHERE r.ev_class = t.oid AND r.ev_type = '2' AND r.ev_enabled NOT IN ('D', 'R')),
    (SELECT coalesce(jsonb_agg(DISTINCT p.pubname), '[]') FROM pg_publication p
        JOIN pg_publication_tables pt ON pt.pubname = p.pubname
        JOIN pg_class c ON c.relname = pt.tablename
        JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = pt.schemaname
        WHERE p.pubupdate AND EXISTS (SELECT FROM nameless
            WHERE c.oid = nameless.oid OR nameless.oid IN (SELECT relid FROM pg_partition_tree(c.oid)))),
    (SELECT coalesce(jsonb_agg(p.polname ORDER BY p.polname), '[]') FROM pg_policy p
        WHERE p.polrelid = t.oid AND t.relrowsecurity AND p.polcmd IN ('*', 'r', 'w'))
FROM t
"""

# A check that calls a function or an operator of the application's own is not called here: what it does is not known.
# The server's own are no dependencies. A partition that is migrated by itself takes no path of another one: what parts
# it is a check of the path alone, or else it is not known.
_CHECKS: LiteralString = """
SELECT o.conname::text, pg_get_constraintdef(o.oid), pg_get_expr(o.conbin, o.conrelid),
       ARRAY(SELECT a.attname::text FROM pg_attribute a
             WHERE a.attrelid = o.conrelid AND a.attnum = ANY (o.conkey) ORDER BY a.attnum),
       EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_constraint'::regclass AND d.objid = o.oid
               AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass))
FROM pg_constraint o JOIN pg_attribute p ON p.attrelid = o.conrelid AND p.attname = %(path)s
WHERE o.conrelid = to_regclass(%(table)s) AND o.contype = 'c' AND p.attnum = ANY (o.conkey)
UNION ALL
SELECT 'partition of ' || i.inhparent::regclass, pg_get_partition_constraintdef(c.oid),
       pg_get_partition_constraintdef(c.oid), ARRAY[%(path)s], false
FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.oid = to_regclass(%(table)s) AND c.relispartition AND pg_get_partition_constraintdef(c.oid) IS NOT NULL
"""

_TYPE: LiteralString = """
SELECT format_type(atttypid, NULL), format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass(%(table)s) AND attname = %(path)s
"""

# With the row's other columns as they are: only those that the check has, as others may not be readable.
_HOLDS: LiteralString = """
SELECT {check} FROM (
    SELECT {columns} FROM {table} AS t WHERE {is_key} AND t.{path}::text = %(old)s COLLATE "C"
) AS {alias}
"""

_FITS: LiteralString = """SELECT (%(new)s::text)::{type}::text = %(new)s COLLATE "C" """


@dataclass(frozen=True, slots=True)
class Refusals:
    """Why the table refuses flips, as far as its catalog tells; empty is nothing.

    ``rules`` on UPDATE, with their kind; ``nameless_for`` are the publications for which the table lacks a replica
    identity. ``checks`` and ``column`` say which new path of a sample of rows is refused, and by what;
    ``unknown_checks`` were not evaluated. ``policies`` are names of what may refuse, or may not.
    """

    rules: tuple[str, ...] = ()
    nameless_for: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    column: tuple[str, ...] = ()
    unknown_checks: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()


async def read_refusals(connection: AsyncConnection, table: Table, sample: Sequence[Move]) -> Refusals:
    """Look the table up, and evaluate its checks for the new paths of a sample of rows.

    Within one transaction, which it makes read-only; psycopg's errors pass through.
    """
    await connection.execute("SET TRANSACTION READ ONLY")
    names = _names(connection, table)
    rules, nameless_for, policies = map(tuple, await only_row(connection, _REFUSALS, names))
    refused: list[str] = []
    unknown: list[str] = []
    for name, definition, expression, columns, is_foreign in await (
        await connection.execute(_CHECKS, names)
    ).fetchall():
        said = f"{name}: {definition}"
        check = sql.SQL(expression.replace("%", "%%"))
        verdicts = [] if is_foreign else [await _holds(connection, table, check, columns, move) for move in sample]
        if False in verdicts:
            refused.append(f"{said} refuses {table.path_of(sample[verdicts.index(False)].new_path)!r}")
        elif None in verdicts or is_foreign:
            unknown.append(said)
    return Refusals(
        rules=rules,
        nameless_for=nameless_for,
        checks=tuple(refused),
        column=await _column(connection, table, sample),
        unknown_checks=tuple(unknown),
        policies=policies,
    )


async def _holds(
    connection: AsyncConnection, table: Table, check: sql.SQL, columns: Sequence[str], move: Move
) -> bool | None:
    """Whether a check lets a row have its new path: as everywhere, NULL lets it. None: that cannot be known."""
    base_type = sql.SQL((await _types(connection, table))[0])
    selected = [
        table.compose("%(new)s::{type} AS {path}", type=base_type)
        if column == table.path_column
        else sql.SQL("t.{}").format(sql.Identifier(column))
        for column in columns
    ]
    statement = table.compose(
        _HOLDS,
        check=check,
        columns=sql.SQL(", ").join(selected),
        is_key=table.key.is_key(sql.SQL("%(key)s")),
        alias=sql.Identifier(table.name[-1]),
    )
    values = {"key": move.reference.key, "old": table.path_of(move.reference.path), "new": table.path_of(move.new_path)}
    try:
        async with connection.transaction():  # a savepoint: what fails says nothing, and spoils nothing
            row: Any = await (await connection.execute(statement, values)).fetchone()
    except psycopg.Error:
        if connection.closed:
            raise
        return None
    return None if row is None else row[0] is not False


async def _column(connection: AsyncConnection, table: Table, sample: Sequence[Move]) -> tuple[str, ...]:
    """Say which new path the column's type refuses or changes: a domain's check, a length, the database's encoding."""
    name = (await _types(connection, table))[1]
    statement = table.compose(_FITS, type=sql.SQL(name))
    for new in (table.path_of(move.new_path) for move in sample):
        try:
            async with connection.transaction():
                row: Any = await (await connection.execute(statement, {"new": new})).fetchone()
        except psycopg.Error as error:
            if connection.closed:
                raise
            return (f"{name} refuses {new!r}: {error.diag.message_primary or error}",)
        if not row[0]:
            return (f"{name} does not hold {new!r} as it is",)
    return ()


async def _types(connection: AsyncConnection, table: Table) -> tuple[str, str]:
    """Return the path column's type without and with its length."""
    without, with_length = await only_row(connection, _TYPE, _names(connection, table))
    return without, with_length


def _names(connection: AsyncConnection, table: Table) -> dict[str, str]:
    return {"table": sql.Identifier(*table.name).as_string(connection), "path": table.path_column}
