"""Whether a fence stands in the way: it refuses what a rollback sets, and every UPDATE of a legacy row that is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.errors import FenceStands
from sketchmigrate.core.reference import KeyRange
from sketchmigrate.postgres.fence import drop_fence, read_fences
from sketchmigrate.postgres.references import References

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.migration.planning import SourceTable
    from sketchmigrate.postgres.database import Database

_THEN = "Have its owner run"


async def fence_ahead(database: Database, sources: Sequence[SourceTable]) -> FenceStands | None:
    """Return what to say of a fence on a table with legacy rows; None where there is no such.

    Where there is a fence the table is read until the first legacy row. Raises ``DatabaseError``.
    """
    for each in sources:
        if (names := await _fences(database, each)) and await _has_legacy(database, each):
            left = "and legacy rows are left: each UPDATE of them by the application fails (23514)"
            hint = f"{_THEN}: {_drops(each, names)}. Then migrate what is left, and set a new one: sketch-migrate fence"
            return FenceStands(f"{_fenced(each, names)}, {left}", hint=hint)
    return None


async def fence_behind(database: Database, sources: Sequence[SourceTable]) -> FenceStands | None:
    """Return what to say of a fence on a table whose rows are to be set back; None where there is none.

    Raises ``DatabaseError``.
    """
    for each in sources:
        if names := await _fences(database, each):
            text = f"{_fenced(each, names)}, which refuses to set a row back to legacy (23514)"
            return FenceStands(text, hint=f"{_THEN}: {_drops(each, names)}")
    return None


async def _fences(database: Database, source: SourceTable) -> tuple[str, ...]:
    async with database.session() as session:
        return await session.run(read_fences, source.table, doing="looking for a fence")


async def _has_legacy(database: Database, source: SourceTable) -> bool:
    if source.sample:
        return True
    async with database.session() as session:
        references = References(session, source.table)
        async for page in references.legacy_pages(KeyRange(), source.mapping):
            if page.references:
                return True
        return (await references.without_key(source.mapping)).legacy > 0


def _fenced(source: SourceTable, names: Sequence[str]) -> str:
    return f"table {source.source.table} has the fence {' and '.join(names)}"


def _drops(source: SourceTable, names: Sequence[str]) -> str:
    return " ".join(drop_fence(source.table, name) for name in names).rstrip(";")
