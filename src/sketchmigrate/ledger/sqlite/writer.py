"""The run's record of flips, on disk before the database sees them, and of the references that were not flipped.

An SQLite file in the run's directory, in WAL mode with ``synchronous=FULL``: a commit is an fsync, and a file torn by a
crash opens again at the last whole commit (sqlite.org/wal.html, sqlite.org/atomiccommit.html). All work happens on one
thread of its own, so that an fsync never holds up the event loop.

``run``          what the run was about: the table and its columns, both sides, the command. No secret.
``batch``        the flips of a batch: key, old path, new path, size, ETag, time, everything that undoes them; it may
                 list a flip that the database then refused, so a rollback compares before it sets. ``read_checksum`` of
                 the bytes that were read, where nothing else of the legacy object proved them. How they are kept is
                 said in ``batch``; the view ``flip`` shows each as a row.
``not_flipped``  key, path, outcome, reason (its kind) and what is particular of it: every other reference, with the
                 latest word on each key; and a flipped one whose object's copy has replaced another.
``unsettled``    key, path, new path of references whose object is or was copied without a condition, from before the
                 copy to just after our flip's COMMIT; xid is the transaction of the flip, from before its UPDATE on.
                 What is left was set by us only if that was committed: see ``migration.overwritten``.
``locked``       references whose rows somebody else holds, what was copied for them, and what the last flip on record
                 was to set them to: they are taken up again later.
``upload``       uploads in parts of streamed objects, from before their first part on, and whether they have ended;
                 ``is_left`` are those of earlier runs, until somebody claims them.
``sample``       how the run stood at one moment after the other, by Unix seconds: see ``samples``.

``source`` is the place of a row's source in the run's settings; keys are unique in each. A long value is packed, a BLOB
instead of a text (see ``values``); in ``not_flipped`` its beginning is the path, and the whole of it ``packed``.

Where several processes share the work each has a file of its own, and ``attempt`` says to which of its attempts at a
range a row belongs (see ``workers``). It is 0 in the ledger of the run as a whole.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from functools import lru_cache
from itertools import chain
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from sketchmigrate.core.keys import keys_json, stored_key
from sketchmigrate.core.outcome import Outcome, Problem, Result
from sketchmigrate.core.reason import OVERWRITTEN, reason_from_stored, stored_reason
from sketchmigrate.core.reference import Key, Reference
from sketchmigrate.ledger.contract import (
    EDITION,
    MOST_GROUPS,
    NEEDING_A_PERSON,
    PROBLEM_COLUMNS,
    OpenUpload,
    problem_groups,
    problem_row,
    source_names,
)
from sketchmigrate.ledger.file_database import FileDatabase
from sketchmigrate.ledger.sqlite.batch import MOST_FLIPS, TABLES, batch_of, batches, flips_in
from sketchmigrate.ledger.sqlite.past_flips import OVERLAPPING, overlapping
from sketchmigrate.ledger.values import DIGEST_BYTES, digest_of_long, pack, page_of, shown, unpack

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.outcome import ProblemGroup
    from sketchmigrate.core.reason import Reason
    from sketchmigrate.ledger.contract import Flip
    from sketchmigrate.ledger.sqlite.batch import Batch, LongValue

T = TypeVar("T")

SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
BEGIN;
PRAGMA user_version = {EDITION};
CREATE TABLE IF NOT EXISTS run (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
{TABLES}
CREATE TABLE IF NOT EXISTS not_flipped (
    key NOT NULL, path TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, about TEXT, attempt INTEGER NOT NULL,
    source INTEGER NOT NULL, packed BLOB, PRIMARY KEY (attempt, source, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unsettled (
    key NOT NULL, path TEXT NOT NULL, new_path TEXT NOT NULL, xid INTEGER, source INTEGER NOT NULL,
    PRIMARY KEY (source, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload (
    upload_id TEXT PRIMARY KEY, bucket TEXT NOT NULL, object_key TEXT NOT NULL, etag TEXT NOT NULL,
    has_ended INTEGER NOT NULL, part_bytes INTEGER NOT NULL, headers_sha256 TEXT NOT NULL, is_left INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sample (at INTEGER PRIMARY KEY, packed BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS locked (
    key NOT NULL, path TEXT NOT NULL, copied INTEGER NOT NULL, size_bytes INTEGER, reason TEXT NOT NULL,
    about TEXT, attempt INTEGER NOT NULL, source INTEGER NOT NULL, new_path TEXT, PRIMARY KEY (attempt, source, key)
) WITHOUT ROWID;
"""
"""Leaves its transaction open: what the run is about belongs to it, so that no ledger with tables is without."""

