"""A run of the past whose ledger is in a database, open for reading."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, LiteralString, Self

import psycopg

from sketchmigrate.core.errors import DatabaseError, DatabaseRefused, UsageError
from sketchmigrate.core.keys import key_json
from sketchmigrate.core.reason import OVERWRITTEN
from sketchmigrate.ledger.contract import (
    OVERWRITTEN_SENTENCE,
    PAGE_FLIPS,
    STORED_OTHERWISE,
    PastFlip,
    RecordedFlip,
    UnsettledCopy,
    check_edition,
)
from sketchmigrate.ledger.merging import newest_first
from sketchmigrate.ledger.postgres.heartbeat import STALE_SECONDS
from sketchmigrate.ledger.postgres.server import NAME, READ_EDITION, ledger_parameters, of_the_ledger, refusal
from sketchmigrate.postgres.database import place_named
from sketchmigrate.postgres.faults import connect_failure, translate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from sketchmigrate.core.keys import StoredKey


_RUNS: LiteralString = "SELECT id, began_at, about FROM sketch_ledger.run ORDER BY number"
_RUN: LiteralString = "SELECT number, about FROM sketch_ledger.run WHERE id = %s"
# Earlier editions of the tables have no column alive_at.
_SILENT_SECONDS: LiteralString = """
SELECT extract(epoch FROM clock_timestamp() - (to_jsonb(r) ->> 'alive_at')::timestamptz)::float8
FROM sketch_ledger.run AS r WHERE number = %s
"""
_LAST_FLIPS: LiteralString = """
SELECT a.number, f.number, f.unix_time FROM sketch_ledger.attempt AS a, LATERAL (
    SELECT number, unix_time FROM sketch_ledger.flip WHERE attempt = a.number ORDER BY number DESC LIMIT 1
) AS f WHERE a.run = %s
"""
_FLIPS: LiteralString = """
SELECT f.attempt, f.number, f.key, f.old_path, f.new_path, f.etag, f.unix_time,
    coalesce(n.outcome <> 'migrated', false) AS denied, coalesce(n.reason = %(stored)s, false) AS stored_otherwise
FROM sketch_ledger.flip AS f LEFT JOIN sketch_ledger.not_flipped AS n
    ON n.attempt = f.attempt AND n.key = f.key AND n.path = f.old_path
"""
_PAGE: LiteralString = (
    "SELECT number, key, old_path, new_path, etag, unix_time, stored_otherwise FROM ("  # noqa: S608 - our own words
    + _FLIPS
    + """
WHERE f.attempt = %(attempt)s AND f.number < %(before)s) AS f
WHERE NOT denied OR stored_otherwise ORDER BY number DESC LIMIT %(count)s
"""
)
_STORED_OTHERWISE: LiteralString = (
    "SELECT DISTINCT ON (key) key, old_path, new_path, etag, unix_time, stored_otherwise FROM ("  # noqa: S608 - ours
    + _FLIPS
    + """
WHERE n.reason = %(stored)s AND f.attempt IN (SELECT number FROM sketch_ledger.attempt WHERE run = %(run)s)
    AND (%(after)s::jsonb IS NULL OR f.key > %(after)s::jsonb)) AS f ORDER BY key LIMIT %(count)s
"""
)
_UNSETTLED: LiteralString = """
SELECT DISTINCT ON (key) key, path, new_path, to_jsonb(u) ->> 'xid' FROM sketch_ledger.unsettled AS u
WHERE run = %s AND (%s::jsonb IS NULL OR key > %s::jsonb) ORDER BY key LIMIT %s
"""
# The first edition of the tables has no column xid.
_FLIPS_OF: LiteralString = (
    """
