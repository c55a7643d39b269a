"""Whether every reference is where it should be, with an object that is what it should be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.core.keys import key_text
from sketchmigrate.inspect.problems import Example, first_problems, remark_spellings
from sketchmigrate.inspect.second_look import Compared
from sketchmigrate.inspect.standing import HEADLINES, Standing
from sketchmigrate.ledger import PAGE_FLIPS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sketchmigrate.core.keys import StoredKey
    from sketchmigrate.inspect.evidence import Evidence
    from sketchmigrate.inspect.second_look import Looker
    from sketchmigrate.ledger import PastRun

# Listed objects by whether a row names them. Every object is in one of these, or its key is no text.
_NAMED = """
SELECT (SELECT count(*) FROM {side}_object), (SELECT coalesce(sum(size_bytes), 0) FROM {side}_object),
       (SELECT count(*) FROM {side}_object AS o SEMI JOIN reference AS r ON r.tail = o.tail),
       (SELECT count(*) FROM strange_key WHERE side = '{side}')
"""


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
class Verification:
    """What was found of all references. ``proofs`` counts what showed the equal ones to be equal: ETag or bytes.

    ``ledgers_read``: what past runs wrote down of what they stored is in the evidence.
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

    @property
    def headlines(self) -> dict[str, int]:
        """Rows that are dangling, unmigrated, different: there must be none of them."""
        return {name: sum(self.standings[each] for each in standings) for name, standings in HEADLINES.items()}

    @property
    def adds_up(self) -> bool:
        """Whether each row that was read has one standing, and each object that was listed is accounted for."""
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


async def verify(
    evidence: Evidence, looker: Looker, ledgers: Sequence[PastRun], *, deep_percent: float | None
) -> Verification:
    """Judge gathered evidence. ``deep_percent`` of the migrated references are compared byte by byte; None: none.

    Raises ``RunDirectoryError``, ``DatabaseError`` or ``S3Error``.
    """
    await evidence.script("verdict")
    second_looks = await looker.second_look()
    if await read_stored_otherwise(evidence, ledgers):
        await looker.look_at_stored_otherwise()
    compared = Compared()
    if deep_percent is not None:
        compared = await looker.compare_migrated(deep_percent)
        # one of both was gone when it was to be read
        second_looks += await looker.second_look([Standing.CHANGED], most=None)
    ((differ,),) = await evidence.ask("SELECT count(*) FROM verdict WHERE standing IN ('different', 'stale')")
    if differ:  # only these have two explanations, and a ledger of many flips takes a while to read
        await read_ledgers(evidence, ledgers)
        await evidence.script("ledgers")
    await remark_spellings(evidence)
    await evidence.script("verify")
    await evidence.script("remarks")
    ((rows,),) = await evidence.ask("SELECT count(*) FROM reference")
    counts = dict(await evidence.ask("SELECT standing, count(*) FROM verdict GROUP BY standing"))
    proofs = dict(await evidence.ask("SELECT proof, count(*) FROM verdict WHERE standing = 'equal' GROUP BY proof"))
    readings = await evidence.ask("SELECT what, began_at_utc, ended_at_utc, entries FROM reading ORDER BY began_at_utc")
    return Verification(
        rows=rows,
        standings={standing: counts.get(standing.value, 0) for standing in Standing},
        proofs=proofs,
        legacy=await _objects(evidence, "legacy"),
        production=await _objects(evidence, "production"),
        readings=tuple(Reading(*reading) for reading in readings),
        second_looks=second_looks,
        deep_percent=deep_percent,
        compared=compared,
        examples=await first_problems(evidence),
        ledgers_read=bool(differ),
    )


async def read_stored_otherwise(evidence: Evidence, ledgers: Sequence[PastRun]) -> int:
    """Take in the rows in which a past run let the database store another path; return how many there are."""
    count = 0
    for run in ledgers:
        after: StoredKey | None = None
        while page := run.stored_otherwise(after, PAGE_FLIPS):
            after = page[-1].key
            count += len(page)
            await evidence.insert("stored_otherwise", [(key_text(flip.key),) for flip in page])
    return count


async def read_ledgers(evidence: Evidence, ledgers: Sequence[PastRun]) -> None:
    """Take in what past migrations wrote down of the objects that they stored."""
    for run in ledgers:
        async for flips in run.newest_first():
            rows = [(key_text(flip.key), flip.new_path, flip.etag or "", flip.unix_time) for flip in flips]
            await evidence.insert("flip", rows)


async def _objects(evidence: Evidence, side: str) -> Objects:
    ((count, size_bytes, named, strange),) = await evidence.ask(_NAMED.format(side=side))
    return Objects(count, int(size_bytes), named, strange)
