"""Closer looks at single references: at what the listings made suspicious, and at the bytes where that is asked for."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sketchmigrate.core.keys import key_text
from sketchmigrate.core.mapping import MAX_KEY_BYTES
from sketchmigrate.core.objects import Location
from sketchmigrate.inspect.comparing import Pair, PortionSize, Subject, cut_portions
from sketchmigrate.inspect.evidence import ReferenceId
from sketchmigrate.inspect.looks import Refused
from sketchmigrate.inspect.rows import RowReader
from sketchmigrate.inspect.standing import SUSPECTS, Standing, standing_of
from sketchmigrate.ledger.etags import etags_of
from sketchmigrate.postgres.references import References
from sketchmigrate.s3 import same_content
from sketchmigrate.task_group import all_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Sequence

    from sketchmigrate.core.objects import ObjectInfo
    from sketchmigrate.inspect.comparing import Answer, Answers, Comparer, Portion
    from sketchmigrate.inspect.evidence import Evidence, EvidenceSite
    from sketchmigrate.inspect.looks import Looks
    from sketchmigrate.ledger import PastRun
    from sketchmigrate.migration.planning import SourceTable
    from sketchmigrate.postgres.database import Database

MOST_SECOND_LOOKS = 100_000
"""Where more than that looks wrong, it is not the application's doing, and a person need not wait for an hour."""

LOOKS_AT_ONCE = 500

VALUES_AT_ONCE = 50
"""Of rows with values of any length so many are looked up at once."""

_MIGRATED = "standing IN ('equal', 'same size')"
_TO_COMPARE = """
    standing = 'unmigrated' AND production_bytes IS NOT NULL AND same IS NULL
    AND NOT EXISTS (FROM archived AS a WHERE a.tail = verdict.tail AND a.route = verdict.route)
"""


class Compared(NamedTuple):
    """Of how many references both objects were compared, and of how many of these their tags, or the number of them."""

    references: int = 0
    with_tags: int = 0


class Suspect(NamedTuple):
    """A reference that has to be looked at once more, as it was read, and how it stood."""

    source: int
    key: str
    slot: int
    path: str | None
    side: str
    route: int | None
    tail: str | None
    standing: str

    @property
    def id(self) -> ReferenceId:
        """What tells it from all others."""
        return ReferenceId(self.source, self.key, self.slot)