SELECT f.key, old_path, f.new_path, etag, unix_time, stored_otherwise, denied, u.key IS NOT NULL, to_jsonb(u) ->> 'xid'
FROM ("""
    + _FLIPS
    + """
WHERE f.key = ANY(%(keys)s::text[]::jsonb[])) AS f JOIN sketch_ledger.attempt AS a ON a.number = f.attempt
LEFT JOIN sketch_ledger.unsettled AS u ON u.run = a.run AND u.worker = a.worker AND u.key = f.key
WHERE a.run = %(run)s ORDER BY unix_time
"""
)
_REPORTED: LiteralString = """
SELECT n.key FROM sketch_ledger.not_flipped AS n JOIN sketch_ledger.attempt AS a ON a.number = n.attempt
WHERE a.run = %s AND n.key = ANY(%s::text[]::jsonb[]) AND (n.reason = ANY(%s) OR starts_with(n.reason, %s))
"""


def list_runs(url: str) -> list[tuple[str, float, dict[str, str]]]:
    """Return the runs in a database: their ids, the Unix times at which they began, and what they were about."""
    with _Reading(url) as reading:
        return [(run_id, began_at, about) for run_id, began_at, about in reading.rows(_RUNS, ())]


class _Reading:
    """A connection for reading. Every method raises ``DatabaseError``."""

    def __init__(self, url: str) -> None:
        self._parameters = ledger_parameters(url)
        self.where = place_named(self._parameters)
        self._connection: psycopg.Connection[tuple[Any, ...]]

    def __enter__(self) -> Self:
        try:
            self._connection = psycopg.connect(autocommit=True, prepare_threshold=None, **self._parameters)
        except psycopg.Error as error:
            raise of_the_ledger(connect_failure(error, self.where, NAME)) from error
        with ExitStack() as opened:
            opened.callback(self._connection.close)
            for (edition,) in self.rows(READ_EDITION, ()):
                check_edition(edition, self.where)
            opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def rows(self, statement: LiteralString, values: Sequence[object] | Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        try:
            return self._connection.execute(statement, values).fetchall()
        except psycopg.Error as error:
            raise _refused(translate(error, "reading the ledger"), self.where) from error


def _refused(error: DatabaseError, where: str) -> DatabaseError:
    return refusal(error, where) if isinstance(error, DatabaseRefused) else error


class PastDatabase:
    """A run whose ledger is in a database; see ``contract.PastRun``."""

    def __init__(self, url: str, run_id: str, directory: Path) -> None:
        self.directory = directory
        self.description: dict[str, str] = {}
        self.flips = 0
        self._run_id = run_id
        self._reading = _Reading(url)
        self._attempts: list[_AttemptReader] = []
        self._opened = ExitStack()
        self._run = 0

    @property
    def path(self) -> str:
        """Where its ledger is, for messages."""
        return f"run {self._run_id} in the ledger at {self._reading.where}"

    @property
    def last_flip_at(self) -> float:
        """The Unix time of the last, or 0."""
        return max((attempt.last_flip_at for attempt in self._attempts), default=0.0)

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            opened.enter_context(self._reading)
            found = self._reading.rows(_RUN, [self._run_id])
            if not found:
                hint = "Look at LEDGER_URL, and at the names: sketch-migrate ledger list"
                raise UsageError(f"there is no {self.path}", hint=hint)
            ((self._run, self.description),) = found
            last_flips = self._reading.rows(_LAST_FLIPS, [self._run])
            self.flips = sum(number for _, number, _ in last_flips)
            self._attempts = [_AttemptReader(self._reading, attempt, at) for attempt, _, at in last_flips]
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def goes_on(self) -> str:
        """Return what tells that the run is not over; empty where it is, as far as can be told."""
        ((silent,),) = self._reading.rows(_SILENT_SECONDS, [self._run])
        if silent is None or silent > STALE_SECONDS:
            return ""
        return (
            f"the ledger heard of it {silent:.0f} s ago, and it counts as over after {STALE_SECONDS:.0f} s of silence"
        )

    async def newest_first(self, *, page_flips: int = PAGE_FLIPS) -> AsyncIterator[list[PastFlip]]:
        """Yield all flips in pages, the newest first, but those that did not come about as the run noted itself."""
        async for page in newest_first(self._attempts, page_flips):
            yield page

    def unsettled(self, after: StoredKey | None, count: int) -> list[UnsettledCopy]:
        """Return references, by key, whose object this run copied without a condition and whose row it did not set."""
        begin = None if after is None else key_json(after)
        rows = self._reading.rows(_UNSETTLED, [self._run, begin, begin, count])
        return [UnsettledCopy(key, path, new_path, _xid(xid)) for key, path, new_path, xid in rows]

    def stored_otherwise(self, after: StoredKey | None, count: int) -> list[PastFlip]:
        """Return flips, by key, for which the database stored another path, which the run committed."""
        begin = None if after is None else key_json(after)
        values = {"run": self._run, "after": begin, "count": count, "stored": STORED_OTHERWISE}
        return [PastFlip(*row) for row in self._reading.rows(_STORED_OTHERWISE, values)]

    def flips_of(self, keys: Iterable[StoredKey]) -> list[RecordedFlip]:
        """Return the flips of these keys."""
        values = {"run": self._run, "keys": [key_json(key) for key in keys], "stored": STORED_OTHERWISE}
        rows = self._reading.rows(_FLIPS_OF, values)
        return [RecordedFlip(PastFlip(*flip), denied, open_, _xid(xid)) for *flip, denied, open_, xid in rows]

    def reported_overwritten(self, keys: Iterable[StoredKey]) -> set[StoredKey]:
        """Return those of the keys whose object this run has reported as possibly overwritten."""
        values = [self._run, [key_json(key) for key in keys], list(OVERWRITTEN), OVERWRITTEN_SENTENCE]
        return {key for (key,) in self._reading.rows(_REPORTED, values)}


class _AttemptReader:
    """The flips of one attempt; see ``merging.FlipSource``."""

    def __init__(self, reading: _Reading, attempt: int, last_flip_at: float) -> None:
        self._reading, self._attempt = reading, attempt
        self.last_flip_at = last_flip_at

    def page(self, before: int, count: int) -> list[tuple[int, PastFlip]]:
        """Return flips with numbers below ``before``, the newest first."""
        values = {"attempt": self._attempt, "before": before, "count": count, "stored": STORED_OTHERWISE}
        rows = self._reading.rows(_PAGE, values)
        return [(row[0], PastFlip(*row[1:])) for row in rows]


def _xid(text: str | None) -> int | None:
    return None if text is None else int(text)
