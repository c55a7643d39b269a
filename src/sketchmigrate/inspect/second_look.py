"""Closer looks at single references: at what the listings made suspicious, and at the bytes where that is asked for."""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sketchmigrate.core.errors import S3Error
from sketchmigrate.core.mapping import MAX_KEY_BYTES
from sketchmigrate.core.objects import Location
from sketchmigrate.core.reason import archived
from sketchmigrate.inspect.comparing import Pair, cut_portions
from sketchmigrate.inspect.looks import Refused
from sketchmigrate.inspect.standing import SUSPECTS, Standing, standing_of
from sketchmigrate.postgres.references import References
from sketchmigrate.s3 import same_content
from sketchmigrate.s3.headers import ARCHIVES, not_restored
from sketchmigrate.task_group import all_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Iterable

    from sketchmigrate.core.objects import ObjectInfo
    from sketchmigrate.inspect.comparing import Answer, Answers, Comparer, Portion, PortionSize
    from sketchmigrate.inspect.evidence import Evidence, EvidenceSite
    from sketchmigrate.inspect.looks import Looks
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.table import Table

MOST_SECOND_LOOKS = 100_000
"""Where more than that looks wrong, it is not the application's doing, and a person need not wait for an hour."""

LOOKS_AT_ONCE = 500

_MIGRATED = "standing IN ('equal', 'same size')"
_TO_COMPARE = """
    standing = 'unmigrated' AND production_bytes IS NOT NULL AND same IS NULL
    AND tail NOT IN (SELECT tail FROM archived)
"""


class Compared(NamedTuple):
    """Of how many references both objects were read, and of how many of these a HEAD told a number of tags."""

    references: int = 0
    with_tags: int = 0


