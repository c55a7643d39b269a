"""A run of the past whose ledger is in a database, open for reading."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple, Self

import psycopg

from sketchmigrate.core.errors import DatabaseError, DatabaseRefused, UsageError
from sketchmigrate.core.keys import key_json
from sketchmigrate.core.reason import OVERWRITTEN
from sketchmigrate.ledger.contract import (
    EDITION,
    MOST_GROUPS,
    NEEDING_A_PERSON,
    OVERWRITTEN_SENTENCE,
    PAGE_FLIPS,
    STORED_OTHERWISE,
    WITH_KINDS,
    PastFlip,
    RecordedFlip,
    UnsettledCopy,
    check_edition,
    past_flip,
    problem_groups,
    source_names,
    uploads_of,
)
from sketchmigrate.ledger.merging import in_order
from sketchmigrate.ledger.postgres.heartbeat import STALE_SECONDS
from sketchmigrate.ledger.postgres.samples import NEWEST_OBJECTS, OWN_GROUPS, SAMPLES
from sketchmigrate.ledger.postgres.server import NAME, READ_EDITION, ledger_parameters, of_the_ledger, refusal
from sketchmigrate.ledger.samples import samples_of
from sketchmigrate.ledger.values import DIGEST_BYTES, PAGE_BYTES, unpack
from sketchmigrate.postgres.database import place_named
from sketchmigrate.postgres.faults import connect_failure, translate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from sketchmigrate.core.keys import StoredKey
    from sketchmigrate.core.outcome import ProblemGroup
    from sketchmigrate.core.sample import Sample
    from sketchmigrate.ledger.contract import OpenUpload


_RUNS: LiteralString = """
SELECT id, began_at, about, extract(epoch FROM clock_timestamp() - (to_jsonb(r) ->> 'alive_at')::timestamptz)::float8
FROM sketch_ledger.run AS r ORDER BY number
"""
_RUN: LiteralString = "SELECT number, about FROM sketch_ledger.run WHERE id = %s"
# Earlier editions of the tables have no column alive_at.
_SILENT_SECONDS: LiteralString = """
SELECT extract(epoch FROM clock_timestamp() - (to_jsonb(r) ->> 'alive_at')::timestamptz)::float8
FROM sketch_ledger.run AS r WHERE number = %s
"""
_LAST_FLIPS: LiteralString = """
SELECT a.number, l.number, f.unix_time, l.unix_time FROM sketch_ledger.attempt AS a, LATERAL (
    SELECT unix_time FROM sketch_ledger.flip AS f WHERE attempt = a.number ORDER BY number LIMIT 1
) AS f, LATERAL (
    SELECT number, unix_time FROM sketch_ledger.flip AS l WHERE attempt = a.number ORDER BY number DESC LIMIT 1
) AS l WHERE a.run = %s
"""
_FLIPS: LiteralString = """
SELECT f.attempt, f.number, f.source, f.key, f.old_path, f.old_packed, f.new_path, f.new_packed, f.value_bytes,
    f.etag, f.unix_time, f.read_checksum,
    coalesce(n.outcome <> 'migrated', false) AS denied, coalesce(n.reason = %(stored)s, false) AS stored_otherwise
FROM sketch_ledger.flip AS f LEFT JOIN sketch_ledger.not_flipped AS n
    ON n.attempt = f.attempt AND n.source = f.source AND n.key = f.key AND CASE
        WHEN f.old_packed IS NULL THEN n.packed IS NULL AND n.path = f.old_path
        ELSE substring(n.packed FROM 1 FOR %(digest_bytes)s) = substring(f.old_packed FROM 1 FOR %(digest_bytes)s)
    END
"""
_FLIP: LiteralString = """
f.key, f.old_path, f.old_packed, f.new_path, f.new_packed, f.etag, f.unix_time, f.stored_otherwise, f.source,
f.read_checksum
"""
_PAGE: LiteralString = (
    "SELECT number, "  # noqa: S608 - our own words
    + _FLIP
    + " FROM (SELECT *, sum(value_bytes) OVER (ORDER BY {by} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    + " AS before_bytes FROM (SELECT * FROM ("
    + _FLIPS
    + """
