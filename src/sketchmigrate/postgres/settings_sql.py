"""The SQL of the settings, tried before anything is asked: it is an expression, over its own columns, and repeatable.

Nothing is made for that, and nothing is written. The server's planner knows whether an expression can give another
result for the same row (PostgreSQL manual, "Function Volatility Categories"): of a row source for which ``e < 0`` and
``e > 0`` are both asked it says that there is no such row, but only where ``e`` is immutable, casts and operators
included (manual, ``constraint_exclusion``). A subselect is more than that test can see. There the names of the
functions in the plan are looked up, and what it gives for some rows is compared between two sessions' settings.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql

from sketchmigrate.core.errors import SettingsError
from sketchmigrate.postgres.explained import nodes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg import AsyncConnection

    from sketchmigrate.core.source import Source
    from sketchmigrate.postgres.row_value import RowValue
    from sketchmigrate.postgres.table import Table

TRIED_ROWS, LOOKED_AT = 20, 1_000

_REPEATABLE = (
    "It may use only what is IMMUTABLE in PostgreSQL: neither now(), random() nor current_user, no cast of a date or a"
    " timestamptz to text, and || in place of concat() and format()."
)

# A row source with these columns and nothing else: the table's other columns cannot be found by chance. Within CASE
# stands one expression, and neither a second SELECT nor rows of a function.
_EXPRESSION: LiteralString = "CASE WHEN true THEN ({sql}\n) END"
_COLUMNS: LiteralString = "FROM json_to_record('{{}}'::json) AS {alias} ({columns})"
_TYPE: LiteralString = "SELECT {expression} {columns} LIMIT 0"
_PLAN: LiteralString = "EXPLAIN (FORMAT JSON, VERBOSE) SELECT {expression} {columns}"
_IMPOSSIBLE: LiteralString = """
EXPLAIN (FORMAT JSON) SELECT {columns} WHERE num_nulls({expression}) < 0 AND num_nulls({expression}) > 0
"""

_CATEGORY: LiteralString = """
SELECT t.typcategory::text, e.typcategory::text, format_type(t.oid, NULL)
FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem WHERE t.oid = %s
"""

_FUNCTIONS: LiteralString = """
SELECT proname::text, bool_and(provolatile <> 'i') FROM pg_proc
WHERE proname = ANY (%s) GROUP BY proname HAVING bool_or(provolatile <> 'i') ORDER BY proname
"""

_VALUES: LiteralString = """
SELECT value FROM (SELECT {value} AS value FROM {table} AS t LIMIT {looked_at}) AS looked_at
WHERE value IS NOT NULL LIMIT {rows}
"""
_RESULTS: LiteralString = """
SELECT CASE WHEN {meets} THEN {computed}::text END
FROM unnest(%b::text[]) WITH ORDINALITY AS given(value, place) ORDER BY place
"""

_TWO_SESSIONS = (
    "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'; SET LOCAL intervalstyle = 'postgres'",
    "SET LOCAL timezone = 'Asia/Kathmandu'; SET LOCAL datestyle = 'German'; SET LOCAL intervalstyle = 'iso_8601'",
)

_UNDEFINED_COLUMN, _UNDEFINED_TABLE = "42703", "42P01"
_NOT_ITS_FAULT = frozenset({"55P03", "57014", "40P01", "40001"})
"""A lock, a time limit: tried again, or told as such."""

_quoted = re.compile(r"E?'(?:[^'\\]|''|\\.)*'")
_called = re.compile(r'("(?:[^"]|"")+"|[a-z_]\w*)\(', re.IGNORECASE)
_session_values = re.compile(r"\b(?:CURRENT_\w+|LOCALTIME\w*|SESSION_USER|USER|SYSTEM_USER)\b")


class Part(NamedTuple):
    """SQL of a source: how the settings call it, and whether it is a condition or gives keys."""

    name: str
    sql: str
    is_condition: bool


def parts_of(source: Source) -> list[Part]:
    """Return the SQL that a source has."""
    parts = (
        Part("where", source.where, is_condition=True),
        Part("expression", source.expression, is_condition=False),
        Part("also_move", source.also_move, is_condition=False),
    )
    return [part for part in parts if part.sql]


async def check_sql(connection: AsyncConnection, table: Table, source: Source) -> None:
    """Try the SQL of a source, within one transaction, which is made read-only.

    Raises ``SettingsError`` where it is wrong, or not repeatable; psycopg's errors about locks and time pass through.
    """
    await connection.execute("SET TRANSACTION READ ONLY")
    for part in parts_of(source):
        try:
            await _check(connection, table.value, source, part)
            await _check_rows(connection, table, source, part)
        except psycopg.Error as error:
            if connection.closed or error.sqlstate is None or error.sqlstate in _NOT_ITS_FAULT:
                raise
            raise _wrong(source, part, str(error.diag.message_primary or error), _hint(source, error)) from error


async def _check(connection: AsyncConnection, value: RowValue, source: Source, part: Part) -> None:
    """Check that it gives what it has to, of its columns alone, and the same each time."""
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(column.quoted, sql.SQL(column.type_name)) for column in value.columns
    )
    names = {
        "expression": sql.SQL(_EXPRESSION).format(sql=sql.SQL(part.sql.replace("%", "%%"))),
        "columns": sql.SQL(_COLUMNS).format(alias=value.name_of_row, columns=columns),
    }
    described = (await connection.execute(sql.SQL(_TYPE).format(**names), ())).description or []
    row: Any = await (await connection.execute(_CATEGORY, [described[0].type_code])).fetchone()
    category, of_elements, type_name = row
    wanted = "boolean" if part.is_condition else "text or text[]"
    if not (category == "B" if part.is_condition else "S" in {category, of_elements}):
        raise _wrong(source, part, f"it gives {type_name}, and not {wanted}")
    plan = await _plan(connection, sql.SQL(_PLAN).format(**names))
    nodes = list(nodes_of(plan))
    if relation := next((node["Relation Name"] for node in nodes if "Relation Name" in node), None):
        hint = "The SQL of a source sees the columns of its own row alone: column, set and reads."
        raise _wrong(source, part, f"it reads the table {relation}", hint)
    impossible = await _plan(connection, sql.SQL(_IMPOSSIBLE).format(**names))
    if impossible["Node Type"] == "Result" and impossible.get("One-Time Filter") == "false":
        return
    never, perhaps = await _changing(connection, nodes)
    if never or not any("Subplan Name" in node for node in nodes):
        raise _not_repeatable(source, part, never or perhaps)


async def _check_rows(connection: AsyncConnection, table: Table, source: Source, part: Part) -> None:
    """Try it on some rows, as the same values are read in two sessions."""
    statement = table.compose(_VALUES, rows=sql.Literal(TRIED_ROWS), looked_at=sql.Literal(LOOKED_AT))
    try:
        async with connection.transaction():
            values = [value for (value,) in await (await connection.execute(statement, ())).fetchall()]
    except psycopg.errors.QueryCanceled:  # a table that begins with many dead rows: it is not worth the wait
        return
    given = sql.SQL("given.value")
    computed = table.value.computed_from(part.sql, given)
    meets = sql.SQL("true") if part.is_condition or not source.where else table.value.computed_from(source.where, given)
    statement = sql.SQL(_RESULTS).format(meets=meets, computed=computed)
    found = []
    for settings in _TWO_SESSIONS:
        await connection.execute(settings)
        found.append(await (await connection.execute(statement, [values])).fetchall())
    if found[0] != found[1]:
        raise _not_repeatable(source, part, [])


async def _plan(connection: AsyncConnection, statement: sql.Composed) -> dict[str, Any]:
    await connection.execute("SET LOCAL constraint_exclusion = on")
    row: Any = await (await connection.execute(statement, ())).fetchone()
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


async def _changing(connection: AsyncConnection, nodes: Sequence[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Return which functions in a plan are not immutable whatever they are called with, and which may not be."""
    called: set[str] = set()
    never: list[str] = []
    for text in (text for node in nodes for text in _texts(node)):
        bare = _quoted.sub("''", text)
        called |= {name.strip('"') if name[0] == '"' else name.lower() for name in _called.findall(bare)}
        never += _session_values.findall(bare)
    called.discard("json_to_record")
    found: list[Any] = await (await connection.execute(_FUNCTIONS, [sorted(called)])).fetchall()
    never += [name for name, is_never in found if is_never]
    return never, [name for name, is_never in found if not is_never]


def _texts(node: dict[str, Any]) -> Iterator[str]:
    """Yield the expressions of a node of a plan; its names stand in them as well."""
    for key, value in node.items():
        if key != "Plans":
            yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))


def _hint(source: Source, error: psycopg.Error) -> str:
    if error.sqlstate == _UNDEFINED_COLUMN:
        return "If the table has it, add the column to reads: SQL sees column, set and reads alone."
    if error.sqlstate == _UNDEFINED_TABLE:
        return f"It sees one row, which is called {source.table.rpartition('.')[2]}, and no other."
    return "It is one SQL expression over the source's column, set and reads."


def _not_repeatable(source: Source, part: Part, names: Sequence[str]) -> SettingsError:
    called = f" ({', '.join(dict.fromkeys(names))})" if names else ""
    what = f"it is not repeatable{called}: for the same row it may give something else another time, or to another user"
    return _wrong(source, part, what, _REPEATABLE)


def _wrong(source: Source, part: Part, what: str, hint: str = "") -> SettingsError:
    return SettingsError(f"{part.name} of the source {source.name!r}: {what}", hint=hint)