@dataclass(frozen=True, slots=True)
class Looker:
    """Looks at single rows and objects of a site. ``count`` is told what is looked at and how many so far."""

    evidence: Evidence
    site: EvidenceSite
    database: Database
    table: Table
    looks: Looks
    comparer: Comparer
    count: Callable[[str, int], None]

    async def second_look(self, suspects: Collection[Standing] = SUSPECTS, most: int | None = MOST_SECOND_LOOKS) -> int:
        """Judge suspects anew by their rows and objects as they are now; return how many were looked at."""
        question = "SELECT key, path, side, tail, standing FROM verdict WHERE list_contains(?, standing) LIMIT ?"
        done = 0
        async with self.database.session() as session:
            references = References(session, self.table)
            async for rows in self.evidence.stream(question, [[each.value for each in suspects], most]):
                for first in range(0, len(rows), LOOKS_AT_ONCE):
                    some = rows[first : first + LOOKS_AT_ONCE]
                    paths = await references.look_up_texts([key for key, *_ in some])
                    judged = await all_of([self._judge(suspect, paths.get(suspect[0])) for suspect in some])
                    await self.evidence.insert("look", [look for look, _ in judged if not isinstance(look, Refused)])
                    details = [(key, detail) for (key, *_), (_, detail) in zip(some, judged, strict=True) if detail]
                    await self.evidence.insert("detail", details)
                    keys = [key for key, *_ in some]
                    await self._remark(zip(keys, (look for look, _ in judged), strict=True))
                    done += len(some)
                    self.count("second looks", done)
        await self.evidence.script("look")
        return done

    async def look_at_archived(self) -> None:
        """Ask for the first byte of each object to be copied whose class is an archive: note those that have none.

        Of more than ``MOST_SECOND_LOOKS`` the others are noted by their class alone. Raises ``S3Error``.
        """
        archives = ", ".join(f"'{name}'" for name in sorted(ARCHIVES))
        question = f"""
        SELECT DISTINCT o.tail, o.storage_class FROM legacy_object AS o SEMI JOIN (
            SELECT tail FROM verdict WHERE standing = 'unmigrated' AND same IS DISTINCT FROM true
        ) AS v ON v.tail = o.tail WHERE o.storage_class IN ({archives})
        """  # noqa: S608 - our own words
        done = 0
        async for rows in self.evidence.stream(question):
            for first in range(0, len(rows), LOOKS_AT_ONCE):
                some = rows[first : first + LOOKS_AT_ONCE]
                if done < MOST_SECOND_LOOKS:
                    reasons = await all_of([self._not_restored(tail, name) for tail, name in some])
                else:
                    reasons = [f"archived ({name}), and whether it is restored was not looked at" for _, name in some]
                found = [(tail, reason) for (tail, _), reason in zip(some, reasons, strict=True) if reason]
                await self.evidence.insert("archived", found)
                done += len(some)
                self.count("archived objects", done)

    async def _not_restored(self, tail: str, archive: str) -> str:
        began_at = time.monotonic()
        try:
            refusal = await not_restored(self.looks.sides.legacy.store, self._both(tail)[0])
            return str(archived(refusal, archive)) if refusal else ""
        except S3Error as error:
            return (await self.looks.refused(error, began_at)).words

    async def look_at_stored_otherwise(self) -> None:
        """Judge rows on neither side in which a past run let the database store another path, by their object.

        One that names no object of the production bucket is dangling: the run took its object away from it.
        """
        question = """
        SELECT v.key, v.path FROM verdict AS v SEMI JOIN stored_otherwise AS s ON s.key = v.key WHERE v.side = 'neither'
        """
        async with self.database.session() as session:
            references = References(session, self.table)
            async for rows in self.evidence.stream(question):
                for first in range(0, len(rows), LOOKS_AT_ONCE):
                    some = rows[first : first + LOOKS_AT_ONCE]
                    now = await references.look_up_texts([key for key, _ in some])
                    same = [(key, path) for key, path in some if key in now and now[key] == path]
                    seen = await all_of([self._named(path) for _, path in same])
                    dangling = [
                        key for (key, _), one in zip(same, seen, strict=True) if one is None or isinstance(one, Refused)
                    ]
                    await self._remark((key, one) for (key, _), one in zip(same, seen, strict=True))
                    looks = [(key, Standing.DANGLING.value, "", None, None, None, None) for key in dangling]
                    await self.evidence.insert("look", looks)
        await self.evidence.script("look")

    async def compare_migrated(self, percent: float) -> Compared:
        """Compare the bytes of so many percent of the migrated references, and return how many could be read.

        Which they are depends on the key alone, so that the same ones are taken each time.
        """
        return await self._compare(_MIGRATED, percent, Standing.EQUAL, Standing.DIFFERENT)

    async def look_at_headers(self) -> None:
        """Compare what HEADs say of legacy rows whose object is in production with the same bytes, up to a number.

        A migration would call those that differ a conflict. Raises ``S3Error``.
        """
        question = "SELECT key, tail FROM verdict WHERE standing = 'unmigrated' AND same LIMIT ?"
        done = 0
        async for rows in self.evidence.stream(question, [MOST_SECOND_LOOKS]):
            for first in range(0, len(rows), LOOKS_AT_ONCE):
                some = rows[first : first + LOOKS_AT_ONCE]
                found = await all_of([self._other_headers(tail) for _, tail in some])
                differing = [(key, *each) for (key, _), each in zip(some, found, strict=True) if each is not None]
                looks = [
                    (key, Standing.CONFLICT.value, "", *_seen(legacy), *_seen(production))
                    for key, _, legacy, production in differing
                ]
                await self.evidence.insert("look", looks)
                await self.evidence.insert("detail", [(key, detail) for key, detail, *_ in differing])
                done += len(some)
                self.count("objects in place", done)
        await self.evidence.script("look")

    async def _other_headers(self, tail: str) -> tuple[str, ObjectInfo, ObjectInfo] | None:
        source, target = self._both(tail)
        legacy, production = await self.looks.legacy(source), await self.looks.production(target)
        if legacy is None or production is None or isinstance(legacy, Refused) or isinstance(production, Refused):
            return None
        detail = await self.looks.other_headers(source, legacy, target, production)
        return (detail, legacy, production) if detail and not isinstance(detail, Refused) else None

    async def compare_unmigrated(self, percent: float) -> Compared:
        """Do so with legacy references whose object may be in production already, which the listings do not tell."""
        return await self._compare(_TO_COMPARE, percent, Standing.UNMIGRATED, Standing.CONFLICT)

    async def _compare(self, which: str, percent: float, same: Standing, other: Standing) -> Compared:
        """Compare bytes, and judge anew: ``same`` and ``other`` are how a reference stands then."""
        compared = Compared()
        chosen, part = f"FROM verdict WHERE {which} AND hash(tail) % 1000000 < ?", [round(percent * 10_000)]
        ((pairs, size_bytes),) = await self.evidence.ask(f"SELECT count(*), sum(legacy_bytes) {chosen}", part)
        if not pairs:
            return compared

        async def take(portion: Portion, answers: Answers) -> None:
            nonlocal compared
            read = [each for each in answers if each.same is not None]
            tagged = sum(each.tags_told for each in read)
            compared = Compared(compared.references + len(read), compared.with_tags + tagged)
            looks = [_look(*each, same, other) for each in zip(portion, answers, strict=True)]
            await self.evidence.insert("look", looks)
            details = [(pair.key, each.detail) for pair, each in zip(portion, answers, strict=True) if each.detail]
            await self.evidence.insert("detail", details)

        def told(done: int, bytes_read: int) -> None:
            self.count(f"of {pairs:,} references compared by their bytes, {bytes_read >> 20:,} MiB", done)

        size = self.comparer.portion_size(pairs, int(size_bytes))
        async with aclosing(self._portions(chosen, part, size)) as portions:
            await self.comparer.compare(portions, take, told)
        await self.evidence.script("look")
        return compared

    async def _portions(self, chosen: str, part: list[int], size: PortionSize) -> AsyncGenerator[Portion, None]:
        question = f"SELECT key, tail, legacy_bytes, legacy_etag, production_etag {chosen}"
        async for rows in self.evidence.stream(question, part):
            pairs = (Pair(key, *self._both(tail), *seen) for key, tail, *seen in rows)
            for portion in cut_portions(pairs, size):
                yield portion

    async def _judge(self, suspect: tuple[Any, ...], path_now: str | None) -> tuple[tuple[Any, ...] | Refused, str]:
        """Judge a suspect anew; return the look, and in what else than bytes its objects differ, or why none was read.

        Where the store refuses a look, it stands as the listings have it.
        """
        key, path, side, tail, standing = suspect
        if path_now != path:
            return (key, Standing.CHANGED.value, "", None, None, None, None), ""
        source, target = self._both(tail)
        legacy, production = await self.looks.legacy(source), await self.looks.production(target)
        if isinstance(legacy, Refused):
            return _refused(key, standing, legacy)
        if isinstance(production, Refused):
            return _refused(key, standing, production)
        other: str | Refused = ""
        if legacy and production and same_content(legacy, production):
            other = await self.looks.other_headers(source, legacy, target, production)
        if isinstance(other, Refused):
            return _refused(key, standing, other)
        now, proof = standing_of(side, legacy, production, was=Standing(standing), other=other)
        return (key, now.value, proof, *_seen(legacy), *_seen(production)), other

    async def _named(self, path: str | None) -> ObjectInfo | Refused | None:
        if not path or len(path.encode()) > MAX_KEY_BYTES:
            return None
        return await self.looks.production(Location(self.site.production_bucket, path))

    async def _remark(self, judged: Iterable[tuple[str, object]]) -> None:
        """Put the store's words on record of the rows whose object it refused to show."""
        remarks = [(key, one.remark) for key, one in judged if isinstance(one, Refused)]
        await self.evidence.insert("remark", remarks)

    def _both(self, tail: str) -> tuple[Location, Location]:
        return self.site.legacy(tail), self.site.production(tail)


