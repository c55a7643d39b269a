"""One ledger file of the past, open for reading; whole, after a crash, or on a medium that cannot be written."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.core.keys import keys_json
from sketchmigrate.core.outcome import Outcome
from sketchmigrate.core.reason import OVERWRITTEN
from sketchmigrate.ledger.contract import (
    OVERWRITTEN_SENTENCE,
    STORED_OTHERWISE,
    PastFlip,
    RecordedFlip,
    UnsettledCopy,
    check_edition,
)
from sketchmigrate.ledger.sqlite.writer import AMONG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from sketchmigrate.core.keys import StoredKey

T = TypeVar("T")

_SAID = """
EXISTS (
    SELECT 1 FROM not_flipped AS n WHERE n.attempt = f.attempt AND n.key = f.key AND n.path = f.old_path AND {}
)
"""
_STORED = f"n.reason = '{STORED_OTHERWISE}'"
_DENIED = _SAID.format(f"n.outcome <> '{Outcome.MIGRATED}'")
_DENIED_AS_STORED = _SAID.format(_STORED)
_FLIP = "key, old_path, new_path, etag, unix_time"
_PAGE = f"""
SELECT rowid, {_FLIP}, {{stored}} FROM flip AS f WHERE rowid < ? {{only}} ORDER BY rowid DESC LIMIT ?
"""  # noqa: S608 - our own words
_STORED_OTHERWISE = f"""
SELECT f.{_FLIP.replace(", ", ", f.")}, 1 FROM not_flipped AS n
JOIN flip AS f ON f.key = n.key AND f.attempt = n.attempt AND f.old_path = n.path
WHERE {_STORED} AND (?1 IS NULL OR n.key > ?1) GROUP BY n.key ORDER BY n.key LIMIT ?2
"""  # noqa: S608 - our own words

_UNSETTLED = "SELECT key, path, new_path, {xid} FROM unsettled WHERE ?1 IS NULL OR key > ?1 ORDER BY key LIMIT ?2"
_REPORTED = f"""
SELECT key FROM not_flipped WHERE {AMONG}
    AND (reason IN ({", ".join(f"'{kind}'" for kind in OVERWRITTEN)}) OR reason LIKE '{OVERWRITTEN_SENTENCE}%')
"""  # noqa: S608 - our own words
_FLIPS_OF = f"""
SELECT f.{_FLIP.replace(", ", ", f.")}, {_DENIED}, u.key IS NOT NULL, {{xid}}
FROM flip AS f LEFT JOIN unsettled AS u ON u.key = f.key WHERE f.{AMONG} ORDER BY f.rowid
"""  # noqa: S608 - our own words


class LedgerFile:
    """A ledger's file, open for reading. A context manager; nothing is written beside it.

    ``description`` is what was noted of its run, ``flips`` how many are in it, ``last_flip_at`` the Unix time of the
    last, or 0. Every method raises ``RunDirectoryError``. Those that take time are for a thread of their own.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.description: dict[str, str] = {}
        self.flips = 0
        self.last_flip_at = 0.0
        self._tables: set[str] = set()
        self._has_xids = False
        self._opened = ExitStack()
        self._database: sqlite3.Connection

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            self._database = self._guarded(lambda: self._open(opened))
            self._guarded(self._describe)
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def page(self, before: int, count: int) -> list[tuple[int, PastFlip]]:
        """Return flips with their row numbers, the newest first, but those that did not come about as the run noted."""
        told = "not_flipped" in self._tables
        only = f"AND (NOT {_DENIED} OR {_DENIED_AS_STORED})" if told else ""
        statement = _PAGE.format(only=only, stored=_DENIED_AS_STORED if told else "0")
        rows = self._guarded(lambda: self._database.execute(statement, (before, count)).fetchall())
        return [(row[0], PastFlip(*row[1:])) for row in rows]

    def stored_otherwise(self, after: StoredKey | None, count: int) -> list[PastFlip]:
        """Return flips, by key, for which the database stored another path, which the run committed."""
        if not {"flip", "not_flipped"} <= self._tables:
            return []
        rows = self._guarded(lambda: self._database.execute(_STORED_OTHERWISE, (after, count)).fetchall())
        return [PastFlip(*row) for row in rows]

    def unsettled(self, after: StoredKey | None, count: int) -> list[UnsettledCopy]:
        """Return references, by key, whose object this run copied without a condition and whose row it did not set."""
        if "unsettled" not in self._tables:
            return []
        statement = _UNSETTLED.format(xid="xid" if self._has_xids else "NULL")
        rows = self._guarded(lambda: self._database.execute(statement, (after, count)).fetchall())
        return [UnsettledCopy(*row) for row in rows]

    def flips_of(self, keys: Iterable[StoredKey]) -> list[RecordedFlip]:
        """Return the flips of these keys."""
        if not {"flip", "unsettled", "not_flipped"} <= self._tables:
            return []
        statement, among = _FLIPS_OF.format(xid="u.xid" if self._has_xids else "NULL"), keys_json(keys)
        rows = self._guarded(lambda: self._database.execute(statement, (among,)).fetchall())
        return [RecordedFlip(PastFlip(*flip), bool(denied), bool(open_), xid) for *flip, denied, open_, xid in rows]

    def reported_overwritten(self, keys: Iterable[StoredKey]) -> set[StoredKey]:
        """Return those of the keys whose object this run has reported as possibly overwritten."""
        if "not_flipped" not in self._tables:
            return set()
        among = keys_json(keys)
        return {key for (key,) in self._guarded(lambda: self._database.execute(_REPORTED, (among,)).fetchall())}

    def _open(self, opened: ExitStack) -> sqlite3.Connection:
        """Open the file without a change to it, also where SQLite's own files cannot be made beside it.

        What a killed run committed last is in the write-ahead log, which can only be read with a shared-memory file
        beside it (sqlite.org/wal.html, "Read-Only Databases"): failing that, a copy elsewhere is read.
        """
        try:
            return _connected(f"{self.path.absolute().as_uri()}?mode=ro", opened)
        except sqlite3.OperationalError:
            journal = Path(f"{self.path}-wal")
            if not journal.exists() or not journal.stat().st_size:
                return _connected(f"{self.path.absolute().as_uri()}?mode=ro&immutable=1", opened)
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="sketch-migrate-ledger-")))
            for part in (self.path, journal):
                shutil.copyfile(part, folder / part.name)
            return _connected(str(folder / self.path.name), opened)

    def _describe(self) -> None:
        """Read what the run is; a run that was killed while it began its ledger has no tables, and no flips."""
        execute = self._database.execute
        ((edition,),) = execute("PRAGMA user_version")
        check_edition(edition, self.path)
        self._tables = {name for (name,) in execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        self._has_xids = ("xid",) in execute("SELECT name FROM pragma_table_info('unsettled')").fetchall()
        if "run" in self._tables:
            self.description = dict(execute("SELECT name, value FROM run"))
        if "flip" in self._tables:
            last = execute("SELECT rowid, unix_time FROM flip ORDER BY rowid DESC LIMIT 1").fetchone()
            self.flips, self.last_flip_at = last or (0, 0.0)

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            hint = "Look at the file and its folder. Other ledgers can still be rolled back, each by its directory."
            raise RunDirectoryError(f"the run's record {self.path} cannot be read: {error}", hint=hint) from error


def _connected(uri: str, opened: ExitStack) -> sqlite3.Connection:
    with ExitStack() as trial:
        database = trial.enter_context(
            closing(sqlite3.connect(uri, uri=uri.startswith("file:"), check_same_thread=False))
        )
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        opened.push(trial.pop_all())
    return database
