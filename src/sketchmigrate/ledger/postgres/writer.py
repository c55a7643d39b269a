"""The ledger of a run in PostgreSQL, which the workers on all machines reach; see ``tables``.

One connection, one writer at a time. Every write is a transaction that may be repeated when the connection broke: what
the first attempt left is found by its number, so that nothing is on record twice. A commit is on disk.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, LiteralString, Self, TypeVar

from sketchmigrate.core.keys import key_json, stored_key
from sketchmigrate.core.reason import reason_from_stored, stored_reason
from sketchmigrate.core.reference import Reference
from sketchmigrate.ledger.contract import NEEDING_A_PERSON, OpenUpload
from sketchmigrate.ledger.postgres.server import LedgerServer
from sketchmigrate.ledger.postgres.uploads import CLAIM_UPLOAD, UPLOAD, UPLOAD_ENDED
from sketchmigrate.ledger.values import (
    DIGEST_BYTES,
    PAGE_BYTES,
    all_short,
    digest_of_long,
    pack,
    shown,
    size_in_memory,
    unpack,
)
from sketchmigrate.postgres.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from psycopg import AsyncConnection

    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.outcome import Result, Tally
    from sketchmigrate.core.reason import Reason
    from sketchmigrate.core.reference import Key, KeyRange
    from sketchmigrate.ledger.contract import Flip
    from sketchmigrate.postgres.session import Session
    from sketchmigrate.settings import Settings

T = TypeVar("T")

_RUN: LiteralString = """
WITH made AS (
    INSERT INTO sketch_ledger.run (id, began_at, about) VALUES (%(id)s, %(now)s, '{}') ON CONFLICT (id) DO NOTHING
    RETURNING number
)
SELECT number FROM made UNION ALL SELECT number FROM sketch_ledger.run WHERE id = %(id)s
"""
_DESCRIBE: LiteralString = "UPDATE sketch_ledger.run SET about = about || %s::jsonb WHERE number = %s"
_OWN: LiteralString = "SELECT number FROM sketch_ledger.attempt WHERE run = %s AND worker = '' AND pass = 0"
_BEGIN: LiteralString = """
INSERT INTO sketch_ledger.attempt (run, worker, pass, range, after, until, began_at, source)
VALUES (%s, %s, %s, %s, %s::jsonb, %s::jsonb, %s, %s) RETURNING number
"""
_END: LiteralString = """
UPDATE sketch_ledger.attempt SET ended_at = %s, tally = %s::jsonb, is_clean = %s WHERE number = %s
"""
_LAST_FLIP: LiteralString = "SELECT coalesce(max(number), 0) FROM sketch_ledger.flip WHERE attempt = %s"
_FLIP: LiteralString = """
INSERT INTO sketch_ledger.flip (attempt, source, number, key, old_path, new_path, size_bytes, etag, unix_time, copied,
    read_checksum)
SELECT %s, %s, number, key::jsonb, old_path, new_path, size_bytes, etag, %s, copied, read_checksum
FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::boolean[], %b::text[])
    AS v(number, key, old_path, new_path, size_bytes, etag, copied, read_checksum)
ON CONFLICT DO NOTHING
"""
_FLIP_OF_LONG: LiteralString = """
INSERT INTO sketch_ledger.flip (attempt, source, number, key, old_path, new_path, size_bytes, etag, unix_time, copied,
    read_checksum, old_packed, new_packed, value_bytes)
SELECT %s, %s, number, key::jsonb, old_path, new_path, size_bytes, etag, %s, copied, read_checksum,
    old_packed, new_packed, value_bytes
FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::boolean[], %b::text[],
    %b::bytea[], %b::bytea[], %b::integer[])
    AS v(number, key, old_path, new_path, size_bytes, etag, copied, read_checksum, old_packed, new_packed, value_bytes)
ON CONFLICT DO NOTHING
"""
_FLIPPED_TO: LiteralString = """
SELECT DISTINCT ON (key) key, old_path, old_packed, new_path, new_packed FROM sketch_ledger.flip
WHERE attempt = %s AND source = %s AND number > %s AND number <= %s AND key = ANY(%s::text[]::jsonb[])
ORDER BY key, number DESC
"""
_NOT_FLIPPED: LiteralString = """
INSERT INTO sketch_ledger.not_flipped AS n (attempt, source, key, path, packed, outcome, reason, about)
SELECT %s, %s, key::jsonb, path, packed, outcome, reason, about::jsonb
FROM unnest(%b::text[], %b::text[], %b::bytea[], %b::text[], %b::text[], %b::text[])
    AS v(key, path, packed, outcome, reason, about)
