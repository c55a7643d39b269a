"""Whether every reference is where it should be, with an object that is what it should be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sketchmigrate.core.keys import key_text
from sketchmigrate.inspect.evidence import of_part
from sketchmigrate.inspect.inventory.told import inventories_read
from sketchmigrate.inspect.problems import Example, first_problems, remark_spellings
from sketchmigrate.inspect.second_look import Compared
from sketchmigrate.inspect.standing import HEADLINES, Standing
from sketchmigrate.ledger import PAGE_FLIPS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sketchmigrate.core.keys import StoredKey
    from sketchmigrate.inspect.evidence import Evidence
    from sketchmigrate.inspect.second_look import Looker
    from sketchmigrate.ledger import PastRun

# Listed objects. Every one is among these, or its key is no text.
_LISTED = """
SELECT (SELECT count(*) FROM {side}_object WHERE is_counted(route)),
       (SELECT coalesce(sum(size_bytes), 0) FROM {side}_object WHERE is_counted(route)),
       (SELECT count(*) FROM strange_key WHERE side = '{side}')
"""

# Those of a part that a row names.
_NAMED = """
SELECT count(*) FROM (FROM {side}_object WHERE {is_of_part} AND is_counted(route)) AS o
SEMI JOIN (SELECT {tail} AS tail, {route} AS route FROM reference WHERE {is_named_of_part}) AS r USING (tail, route)
"""

_MEANT = {
    "legacy": ("counted_tail(tail, route := route)", "counted_route(tail, route := route)"),
    "production": ("tail", "produced_route(route)"),
}
"""The tail and the route of the object that a reference means on a side."""

NAMED_AT_ONCE = 2_000_000
"""So many references are held against the objects at once: there is memory for that."""

_STANDINGS = "SELECT source, standing, count(*) FROM verdict GROUP BY source, standing"
_ROWS = "SELECT source, rows, unnamed FROM rows_read ORDER BY source"

NONE_COMPARED = Compared()


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read, when (UTC), and how many entries it had."""

    what: str
    began_at_utc: datetime
    ended_at_utc: datetime
    entries: int


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of one side. ``named`` are those that a row names, on whichever side the row is."""

    count: int
    size_bytes: int
    named: int
    strange_keys: int


@dataclass(frozen=True, slots=True)
class OfSource:
    """What was found of one source: so many references in so many rows. ``standings``: see ``Verification``."""

    name: str
    rows: int
    references: int
    standings: dict[Standing, int]

    @property
    def headlines(self) -> dict[str, int]:
        """Its references that are dangling, unmigrated, different."""
        return headlines_of(self.standings)


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found of all references. ``proofs`` counts what showed the equal ones to be equal: ETag or bytes.

    ``standings`` counts references, and rows without any, which are on neither side; ``rows`` is their sum: with a
    reference in each row, as where a column of keys is the only source, it is the number of rows. ``ledgers_read``:
    what past runs wrote down of what they stored is in the evidence. ``inventories``: see ``inventories_read``.
    ``metadata`` is what was compared of ``metadata_percent`` of the migrated references: headers, user metadata and
    tags; None: not asked for.
    """

    rows: int
    standings: dict[Standing, int]
    proofs: dict[str, int]
    legacy: Objects
    production: Objects
    readings: tuple[Reading, ...]
    second_looks: int
    deep_percent: float | None
    compared: Compared
    examples: dict[str, tuple[Example, ...]]
    ledgers_read: bool
    sources: tuple[OfSource, ...] = ()
    inventories: Mapping[str, datetime] = field(default_factory=dict)
    metadata_percent: float | None = None
    metadata: Compared = NONE_COMPARED

    @property
    def headlines(self) -> dict[str, int]:
        """References that are dangling, unmigrated, different: there must be none of them."""
        return headlines_of(self.standings)

    @property
    def adds_up(self) -> bool:
        """Whether each reference that was read has one standing, and each object that was listed is accounted for."""
        listed = {reading.what: reading.entries for reading in self.readings}
        return (
            self.rows == sum(self.standings.values()) == listed["references"]
            and self.legacy.count + self.legacy.strange_keys == listed["legacy objects"]
            and self.production.count + self.production.strange_keys == listed["production objects"]
        )

    @property
    def is_nothing_compared(self) -> bool:
        """Whether there are rows, and legacy holds no object that theirs could be compared with."""
        return bool(self.rows and not self.legacy.count and not self.legacy.strange_keys)

    @property
    def passed(self) -> bool:
        """0 dangling, 0 unmigrated, 0 different, and the counts add up."""
        return self.adds_up and not any(self.headlines.values())


def headlines_of(standings: Mapping[Standing, int]) -> dict[str, int]:
    """Add standings up by what verify must find none of."""
    return {name: sum(standings[each] for each in some) for name, some in HEADLINES.items()}


