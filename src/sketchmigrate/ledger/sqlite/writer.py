"""The run's record of flips, on disk before the database sees them, and of the references that were not flipped.

An SQLite file in the run's directory, in WAL mode with ``synchronous=FULL``: a commit is an fsync, and a file torn by a
crash opens again at the last whole commit (sqlite.org/wal.html, sqlite.org/atomiccommit.html). All work happens on one
thread of its own, so that an fsync never holds up the event loop.

``run``          what the run was about: the table and its columns, both sides, the command. No secret.
``flip``         key, old path, new path, size, ETag, time: everything that undoes a flip; it may list a flip that the
                 database then refused, so a rollback compares before it sets.
``not_flipped``  key, path, outcome, reason (its kind) and what is particular of it: every other reference, with the
                 latest word on each key; and a flipped one whose object's copy has replaced another.
``unsettled``    key, path, new path of references whose object is or was copied without a condition, from before the
                 copy to just after our flip's COMMIT; xid is the transaction of the flip, from before its UPDATE on.
                 What is left was set by us only if that was committed: see ``migration.overwritten``.
``locked``       references whose rows somebody else holds, and what was copied for them: they are taken up again later.

Where several processes share the work each has a file of its own, and ``attempt`` says to which of its attempts at a
range a row belongs (see ``workers``). It is 0 in the ledger of the run as a whole.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from itertools import chain
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from sketchmigrate.core.keys import keys_json, stored_key
from sketchmigrate.core.outcome import Outcome, Result
from sketchmigrate.core.reason import OVERWRITTEN, reason_from_stored, stored_reason
from sketchmigrate.core.reference import Key, Reference
from sketchmigrate.ledger.contract import (
    EDITION,
    MOST_GROUPS,
    NEEDING_A_PERSON,
    PROBLEM_COLUMNS,
    Flip,
    problem_groups,
    problem_row,
)
from sketchmigrate.ledger.file_database import FileDatabase

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.outcome import ProblemGroup
    from sketchmigrate.core.reason import Reason

T = TypeVar("T")

SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
BEGIN;
PRAGMA user_version = {EDITION};
CREATE TABLE IF NOT EXISTS run (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS flip (
    key NOT NULL, old_path TEXT NOT NULL, new_path TEXT NOT NULL, size_bytes INTEGER, etag TEXT,
    unix_time REAL NOT NULL, copied INTEGER NOT NULL, attempt INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS not_flipped (
    key NOT NULL, path TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, about TEXT, attempt INTEGER NOT NULL,
    PRIMARY KEY (attempt, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unsettled (
    key NOT NULL PRIMARY KEY, path TEXT NOT NULL, new_path TEXT NOT NULL, xid INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS locked (
    key NOT NULL, path TEXT NOT NULL, copied INTEGER NOT NULL, size_bytes INTEGER, reason TEXT NOT NULL,
    about TEXT, attempt INTEGER NOT NULL, PRIMARY KEY (attempt, key)
) WITHOUT ROWID;
"""
"""Leaves its transaction open: what the run is about belongs to it, so that no ledger with tables is without."""

ROWS_A_STATEMENT = 1_000
"""SQLite takes 32 766 parameters (sqlite.org/limits.html)."""

AMONG = "key IN (SELECT value FROM json_each(?))"
_FLIP = f"INSERT INTO flip (unix_time, attempt, {', '.join(Flip._fields)})"
_LOCKED = "SELECT key, path FROM locked WHERE attempt = ?1 AND (?2 IS NULL OR key > ?2) ORDER BY key LIMIT ?3"
_ONE_OF = "outcome IN (SELECT value FROM json_each(?))"
_PROBLEM = "key, path, outcome, reason, about"
_FOR_A_PERSON = f"""
FROM not_flipped WHERE attempt = 0 AND ({_ONE_OF} OR reason IN ({", ".join(f"'{kind}'" for kind in OVERWRITTEN)}))
"""
_GROUPS = f"""
SELECT count(*), outcome, reason, coalesce(json_extract(about, '$.code'), '') AS code,
    coalesce(json_extract(about, '$.hint'), '') AS hint {_FOR_A_PERSON}
GROUP BY outcome, reason, code, hint ORDER BY count(*) DESC, outcome, reason, code, hint LIMIT {MOST_GROUPS}
"""