ON CONFLICT (attempt, source, key) DO UPDATE
SET path = excluded.path, packed = excluded.packed, outcome = excluded.outcome, reason = excluded.reason,
    about = excluded.about
"""
_FORGET: LiteralString = """
DELETE FROM sketch_ledger.not_flipped WHERE attempt = %s AND source = %s AND key = ANY(%s::text[]::jsonb[])
"""
_OPEN: LiteralString = """
INSERT INTO sketch_ledger.unsettled (run, worker, source, key, path, new_path, packed, new_packed, value_bytes)
SELECT %s, %s, %s, key::jsonb, path, new_path, packed, new_packed, value_bytes
FROM unnest(%b::text[], %b::text[], %b::text[], %b::bytea[], %b::bytea[], %b::integer[])
    AS v(key, path, new_path, packed, new_packed, value_bytes)
ON CONFLICT (run, source, key, worker) DO UPDATE
SET path = excluded.path, new_path = excluded.new_path, packed = excluded.packed, new_packed = excluded.new_packed,
    value_bytes = excluded.value_bytes, xid = NULL
"""
_NOTE_TRANSACTION: LiteralString = """
UPDATE sketch_ledger.unsettled SET xid = %s
WHERE run = %s AND worker = %s AND source = %s AND key = ANY(%s::text[]::jsonb[])
"""
_UNSETTLED_AMONG: LiteralString = """
SELECT key FROM sketch_ledger.unsettled
WHERE run = %s AND worker = %s AND source = %s AND key = ANY(%s::text[]::jsonb[])
"""
_RECORD_LOCKED: LiteralString = """
INSERT INTO sketch_ledger.locked (attempt, source, key, copied, size_bytes, reason, about,
    path, new_path, packed, new_packed, value_bytes)
SELECT %s, %s, key::jsonb, copied, size_bytes, reason, about::jsonb, path, new_path, packed, new_packed, value_bytes
FROM unnest(%b::text[], %b::boolean[], %b::bigint[], %b::text[], %b::text[],
    %b::text[], %b::text[], %b::bytea[], %b::bytea[], %b::integer[])
    AS v(key, copied, size_bytes, reason, about, path, new_path, packed, new_packed, value_bytes)
ON CONFLICT (attempt, source, key) DO UPDATE
SET copied = excluded.copied, size_bytes = excluded.size_bytes, reason = excluded.reason, about = excluded.about,
    path = excluded.path, new_path = excluded.new_path, packed = excluded.packed, new_packed = excluded.new_packed,
    value_bytes = excluded.value_bytes