async def verify(
    evidence: Evidence,
    looker: Looker,
    ledgers: Sequence[PastRun],
    *,
    deep_percent: float | None,
    metadata_percent: float | None = None,
) -> Verification:
    """Judge gathered evidence. ``deep_percent`` of the migrated references are compared byte by byte; None: none.

    Of ``metadata_percent`` content headers, user metadata and tags are compared. Raises ``RunDirectoryError``,
    ``DatabaseError`` or ``S3Error``.
    """
    await evidence.judge()
    second_looks = await looker.second_look()
    if await read_stored_otherwise(evidence, ledgers):
        await looker.look_at_stored_otherwise()
    compared = metadata = NONE_COMPARED
    if deep_percent is not None:
        compared = await looker.compare_migrated(deep_percent)
    if metadata_percent is not None:
        metadata = await looker.compare_metadata(metadata_percent)
    if deep_percent is not None or metadata_percent is not None:
        # one of both was gone when it was to be read
        second_looks += await looker.second_look([Standing.CHANGED], is_all=True)
    ((differ,),) = await evidence.ask("SELECT count(*) FROM verdict WHERE standing IN ('different', 'stale')")
    if differ:  # only these have two explanations, and a ledger of many flips takes a while to read
        await looker.read_ledgers(ledgers)
        await evidence.script("ledgers")
    await remark_spellings(evidence)
    await evidence.script("verify")
    await evidence.script("remarks")
    ((references, unnamed),) = await evidence.ask(
        "SELECT (SELECT count(*) FROM reference), (SELECT coalesce(sum(unnamed), 0)::BIGINT FROM rows_read)"
    )
    sources = await _sources(evidence)
    proofs = dict(await evidence.ask("SELECT proof, count(*) FROM verdict WHERE standing = 'equal' GROUP BY proof"))
    readings = await evidence.ask("SELECT what, began_at_utc, ended_at_utc, entries FROM reading ORDER BY began_at_utc")
    return Verification(
        rows=references + unnamed,
        standings={each: sum(source.standings[each] for source in sources) for each in Standing},
        proofs=proofs,
        legacy=await objects_of(evidence, "legacy"),
        production=await objects_of(evidence, "production"),
        readings=tuple(Reading(*reading) for reading in readings),
        second_looks=second_looks,
        deep_percent=deep_percent,
        compared=compared,
        examples=await first_problems(evidence),
        ledgers_read=bool(differ),
        sources=sources,
        inventories=await inventories_read(evidence),
        metadata_percent=metadata_percent,
        metadata=metadata,
    )


async def _sources(evidence: Evidence) -> tuple[OfSource, ...]:
    """Return how the references of each source stand, with its rows that have none."""
    counts: dict[int, dict[str, int]] = {}
    for source, standing, count in await evidence.ask(_STANDINGS):
        counts.setdefault(source, {})[standing] = count
    found = []
    for source, rows, unnamed in await evidence.ask(_ROWS):
        of_source = counts.get(source, {})
        standings = {each: of_source.get(each.value, 0) for each in Standing}
        references = sum(of_source.values()) - standings[Standing.NEITHER] - standings[Standing.UNRECOGNISED]
        standings[Standing.NEITHER] += unnamed
        found.append(OfSource(evidence.site.names[source], rows, references, standings))
    return tuple(found)


async def read_stored_otherwise(evidence: Evidence, ledgers: Sequence[PastRun]) -> int:
    """Take in the rows in which a past run let the database store another path; return how many there are."""
    count = 0
    for run in ledgers:
        for source, _ in enumerate(evidence.site.sources):
            after: StoredKey | None = None
            while page := run.stored_otherwise(after, PAGE_FLIPS, source=source):
                after = page[-1].key
                count += len(page)
                await evidence.insert("stored_otherwise", [(source, key_text(flip.key)) for flip in page])
    return count


async def objects_of(evidence: Evidence, side: str) -> Objects:
    """Count the objects of a side, and those of them that a row names."""
    ((count, size_bytes, strange),) = await evidence.ask(_LISTED.format(side=side))
    tail, route = _MEANT[side]
    is_same_tail = tail == "tail" or len(evidence.site.pairing.families) == 1
    bucket = "bucket" if is_same_tail else f"bucket_of({tail})"
    named = 0
    parts = await evidence.parts(NAMED_AT_ONCE)
    for part in range(parts):
        question = _NAMED.format(
            side=side,
            tail=tail,
            route=route,
            is_of_part=of_part(part, parts),
            is_named_of_part=of_part(part, parts, bucket),
        )
        named += (await evidence.ask(question))[0][0]
    return Objects(count, int(size_bytes), named, strange)