ROWS_A_STATEMENT = 1_000
"""SQLite takes 32 766 parameters (sqlite.org/limits.html)."""

AMONG = "key IN (SELECT value FROM json_each(?))"
OF_LONG = f"substr({{}}, 1, {DIGEST_BYTES})"
"""What tells a packed value from all others; NULL where none is."""

_LOCKED = """
SELECT key, path FROM locked WHERE attempt = ?1 AND source = ?2 AND (?3 IS NULL OR key > ?3) ORDER BY key LIMIT ?4
"""
_LOCKED_TO = (
    f"SELECT key, path, new_path FROM locked WHERE new_path NOT NULL AND attempt = ? AND source = ? AND {AMONG}"  # noqa: S608 - ours
)
_UPLOAD = f"INSERT OR REPLACE INTO upload ({', '.join(OpenUpload._fields)}, has_ended, is_left)"
_UPLOAD_ENDED = """
INSERT INTO upload (upload_id, bucket, object_key, etag, has_ended, part_bytes, headers_sha256, is_left)
VALUES (?, '', '', '', 1, 0, '', 0)
ON CONFLICT (upload_id) DO UPDATE SET has_ended = 1
"""
_LEFT_UPLOADS = f"""
SELECT {", ".join(OpenUpload._fields)} FROM upload
WHERE bucket = ? AND object_key = ? AND is_left AND NOT has_ended ORDER BY upload_id
"""  # noqa: S608 - our own words
_CLAIM_UPLOAD = "UPDATE upload SET is_left = 0 WHERE upload_id = ? AND is_left"
_FORGET_SAMPLES = "DELETE FROM sample WHERE at IN (SELECT value FROM json_each(?))"
_ONE_OF = "outcome IN (SELECT value FROM json_each(?))"
_PROBLEM = "source, key, path, outcome, reason, about"
_FOR_A_PERSON = f"""
FROM not_flipped WHERE attempt = 0 AND ({_ONE_OF} OR reason IN ({", ".join(f"'{kind}'" for kind in OVERWRITTEN)}))
"""
GROUPS = f"""
SELECT count(*), outcome, reason, coalesce(json_extract(about, '$.code'), '') AS code,
    coalesce(json_extract(about, '$.hint'), '') AS hint {_FOR_A_PERSON}
GROUP BY outcome, reason, code, hint ORDER BY count(*) DESC, outcome, reason, code, hint LIMIT {MOST_GROUPS}
"""

# For a value that is no int, float or str, sqlite3 looks for an adapter, and where there is none it asks the value
# itself whether it has one: 0.15 µs each.
sqlite3.register_adapter(bool, int)
sqlite3.register_adapter(NoneType, lambda none: none)
sqlite3.register_adapter(UUID, stored_key)


@lru_cache(maxsize=64)
def _insertion(into: str, rows: int, columns: int) -> str:
    """Return a statement that inserts so many rows; one of 500 has 9 KB, and is the same for nearly every batch."""
    row = f"({', '.join('?' * columns)})"
    return f"{into} VALUES {', '.join([row] * rows)}"


def claim(database: sqlite3.Connection, bucket: str, object_key: str) -> OpenUpload | None:
    """Return an upload that nobody has claimed, which is claimed then, also from among several processes."""
    for row in database.execute(_LEFT_UPLOADS, (bucket, object_key)).fetchall():
        upload = OpenUpload(*row)
        with database:
            if database.execute(_CLAIM_UPLOAD, (upload.upload_id,)).rowcount:
                return upload
    return None