WHERE f.attempt = %(attempt)s AND f.number {beyond} AND (%(source)s::integer IS NULL OR f.source = %(source)s)) AS f
WHERE NOT denied OR stored_otherwise ORDER BY {by} LIMIT %(count)s) AS f) AS f
WHERE before_bytes IS NULL OR before_bytes < %(page_bytes)s ORDER BY {by}
"""
)
_BACKWARDS: LiteralString = _PAGE.replace("{by}", "number DESC").replace("{beyond}", "< %(beyond)s")
_FORWARDS: LiteralString = _PAGE.replace("{by}", "number").replace("{beyond}", "> %(beyond)s")
_STORED_OTHERWISE: LiteralString = (
    "SELECT DISTINCT ON (key) "  # noqa: S608 - ours
    + _FLIP
    + " FROM ("
    + _FLIPS
    + """
WHERE n.reason = %(stored)s AND f.attempt IN (SELECT number FROM sketch_ledger.attempt WHERE run = %(run)s)
    AND f.source = %(source)s AND (%(after)s::jsonb IS NULL OR f.key > %(after)s::jsonb)) AS f
ORDER BY key LIMIT %(count)s
"""
)
_UNSETTLED: LiteralString = """
SELECT key, path, packed, new_path, new_packed, xid FROM (
    SELECT *, sum(value_bytes) OVER (ORDER BY key ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before_bytes
    FROM (
        SELECT DISTINCT ON (key) key, path, packed, new_path, new_packed, value_bytes, to_jsonb(u) ->> 'xid' AS xid
        FROM sketch_ledger.unsettled AS u
        WHERE run = %s AND source = %s AND (%s::jsonb IS NULL OR key > %s::jsonb) ORDER BY key LIMIT %s
    ) AS u
) AS u WHERE before_bytes IS NULL OR before_bytes < %s ORDER BY key
"""
# The first edition of the tables has no column xid.
_FLIPS_OF: LiteralString = (
    "SELECT "
    + _FLIP
    + """, denied, u.key IS NOT NULL, to_jsonb(u) ->> 'xid'
FROM ("""
    + _FLIPS
    + """
WHERE f.source = %(source)s AND f.key = ANY(%(keys)s::text[]::jsonb[])) AS f
JOIN sketch_ledger.attempt AS a ON a.number = f.attempt
LEFT JOIN sketch_ledger.unsettled AS u
    ON u.run = a.run AND u.worker = a.worker AND u.source = f.source AND u.key = f.key
WHERE a.run = %(run)s ORDER BY unix_time
"""
)
_REPORTED: LiteralString = """
SELECT n.key FROM sketch_ledger.not_flipped AS n JOIN sketch_ledger.attempt AS a ON a.number = n.attempt
WHERE a.run = %s AND n.source = %s AND n.key = ANY(%s::text[]::jsonb[])
    AND (n.reason = ANY(%s) OR starts_with(n.reason, %s))
"""

_UPLOADS: LiteralString = """
SELECT bucket, object_key, upload_id, etag, part_bytes, headers_sha256, has_ended
FROM sketch_ledger.upload WHERE run = %s ORDER BY upload_id
"""
_OF_ALL = {"stored": STORED_OTHERWISE, "digest_bytes": DIGEST_BYTES}
"""Parameters of ``_FLIPS``."""

WITH_SOURCES = 5
"""The first edition that tells sources apart, and packs values."""

WITH_CHECKSUMS = 6
"""The first edition that keeps checksums, and knows how an upload was begun."""

WITH_SAMPLES = 7
"""The first edition that keeps samples. The tables of later ones are the same."""

_NO_SAMPLES: dict[LiteralString, LiteralString] = {
    "sketch_ledger.sample": "(SELECT 0 AS run, 0 AS at, ''::bytea AS packed WHERE false) AS sample",
}
# Tables of the fifth edition may have uploads, and may not. A run, which asks for them, has its tables upgraded first.
_NO_UPLOADS: LiteralString = """(
    SELECT 0 AS run, '' AS bucket, '' AS object_key, '' AS upload_id, '' AS etag, 0 AS part_bytes,
        '' AS headers_sha256, false AS has_ended WHERE false
) AS upload"""
_BEFORE_THE_SIXTH: dict[LiteralString, LiteralString] = {
    **_NO_SAMPLES,
    "sketch_ledger.upload": _NO_UPLOADS,
    "sketch_ledger.flip": "(SELECT *, '' AS read_checksum FROM sketch_ledger.flip)",
}
_BEFORE_THE_FIFTH: dict[LiteralString, LiteralString] = {
    **_NO_SAMPLES,
    "sketch_ledger.upload": _NO_UPLOADS,
    "sketch_ledger.flip": """(
        SELECT *, 0 AS source, NULL::bytea AS old_packed, NULL::bytea AS new_packed, NULL::integer AS value_bytes,
            '' AS read_checksum
        FROM sketch_ledger.flip
    )""",
    "sketch_ledger.not_flipped": "(SELECT *, 0 AS source, NULL::bytea AS packed FROM sketch_ledger.not_flipped)",
    "sketch_ledger.unsettled": """(
        SELECT *, 0 AS source, NULL::bytea AS packed, NULL::bytea AS new_packed, NULL::integer AS value_bytes
        FROM sketch_ledger.unsettled
    )""",
}
"""What stands for a table of an earlier edition: without sources and values that are packed before the fifth."""


class ListedRun(NamedTuple):
    """A run in a database: its id, the Unix time at which it began, and what it was about.

    ``silent_seconds`` is how long the ledger has not heard of it; None once it has ended.
    """

    run_id: str
    began_at: float
    about: dict[str, str]
    silent_seconds: float | None

    @property
    def goes_on(self) -> bool:
        """Whether it goes on, as far as the ledger can tell."""
        return self.silent_seconds is not None and self.silent_seconds <= STALE_SECONDS


def list_runs(url: str) -> list[ListedRun]:
    """Return the runs in a database, in the order in which they began; none without a URL. Raises ``DatabaseError``."""
    if not url:
        return []
    with _Reading(url) as reading:
        return [ListedRun(*row) for row in reading.rows(_RUNS, ())]


class _Reading:
    """A connection for reading. Every method raises ``DatabaseError``."""

    def __init__(self, url: str) -> None:
        self._parameters = ledger_parameters(url)
        self.where = place_named(self._parameters)
        self.edition = EDITION
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
                self.edition = edition
            opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def rows(self, statement: LiteralString, values: Sequence[object] | Mapping[str, object]) -> list[tuple[Any, ...]]:
        """Return what a query finds, which is written for the tables of this edition."""
        if self.edition < WITH_SAMPLES:
            instead_of = _BEFORE_THE_FIFTH if self.edition < WITH_SOURCES else _BEFORE_THE_SIXTH
            for table, instead in (instead_of if self.edition < WITH_CHECKSUMS else _NO_SAMPLES).items():
                statement = statement.replace(table + " ", instead + " ")
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
    def sources(self) -> tuple[str, ...]:
        """The names of its sources."""
        return source_names(self.description)

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
            self.flips = sum(number for _, number, *_ in last_flips)
            self._attempts = [_AttemptReader(self._reading, attempt, *ends) for attempt, _, *ends in last_flips]
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

    async def newest_first(
        self, *, source: int | None = None, page_flips: int = PAGE_FLIPS
    ) -> AsyncIterator[list[PastFlip]]:
        """Yield all flips in pages, the newest first, but those that did not come about as the run noted itself."""
        async for page in in_order(self._attempts, page_flips, source=source):
            yield page

    async def oldest_first(
        self, *, source: int | None = None, page_flips: int = PAGE_FLIPS
    ) -> AsyncIterator[list[PastFlip]]:
        """Yield the same in the order in which they were written."""
        async for page in in_order(self._attempts, page_flips, source=source, forwards=True):
            yield page

    def unsettled(self, after: StoredKey | None, count: int, *, source: int = 0) -> list[UnsettledCopy]:
        """Return references, by key, whose object this run copied without a condition and whose row it did not set."""
        begin = None if after is None else key_json(after)
        rows = self._reading.rows(_UNSETTLED, [self._run, source, begin, begin, count, PAGE_BYTES])
        return [_unsettled_copy(row, source) for row in rows]

    def stored_otherwise(self, after: StoredKey | None, count: int, *, source: int = 0) -> list[PastFlip]:
        """Return flips, by key, for which the database stored another path, which the run committed."""
        begin = None if after is None else key_json(after)
        values = {"run": self._run, "after": begin, "count": count, "source": source}
        return [_past_flip(row) for row in self._reading.rows(_STORED_OTHERWISE, values | _OF_ALL)]

    def flips_of(self, keys: Iterable[StoredKey], *, source: int = 0) -> list[RecordedFlip]:
        """Return the flips of these keys."""
        values = {"run": self._run, "keys": [key_json(key) for key in keys], "source": source}
        rows = self._reading.rows(_FLIPS_OF, values | _OF_ALL)
        return [RecordedFlip(_past_flip(flip), denied, open_, _xid(xid), source) for *flip, denied, open_, xid in rows]

    def reported_overwritten(self, keys: Iterable[StoredKey], *, source: int = 0) -> set[StoredKey]:
        """Return those of the keys whose object this run has reported as possibly overwritten."""
        values = [self._run, source, [key_json(key) for key in keys], list(OVERWRITTEN), OVERWRITTEN_SENTENCE]
        return {key for (key,) in self._reading.rows(_REPORTED, values)}

    def uploads(self) -> tuple[list[OpenUpload], set[str]]:
        """Return the uploads that this run has begun, and the ids of those that it knows to have ended."""
        rows = self._reading.rows(_UPLOADS, [self._run])
        return uploads_of(rows)

    def samples(self) -> list[Sample]:
        """Return how the run stood at one moment after the other, the oldest first."""
        return samples_of(self._reading.rows(SAMPLES, [self._run]))

    def problem_groups(self) -> tuple[ProblemGroup, ...]:
        """Return how many references need a person, by reason; none where that is a sentence."""
        if self._reading.edition < WITH_KINDS:
            return ()
        values = [self._run, list(NEEDING_A_PERSON), list(OVERWRITTEN), MOST_GROUPS]
        return problem_groups(self._reading.rows(OWN_GROUPS, values))

    def newest_objects(self, count: int) -> list[tuple[str, int | None]]:
        """Return what the newest flips set rows to, but for long values, and the size of the object if it is known."""
        return [(path, size) for path, size in self._reading.rows(NEWEST_OBJECTS, [count, self._run])]


class _AttemptReader:
    """The flips of one attempt; see ``merging.FlipSource``."""

    def __init__(self, reading: _Reading, attempt: int, first_flip_at: float, last_flip_at: float) -> None:
        self._reading, self._attempt = reading, attempt
        self.first_flip_at, self.last_flip_at = first_flip_at, last_flip_at

    def page(
        self, beyond: int, count: int, *, source: int | None = None, forwards: bool = False
    ) -> list[tuple[int, PastFlip]]:
        """Return flips with numbers below ``beyond``, the newest first; or above it, the oldest first."""
        values = {"attempt": self._attempt, "beyond": beyond, "count": count, "source": source}
        statement = _FORWARDS if forwards else _BACKWARDS
        rows = self._reading.rows(statement, values | {"page_bytes": PAGE_BYTES} | _OF_ALL)
        return [(number, _past_flip(row)) for number, *row in rows]


def _past_flip(row: Sequence[Any]) -> PastFlip:
    key, old_path, old_packed, new_path, new_packed, *more = row
    return past_flip((key, old_packed or old_path, new_packed or new_path, *more))


def _unsettled_copy(row: Sequence[Any], source: int) -> UnsettledCopy:
    key, path, packed, new_path, new_packed, xid = row
    path, new_path = unpack(packed or path, new_packed or new_path)
    return UnsettledCopy(key, path, new_path, _xid(xid), source)


def _xid(text: str | None) -> int | None:
    return None if text is None else int(text)
