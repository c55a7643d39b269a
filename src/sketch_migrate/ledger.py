"""The run's record of flips, on disk before the database sees them, and of the references that need a person.

An SQLite file in the run's directory, in WAL mode with ``synchronous=FULL``: a commit is an fsync, and a file torn by a
crash opens again at the last whole commit (sqlite.org/wal.html, sqlite.org/atomiccommit.html). All work happens on one
thread of its own, so that an fsync never holds up the event loop.

``flip``        key, old path, new path, size, ETag, time: everything that undoes a flip; it may list a flip that the
                database then refused, so a rollback compares before it sets.
``unresolved``  key, path, outcome, reason: what was left on the legacy side, latest word for each key.
"""

from __future__ import annotations

import asyncio
import csv
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar
from uuid import UUID

from sketch_migrate.errors import RunDirectoryError
from sketch_migrate.model import Key, Outcome, Reference, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

T = TypeVar("T")

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS run (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS flip (
    key NOT NULL, old_path TEXT NOT NULL, new_path TEXT NOT NULL, size_bytes INTEGER, etag TEXT, unix_time REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS unresolved (
    key NOT NULL PRIMARY KEY, path TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL
) WITHOUT ROWID;
"""

HINT = "Free space on the disk of RUN_DIR or point RUN_DIR elsewhere, then run again: it goes on where it stopped."


@dataclass(frozen=True, slots=True)
class Flip:
    """One intended flip. ``size_bytes`` is None and ``etag`` empty where the copy did not tell them."""

    reference: Reference
    new_path: str
    size_bytes: int | None
    etag: str


class Ledger:
    """The ledger of one run. Use as an async context manager; every method raises ``RunDirectoryError``."""

    def __init__(self, path: Path, *, description: dict[str, str]) -> None:
        self._path = path
        self._description = description
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._database: sqlite3.Connection

    async def __aenter__(self) -> Self:
        await self._call(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._call(self._database.close)
        finally:
            self._thread.shutdown(wait=True)

    async def record_flips(self, flips: Sequence[Flip], *, unix_time: float) -> None:
        """Write intended flips; they are on disk when this returns."""
        rows = [
            (_storable(f.reference.key), f.reference.path, f.new_path, f.size_bytes, f.etag, unix_time) for f in flips
        ]
        await self._call(lambda: self._insert("INSERT INTO flip VALUES (?, ?, ?, ?, ?, ?)", rows))

    async def record_unresolved(self, results: Sequence[Result]) -> None:
        """Write the references that were left on the legacy side, with outcome and reason."""
        rows = [(_storable(r.reference.key), r.reference.path, r.outcome.value, r.reason) for r in results]
        await self._call(lambda: self._insert("INSERT OR REPLACE INTO unresolved VALUES (?, ?, ?, ?)", rows))

    async def without_unresolved(self, references: Sequence[Reference]) -> list[Reference]:
        """Drop the references that this run has already found unresolved, so that a further pass skips them."""
        statement = "SELECT 1 FROM unresolved WHERE key = ? AND path = ?"

        def look_up() -> list[Reference]:
            execute = self._database.execute
            return [r for r in references if execute(statement, (_storable(r.key), r.path)).fetchone() is None]

        return await self._call(look_up)

    async def first_unresolved(self, count: int) -> tuple[Result, ...]:
        """Return the first ``count`` references that need a person, by key."""
        statement = "SELECT key, path, outcome, reason FROM unresolved ORDER BY key LIMIT ?"

        def read() -> tuple[Result, ...]:
            rows = self._database.execute(statement, (count,))
            return tuple(Result(Reference(key, path), Outcome(outcome), reason) for key, path, outcome, reason in rows)

        return await self._call(read)

    async def write_problems(self, path: Path) -> None:
        """Write every reference that needs a person into a CSV file: key, path, outcome, reason."""

        def write() -> None:
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(("key", "path", "outcome", "reason"))
                writer.writerows(self._database.execute("SELECT * FROM unresolved ORDER BY outcome, key"))

        await self._call(write)

    def _open(self) -> None:
        self._path.touch(mode=0o600)
        self._database = sqlite3.connect(self._path, check_same_thread=False)
        self._database.executescript(SCHEMA)
        self._insert("INSERT OR REPLACE INTO run VALUES (?, ?)", list(self._description.items()))

    def _insert(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        with self._database:
            self._database.executemany(statement, rows)

    async def _call(self, work: Callable[[], T]) -> T:
        """Do the work on the ledger's thread; shielded, so that a cancelled caller never leaves a write half known."""

        def guarded() -> T:
            try:
                return work()
            except (sqlite3.Error, OSError) as error:
                raise RunDirectoryError(f"the run's record {self._path} cannot be used: {error}", hint=HINT) from error

        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, guarded))


def _storable(key: Key) -> int | str:
    """SQLite has no uuid: its text form stands for it."""
    return str(key) if isinstance(key, UUID) else key
