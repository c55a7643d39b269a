"""The ledger of a whole run in PostgreSQL, which also reads what its workers put on record; see ``writer``."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, LiteralString

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.core.outcome import Outcome, Problem, Result, Tally
from sketchmigrate.core.reason import OVERWRITTEN, reason_from_stored
from sketchmigrate.core.reference import Reference
from sketchmigrate.ledger.contract import (
    MOST_GROUPS,
    NEEDING_A_PERSON,
    PROBLEM_COLUMNS,
    Attempt,
    Word,
    problem_groups,
    problem_row,
    source_names,
)
from sketchmigrate.ledger.disk import disk_hint
from sketchmigrate.ledger.postgres.samples import FORGET_SAMPLES, RECORD_SAMPLES
from sketchmigrate.ledger.postgres.writer import DatabaseLedger
from sketchmigrate.ledger.values import unpack

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from psycopg import AsyncConnection

    from sketchmigrate.core.keys import StoredKey
    from sketchmigrate.core.outcome import ProblemGroup

_FOR_A_PERSON: LiteralString = """
FROM sketch_ledger.not_flipped
WHERE attempt = %(attempt)s AND (outcome = ANY(%(outcomes)s) OR reason = ANY(%(overwritten)s))
"""
_PROBLEMS: LiteralString = "SELECT source, key, path, outcome, reason, about" + _FOR_A_PERSON
_GROUPS: LiteralString = (
    """
SELECT count(*), outcome, reason, coalesce(about ->> 'code', '') AS code, coalesce(about ->> 'hint', '') AS hint
"""
    + _FOR_A_PERSON
    + "GROUP BY outcome, reason, code, hint ORDER BY count(*) DESC, outcome, reason, code, hint LIMIT %(count)s"
)
_ABOUT: LiteralString = "SELECT about FROM sketch_ledger.run WHERE number = %s"
_ATTEMPTS: LiteralString = """
SELECT worker, number, pass, range, began_at, tally, is_clean, source FROM sketch_ledger.attempt
WHERE run = %s AND pass = %s AND worker <> '' ORDER BY began_at, number
"""
_FLIPS_OF: LiteralString = """
SELECT attempt, source, key, old_path, old_packed, new_path, new_packed, copied, size_bytes FROM sketch_ledger.flip
WHERE attempt = ANY(%s)
"""
_OTHERS_OF: LiteralString = """
SELECT attempt, source, key, path, packed, outcome, reason, about FROM sketch_ledger.not_flipped
WHERE attempt = ANY(%s)
"""
_HAS_WORDS: LiteralString = "SELECT 1 FROM sketch_ledger.not_flipped WHERE attempt = %s LIMIT 1"
_FORGET_FLIPPED: LiteralString = """
DELETE FROM sketch_ledger.not_flipped AS n USING sketch_ledger.flip AS f
WHERE n.attempt = %s AND f.attempt = ANY(%s) AND f.source = n.source AND f.key = n.key
"""
_TAKE_OVER: LiteralString = """
INSERT INTO sketch_ledger.not_flipped (attempt, source, key, path, packed, outcome, reason, about)
SELECT DISTINCT ON (source, key) %s, source, key, path, packed, outcome, reason, about FROM sketch_ledger.not_flipped
WHERE attempt = ANY(%s) ORDER BY source, key, attempt DESC
ON CONFLICT (attempt, source, key) DO UPDATE
SET path = excluded.path, packed = excluded.packed, outcome = excluded.outcome, reason = excluded.reason,
    about = excluded.about