# For a value that is no int, float or str, sqlite3 looks for an adapter, and where there is none it asks the value
# itself whether it has one: 0.15 µs each.
sqlite3.register_adapter(bool, int)
sqlite3.register_adapter(NoneType, lambda none: none)
sqlite3.register_adapter(UUID, stored_key)


class SqliteLedger(FileDatabase):
    """The ledger of one run. Use as an async context manager; every method raises ``RunDirectoryError``."""

    attempt = 0
    """To which attempt belongs what is recorded."""

    _word_of_the_run = "not_flipped"

    def __init__(self, path: Path, *, description: dict[str, str]) -> None:
        super().__init__("the run's record", path, sqlite3.Error)
        self._description = description
        self._words = False  # whether anything was said of any reference that was not flipped
        self._database: sqlite3.Connection

    async def describe(self, more: Mapping[str, str]) -> None:
        """Add to what the run was about."""
        rows = list(more.items())
        await self._call(lambda: self._insert("INSERT OR REPLACE INTO run", rows))

    async def record_flips(self, flips: Sequence[Flip], *, unix_time: float) -> None:
        """Write intended flips; they are on disk when this returns."""
        of_all = (unix_time, self.attempt)
        await self._call(lambda: self._insert_flips(flips, of_all))

    async def record_not_flipped(self, results: Sequence[Result]) -> None:
        """Write references that this run did not flip, with outcome and reason."""
        rows = [(*each.reference, each.outcome.value, *stored_reason(each.reason), self.attempt) for each in results]
        self._words = True
        await self._call(lambda: self._insert("INSERT OR REPLACE INTO not_flipped", rows))

    async def open_copies(self, moves: Iterable[Move]) -> None:
        """Write references whose object is copied without a condition, and whose row we have not set."""
        rows = [(*m.reference, m.new_path) for m in moves]
        into = "INSERT OR REPLACE INTO unsettled (key, path, new_path)"
        await self._call(lambda: self._insert(into, rows))

    async def note_transaction(self, keys: Iterable[Key], xid: int | None) -> None:
        """Write which transaction (xid8, or None) is about to set the rows of references that are unsettled."""
        await self._execute(f"UPDATE unsettled SET xid = ? WHERE {AMONG}", xid, keys_json(keys))  # noqa: S608 - ours

    async def settle_copies(self, keys: Iterable[Key]) -> None:
        """Strike out references among those: we set their row, or wrote no object for them, or looked at it."""
        await self._execute(f"DELETE FROM unsettled WHERE {AMONG}", keys_json(keys))  # noqa: S608 - ours

    async def unsettled_among(self, keys: Sequence[Key]) -> set[Key]:
        """Return those of the keys whose reference is written as copied without a condition, and not struck out."""
        found = {key for (key,) in await self._rows(f"SELECT key FROM unsettled WHERE {AMONG}", keys_json(keys))}  # noqa: S608 - ours
        return {key for key in keys if stored_key(key) in found}

    async def record_locked(self, results: Sequence[Result]) -> None:
        """Write references whose rows somebody else holds: they are taken up again when the others are done."""
        rows = [
            (*each.reference, each.copied, each.size_bytes, *stored_reason(each.reason), self.attempt)
            for each in results
        ]
        await self._call(lambda: self._insert("INSERT OR REPLACE INTO locked", rows))

    async def locked(self, after: Key | None, count: int) -> list[Reference]:
        """Return references of this attempt that were found locked, by key, with keys as a ledger has them."""
        return [Reference(key, path) for key, path in await self._rows(_LOCKED, self.attempt, after, count)]

    async def copied_before(self, keys: Sequence[Key]) -> dict[Key, tuple[int | None, Reason | None]]:
        """Return the size, and what was to be said, of the copies made for those of the locked references."""
        statement = f"SELECT key, size_bytes, reason, about FROM locked WHERE copied AND attempt = ? AND {AMONG}"  # noqa: S608 - ours
        rows = await self._rows(statement, self.attempt, keys_json(keys))
        found = {key: (size_bytes, reason_from_stored(*reason)) for key, size_bytes, *reason in rows}
        return {key: found[stored] for key in keys if (stored := stored_key(key)) in found}

    async def forget_locked(self, keys: Iterable[Key]) -> None:
        """Strike references out that were found locked, and then were not."""
        await self._execute(f"DELETE FROM locked WHERE attempt = ? AND {AMONG}", self.attempt, keys_json(keys))  # noqa: S608 - ours

    async def without_unresolved(self, references: Sequence[Reference]) -> list[Reference]:
        """Drop the references that this run has found unresolved in a pass before, so that a further one skips them."""
        statement = f"SELECT 1 FROM {self._word_of_the_run} WHERE attempt = 0 AND key = ? AND path = ? AND {_ONE_OF}"  # noqa: S608 - our own text
        outcomes = json.dumps(NEEDING_A_PERSON)

        def look_up() -> list[Reference]:
            execute = self._database.execute
            return [r for r in references if execute(statement, (*r, outcomes)).fetchone() is None]

        return await self._call(look_up)

    async def first_unresolved(
        self, count: int, outcomes: Collection[Outcome] = NEEDING_A_PERSON
    ) -> tuple[Result, ...]:
        """Return the first ``count`` references with one of these outcomes, by key; and what may be overwritten."""
        statement = f"SELECT {_PROBLEM} {_FOR_A_PERSON} ORDER BY key LIMIT ?"
        rows = await self._rows(statement, json.dumps(list(outcomes)), count)
        return tuple(
            Result(Reference(key, path), Outcome(outcome), reason_from_stored(*reason))
            for key, path, outcome, *reason in rows
        )

    async def problem_groups(self, outcomes: Collection[Outcome] = NEEDING_A_PERSON) -> tuple[ProblemGroup, ...]:
        """Return how many references have these outcomes, by reason: the most frequent ``MOST_GROUPS`` of them."""
        return problem_groups(await self._rows(_GROUPS, json.dumps(list(outcomes))))

    async def write_problems(self, path: Path, outcomes: Collection[Outcome] = NEEDING_A_PERSON) -> None:
        """Write every reference with one of these outcomes into a CSV file, with the columns ``PROBLEM_COLUMNS``."""
        statement = f"SELECT {_PROBLEM} {_FOR_A_PERSON} ORDER BY outcome, key"

        def write() -> None:
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(PROBLEM_COLUMNS)
                for row in self._database.execute(statement, (json.dumps(list(outcomes)),)):
                    writer.writerow(problem_row(*row))

        await self._call(write)

    def _open(self) -> None:
        self._path.touch(mode=0o600)
        self._database = sqlite3.connect(self._path.absolute().as_uri(), uri=True, check_same_thread=False)
        self._database.executescript(SCHEMA)
        self._insert("INSERT OR REPLACE INTO run", list(self._description.items()))

    def _close(self) -> None:
        self._database.close()

    def _insert_flips(self, flips: Sequence[Flip], of_all: tuple[float, int]) -> None:
        """Insert flips. What was said of their keys before, in an earlier pass, is no word on them any more."""
        with self._database:
            if self._words:
                statement = f"DELETE FROM not_flipped WHERE attempt = ? AND {AMONG}"  # noqa: S608 - our own text
                self._database.execute(statement, (self.attempt, keys_json(flip.key for flip in flips)))
            self._insert(_FLIP, flips, of_all)

    def _insert(self, into: str, rows: Sequence[tuple[object, ...]], of_all: tuple[object, ...] = ()) -> None:
        """Insert rows, many in one statement: ``executemany`` would hand the interpreter's lock over for each row.

        The values ``of_all``, which are the same in each, come first.
        """
        with self._database:
            for first in range(0, len(rows), ROWS_A_STATEMENT):
                some = rows[first : first + ROWS_A_STATEMENT]
                row = f"({', '.join('?' * len(some[0]))})"
                values = f"VALUES {', '.join([row] * len(some))}"
                if of_all:
                    values = f"SELECT {'?, ' * len(of_all)}* FROM ({values})"  # noqa: S608 - our own text
                self._database.execute(f"{into} {values}", [*of_all, *chain.from_iterable(some)])

    async def _execute(self, statement: str, *values: object) -> None:
        """Carry out one statement; what it changed is on disk when this returns."""

        def execute() -> None:
            with self._database:
                self._database.execute(statement, values)

        await self._call(execute)

    async def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return await self._call(lambda: self._database.execute(statement, values).fetchall())
