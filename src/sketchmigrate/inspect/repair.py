"""Copies objects again, each on the condition that production still holds the very object that we wrote.

They are stale, or have other content headers, metadata or tags than legacy. Which object is ours, the ledgers know by
its ETag; what the store makes of the condition, ``guard`` has tried. An ETag says nothing of metadata: one that the
application has changed in production has the ETag that we wrote. So where that differs alone, the time of the last
change counts too. Tags, ACL and class have no such time: where they may be somebody else's they are left.
"""

from __future__ import annotations

import asyncio
import csv
import logging
import os
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from sketchmigrate.core.errors import PreconditionFailed, RunDirectoryError, S3Error
from sketchmigrate.inspect.guard import PUT_LIMIT_BYTES, Guard
from sketchmigrate.inspect.standing import Standing
from sketchmigrate.ledger.disk import disk_hint
from sketchmigrate.s3 import same_content
from sketchmigrate.s3.headers import unix_time_of
from sketchmigrate.s3.multipart import copy_in_parts
from sketchmigrate.s3.properties import Properties
from sketchmigrate.s3.streaming import Streamer
from sketchmigrate.task_group import all_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
    from pathlib import Path

    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.inspect.evidence import Evidence, EvidenceSite
    from sketchmigrate.inspect.guard import SettledGuard
    from sketchmigrate.inspect.looks import Looks
    from sketchmigrate.migration.headers import MetadataReader
    from sketchmigrate.migration.transfer_kind import Copying
    from sketchmigrate.s3 import Condition
    from sketchmigrate.sides import Sides

log = logging.getLogger(__name__)

RECOPIED_NAME = "recopied.csv"
_COLUMNS = 5
"""Of a line there: key, path, ETag, Unix time, source."""

AT_ONCE = 8
"""Objects under way: with a conditional put, each is in memory."""

# One reference for each object: that of our newest record, which has the ETag that production holds.
_OURS = """
SELECT v.source, v.key, v.route, v.tail, v.path, v.production_etag, ours.unix_time, v.legacy_bytes FROM verdict AS v
JOIN (
    SELECT source, key, path, arg_max(etag, unix_time) AS etag, max(unix_time) AS unix_time
    FROM flip WHERE etag <> '' GROUP BY source, key, path
) AS ours
  ON ours.key = v.key AND ours.source = v.source AND ours.path = v.path AND ours.etag = v.production_etag
WHERE v.standing = ?
QUALIFY row_number() OVER (PARTITION BY v.route, v.tail ORDER BY ours.unix_time DESC, v.source, v.key) = 1
"""
_COUNTED = f"""
SELECT count(*), count(*) FILTER (legacy_bytes > {PUT_LIMIT_BYTES}),
       (SELECT count(*) FROM (SELECT DISTINCT route, tail FROM verdict WHERE standing = ?))
FROM ({_OURS})
"""  # noqa: S608 - made of our own words alone


class Again(StrEnum):
    """What became of a stale object, of one with other metadata, or of one that a row has lost (``restore``)."""

    COPIED = "copied again"
    NOT_OURS = "left: production holds another object by now"
    MISSING = "left: the legacy object is gone"
    REFUSED = "left: the store refused"
    RESTORED = "restored"
    CHANGED = "left: its metadata, tags, ACL or class in production may have been changed since"


@dataclass(frozen=True, slots=True)
class Ours:
    """A reference whose production object has our ETag; ``unix_time`` is that of our record."""

    source: int
    key: str
    route: int
    tail: str
    path: str
    etag: str
    unix_time: float


class CountedOurs(NamedTuple):
    """How many objects are ours by their ETag, ``others`` are not; ``large`` ones of ours are too large to be put."""

    ours: int
    others: int
    large: int


async def count_ours(evidence: Evidence, standing: Standing) -> CountedOurs:
    """Count the objects that stand so, stale or with other metadata; the ledgers must have been read."""
    ((ours, large, all_of_them),) = await evidence.ask(_COUNTED, [standing.value, standing.value])
    return CountedOurs(ours, all_of_them - ours, large)


async def copy_ours(
    evidence: Evidence, site: EvidenceSite, writer: Rewriter, standing: Standing, *, looks: Looks, record: Path
) -> dict[Again, int]:
    """Copy again what stands so and is ours, and count what became of it.

    What was written goes into the file ``record``, for the next verify to know. Raises ``S3Error`` where the store is
    to blame, and ``RunDirectoryError``; what was copied until then is in the file.
    """
    metadata = looks.metadata if standing is Standing.OTHER_HEADERS else None

    async def copy(row: tuple[Any, ...]) -> Done:
        one = Ours(*row[:7])
        began_at = time.monotonic()
        try:
            outcome, etag = await _copy(one, site, writer, metadata)
        except S3Error as error:  # that the store refuses this one ends nothing
            target = site.pairing.production(one.route, one.tail)
            log.warning("%s was not copied again: %s", target, (await looks.refused(error, began_at)).words)
            outcome, etag = Again.REFUSED, ""
        return Done(outcome, etag, one.key, one.path, one.source)

    outcomes = (Again.COPIED, Again.NOT_OURS, Again.MISSING, Again.REFUSED, *((Again.CHANGED,) if metadata else ()))
    return await in_groups(evidence.stream(_OURS, [standing.value]), copy, outcomes, record)


