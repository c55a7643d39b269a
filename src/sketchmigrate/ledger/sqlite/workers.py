"""The ledgers of a run on one machine whose ranges several processes share: a file for each, beside the run's own.

``attempt`` in a worker's file: each attempt at a range, from its first record on, with its tally once it has ended. So
the ledgers alone tell what became of every reference, also where an attempt was never seen to end or two were made.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import defaultdict
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sketchmigrate.core.keys import keys_json, stored_key
from sketchmigrate.core.outcome import Outcome, Tally
from sketchmigrate.core.reason import reason_from_stored
from sketchmigrate.core.reference import Reference
from sketchmigrate.ledger.contract import Attempt, Word
from sketchmigrate.ledger.sqlite.batch import batches, flips_in
from sketchmigrate.ledger.sqlite.writer import AMONG, SqliteLedger, claim
from sketchmigrate.ledger.values import unpack

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from sketchmigrate.core.reference import Key, KeyRange
    from sketchmigrate.ledger.contract import OpenUpload
    from sketchmigrate.ledger.sqlite.writer import T

WORKER_FILES = "ledger-*.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS attempt (
    number INTEGER PRIMARY KEY, pass INTEGER NOT NULL, range INTEGER NOT NULL, after, until, began_at REAL NOT NULL,
    ended_at REAL, tally TEXT, is_clean INTEGER NOT NULL DEFAULT 0, source INTEGER NOT NULL
);
"""
_BEGIN = "INSERT INTO attempt (number, pass, range, after, until, began_at, source) VALUES (?, ?, ?, ?, ?, ?, ?)"
_END = "UPDATE attempt SET ended_at = ?, tally = ?, is_clean = ? WHERE number = ?"
_ATTEMPTS_OF = "SELECT number, pass, range, began_at, tally, is_clean, source FROM other.attempt WHERE pass = ?"
_OTHERS = "SELECT source, key, path, packed, outcome, reason, about FROM other.not_flipped WHERE attempt = ?"
_TAKE_OVER = """
INSERT OR REPLACE INTO main.not_flipped (key, path, outcome, reason, about, attempt, source, packed)
SELECT key, path, outcome, reason, about, 0, source, packed FROM other.not_flipped
WHERE attempt IN (SELECT value FROM json_each(?)) ORDER BY attempt
"""
_FORGET = """
DELETE FROM main.not_flipped WHERE attempt = 0 AND (source, key) IN (
    SELECT b.source, json_extract(r.value, '$[0]') FROM other.batch AS b, json_each(b.rows) AS r
    WHERE b.attempt IN (SELECT value FROM json_each(?)) AND EXISTS (
        SELECT 1 FROM main.not_flipped AS n
        WHERE n.attempt = 0 AND n.source = b.source AND n.key BETWEEN b.first_key AND b.last_key
    )
)
"""
_STRIKE_OUT = f"DELETE FROM other.unsettled WHERE source = ? AND {AMONG}"  # noqa: S608 - our own text


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """The run's directory: each worker process has a file of its own there."""

    folder: Path

    def open(self, worker: str, _stopping: asyncio.Event) -> WorkerFile:
        """Return the ledger of one worker process."""
        return WorkerFile(self.folder / f"ledger-{worker}.sqlite", self.folder / "ledger.sqlite", worker)


class WorkerFile(SqliteLedger):
    """The ledger of one worker process; see ``contract.WorkerLedger``."""

    _word_of_the_run = "run.not_flipped"

    def __init__(self, path: Path, run_ledger: Path, worker: str) -> None:
        super().__init__(path, description={"worker": worker})
        self._run_ledger = run_ledger
        self._to_begin: tuple[object, ...] | None = None

    async def begin_attempt(self, pass_number: int, range_number: int, key_range: KeyRange, source: int = 0) -> int:
        """Begin an attempt; it is written with the first thing that is recorded for it."""
        self.attempt += 1
        self.source = source
        self._words = False
        after, until = (None if key is None else stored_key(key) for key in (key_range.after, key_range.until))
        self._to_begin = (self.attempt, pass_number, range_number, after, until, time.time(), source)
        return self.attempt

    async def end_attempt(self, tally: Tally, *, is_clean: bool) -> None:
        """End the attempt; that is on disk when this returns."""

        def end() -> None:
            with self._database:
                self._begin()
                self._database.execute(_END, (time.time(), json.dumps(asdict(tally)), is_clean, self.attempt))
            self._to_begin = None

        await self._call(end)

    async def claim_upload(self, bucket: str, object_key: str) -> OpenUpload | None:
        """Return an upload that the run has taken over from an earlier one, and that no worker has claimed yet."""

        def claim_beside() -> OpenUpload | None:
            with closing(sqlite3.connect(self._run_ledger.absolute().as_uri(), uri=True)) as database:
                return claim(database, bucket, object_key)

        return await self._call(claim_beside)

    def _open(self) -> None:
        super()._open()
        self._database.executescript(_SCHEMA)
        self._database.execute("ATTACH ? AS run", (f"{self._run_ledger.absolute().as_uri()}?mode=ro",))
        ((last,),) = self._database.execute("SELECT coalesce(max(number), 0) FROM attempt")
        self.attempt = last

    def _insert_all(self, insertions: Iterable[tuple[str, Sequence[tuple[object, ...]]]]) -> None:
        self._begin()
        super()._insert_all(insertions)
        self._to_begin = None

    def _begin(self) -> None:
        if self._to_begin is not None:
            self._database.execute(_BEGIN, self._to_begin)


