"""Tries a flip before anything is copied, and rolls it back: what refuses one row most often refuses all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import DatabaseRefused, SettingsError
from sketchmigrate.core.keys import stored_key
from sketchmigrate.migration.planning import Forward
from sketchmigrate.postgres.references import References
from sketchmigrate.postgres.refusals import Refusals, read_refusals
from sketchmigrate.postgres.trial import LIMITS, STILL_LEGACY, Tried, is_possible, spread_references, try_flip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.reference import Reference
    from sketchmigrate.core.source import Source
    from sketchmigrate.migration.planning import SourceTable
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.session import Session
    from sketchmigrate.postgres.table import Table

PLACES = 6
"""Where the row of the first is refused, one of each of the others is tried."""

AT_A_PLACE = 10
"""So many rows are asked for at a place, until one is free."""

SLOW_MILLISECONDS = 10.0
"""Where a trigger fires on it, an update that takes longer is said to be slow: without one it takes one or two."""

SLOW_WITHOUT_TRIGGER_MILLISECONDS = 250.0
"""The first update of a connection has plans to make and pages to read: on a busy machine 15 ms are nothing."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What the rows said that were tried; or why none was, in ``left_out``. ``is_done`` says that none is legacy.

    ``fires`` says that triggers do.
    """

    tried: tuple[Tried, ...] = ()
    left_out: str = ""
    is_done: bool = False
    fires: bool = False

    @property
    def refused(self) -> tuple[Tried, ...]:
        """Those that the database did not take."""
        return tuple(each for each in self.tried if each.cause)

    @property
    def is_refused(self) -> bool:
        """Whether all were refused, and all for one cause."""
        return len(self.refused) == len(self.tried) and len({each.cause for each in self.tried}) == 1

    @property
    def is_slow(self) -> bool:
        """Whether an update took long."""
        slow = SLOW_MILLISECONDS if self.fires else SLOW_WITHOUT_TRIGGER_MILLISECONDS
        return any(each.milliseconds > slow for each in self.tried)

    def told(self) -> str:
        """Say it in a sentence or two."""
        if not self.tried:
            return f"no flip was tried: {self.left_out}"
        many = len(self.tried)
        if not self.refused:
            (only,) = self.tried
            if only.milliseconds >= LIMITS.statement_ms:
                took = f"was cut short after {LIMITS.statement_ms / 1000:g} s: what fires on it is slow"
            else:
                took = f"took {only.milliseconds:.1f} ms, with all that fires on it"
            return f"the flip of row {only.reference.key} {took}, and was rolled back; it speaks for that row alone"
        first = self.refused[0]
        says = f"row {first.reference.key} does not take the path {first.new_path!r}: {first.words} ({first.cause})"
        if many == 1:
            return f"{says}; no other row was tried, and it speaks for itself alone"
        if self.is_refused:
            return f"{says}; {many} rows tried, all refused for this cause. It speaks for these alone"
        return f"{says}; {len(self.refused)} of {many} rows tried refused, so others may pass"

    def error(self) -> DatabaseRefused:
        """Return what ends a migration that the table does not take."""
        hint = "Mend the table, or leave the trial out with --no-trial: then each row is tried, and told by itself."
        sqlstate = self.refused[0].cause if len(self.refused[0].cause) == 5 else ""  # noqa: PLR2004 - a code's length
        return DatabaseRefused(f"trial flip: {self.told()}", hint=hint, sqlstate=sqlstate)

    def as_json(self) -> dict[str, object]:
        """Return it for ``--json``."""
        rows = [
            {
                "key": stored_key(each.reference.key),
                "new_path": each.new_path,
                "milliseconds": round(each.milliseconds, 1),
                "cause": each.cause,
                "words": each.words,
            }
            for each in self.tried
        ]
        return {"refused": bool(self.tried) and self.is_refused, "told": self.told(), "rows": rows}


async def try_flips(database: Database, source: SourceTable) -> Trial:
    """Try the flip of a free legacy row, and where that is refused of up to five others from elsewhere in the table.

    The first that passes ends it. Raises ``SettingsError`` where a flipped row is legacy still, and ``DatabaseError``.
    """
    table, mapping = source.table, source.mapping
    async with database.session() as session:
        possible = await session.run(is_possible, table, doing="looking at the table")
        if possible.obstacle:
            return Trial(left_out=possible.obstacle)
        places = await session.run(spread_references, table, mapping, PLACES, doing="reading references")
        if not places:
            return Trial(left_out="no legacy row was found where it looked", is_done=True)
        tried: list[Tried] = []
        for references in places:
            moves = (await Forward(source).plan(references[:AT_A_PLACE], References(session, table))).moves
            one = await _try_at(session, table, moves, hides_rows=possible.hides_rows)
            if one is not None and one.cause == STILL_LEGACY:
                raise still_legacy(source.source, one.reference)
            if one is not None:
                tried.append(one)
                if not one.cause:
                    break
    return Trial(tuple(tried), left_out="" if tried else "no row was free", fires=possible.fires)


async def check_it_ends(database: Database, source: SourceTable) -> None:
    """Check that rows of the source's sample are not legacy any more when they are flipped. Writes nothing.

    Raises ``SettingsError`` or ``DatabaseError``.
    """
    if not (source.source.sides_by_row and source.sample):
        return
    rows = {move.new_path: move.reference for move in source.sample}
    async with database.session() as session:
        still = await References(session, source.table).still_meeting(list(rows))
    if still:
        raise still_legacy(source.source, rows[still[0]])


def still_legacy(source: Source, row: Reference) -> SettingsError:
    """Return the error of a condition that holds for a row, after a flip, as it did before: it would have no end."""
    columns = ", ".join(f"{name} = {value!r}" for name, value in source.sets)
    message = f"where of the source {source.name!r}: it holds for row {row.key} after a flip sets {columns} as before"
    return SettingsError(message, hint="It has to say which rows are legacy, by a column in set, and be false then.")


async def certain_refusals(database: Database, source: SourceTable) -> Refusals:
    """Return what the catalog makes certain, its checks evaluated for a legacy row of each of some places.

    Raises ``DatabaseError``.
    """
    table = source.table
    async with database.session() as session:
        places = await session.run(spread_references, table, source.mapping, PLACES, doing="reading references")
        sample: list[Move] = []
        for rows in places:
            sample += (await Forward(source).plan(rows[:AT_A_PLACE], References(session, table))).moves[:1]
        return await session.run(read_refusals, table, sample, doing="looking at the table")


async def _try_at(session: Session, table: Table, moves: Sequence[Move], *, hides_rows: bool) -> Tried | None:
    """Try the first free row of a place; None if there is none."""
    for move in moves:
        tried = await try_flip(session, table, move, hides_rows=hides_rows)
        if tried is not None:
            return tried
    return None
