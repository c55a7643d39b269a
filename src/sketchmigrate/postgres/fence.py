"""A fence: a CHECK constraint of the application's table that refuses new legacy references. Printed, and never made.

It says exactly what a page of the table says of a row (see ``pages``), or there is none: one that refused another write
would break the application, and one that let a legacy reference pass would be no fence. ``NOT VALID`` leaves the rows
that are there unread, and refuses each INSERT and UPDATE from then on (PostgreSQL manual, ALTER TABLE, "Notes").
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, LiteralString

from psycopg import sql

from sketchmigrate.core.notation import KeyNotation, prefixes
from sketchmigrate.core.rule import SideName, sql_literal
from sketchmigrate.core.shapes.array import Array
from sketchmigrate.core.shapes.json import Json
from sketchmigrate.core.shapes.json_paths import parse_path
from sketchmigrate.core.shapes.whole import Whole

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from sketchmigrate.core.shapes.json_paths import Step
    from sketchmigrate.core.source import Source
    from sketchmigrate.postgres.row_value import ValueColumn
    from sketchmigrate.postgres.table import Table

FENCE_PREFIX = "sketch_migrate_fence_"
"""What the name of a fence begins with; behind it are eight digits that tell one condition from another."""

LOCK_TIMEOUT = "SET lock_timeout = '1s';"
"""ALTER TABLE takes the strongest lock: while it waits for that, the whole application waits behind it."""

_subquery = re.compile(r"\b(select|with|table|values)\b", re.IGNORECASE).search

_FENCES: LiteralString = """
SELECT o.conname::text FROM pg_constraint AS o
WHERE o.conrelid = to_regclass(%(table)s) AND o.contype = 'c' AND o.conname ~ %(name)s
    AND o.conkey && ARRAY(
        SELECT attnum FROM pg_attribute WHERE attrelid = o.conrelid AND attname = ANY(%(columns)s::text[])
    )
ORDER BY o.conname
"""


@dataclass(frozen=True, slots=True)
class Fence:
    """What an administrator runs to set a fence, and to take it away; each a statement with its semicolon."""

    name: str
    add: str
    drop: str


class NoFence(ValueError):
    """SQL cannot say exactly which writes to refuse: the text says why."""


def fence_of(source: Source, table: Table) -> Fence:
    """Return the fence of a source. Raises ``NoFence``. Pure."""
    if table.is_view:
        raise NoFence("it is a view, and a view has no constraints")
    refused = f"({_is_legacy(source, table)}) IS NOT TRUE"
    name = FENCE_PREFIX + sha256(refused.encode()).hexdigest()[:8]
    add = f"ALTER TABLE {_name(table)} ADD CONSTRAINT {name} CHECK ({refused}) NOT VALID;"
    return Fence(name, add, drop_fence(table, name))


def drop_fence(table: Table, name: str) -> str:
    """Return the statement that takes a fence away. Pure."""
    return f"ALTER TABLE {_name(table)} DROP CONSTRAINT {name};"


async def read_fences(connection: AsyncConnection, table: Table) -> tuple[str, ...]:
    """Return the names of the fences on columns of a source's value. Psycopg's errors pass through."""
    values = {
        "table": sql.Identifier(*table.name).as_string(connection),
        "name": f"^{FENCE_PREFIX}[0-9a-f]{{8}}$",
        "columns": [column.name for column in table.value.columns],
    }
    return tuple(name for (name,) in await (await connection.execute(_FENCES, values)).fetchall())


def _name(table: Table) -> str:
    return sql.Identifier(*table.name).as_string(None)


def _is_legacy(source: Source, table: Table) -> str:
    """Write the condition that a row is legacy, as ``Mapping.is_legacy`` says it."""
    if source.shape_name in {"text", "expression"}:
        raise NoFence(f"SQL cannot say exactly which rows of shape {source.shape_name!r} are legacy")
    if _subquery(source.where):
        raise NoFence("its where may hold a subquery, which a CHECK constraint cannot")
    end_of_comment = "\n" if "--" in source.where else ""
    where = f"({source.where}{end_of_comment})" if source.where else ""
    column = table.value.column
    if source.sides_by_row:
        # a row without a reference is on no side
        return where if column is None else f"{where} AND {_text(column)} <> ''"
    assert column is not None  # noqa: S101 - without a column it is an expression
    matches = _matches(source, column)
    return f"{matches} AND {where}" if where else matches


def _matches(source: Source, column: ValueColumn) -> str:
    shape = source.shape
    notation = shape.notation if isinstance(shape, Whole | Array | Json) else None
    if not isinstance(notation, KeyNotation):
        raise NoFence("SQL tells URLs only roughly: their hosts and keys may be spelt in many ways")
    if isinstance(shape, Whole):
        patterns = [sql_literal(each) for each in notation.beginnings(SideName.LEGACY)]
        test = f"LIKE {patterns[0]}" if len(patterns) == 1 else f"LIKE ANY (ARRAY[{', '.join(patterns)}])"
        return f'{_text(column)} COLLATE "C" {test}'
    every = prefixes(notation.routes, SideName.LEGACY)
    needed = [each for each in every if not any(each.startswith(other) for other in every if other != each)]
    begins = " || ".join(f"@ starts with {_quoted(each)}" for each in needed)
    name = sql.Identifier(column.name).as_string(None)
    if isinstance(shape, Array):
        return f"to_jsonb({name}) @? {sql_literal(f'strict $.** ? ({begins})')}"
    assert isinstance(shape, Json)  # noqa: S101 - the last of the three
    if column.type_name != "jsonb":
        raise NoFence(f"its column is of type {column.type_name}: not every value of it can be read as jsonb")
    paths = [f"strict ${''.join(map(_step, parse_path(path)))} ? ({begins})" for path in shape.paths]
    tests = " OR ".join(f"{name} @? {sql_literal(path)}" for path in paths)
    return f"({tests})"


def _step(step: Step) -> str:
    """Write a step into a document: lax paths would look into arrays where ours do not, strict ones need what is asked.

    A step that fits any member or element takes both, as ours does.
    """
    if step is None:
        return ".**{1}"
    accessor = f"[{step}]" if isinstance(step, int) else f".{_quoted(step)}"
    return f" ? (exists (@{accessor})){accessor}"


def _quoted(text: str) -> str:
    """Write a text in an SQL/JSON path."""
    return json.dumps(text, ensure_ascii=False)


def _text(column: ValueColumn) -> str:
    return column.text_of(sql.Identifier(column.name)).as_string(None)