class SqliteLedger(FileDatabase):
    """The ledger of one run. Use as an async context manager; every method raises ``RunDirectoryError``."""

    attempt = 0
    """To which attempt belongs what is recorded."""

    source = 0
    """Of which source is what is recorded, and what is asked."""

    _word_of_the_run = "not_flipped"

    def __init__(self, path: Path, *, description: dict[str, str]) -> None:
        super().__init__("the run's record", path, sqlite3.Error)
        self._description = description
        self._words = False  # whether anything was said of any reference that was not flipped
        self._next_number = 1  # of a flip
        self._database: sqlite3.Connection

    async def describe(self, more: Mapping[str, str]) -> None:
        """Add to what the run was about."""
        rows = list(more.items())
        await self._call(lambda: self._insert("INSERT OR REPLACE INTO run", rows))

    async def record_flips(self, flips: Sequence[Flip], *, unix_time: float) -> None:
        """Write intended flips; they are on disk when this returns."""
        await self._call(lambda: self._insert_flips(flips, unix_time))

    async def record_not_flipped(self, results: Sequence[Result]) -> None:
        """Write references that this run did not flip, with outcome and reason."""
        rows: list[tuple[object, ...]] = []
        for each in results:
            path, packed = shown(each.reference.path)
            outcome = (each.outcome.value, *stored_reason(each.reason))
            rows.append((each.reference.key, path, *outcome, self.attempt, self.source, packed))
        self._words = True
        await self._call(lambda: self._insert("INSERT OR REPLACE INTO not_flipped", rows))

    async def open_copies(self, moves: Iterable[Move]) -> None:
        """Write references whose object is copied without a condition, and whose row we have not set."""
        rows = [(m.reference.key, *pack(m.reference.path, m.new_path), self.source) for m in moves]
        into = "INSERT OR REPLACE INTO unsettled (key, path, new_path, source)"
        await self._call(lambda: self._insert(into, rows))

    async def note_transaction(self, keys: Iterable[Key], xid: int | None) -> None:
        """Write which transaction (xid8, or None) is about to set the rows of references that are unsettled."""
        statement = f"UPDATE unsettled SET xid = ? WHERE source = ? AND {AMONG}"  # noqa: S608 - ours
        await self._execute(statement, xid, self.source, keys_json(keys))

    async def settle_copies(self, keys: Iterable[Key]) -> None:
        """Strike out references among those: we set their row, or wrote no object for them, or looked at it."""
        await self._execute(f"DELETE FROM unsettled WHERE source = ? AND {AMONG}", self.source, keys_json(keys))  # noqa: S608 - ours

    async def record_upload(self, upload: OpenUpload) -> None:
        """Write that an upload was begun; it is on disk when this returns."""
        await self._call(lambda: self._insert(_UPLOAD, [(*upload, False, False)]))

    async def take_over_uploads(self, uploads: Sequence[OpenUpload]) -> None:
        """Write uploads that earlier runs have left open as this run's own, to be claimed by whoever needs one."""
        await self._call(lambda: self._insert(_UPLOAD, [(*upload, False, True) for upload in uploads]))

    async def claim_upload(self, bucket: str, object_key: str) -> OpenUpload | None:
        """Return an upload of an object that was taken over from an earlier run; it is returned once in this run."""
        return await self._call(lambda: claim(self._database, bucket, object_key))

    async def record_upload_ended(self, upload_id: str) -> None:
        """Write that an upload, perhaps of another run, is an object by now, or aborted."""
        await self._execute(_UPLOAD_ENDED, upload_id)

    async def unsettled_among(self, keys: Sequence[Key]) -> set[Key]:
        """Return those of the keys whose reference is written as copied without a condition, and not struck out."""
        statement = f"SELECT key FROM unsettled WHERE source = ? AND {AMONG}"  # noqa: S608 - ours
        found = {key for (key,) in await self._rows(statement, self.source, keys_json(keys))}
        return {key for key in keys if stored_key(key) in found}

    async def record_locked(self, results: Sequence[Result]) -> None:
        """Write references whose rows somebody else holds: they are taken up again when the others are done."""
        of_all = (self.attempt, self.source)

        def record() -> None:
            new_paths = self._flipped_to([each.reference.key for each in results], of_all)
            rows: list[tuple[object, ...]] = []
            for each in results:
                key, path = each.reference
                old, new = pack(path, new_paths.get(key))
                rows.append((key, old, bool(each.copied), each.size_bytes, *stored_reason(each.reason), *of_all, new))
            self._insert("INSERT OR REPLACE INTO locked", rows)

        await self._call(record)

    async def locked(self, after: Key | None, count: int) -> list[Reference]:
        """Return references of this attempt that were found locked, by key, with keys as a ledger has them."""
        values = (self.attempt, self.source, after, count)

        def read() -> list[Reference]:
            rows = self._database.execute(_LOCKED, values)
            return page_of((Reference(key, unpack(path, None)[0]) for key, path in rows), lambda each: [each.path])

        return await self._call(read)

    async def new_paths(self, keys: Sequence[Key]) -> dict[Key, str]:
        """Return what this attempt's flips on record set the rows with these keys to, the last of each."""
        of_all = (self.attempt, self.source)

        def read() -> dict[Key, str]:
            rows = self._database.execute(_LOCKED_TO, (*of_all, keys_json(keys)))
            locked = {key: unpack(path, new_path)[1] for key, path, new_path in rows}
            found = {key: locked[stored] for key in keys if (stored := stored_key(key)) in locked}
            return found | self._flipped_to([key for key in keys if key not in found], of_all)

        return await self._call(read)

    async def copied_before(self, keys: Sequence[Key]) -> dict[Key, tuple[int | None, Reason | None]]:
        """Return the size, and what was to be said, of the copies made for those of the locked references."""
        which = f"copied AND attempt = ? AND source = ? AND {AMONG}"
        statement = f"SELECT key, size_bytes, reason, about FROM locked WHERE {which}"  # noqa: S608 - ours
        rows = await self._rows(statement, self.attempt, self.source, keys_json(keys))
        found = {key: (size_bytes, reason_from_stored(*reason)) for key, size_bytes, *reason in rows}
        return {key: found[stored] for key in keys if (stored := stored_key(key)) in found}

    async def forget_locked(self, keys: Iterable[Key]) -> None:
        """Strike references out that were found locked, and then were not."""
        statement = f"DELETE FROM locked WHERE attempt = ? AND source = ? AND {AMONG}"  # noqa: S608 - ours
        await self._execute(statement, self.attempt, self.source, keys_json(keys))

    async def without_unresolved(self, references: Sequence[Reference]) -> list[Reference]:
        """Drop the references that this run has found unresolved in a pass before, so that a further one skips them."""
        which = f"attempt = 0 AND source = ? AND key = ? AND path = ? AND {OF_LONG.format('packed')} IS ? AND {_ONE_OF}"
        statement = f"SELECT 1 FROM {self._word_of_the_run} WHERE {which}"  # noqa: S608 - our own text
        source, outcomes = self.source, json.dumps(NEEDING_A_PERSON)

        def is_unresolved(key: Key, path: str) -> bool:
            values = (source, key, shown(path)[0], digest_of_long(path), outcomes)
            return self._database.execute(statement, values).fetchone() is not None

        def look_up() -> list[Reference]:
            return [reference for reference in references if not is_unresolved(*reference)]

        return await self._call(look_up)

    async def forget_unresolved(self) -> None:
        """Strike out all that was found unresolved, so that the next pass tries it again."""
        statement = f"DELETE FROM not_flipped WHERE attempt = 0 AND {_ONE_OF}"  # noqa: S608 - our own text

        def forget() -> None:
            with self._database:
                self._database.execute(statement, (json.dumps(NEEDING_A_PERSON),))

        await self._call(forget)

    async def first_unresolved(
        self, count: int, outcomes: Collection[Outcome] = NEEDING_A_PERSON
    ) -> tuple[Problem, ...]:
        """Return the first ``count`` references with one of these outcomes, by source and key."""
        statement = f"SELECT {_PROBLEM} {_FOR_A_PERSON} ORDER BY source, key LIMIT ?"
        rows = await self._rows(statement, json.dumps(list(outcomes)), count)
        return tuple(
            Problem(source, Result(Reference(key, path), Outcome(outcome), reason_from_stored(*reason)))
            for source, key, path, outcome, *reason in rows
        )

    async def problem_groups(self, outcomes: Collection[Outcome] = NEEDING_A_PERSON) -> tuple[ProblemGroup, ...]:
        """Return how many references have these outcomes, by reason: the most frequent ``MOST_GROUPS`` of them."""
        return problem_groups(await self._rows(GROUPS, json.dumps(list(outcomes))))

    async def write_problems(self, path: Path, outcomes: Collection[Outcome] = NEEDING_A_PERSON) -> None:
        """Write every reference with one of these outcomes into a CSV file, with the columns ``PROBLEM_COLUMNS``."""
        statement = f"SELECT {_PROBLEM} {_FOR_A_PERSON} ORDER BY outcome, source, key"

        def write() -> None:
            names = source_names(dict(self._database.execute("SELECT name, value FROM run")))
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(PROBLEM_COLUMNS)
                for row in self._database.execute(statement, (json.dumps(list(outcomes)),)):
                    writer.writerow(problem_row(names, row))

        await self._call(write)

    async def record_samples(self, samples: Mapping[int, bytes], forgotten: Collection[int] = ()) -> None:
        """Write samples of the run by their second, packed, and strike others out by theirs."""

        def record() -> None:
            with self._database:
                self._database.execute(_FORGET_SAMPLES, (json.dumps(list(forgotten)),))
                self._database.executemany("INSERT OR REPLACE INTO sample VALUES (?, ?)", list(samples.items()))

        await self._call(record)

    def _open(self) -> None:
        self._path.touch(mode=0o600)
        self._database = sqlite3.connect(self._path.absolute().as_uri(), uri=True, check_same_thread=False)
        self._database.executescript(SCHEMA)
        self._insert("INSERT OR REPLACE INTO run", list(self._description.items()))
        last = self._database.execute("SELECT number + flips FROM batch ORDER BY number DESC LIMIT 1").fetchone()
        self._next_number = last[0] if last else 1

    def _close(self) -> None:
        self._database.close()

    def _insert_flips(self, flips: Sequence[Flip], unix_time: float) -> None:
        """Insert flips. What was said of their keys before, in an earlier pass, is no word on them any more."""
        of_all = (self.attempt, self.source)
        number = self._next_number
        rows: list[Batch] = []
        long_values: list[LongValue] = []
        for first in range(0, len(flips), MOST_FLIPS):
            batch, some = batch_of(flips[first : first + MOST_FLIPS], number, unix_time, *of_all)
            rows.append(batch)
            long_values += some
            number += batch.flips
        with self._database:
            if self._words:
                statement = f"DELETE FROM not_flipped WHERE attempt = ? AND source = ? AND {AMONG}"  # noqa: S608 - our own text
                self._database.execute(statement, (*of_all, keys_json(flip.key for flip in flips)))
            self._insert_all([("INSERT INTO long_value", long_values), ("INSERT INTO batch", rows)])
        self._next_number = number

    def _flipped_to(self, keys: Sequence[Key], of_all: tuple[int, int]) -> dict[Key, str]:
        """Return what the last flip on record of each key of an attempt and source was to; the newest are read first.

        What was found locked was put on record just before: so that ends when all are found.
        """
        wanted = {stored_key(key): key for key in keys}
        found: dict[Key, str] = {}
        if not wanted:
            return found
        which = f"attempt = ? AND source = ? AND {OVERLAPPING}"
        for batch in batches(self._database, which, (*of_all, *overlapping(list(wanted))), newest_first=True):
            for _, flip in flips_in(self._database, batch, lambda _, flip: flip.key in wanted, newest_first=True):
                found[wanted.pop(stored_key(flip.key))] = flip.new_path
            if not wanted:
                break
        return found

    def _insert(self, into: str, rows: Sequence[tuple[object, ...]]) -> None:
        self._insert_all([(into, rows)])

    def _insert_all(self, insertions: Iterable[tuple[str, Sequence[tuple[object, ...]]]]) -> None:
        """Insert rows into tables, all or none; they are on disk when this returns.

        Many are in one statement: ``executemany`` would hand the interpreter's lock over for each row.
        """
        with self._database:
            for into, rows in insertions:
                for first in range(0, len(rows), ROWS_A_STATEMENT):
                    some = rows[first : first + ROWS_A_STATEMENT]
                    statement = _insertion(into, len(some), len(some[0]))
                    self._database.execute(statement, list(chain.from_iterable(some)))

    async def _execute(self, statement: str, *values: object) -> None:
        """Carry out one statement; what it changed is on disk when this returns."""

        def execute() -> None:
            with self._database:
                self._database.execute(statement, values)

        await self._call(execute)

    async def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return await self._call(lambda: self._database.execute(statement, values).fetchall())
