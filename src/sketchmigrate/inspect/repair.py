"""Copies stale objects again, each on the condition that production still holds the very object that we wrote.

Which one that is, the ledgers know by its ETag; what the store makes of the condition, ``guard`` has tried.
"""

from __future__ import annotations

import asyncio
import csv
import logging
import os
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.errors import PreconditionFailed, RunDirectoryError, S3Error
from sketchmigrate.inspect.guard import PUT_LIMIT_BYTES, Guard
from sketchmigrate.ledger.disk import disk_hint
from sketchmigrate.s3 import same_content
from sketchmigrate.s3.headers import kept_headers, tags_of
from sketchmigrate.s3.multipart import copy_in_parts
from sketchmigrate.task_group import all_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.inspect.evidence import Evidence, EvidenceSite
    from sketchmigrate.inspect.guard import SettledGuard
    from sketchmigrate.inspect.looks import Looks
    from sketchmigrate.s3 import Condition
    from sketchmigrate.s3.streaming import Streamer
    from sketchmigrate.sides import Sides

log = logging.getLogger(__name__)

RECOPIED_NAME = "recopied.csv"
_COLUMNS = 5
"""Of a line there: key, path, ETag, Unix time, source."""

AT_ONCE = 8
"""Objects under way: with a conditional put, each is in memory."""

# Stale, and known to be ours: production still holds what our newest record says that we wrote there.
_STALE = """
SELECT DISTINCT v.source, v.key, v.route, v.tail, v.path, v.production_etag, v.legacy_bytes FROM verdict AS v
JOIN (
    SELECT source, key, path, arg_max(etag, unix_time) AS etag FROM flip WHERE etag <> '' GROUP BY source, key, path
) AS ours
  ON ours.key = v.key AND ours.source = v.source AND ours.path = v.path AND ours.etag = v.production_etag
WHERE v.standing = 'stale'
"""


class Again(StrEnum):
    """What became of a stale object, or of one that a row has lost (``restore``)."""

    COPIED = "copied again"
    NOT_OURS = "left: production holds another object by now"
    MISSING = "left: the legacy object is gone"
    REFUSED = "left: the store refused"
    RESTORED = "restored"


@dataclass(frozen=True, slots=True)
class Stale:
    """A stale reference, and the ETag of the production object, which is ours."""

    source: int
    key: str
    route: int
    tail: str
    path: str
    etag: str


async def copy_stale(
    evidence: Evidence, site: EvidenceSite, writer: Rewriter, *, looks: Looks, record: Path
) -> dict[Again, int]:
    """Copy again what the evidence calls stale and ours, and count what became of it.

    What was written goes into the file ``record``, for the next verify to know. Raises ``S3Error`` where the store is
    to blame, and ``RunDirectoryError``; what was copied until then is in the file.
    """
    counts = dict.fromkeys((Again.COPIED, Again.NOT_OURS, Again.MISSING, Again.REFUSED), 0)
    async for rows in evidence.stream(_STALE):
        for first in range(0, len(rows), AT_ONCE):
            group = [Stale(*row[:6]) for row in rows[first : first + AT_ONCE]]
            outcomes = await all_of([_copy_if_taken(stale, site, writer, looks) for stale in group])
            done = [
                (one.key, one.path, etag, one.source) for one, (_, etag) in zip(group, outcomes, strict=True) if etag
            ]
            await asyncio.to_thread(write_down, record, done)
            for outcome, _ in outcomes:
                counts[outcome] += 1
    return counts


class CountedStale(NamedTuple):
    """How many stale rows are ours, of ``others`` no record says so, ``large`` ones of ours are too large to be put."""

    ours: int
    others: int
    large: int


async def count_stale(evidence: Evidence) -> CountedStale:
    """Count the stale rows."""
    counts = f"SELECT count(*), count(*) FILTER (legacy_bytes > {PUT_LIMIT_BYTES}) FROM ({_STALE})"  # noqa: S608 - ours
    ((ours, large),) = await evidence.ask(counts)
    ((stale,),) = await evidence.ask("SELECT count(*) FROM verdict WHERE standing = 'stale'")
    return CountedStale(ours, stale - ours, large)