class Done(NamedTuple):
    """What became of the object of a reference and, where it was written, its new ETag."""

    outcome: Again
    etag: str
    key: str
    path: str
    source: int


async def in_groups(
    pages: AsyncIterator[list[tuple[Any, ...]]],
    mend: Callable[[tuple[Any, ...]], Coroutine[object, object, Done]],
    outcomes: Iterable[Again],
    record: Path,
) -> dict[Again, int]:
    """Mend what the rows are about, some at a time, write down what was written, and count the outcomes."""
    counts = dict.fromkeys(outcomes, 0)
    async for rows in pages:
        for first in range(0, len(rows), AT_ONCE):
            done = await all_of([mend(row) for row in rows[first : first + AT_ONCE]])
            await asyncio.to_thread(_write_down, record, [each for each in done if each.etag])
            for each in done:
                counts[each.outcome] += 1
    return counts


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


async def _copy(one: Ours, site: EvidenceSite, writer: Rewriter, metadata: MetadataReader | None) -> tuple[Again, str]:
    """Copy one object, if a last look shows it as we left it; return what became of it and, if written, its ETag.

    ``metadata`` is there where it is copied for that alone, of which an ETag says nothing.
    """
    sides = writer.sides
    source, target = site.pairing.legacy(one.route, one.tail), site.pairing.production(one.route, one.tail)
    production = await sides.production.store.find(target)
    if production is None or production.etag != one.etag:
        return Again.NOT_OURS, ""
    legacy = None if source is None else await sides.legacy.store.find(source)
    if source is None or legacy is None:
        return Again.MISSING, ""
    if metadata is not None:
        is_changed = is_changed_since(production.headers, one.unix_time, now=time.time())
        if is_changed or await metadata.may_be_changed(source, legacy, target, production):
            return Again.CHANGED, ""
    try:
        return Again.COPIED, await writer.write(source, target, legacy, one.etag)
    except PreconditionFailed:
        # a request whose reply was lost may have been carried out: then the object is what we wanted
        now = await sides.production.store.find(target)
        if (
            now is not None
            and same_content(legacy, now)
            and (metadata is None or not (await metadata.compare(source, legacy, target, now)).differing)
        ):
            return Again.COPIED, now.etag
        return Again.NOT_OURS, ""


def is_changed_since(headers: Mapping[str, str], written_at: float, *, now: float) -> bool:
    """Whether a HEAD shows an object that was stored anew after ``written_at``, by our clock, when we noted our write.

    ``now`` is our time at which its reply came. How far the store's clock is from ours its ``Date`` tells; both it and
    ``Last-Modified`` are whole seconds, rounded down, so that a difference of less than one is none. An object whose
    time is not told counts as changed. Times are Unix time.
    """
    changed_at = unix_time_of(headers, "last-modified")
    if changed_at is None:
        return True
    ahead = (unix_time_of(headers, "date") or now) - now
    offset = ahead if ahead > 0 else min(0.0, ahead + 1)
    return changed_at > written_at + offset


@dataclass(frozen=True, slots=True)
class Rewriter:
    """Writes an object once more, where production still has one with a known ETag, by the guard that was settled.

    ``copying`` is what copies them: a ``Streamer`` where they come from another store.
    """

    sides: Sides
    settled: SettledGuard
    copying: Copying

    async def write(self, source: Location, target: Location, legacy: ObjectInfo, etag: str) -> str:
        """Write it, and return its new ETag. Raises ``PreconditionFailed`` and other kinds of ``S3Error``."""
        store, copying = self.sides.production.store, self.copying
        if isinstance(copying, Streamer):
            guard = self.settled.guard if copying.puts_whole(legacy) else self.settled.of_large
            return (await copying.copy(source, target, *_conditions(guard, etag))).etag
        guard = self.settled.of(legacy.size_bytes)
        if guard.puts:
            return await _put_again(self.sides, source, target, legacy, guard.condition(etag))
        if guard.completes:
            return await copy_in_parts(store, source, target, legacy, guard.condition(etag))
        return (await self.copying.copy(source, target, *_conditions(guard, etag))).etag


def _conditions(guard: Guard, etag: str) -> tuple[Condition, ...]:
    return () if guard is Guard.LOOK else (guard.condition(etag),)


async def _put_again(sides: Sides, source: Location, target: Location, legacy: ObjectInfo, condition: Condition) -> str:
    store = sides.legacy.store
    body = await store.get(source, 0, legacy.size_bytes - 1, if_match=legacy.etag) if legacy.size_bytes else b""
    properties = Properties(store, sides.production.store, asks_for_tags=True)
    kept = await properties.of(source, legacy)

    async def put(headers: Mapping[str, str]) -> str:
        return await sides.production.store.put(target, body, headers, condition)

    written = await properties.store(target, kept, put)
    await properties.see(target, kept)
    return written


def _write_down(record: Path, done: Sequence[Done]) -> None:
    """Add to a record what was written: key, path, ETag, time, source. It is on disk then.

    Raises ``RunDirectoryError``.
    """
    if not done:
        return
    try:
        with record.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows((one.key, one.path, one.etag, time.time(), one.source) for one in done)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        text = f"{record} cannot be written: {error.strerror or error}"
        raise RunDirectoryError(text, hint=disk_hint(error)) from error
