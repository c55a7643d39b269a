"""One ledger file of the past, open for reading; whole, after a crash, or on a medium that cannot be written."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.core.keys import keys_json
from sketchmigrate.core.reason import OVERWRITTEN
from sketchmigrate.ledger.account import account_in
from sketchmigrate.ledger.contract import (
    EDITION,
    NEEDING_A_PERSON,
    OVERWRITTEN_SENTENCE,
    WITH_KINDS,
    OpenUpload,
    UnsettledCopy,
    check_edition,
    problem_groups,
    uploads_of,
    values_of,
)
from sketchmigrate.ledger.samples import samples_of
from sketchmigrate.ledger.sqlite.earlier_flips import WITH_BATCHES, EarlierFlips
from sketchmigrate.ledger.sqlite.past_flips import BatchedFlips
from sketchmigrate.ledger.sqlite.writer import AMONG, GROUPS
from sketchmigrate.ledger.values import page_of, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from sketchmigrate.core.keys import StoredKey
    from sketchmigrate.core.outcome import ProblemGroup
    from sketchmigrate.core.sample import Sample
    from sketchmigrate.ledger.contract import PastFlip, RecordedFlip

T = TypeVar("T")

_UNSETTLED = """
SELECT key, path, new_path, xid, source FROM unsettled WHERE source = ?1 AND (?2 IS NULL OR key > ?2)
ORDER BY key LIMIT ?3
"""
_UPLOADS = f"SELECT {', '.join(OpenUpload._fields)}, has_ended FROM upload ORDER BY upload_id"  # noqa: S608 - ours
_REPORTED = f"""
SELECT key FROM not_flipped WHERE source = ? AND {AMONG}
    AND (reason IN ({", ".join(f"'{kind}'" for kind in OVERWRITTEN)}) OR reason LIKE '{OVERWRITTEN_SENTENCE}%')
"""  # noqa: S608 - our own words
_SAMPLES = "SELECT packed FROM sample ORDER BY at"


class LedgerFile:
    """A ledger's file, open for reading. A context manager; nothing is written beside it.

    ``description`` is what was noted of its run, ``flips`` how many are in it, ``first_flip_at`` and ``last_flip_at``
    the Unix times of the first and the last, or 0. Every method raises ``RunDirectoryError``. Those that take time are
    for a thread of their own.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.description: dict[str, str] = {}
        self.flips = 0
        self.first_flip_at = self.last_flip_at = 0.0
        self._edition = EDITION
        self._opened = ExitStack()
        self._database: sqlite3.Connection
        self._flips: BatchedFlips | EarlierFlips

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

    def page(
        self, beyond: int, count: int, *, source: int | None = None, forwards: bool = False
    ) -> list[tuple[int, PastFlip]]:
        """Return flips beyond a row number, and these numbers, the newest first unless ``forwards``.

        Those that did not come about as the run noted are left out.
        """
        return self._guarded(lambda: self._flips.page(beyond, count, source=source, forwards=forwards))

    def stored_otherwise(self, after: StoredKey | None, count: int, *, source: int = 0) -> list[PastFlip]:
        """Return flips, by key, for which the database stored another path, which the run committed."""
        return self._guarded(lambda: self._flips.stored_otherwise(after, count, source))

    def unsettled(self, after: StoredKey | None, count: int, *, source: int = 0) -> list[UnsettledCopy]:
        """Return references, by key, whose object this run copied without a condition and whose row it did not set."""

        def read() -> list[UnsettledCopy]:
            rows = self._database.execute(_UNSETTLED, (source, after, count))
            copies = (UnsettledCopy(key, *unpack(path, new_path), *more) for key, path, new_path, *more in rows)
            return page_of(copies, values_of)

        return self._guarded(read)

    def flips_of(self, keys: Iterable[StoredKey], *, source: int = 0) -> list[RecordedFlip]:
        """Return the flips of these keys."""
        among = list(keys)
        return self._guarded(lambda: self._flips.flips_of(among, source))

    def reported_overwritten(self, keys: Iterable[StoredKey], *, source: int = 0) -> set[StoredKey]:
        """Return those of the keys whose object this run has reported as possibly overwritten."""
        values = (source, keys_json(keys))
        return {key for (key,) in self._guarded(lambda: self._database.execute(_REPORTED, values).fetchall())}

    def uploads(self) -> tuple[list[OpenUpload], set[str]]:
        """Return the uploads that were begun, and the ids of those that are known to have ended."""
        rows = self._guarded(lambda: self._database.execute(_UPLOADS).fetchall())
        return uploads_of(rows)

    def samples(self) -> list[Sample]:
        """Return the samples that are on record, the oldest first."""
        return samples_of(self._guarded(lambda: self._database.execute(_SAMPLES).fetchall()))

    def problem_groups(self) -> tuple[ProblemGroup, ...]:
        """Return how many references need a person by the run's own word, by reason; none where that is a sentence."""
        if self._edition < WITH_KINDS:
            return ()
        values = (json.dumps(NEEDING_A_PERSON),)
        return problem_groups(self._guarded(lambda: self._database.execute(GROUPS, values).fetchall()))

    def newest_objects(self, count: int) -> list[tuple[str, int | None]]:
        """Return what the newest flips set rows to, but for long values, and the size of the object if it is known."""
        return self._guarded(lambda: self._flips.newest_objects(count))

    def _open(self, opened: ExitStack) -> sqlite3.Connection:
        """Open the file without a change to it, also where SQLite's own files cannot be made beside it.

        What a killed run committed last is in the write-ahead log, which can only be read with a shared-memory file
        beside it (sqlite.org/wal.html, "Read-Only Databases"): failing that, a copy elsewhere is read. Where there is
        no such log and the run has noted its end, nobody writes any more, and reading leaves no file.
        """
        journal = Path(f"{self.path}-wal")
        account = account_in(self.path.parent)
        if not journal.exists() and account is not None and account.exit_code is not None:
            return _connected(f"{self.path.absolute().as_uri()}?mode=ro&immutable=1", opened)
        try:
            return _connected(f"{self.path.absolute().as_uri()}?mode=ro", opened)
        except sqlite3.OperationalError:
            if not journal.exists() or not journal.stat().st_size:
                return _connected(f"{self.path.absolute().as_uri()}?mode=ro&immutable=1", opened)
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="sketch-migrate-ledger-")))
            for part in (self.path, journal):
                shutil.copyfile(part, folder / part.name)
            return _connected(str(folder / self.path.name), opened)

    def _describe(self) -> None:
        """Read what the run is; one that was killed while it began its ledger has no edition yet."""
        ((self._edition,),) = self._database.execute("PRAGMA user_version")
        check_edition(self._edition, self.path)
        kind = EarlierFlips if self._edition < WITH_BATCHES else BatchedFlips
        self._flips = kind(self._database)
        self.description = dict(self._database.execute("SELECT name, value FROM run"))
        self.first_flip_at, self.flips, self.last_flip_at = self._flips.ends()

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            hint = (
                "Look at the file and its folder. To go on without it, move that folder out of RUN_DIR: what its run"
                " flipped cannot be set back then. Other ledgers can be rolled back, each by its directory."
            )
            raise RunDirectoryError(f"the run's record {self.path} cannot be read: {error}", hint=hint) from error


def _connected(uri: str, opened: ExitStack) -> sqlite3.Connection:
    with ExitStack() as trial:
        database = trial.enter_context(
            closing(sqlite3.connect(uri, uri=uri.startswith("file:"), check_same_thread=False))
        )
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        opened.push(trial.pop_all())
    return database