def _seen(info: ObjectInfo | None) -> tuple[int | None, str | None]:
    return (info.size_bytes, info.etag) if info else (None, None)


def _refused(key: str, was: str, refused: Refused) -> tuple[tuple[Any, ...] | Refused, str]:
    """Leave a suspect as it stands; but of one that was gone when it was to be read, nothing is proved."""
    if was == Standing.CHANGED:
        return (key, Standing.NOT_READ.value, "", None, None, None, None), refused.words
    return refused, ""


def _look(pair: Pair, answer: Answer, same: Standing, other: Standing) -> tuple[Any, ...]:
    """Return how a reference stands by an answer: ``same`` and ``other`` are what its bytes make of it."""
    seen = *answer.legacy, *answer.production
    if answer.same and not answer.detail:
        return pair.key, same.value, "bytes", *seen
    if answer.same and same is Standing.EQUAL:
        return pair.key, Standing.OTHER_HEADERS.value, "", *seen
    if answer.same is not None:
        return pair.key, other.value, "", *seen
    if answer.detail:  # could not be read: a legacy row is still to be compared, of a migrated one nothing is proved
        listed = pair.size_bytes, pair.legacy_etag, pair.size_bytes, pair.production_etag
        return pair.key, (Standing.NOT_READ if same is Standing.EQUAL else same).value, "", *listed
    return pair.key, Standing.CHANGED.value, "", None, None, None, None