"""


class DatabaseRunLedger(DatabaseLedger):
    """The ledger of a whole run; see ``contract.WholeLedger``."""

    async def first_unresolved(
        self, count: int, outcomes: Collection[Outcome] = NEEDING_A_PERSON
    ) -> tuple[Problem, ...]:
        """Return the first ``count`` references with one of these outcomes, by source and key."""
        rows = await self._read(
            _PROBLEMS + "ORDER BY source, key LIMIT %(count)s", self._for_a_person(outcomes) | {"count": count}
        )
        return tuple(
            Problem(source, Result(Reference(key, path), Outcome(outcome), reason_from_stored(*reason)))
            for source, key, path, outcome, *reason in rows
        )

    async def problem_groups(self, outcomes: Collection[Outcome] = NEEDING_A_PERSON) -> tuple[ProblemGroup, ...]:
        """Return how many references have these outcomes, by reason: the most frequent ``MOST_GROUPS`` of them."""
        return problem_groups(await self._read(_GROUPS, self._for_a_person(outcomes) | {"count": MOST_GROUPS}))

    async def write_problems(self, path: Path, outcomes: Collection[Outcome] = NEEDING_A_PERSON) -> None:
        """Write every reference with one of these outcomes into a CSV file, with the columns ``PROBLEM_COLUMNS``."""
        values = self._for_a_person(outcomes)

        async def write(connection: AsyncConnection) -> None:
            ((about,),) = await (await connection.execute(_ABOUT, [self._run])).fetchall()
            names = source_names(about)
            with path.open("w", encoding="utf-8", newline="") as file:  # anew, where the connection broke
                writer = csv.writer(file)
                writer.writerow(PROBLEM_COLUMNS)
                rows = connection.cursor().stream(_PROBLEMS + "ORDER BY outcome, source, key", values)
                async for row in rows:
                    writer.writerow(problem_row(names, row))

        try:
            await self._do(write, "reading problems from the ledger", is_long=True)
        except OSError as error:
            text = f"{path} cannot be written: {error.strerror or error}"
            raise RunDirectoryError(text, hint=disk_hint(error)) from error

    async def attempts(self, pass_number: int) -> list[Attempt]:
        """Return the attempts that workers began in a pass, the oldest first."""
        rows = await self._read(_ATTEMPTS, [self._run, pass_number])
        return [
            Attempt(worker, number, of_pass, of_range, began_at, tally and Tally(**tally), is_clean, source)
            for worker, number, of_pass, of_range, began_at, tally, is_clean, source in rows
        ]

    async def words(self, attempts: Sequence[Attempt]) -> list[Word]:
        """Return all that these attempts put on record: as much memory as their ranges have references."""
        by_number = {attempt.number: attempt for attempt in attempts}
        flips = await self._read(_FLIPS_OF, [list(by_number)])
        others = await self._read(_OTHERS_OF, [list(by_number)])

        def flipped(attempt: int, source: int, key: StoredKey, *more: Any) -> Word:  # noqa: ANN401 - a row of theirs
            old_path, old_packed, new_path, new_packed, copied, size_bytes = more
            old, new = unpack(old_packed or old_path, new_packed or new_path)
            return Word(by_number[attempt], Reference(key, old), new, None, None, copied, size_bytes, source)

        def said(attempt: int, source: int, key: StoredKey, *more: Any) -> Word:  # noqa: ANN401 - a row of theirs
            path, packed, outcome, *reason = more
            reference = Reference(key, unpack(packed or path, None)[0])
            why = reason_from_stored(*reason)
            return Word(by_number[attempt], reference, "", Outcome(outcome), why, source=source)

        return [flipped(*row) for row in flips] + [said(*row) for row in others]

    async def record_samples(self, samples: Mapping[int, bytes], forgotten: Collection[int] = ()) -> None:
        """Write samples of the run by their second, packed, and strike others out by theirs."""

        async def record(connection: AsyncConnection) -> None:
            if forgotten:
                await connection.execute(FORGET_SAMPLES, [self._run, list(forgotten)])
            await connection.execute(RECORD_SAMPLES, [self._run, list(samples), list(samples.values())])

        await self._do(record, "writing samples into the ledger")

    async def take_over(self, attempts: Sequence[Attempt]) -> None:
        """Make what these attempts did not flip the run's own word on these references."""
        numbers = [attempt.number for attempt in attempts]

        async def take_over(connection: AsyncConnection) -> None:
            if await (await connection.execute(_HAS_WORDS, [self._own])).fetchone():
                await connection.execute(_FORGET_FLIPPED, [self._own, numbers])
            await connection.execute(_TAKE_OVER, [self._own, numbers])

        await self._do(take_over, "summing up a pass in the ledger", is_long=True)

    def _for_a_person(self, outcomes: Collection[Outcome]) -> dict[str, Any]:
        return {"attempt": self._own, "outcomes": list(outcomes), "overwritten": list(OVERWRITTEN)}