@dataclass(frozen=True, slots=True)
class Looker:
    """Looks at single rows and objects of a site. ``count`` is told what is looked at and how many so far.

    ``most`` suspects are looked at, None: all.
    """

    evidence: Evidence
    site: EvidenceSite
    database: Database
    sources: Sequence[SourceTable]
    looks: Looks
    comparer: Comparer
    count: Callable[[str, int], None]
    most: int | None = MOST_SECOND_LOOKS

    async def second_look(self, suspects: Collection[Standing] = SUSPECTS, *, is_all: bool = False) -> int:
        """Judge suspects anew by their rows and objects as they are now; return how many were looked at.

        These are ``most`` of them, unless ``is_all``.
        """
        question = """
        SELECT source, key, slot, path, side, route, tail, standing FROM verdict
        WHERE source = ? AND list_contains(?, standing) LIMIT ?
        """
        done = 0
        names = [each.value for each in suspects]
        for number, source in enumerate(self.sources):
            left = None if is_all or self.most is None else self.most - done
            async with self.database.session() as session:
                references = References(session, source.table)
                async for rows in self.evidence.stream(question, [number, names, left]):
                    for first in range(0, len(rows), LOOKS_AT_ONCE):
                        some = [Suspect(*row) for row in rows[first : first + LOOKS_AT_ONCE]]
                        unchanged = await self._unchanged(references, number, some)
                        judged = await all_of([self._judge(suspect, suspect.id in unchanged) for suspect in some])
                        await self.evidence.insert(
                            "look", [look for look, _ in judged if not isinstance(look, Refused)]
                        )
                        details = [
                            (*suspect.id, detail) for suspect, (_, detail) in zip(some, judged, strict=True) if detail
                        ]
                        await self.evidence.insert("detail", details)
                        await self._remark(
                            ((one.source, one.key, one.path), look) for one, (look, _) in zip(some, judged, strict=True)
                        )
                        done += len(some)
                        self.count("second looks", done)
        await self.evidence.script("look")
        return done

    async def _unchanged(self, references: References, number: int, suspects: Sequence[Suspect]) -> set[ReferenceId]:
        """Return those whose row still names what it named."""
        if self.site.sources[number].is_copied:
            paths = await references.look_up_texts([each.key for each in suspects])
            return {each.id for each in suspects if each.key in paths and paths[each.key] == each.path}
        reader = RowReader(self.sources[number], self.site.pairing)
        unchanged: set[ReferenceId] = set()
        for first in range(0, len(suspects), VALUES_AT_ONCE):
            some = suspects[first : first + VALUES_AT_ONCE]
            rows = await references.look_up_values(list({each.key for each in some}))
            now = {
                (row.key, path, side, route, tail)
                for row in await reader.read(references, list(rows.values()))
                for _, _, path, side, route, tail in row.references
            }
            unchanged |= {each.id for each in some if (each.key, each.path, each.side, each.route, each.tail) in now}
        return unchanged

    async def look_at_stored_otherwise(self) -> None:
        """Judge rows on neither side in which a past run let the database store another path, by their object.

        One that names no object of the production bucket is dangling: the run took its object away from it.
        """
        question = """
        SELECT v.source, v.key, v.slot, v.path FROM verdict AS v
        SEMI JOIN stored_otherwise AS s ON s.key = v.key AND s.source = v.source
        WHERE v.side = 'neither' AND v.source = ?
        """
        for number, source in enumerate(self.sources):
            async with self.database.session() as session:
                references = References(session, source.table)
                async for rows in self.evidence.stream(question, [number]):
                    for first in range(0, len(rows), LOOKS_AT_ONCE):
                        await self._look_at_what_was_stored(references, rows[first : first + LOOKS_AT_ONCE])
        await self.evidence.script("look")

    async def _look_at_what_was_stored(self, references: References, some: list[tuple[Any, ...]]) -> None:
        now = await references.look_up_texts([key for _, key, *_ in some])
        same = [row for row in some if row[1] in now and now[row[1]] == row[-1]]
        seen = await all_of([self._named(path) for *_, path in same])
        dangling = [row[:3] for row, one in zip(same, seen, strict=True) if one is None or isinstance(one, Refused)]
        await self._remark(((row[0], row[1], row[3]), one) for row, one in zip(same, seen, strict=True))
        looks = [(*one, Standing.DANGLING.value, "", None, None, None, None) for one in dangling]
        await self.evidence.insert("look", looks)

    async def read_ledgers(self, ledgers: Sequence[PastRun]) -> None:
        """Take in what past migrations wrote down of the objects that they stored, by the keys that flips have set."""
        for number, source in enumerate(self.sources):
            reader, is_copied = RowReader(source, self.site.pairing), self.site.sources[number].is_copied
            async with self.database.session() as session:
                references = References(session, source.table)
                for run in ledgers:
                    async for flips in run.newest_first(source=number):
                        moved = (
                            [[flip.new_path] for flip in flips] if is_copied else await reader.moved(references, flips)
                        )
                        rows = [
                            (number, key_text(flip.key), key, etag, flip.unix_time)
                            for flip, some in zip(flips, moved, strict=True)
                            for key, etag in etags_of(flip.etag or "", some).items()
                        ]
                        await self.evidence.insert("flip", rows)

    async def compare_migrated(self, percent: float) -> Compared:
        """Compare the bytes of so many percent of the migrated references, and return how many could be read.

        Which they are depends on the key alone, so that the same ones are taken each time.
        """
        return await self._compare(_MIGRATED, percent, Standing.EQUAL, Standing.DIFFERENT)

    async def compare_metadata(self, percent: float) -> Compared:
        """Compare content headers, user metadata and tags of so many percent of the migrated references, by HEADs.

        They are the same ones each time, as with ``compare_migrated``; return of how many that was done: where HEADs
        show other bytes, or no object, it is not. What is alike keeps its standing, and the evidence has it in
        ``metadata_compared``.
        """
        compared = Compared()
        chosen, part = _chosen(_MIGRATED, percent)
        ((pairs,),) = await self.evidence.ask(f"SELECT count(*) {chosen}", part)
        if not pairs:
            return compared

        async def take(portion: Portion, answers: Answers) -> None:
            nonlocal compared
            described = [each for each in answers if each.same]
            tagged = sum(each.tags_told for each in described)
            compared = Compared(compared.references + len(described), compared.with_tags + tagged)
            both = list(zip(portion, answers, strict=True))
            await self.evidence.insert(
                "metadata_compared", [_id(pair) for pair, each in both if each.same and not each.detail]
            )
            other = [(pair, each) for pair, each in both if not each.same or each.detail]
            await self.evidence.insert("look", [_look(*each, Standing.EQUAL, Standing.DIFFERENT) for each in other])
            await self.evidence.insert("detail", [(*_id(pair), each.detail) for pair, each in other if each.detail])

        def told(done: int, _: int) -> None:
            self.count(f"of {pairs:,} references compared by their headers, metadata and tags", done)

        size = PortionSize(self.comparer.portion_size(pairs, 0).pairs)  # however large: no object is read
        async with aclosing(self._portions(chosen, part, size)) as portions:
            await self.comparer.compare(portions, take, told, Subject.METADATA)
        await self.evidence.script("look")
        return compared

    async def look_at_headers(self) -> None:
        """Compare what HEADs say of legacy rows whose object is in production with the same bytes, up to a number.

        A migration would call those that differ a conflict. Raises ``S3Error``.
        """
        question = """
        SELECT source, key, slot, route, tail FROM verdict WHERE standing = 'unmigrated' AND same LIMIT ?
        """
        done = 0
        async for rows in self.evidence.stream(question, [MOST_SECOND_LOOKS]):
            for first in range(0, len(rows), LOOKS_AT_ONCE):
                some = rows[first : first + LOOKS_AT_ONCE]
                found = await all_of([self._other_headers(route, tail) for *_, route, tail in some])
                differing = [(row[:3], *each) for row, each in zip(some, found, strict=True) if each is not None]
                looks = [
                    (*one, Standing.CONFLICT.value, "", *_seen(legacy), *_seen(production))
                    for one, _, legacy, production in differing
                ]
                await self.evidence.insert("look", looks)
                await self.evidence.insert("detail", [(*one, detail) for one, detail, *_ in differing])
                done += len(some)
                self.count("objects in place", done)
        await self.evidence.script("look")

    async def _other_headers(self, route: int, tail: str) -> tuple[str, ObjectInfo, ObjectInfo] | None:
        source, target = self._both(route, tail)
        if source is None:
            return None
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
        chosen, part = _chosen(which, percent)
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
            details = [(*_id(pair), each.detail) for pair, each in zip(portion, answers, strict=True) if each.detail]
            await self.evidence.insert("detail", details)

        def told(done: int, bytes_read: int) -> None:
            self.count(f"of {pairs:,} references compared by their bytes, {bytes_read >> 20:,} MiB", done)

        size = self.comparer.portion_size(pairs, int(size_bytes))
        async with aclosing(self._portions(chosen, part, size)) as portions:
            await self.comparer.compare(portions, take, told)
        await self.evidence.script("look")
        return compared

    async def _portions(self, chosen: str, part: list[int], size: PortionSize) -> AsyncGenerator[Portion, None]:
        question = f"SELECT source, key, slot, route, tail, legacy_bytes, legacy_etag, production_etag {chosen}"
        async for rows in self.evidence.stream(question, part):
            for portion in cut_portions(self._pairs(rows), size):
                yield portion

    def _pairs(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[Pair]:
        for source, key, slot, route, tail, size_bytes, legacy_etag, production_etag in rows:
            legacy, production = self._both(route, tail)
            if legacy is not None:
                yield Pair(key, legacy, production, size_bytes, legacy_etag, production_etag, source, slot)

    async def _judge(self, suspect: Suspect, is_unchanged: bool) -> tuple[tuple[Any, ...] | Refused, str]:
        """Judge a suspect anew; return the look, and in what else than bytes its objects differ, or why none was read.

        Where the store refuses a look, it stands as the listings have it.
        """
        standing = suspect.standing
        if not is_unchanged or suspect.route is None or suspect.tail is None:
            return (*suspect.id, Standing.CHANGED.value, "", None, None, None, None), ""
        source, target = self._both(suspect.route, suspect.tail)
        legacy = None if source is None else await self.looks.legacy(source)
        production = await self.looks.production(target)
        if isinstance(legacy, Refused):
            return _refused(suspect, legacy)
        if isinstance(production, Refused):
            return _refused(suspect, production)
        other: str | Refused = ""
        if source and legacy and production and same_content(legacy, production):
            other = await self.looks.other_headers(source, legacy, target, production)
        if isinstance(other, Refused):
            return _refused(suspect, other)
        now, proof = standing_of(suspect.side, legacy, production, was=Standing(standing), other=other)
        return (*suspect.id, now.value, proof, *_seen(legacy), *_seen(production)), other

    async def _named(self, path: str | None) -> ObjectInfo | Refused | None:
        if not path or len(path.encode()) > MAX_KEY_BYTES:
            return None
        return await self.looks.production(Location(self.site.moves[0].production_bucket, path))

    async def _remark(self, judged: Iterable[tuple[tuple[int, str, str | None], object]]) -> None:
        """Put the store's words on record of the rows (source, key, path) whose object it refused to show."""
        remarks = [(*row, one.remark) for row, one in judged if isinstance(one, Refused)]
        await self.evidence.insert("remark", remarks)

    def _both(self, route: int, tail: str) -> tuple[Location | None, Location]:
        return self.site.pairing.legacy(route, tail), self.site.pairing.production(route, tail)


def _chosen(which: str, percent: float) -> tuple[str, list[int]]:
    """Return SQL for a part of the references, which depends on the key alone, and its parameters."""
    return f"FROM verdict WHERE {which} AND hash(tail) % 1000000 < ?", [round(percent * 10_000)]


def _seen(info: ObjectInfo | None) -> tuple[int | None, str | None]:
    return (info.size_bytes, info.etag) if info else (None, None)


def _refused(suspect: Suspect, refused: Refused) -> tuple[tuple[Any, ...] | Refused, str]:
    """Leave a suspect as it stands; but of one that was gone when it was to be read, nothing is proved."""
    if suspect.standing == Standing.CHANGED:
        return (*suspect.id, Standing.NOT_READ.value, "", None, None, None, None), refused.words
    return refused, ""


def _id(pair: Pair) -> ReferenceId:
    return ReferenceId(pair.source, pair.key, pair.slot)


def _look(pair: Pair, answer: Answer, same: Standing, other: Standing) -> tuple[Any, ...]:
    """Return how a reference stands by an answer: ``same`` and ``other`` are what its bytes make of it."""
    seen = *answer.legacy, *answer.production
    if answer.same and not answer.detail:
        return *_id(pair), same.value, "bytes", *seen
    if answer.same and same is Standing.EQUAL:
        return *_id(pair), Standing.OTHER_HEADERS.value, "", *seen
    if answer.same is not None:
        return *_id(pair), other.value, "", *seen
    if answer.detail:  # could not be read: a legacy row is still to be compared, of a migrated one nothing is proved
        listed = pair.size_bytes, pair.legacy_etag, pair.size_bytes, pair.production_etag
        return *_id(pair), (Standing.NOT_READ if same is Standing.EQUAL else same).value, "", *listed
    return *_id(pair), Standing.CHANGED.value, "", None, None, None, None