class RunLedger(SqliteLedger):
    """The ledger of a whole run, beside which the workers' files are; see ``contract.WholeLedger``."""

    async def attempts(self, pass_number: int) -> list[Attempt]:
        """Return the attempts that workers began in a pass, the oldest first."""

        def read() -> list[Attempt]:
            found = [
                attempt for worker in self._workers() for attempt in self._beside(worker, _attempts_of(pass_number))
            ]
            return sorted(found, key=lambda attempt: attempt.began_at)

        return await self._call(read)

    async def words(self, attempts: Sequence[Attempt]) -> list[Word]:
        """Return all that these attempts put on record: as much memory as their ranges have references."""

        def read() -> list[Word]:
            return [word for attempt in attempts for word in self._beside(attempt.worker, _words_of(attempt))]

        return await self._call(read)

    async def take_over(self, attempts: Sequence[Attempt]) -> None:
        """Make what these attempts did not flip the run's own word on these references."""
        numbers: defaultdict[str, list[int]] = defaultdict(list)
        for attempt in attempts:
            numbers[attempt.worker].append(attempt.number)

        def copy_all() -> None:
            for worker, some in numbers.items():
                self._change(worker, [(_FORGET, [json.dumps(some)]), (_TAKE_OVER, [json.dumps(some)])])

        await self._call(copy_all)

    async def settle_copies(self, keys: Iterable[Key]) -> None:
        """Strike out references among those, whichever worker wrote them."""
        struck_out = list(keys)
        await super().settle_copies(struck_out)
        which = [self.source, keys_json(struck_out)]

        def strike_out() -> None:
            for worker in self._workers():
                self._change(worker, [(_STRIKE_OUT, which)])

        await self._call(strike_out)

    def _change(self, worker: str, statements: Sequence[tuple[str, Sequence[object]]]) -> None:
        """Carry out statements, each with its parameters, beside a worker's file, all or none."""

        def change(database: sqlite3.Connection) -> Iterator[None]:
            with database:
                for statement, parameters in statements:
                    database.execute(statement, parameters)
            yield

        self._beside(worker, change)

    def _workers(self) -> list[str]:
        begin, end = WORKER_FILES.split("*")
        return [file.name.removeprefix(begin).removesuffix(end) for file in self._path.parent.glob(WORKER_FILES)]

    def _beside(self, worker: str, read: Callable[[sqlite3.Connection], Iterator[T]]) -> list[T]:
        """Read a worker's file as the database ``other``; one at a time, as SQLite takes only a few."""
        file = self._path.parent / WORKER_FILES.replace("*", worker)
        self._database.execute("ATTACH ? AS other", (file.absolute().as_uri(),))
        try:
            return list(read(self._database))
        finally:
            self._database.execute("DETACH other")


def _attempts_of(pass_number: int) -> Callable[[sqlite3.Connection], Iterator[Attempt]]:
    def read(database: sqlite3.Connection) -> Iterator[Attempt]:
        if not database.execute("SELECT 1 FROM other.sqlite_master WHERE name = 'attempt'").fetchone():
            return  # it was killed while it began
        ((worker,),) = database.execute("SELECT value FROM other.run WHERE name = 'worker'")
        for number, pass_, range_, began_at, tally, is_clean, source in database.execute(_ATTEMPTS_OF, (pass_number,)):
            counts = None if tally is None else Tally(**json.loads(tally))
            yield Attempt(worker, number, pass_, range_, began_at, counts, bool(is_clean), source)

    return read


def _words_of(attempt: Attempt) -> Callable[[sqlite3.Connection], Iterator[Word]]:
    def read(database: sqlite3.Connection) -> Iterator[Word]:
        for batch in batches(database, "attempt = ?", (attempt.number,), schema="other"):
            for _, (key, old_path, new_path, size_bytes, _, copied, _) in flips_in(database, batch, schema="other"):
                yield Word(attempt, Reference(key, old_path), new_path, None, None, copied, size_bytes, batch.source)
        for source, key, path, packed, outcome, *reason in database.execute(_OTHERS, (attempt.number,)):
            reference = Reference(key, unpack(packed or path, None)[0])
            yield Word(attempt, reference, "", Outcome(outcome), reason_from_stored(*reason), source=source)

    return read
