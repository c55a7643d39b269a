"""The plan of a statement, as ``EXPLAIN (FORMAT JSON)`` tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from psycopg import AsyncConnection


async def plan_of(
    connection: AsyncConnection, statement: sql.Composable, values: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the nodes of the plan of a statement that is to be executed with these values."""
    explain = sql.SQL("EXPLAIN (FORMAT JSON) {}").format(statement)
    answer: Any = await (await connection.execute(explain, values)).fetchone()
    return list(nodes_of(answer[0][0]["Plan"]))


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the nodes of a plan, each before those below it."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes_of(below)