async def read_recopied(evidence: Evidence, records: Sequence[Path]) -> None:
    """Take in what past repairs wrote down; a line that a crash cut off is passed over.

    Those of earlier versions have no source: it is the first.
    """
    for record in records:
        with record.open(encoding="utf-8", newline="") as file:
            lines = [line for line in csv.reader(file) if len(line) in {_COLUMNS - 1, _COLUMNS}]
        await evidence.insert(
            "flip",
            [(int(source[0]) if source else 0, key, path, etag, float(at)) for key, path, etag, at, *source in lines],
        )


async def _copy_if_taken(stale: Stale, site: EvidenceSite, writer: Rewriter, looks: Looks) -> tuple[Again, str]:
    """Do so with one object; that the store refuses this one ends nothing."""
    began_at = time.monotonic()
    try:
        return await _copy_again(stale, site, writer)
    except S3Error as error:
        log.warning("%s was not copied again: %s", stale.path, (await looks.refused(error, began_at)).words)
        return Again.REFUSED, ""


async def _copy_again(stale: Stale, site: EvidenceSite, writer: Rewriter) -> tuple[Again, str]:
    """Copy one object; return what became of it and, where it was written, its new ETag."""
    sides = writer.sides
    source, target = site.pairing.legacy(stale.route, stale.tail), site.pairing.production(stale.route, stale.tail)
    production = await sides.production.store.find(target)
    if production is None or production.etag != stale.etag:
        return Again.NOT_OURS, ""
    legacy = None if source is None else await sides.legacy.store.find(source)
    if source is None or legacy is None:
        return Again.MISSING, ""
    try:
        etag = await writer.write(source, target, legacy, stale.etag)
    except PreconditionFailed:
        # a request whose reply was lost may have been carried out: then the object is what we wanted
        now = await sides.production.store.find(target)
        if now is None or not same_content(legacy, now):
            return Again.NOT_OURS, ""
        etag = now.etag
    return Again.COPIED, etag


@dataclass(frozen=True, slots=True)
class Rewriter:
    """Writes an object once more, where production still has one with a known ETag, by the guard that was settled.

    ``streamer`` is what brings objects from another store; None where they are copied within one.
    """

    sides: Sides
    settled: SettledGuard
    streamer: Streamer | None = None

    async def write(self, source: Location, target: Location, legacy: ObjectInfo, etag: str) -> str:
        """Write it, and return its new ETag. Raises ``PreconditionFailed`` and other kinds of ``S3Error``."""
        store, streamer = self.sides.production.store, self.streamer
        if streamer is not None:
            guard = self.settled.guard if streamer.puts_whole(legacy) else self.settled.of_large
            return (await streamer.copy(source, target, *_conditions(guard, etag))).etag
        guard = self.settled.of(legacy.size_bytes)
        if guard.puts:
            return await _put_again(self.sides, source, target, legacy, guard.condition(etag))
        if guard.completes:
            return await copy_in_parts(store, source, target, legacy, guard.condition(etag), storage_class=True)
        return (await store.copy(source, target, *_conditions(guard, etag))).etag


def _conditions(guard: Guard, etag: str) -> tuple[Condition, ...]:
    return () if guard is Guard.LOOK else (guard.condition(etag),)


async def _put_again(sides: Sides, source: Location, target: Location, legacy: ObjectInfo, condition: Condition) -> str:
    store = sides.legacy.store
    body = await store.get(source, 0, legacy.size_bytes - 1, if_match=legacy.etag) if legacy.size_bytes else b""
    headers = kept_headers(legacy.headers, await tags_of(store, source, legacy), storage_class=True)
    return await sides.production.store.put(target, body, headers, condition)


def write_down(record: Path, done: Sequence[tuple[str, str, str, int]]) -> None:
    """Add to a record what was written: key, path, ETag, source. It is on disk then. Raises ``RunDirectoryError``."""
    if not done:
        return
    try:
        with record.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows((*one, time.time(), source) for *one, source in done)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        text = f"{record} cannot be written: {error.strerror or error}"
        raise RunDirectoryError(text, hint=disk_hint(error)) from error