"""
_COPIED_BEFORE: LiteralString = """
SELECT key, size_bytes, reason, about FROM sketch_ledger.locked
WHERE copied AND attempt = %s AND source = %s AND key = ANY(%s::text[]::jsonb[])
"""
_LOCKED: LiteralString = """
SELECT key, path, packed FROM (
    SELECT *, sum(value_bytes) OVER (ORDER BY key ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before_bytes
    FROM (
        SELECT key, path, packed, value_bytes FROM sketch_ledger.locked
        WHERE attempt = %s AND source = %s AND (%s::jsonb IS NULL OR key > %s::jsonb) ORDER BY key LIMIT %s
    ) AS found
) AS found WHERE before_bytes IS NULL OR before_bytes < %s ORDER BY key
"""
_LOCKED_TO: LiteralString = """
SELECT key, path, packed, new_path, new_packed FROM sketch_ledger.locked
WHERE attempt = %s AND source = %s AND key = ANY(%s::text[]::jsonb[])
    AND (new_path IS NOT NULL OR new_packed IS NOT NULL)
"""
_FORGET_LOCKED: LiteralString = """
DELETE FROM sketch_ledger.locked WHERE attempt = %s AND source = %s AND key = ANY(%s::text[]::jsonb[])
"""
# the run as a whole, which is no worker, strikes out whoever wrote them
_SETTLE: LiteralString = """
DELETE FROM sketch_ledger.unsettled
WHERE run = %s AND %s IN ('', worker) AND source = %s AND key = ANY(%s::text[]::jsonb[])
"""
_FORGET_ALL: LiteralString = "DELETE FROM sketch_ledger.not_flipped WHERE attempt = %s AND outcome = ANY(%s::text[])"
_UNRESOLVED: LiteralString = """
SELECT key, path, substring(packed FROM 1 FOR %s) FROM sketch_ledger.not_flipped
WHERE attempt = %s AND source = %s AND key = ANY(%s::text[]::jsonb[]) AND outcome = ANY(%s)
"""

FIRST_FLIPS = 5_000
"""So many of the newest flips are looked through for keys, then four times as many, and so on."""


@dataclass(frozen=True, slots=True)
class DatabasePlace:
    """The database of the ledgers, and the run: each worker connects there with credentials of its own."""

    settings: Settings
    run_id: str

    def open(self, worker: str, stopping: asyncio.Event) -> DatabaseLedger:
        """Return the ledger of one worker process."""
        return DatabaseLedger(self.settings, self.run_id, worker=worker, stopping=stopping)


class DatabaseLedger:
    """A run's ledger as one of its workers writes it; see ``contract.WorkerLedger``.

    An async context manager. Entering it raises ``DatabaseError``, also where the tables are missing.
    """

    source = 0
    """Of which source is what is recorded, and what is asked."""

    def __init__(
        self,
        settings: Settings,
        run_id: str,
        *,
        stopping: asyncio.Event,
        worker: str = "",
        description: Mapping[str, str] | None = None,
    ) -> None:
        self.server = LedgerServer(settings, stopping=stopping)
        self._run_id, self._worker, self._description = run_id, worker, description
        self._writing = asyncio.Lock()
        self._opened = AsyncExitStack()
        self._flips = 0
        self._words = False  # whether anything was said of any reference that was not flipped
        self._session: Session
        self._run: int
        self._own: int  # the attempt that is the run's own word
        self._attempt: int

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opened:
            self._session = await opened.enter_async_context(self.server.session())
            await self.server.check(self._session)
            await self._do(self._open, "opening the ledger")
            if self._description:
                await self.describe(self._description)
            self._opened = opened.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    async def describe(self, more: Mapping[str, str]) -> None:
        """Add to what the run was about."""
        await self._execute(_DESCRIBE, [json.dumps(dict(more)), self._run], "describing the run in the ledger")

    async def begin_attempt(self, pass_number: int, range_number: int, key_range: KeyRange, source: int = 0) -> int:
        """Begin an attempt: all that is recorded until its end belongs to it. Return its number."""
        self.source = source
        after, until = (None if key is None else key_json(key) for key in (key_range.after, key_range.until))
        about = [self._run, self._worker, pass_number, range_number, after, until, time.time(), source]

        async def begin(connection: AsyncConnection) -> int:
            return await _number(connection, _BEGIN, about)

        self._attempt = await self._do(begin, "beginning an attempt in the ledger")
        self._flips, self._words = 0, False
        return self._attempt

    async def end_attempt(self, tally: Tally, *, is_clean: bool) -> None:
        """End the attempt; that is on disk when this returns."""
        values = [time.time(), json.dumps(asdict(tally)), is_clean, self._attempt]
        await self._execute(_END, values, "ending an attempt in the ledger")

    async def record_flips(self, flips: Sequence[Flip], *, unix_time: float) -> None:
        """Write intended flips; they are on disk when this returns."""
        first, self._flips = self._flips + 1, self._flips + len(flips)
        of_all = [self._attempt, self.source]
        keys = [key_json(flip.key) for flip in flips]
        old_paths, new_paths = [flip.old_path for flip in flips], [flip.new_path for flip in flips]
        statement, values = _FLIP, [old_paths, new_paths]
        if not all_short(old_paths) or not all_short(new_paths):
            values = await asyncio.to_thread(_columns_of_values, list(zip(old_paths, new_paths, strict=True)))
            statement = _FLIP_OF_LONG
        columns = [
            list(range(first, first + len(flips))),
            keys,
            *values[:2],
            [flip.size_bytes for flip in flips],
            [flip.etag for flip in flips],
            [flip.copied for flip in flips],
            [flip.read_checksum for flip in flips],
            *values[2:],
        ]

        async def write(connection: AsyncConnection) -> None:
            if self._words:  # said in an earlier pass: no word on these keys any more
                await connection.execute(_FORGET, [*of_all, keys])
            await connection.execute(statement, [*of_all, unix_time, *columns])

        await self._do(write, "writing flips into the ledger")

    async def record_not_flipped(self, results: Sequence[Result]) -> None:
        """Write references that this run did not flip, with outcome and reason."""
        self._words = True
        latest = {key_json(result.reference.key): result for result in results}
        columns = [
            list(latest),
            *_shown([result.reference.path for result in latest.values()]),
            [result.outcome.value for result in latest.values()],
            *_columns_of_reasons(latest.values()),
        ]
        await self._execute(_NOT_FLIPPED, [self._attempt, self.source, *columns], "writing into the ledger")

    async def open_copies(self, moves: Iterable[Move]) -> None:
        """Write references whose object is copied without a condition, and whose row we have not set."""
        latest = {key_json(move.reference.key): move for move in moves}
        values = [(move.reference.path, move.new_path) for move in latest.values()]
        columns = [list(latest), *await asyncio.to_thread(_columns_of_values, values)]
        await self._execute(_OPEN, [self._run, self._worker, self.source, *columns], "writing into the ledger")

    async def settle_copies(self, keys: Iterable[Key]) -> None:
        """Strike out references among those: we set their row, or wrote no object for them, or looked at it."""
        among = [key_json(key) for key in keys]
        await self._execute(_SETTLE, [self._run, self._worker, self.source, among], "writing into the ledger")

    async def note_transaction(self, keys: Iterable[Key], xid: int | None) -> None:
        """Write which transaction (xid8, or None) is about to set the rows of references that are unsettled."""
        among = [key_json(key) for key in keys]
        of_all = [self._run, self._worker, self.source]
        await self._execute(_NOTE_TRANSACTION, [xid, *of_all, among], "writing into the ledger")

    async def record_upload(self, upload: OpenUpload) -> None:
        """Write that an upload was begun; it is on disk when this returns."""
        await self._execute(UPLOAD, [self._run, False, *upload], "recording an upload in the ledger")

    async def take_over_uploads(self, uploads: Sequence[OpenUpload]) -> None:
        """Write uploads that earlier runs have left open as this run's own, to be claimed by whoever needs one."""
        for upload in uploads:
            await self._execute(UPLOAD, [self._run, True, *upload], "recording an upload in the ledger")

    async def claim_upload(self, bucket: str, object_key: str) -> OpenUpload | None:
        """Return an upload of an object that was taken over from an earlier run; it is returned once in this run.

        One that is claimed by a statement whose answer is lost is nobody's: the end of the run aborts it.
        """
        rows = await self._read(CLAIM_UPLOAD, [self._run, self._run, bucket, object_key])
        return OpenUpload(*rows[0]) if rows else None

    async def record_upload_ended(self, upload_id: str) -> None:
        """Write that an upload, perhaps of another run, is an object by now, or aborted."""
        await self._execute(UPLOAD_ENDED, [self._run, upload_id], "recording an upload in the ledger")

    async def unsettled_among(self, keys: Sequence[Key]) -> set[Key]:
        """Return those of the keys whose reference is written as copied without a condition, and not struck out."""
        among = [key_json(key) for key in keys]
        found = {key for (key,) in await self._read(_UNSETTLED_AMONG, [self._run, self._worker, self.source, among])}
        return {key for key in keys if stored_key(key) in found}

    async def record_locked(self, results: Sequence[Result]) -> None:
        """Write references whose rows somebody else holds: they are taken up again when the others are done."""
        new_paths = await self._flipped_to([each.reference.key for each in results])
        values = [(each.reference.path, new_paths.get(each.reference.key)) for each in results]
        columns = [
            [key_json(each.reference.key) for each in results],
            [bool(each.copied) for each in results],
            [each.size_bytes for each in results],
            *_columns_of_reasons(results),
            *await asyncio.to_thread(_columns_of_values, values),
        ]
        await self._execute(_RECORD_LOCKED, [self._attempt, self.source, *columns], "writing into the ledger")

    async def locked(self, after: Key | None, count: int) -> list[Reference]:
        """Return references of this attempt that were found locked, by key, with keys as a ledger has them."""
        begin = None if after is None else key_json(after)
        rows = await self._read(_LOCKED, [self._attempt, self.source, begin, begin, count, PAGE_BYTES])
        return [Reference(key, unpack(packed or path, None)[0]) for key, path, packed in rows]

    async def new_paths(self, keys: Sequence[Key]) -> dict[Key, str]:
        """Return what this attempt's flips on record set the rows with these keys to, the last of each."""
        rows = await self._read(_LOCKED_TO, [self._attempt, self.source, [key_json(key) for key in keys]])
        locked = {key: unpack(packed or path, new_packed or new)[1] for key, path, packed, new, new_packed in rows}
        found = {key: locked[stored] for key in keys if (stored := stored_key(key)) in locked}
        return found | await self._flipped_to([key for key in keys if key not in found])

    async def _flipped_to(self, keys: Sequence[Key]) -> dict[Key, str]:
        """Return what the last flip on record of each key was to; the newest are read first.

        What was found locked was put on record just before: so that ends when all are found.
        """
        wanted = {stored_key(key): key for key in keys}
        found: dict[Key, str] = {}
        newest, count = self._flips, FIRST_FLIPS
        while wanted and newest > 0:
            among = [key_json(key) for key in wanted]
            rows = await self._read(_FLIPPED_TO, [self._attempt, self.source, newest - count, newest, among])
            for stored, old, old_packed, new, new_packed in rows:
                found[wanted.pop(stored)] = unpack(old_packed or old, new_packed or new)[1]
            newest, count = newest - count, 4 * count
        return found

    async def copied_before(self, keys: Sequence[Key]) -> dict[Key, tuple[int | None, Reason | None]]:
        """Return the size, and what was to be said, of the copies made for those of the locked references."""
        rows = await self._read(_COPIED_BEFORE, [self._attempt, self.source, [key_json(key) for key in keys]])
        found = {key: (size_bytes, reason_from_stored(*reason)) for key, size_bytes, *reason in rows}
        return {key: found[stored] for key in keys if (stored := stored_key(key)) in found}

    async def forget_locked(self, keys: Iterable[Key]) -> None:
        """Strike references out that were found locked, and then were not."""
        among = [key_json(key) for key in keys]
        await self._execute(_FORGET_LOCKED, [self._attempt, self.source, among], "writing into the ledger")

    async def without_unresolved(self, references: Sequence[Reference]) -> list[Reference]:
        """Drop the references that this run has found unresolved in a pass before, so that a further one skips them."""
        keys = [key_json(reference.key) for reference in references]
        values = [DIGEST_BYTES, self._own, self.source, keys, list(NEEDING_A_PERSON)]
        unresolved = set(await self._read(_UNRESOLVED, values))
        return [
            each
            for each in references
            if (stored_key(each.key), shown(each.path)[0], digest_of_long(each.path)) not in unresolved
        ]

    async def forget_unresolved(self) -> None:
        """Strike out all that was found unresolved, so that the next pass tries it again."""
        await self._execute(_FORGET_ALL, [self._own, list(NEEDING_A_PERSON)], "writing into the ledger")

    async def _open(self, connection: AsyncConnection) -> None:
        """Find the run and its own word, or make them; a worker's attempts come later."""
        self._run = await _number(connection, _RUN, {"id": self._run_id, "now": time.time()})
        found = await (await connection.execute(_OWN, [self._run])).fetchone()
        own = [self._run, "", 0, 0, None, None, time.time(), 0]
        self._own = self._attempt = int(found[0]) if found else await _number(connection, _BEGIN, own)
        self._flips = await _number(connection, _LAST_FLIP, [self._own])

    async def _execute(self, statement: LiteralString, values: Sequence[object], doing: str) -> None:
        async def execute(connection: AsyncConnection) -> None:
            await connection.execute(statement, values)

        await self._do(execute, doing)

    async def _read(
        self, statement: LiteralString, values: Sequence[object] | Mapping[str, object]
    ) -> list[tuple[Any, ...]]:
        async def read(connection: AsyncConnection) -> list[tuple[Any, ...]]:
            return await (await connection.execute(statement, values)).fetchall()

        return await self._do(read, "reading the ledger")

    async def _do(self, work: Callable[[AsyncConnection], Awaitable[T]], doing: str, *, is_long: bool = False) -> T:
        async with self._writing:
            limits = Limits.of_a_long_statement(self.server.settings) if is_long else None
            return await self.server.run(self._session, work, doing=doing, limits=limits)


def _shown(paths: Sequence[str]) -> tuple[list[str], list[bytes | None]]:
    values = [shown(path) for path in paths]
    return [path for path, _ in values], [packed for _, packed in values]


def _columns_of_values(values: Sequence[tuple[str, str | None]]) -> list[list[Any]]:
    """Return old values and new ones as columns: those that are texts, those that are packed, and what these take."""
    kept = [pack(*each) for each in values]
    return [
        *([each if isinstance(each, str) else None for each in column] for column in zip(*kept, strict=True)),
        *([each if isinstance(each, bytes) else None for each in column] for column in zip(*kept, strict=True)),
        [size_in_memory(pair) if isinstance(old, bytes) else None for pair, (old, _) in zip(values, kept, strict=True)],
    ]


def _columns_of_reasons(results: Iterable[Result]) -> tuple[list[str], list[str | None]]:
    stored = [stored_reason(result.reason) for result in results]
    return [kind for kind, _ in stored], [about for _, about in stored]


async def _number(
    connection: AsyncConnection, statement: LiteralString, values: Sequence[object] | Mapping[str, object]
) -> int:
    row: Any = await (await connection.execute(statement, values)).fetchone()
    return int(row[0])
