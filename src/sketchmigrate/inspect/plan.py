"""What a migration of this site would meet, cost and take, told beforehand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sketchmigrate.core.appearance import examples as examples_of
from sketchmigrate.core.rule import SideName
from sketchmigrate.inspect.archived import look_at_archived
from sketchmigrate.inspect.findings import (
    KINDS,
    NOTHING,
    NOTHING_IN_LEGACY,
    Finding,
    Severity,
    fence_finding,
    index_finding,
    table_findings,
    tier_findings,
)
from sketchmigrate.inspect.inventory.told import inventories_read
from sketchmigrate.inspect.problems import Example, count_problems, first_problems, remark_spellings
from sketchmigrate.inspect.standing import Standing
from sketchmigrate.migration.room import value_bytes
from sketchmigrate.postgres.catalog import read_facts, read_sizes
from sketchmigrate.postgres.path_index import possible_offer
from sketchmigrate.report.recognition import told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sketchmigrate.inspect.archived import Archived
    from sketchmigrate.inspect.evidence import Evidence, EvidenceSite
    from sketchmigrate.inspect.recognition import Recognition
    from sketchmigrate.inspect.second_look import Looker
    from sketchmigrate.migration.planning import SourceTable
    from sketchmigrate.migration.trial import Trial
    from sketchmigrate.postgres.catalog import Sizes, TableFacts
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.refusals import Refusals

# A row whose references are several is on the legacy side with one that is, and can be flipped with all that are.
_OF_ROWS = """
CREATE TEMP VIEW of_row AS
WITH of_reference AS (
    SELECT *, standing = 'unmigrated' AND same IS true AS is_in_place,
        standing = 'unmigrated' AND route IS NOT NULL AND (
            same IS true OR NOT EXISTS (FROM archived AS a WHERE a.tail = verdict.tail AND a.route = verdict.route)
        ) AS is_movable
    FROM verdict
)
SELECT source, side, is_movable, is_in_place, (side = 'legacy')::BIGINT AS legacy
FROM of_reference WHERE source IN (SELECT source FROM source WHERE is_copied)
UNION ALL BY NAME
SELECT source, CASE
        WHEN bool_or(side = 'legacy') THEN 'legacy' WHEN bool_or(side = 'production') THEN 'production' ELSE 'neither'
    END AS side,
    bool_or(side = 'legacy') AND bool_and(is_movable OR side <> 'legacy')
        AND NOT EXISTS (FROM unmovable AS u WHERE u.source = r.source AND u.key = r.key) AS is_movable,
    bool_or(side = 'legacy') AND bool_and(is_in_place OR side <> 'legacy') AS is_in_place,
    count(*) FILTER (side = 'legacy') AS legacy
FROM of_reference AS r WHERE source IN (SELECT source FROM source WHERE NOT is_copied) GROUP BY source, key
"""

_FIGURES = """
SELECT source, count(*) FILTER (side = 'legacy'), count(*) FILTER (side = 'production'),
       count(*) FILTER (side = 'neither') + any_value(unnamed), count(*) FILTER (is_movable),
       count(*) FILTER (is_in_place), coalesce(sum(legacy) FILTER (is_movable), 0)::BIGINT,
       coalesce(sum(legacy) FILTER (is_in_place), 0)::BIGINT
FROM of_row RIGHT JOIN rows_read USING (source) GROUP BY source ORDER BY source
"""

_OBJECTS = """
SELECT (SELECT count(*) FROM moved), (SELECT coalesce(sum(bytes), 0) FROM moved),
       (SELECT count(*) FROM legacy_object WHERE is_counted(route))
           + (SELECT count(*) FROM production_object WHERE is_counted(route))
"""

_PATH_BYTES = """
SELECT coalesce(avg(strlen(path) + strlen(production_key(tail, route := route))), 0)
FROM verdict WHERE standing = 'unmigrated' AND source = ?
"""

_MOVED = """
CREATE TEMP VIEW moved AS
SELECT any_value(legacy_bytes) AS bytes FROM verdict
WHERE standing = 'unmigrated' AND same IS NULL AND production_bytes IS NULL AND route IS NOT NULL
    AND NOT EXISTS (FROM archived AS a WHERE a.tail = verdict.tail AND a.route = verdict.route)
GROUP BY produced_route(route), tail
"""

_UNIQUE = """
INSERT INTO problem
SELECT 'unique constraint', source, key, path,
    'another row holds ' || production_key(tail, route := route) || ' already'
FROM verdict AS v
WHERE source = ? AND side = 'legacy' AND tail <> '' AND EXISTS (
    FROM reference AS r WHERE r.source = v.source AND r.side = 'production' AND r.tail = v.tail AND r.route = v.route
)
"""


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """What is to be moved of one source, and what its table says; see ``Plan``.

    ``references_to_migrate`` are those of the rows that a run could flip, ``references_in_place`` those of the rows all
    of whose objects are in place. ``value_bytes`` is what old and new value of a row have together on average.
    """

    name: str
    legacy_rows: int
    production_rows: int
    other_rows: int
    to_migrate: int
    in_place: int
    references_to_migrate: int
    references_in_place: int
    value_bytes: float
    facts: TableFacts
    sizes: Sizes
    refusals: Refusals
    trial: Trial | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be moved, and what was found. ``to_migrate`` are the rows that a run could flip.

    ``in_place`` are those of them whose objects are in production already. ``compared_bytes`` are the references whose
    objects were read to know that. ``archived`` objects are not among those to copy. The rows are the sums of those of
    the sources. ``inventories``: see ``inventories_read``.
    """

    objects_to_copy: int
    bytes_to_copy: int
    objects_listed: int
    deep_percent: float | None
    compared_bytes: int
    sources: tuple[SourcePlan, ...]
    findings: tuple[Finding, ...]
    inventories: Mapping[str, datetime]
    archived: Archived

    @property
    def legacy_rows(self) -> int:
        """Rows on the legacy side."""
        return sum(source.legacy_rows for source in self.sources)

    @property
    def production_rows(self) -> int:
        """Rows in production."""
        return sum(source.production_rows for source in self.sources)

    @property
    def other_rows(self) -> int:
        """Rows on neither side."""
        return sum(source.other_rows for source in self.sources)

    @property
    def to_migrate(self) -> int:
        """Rows that a run could flip."""
        return sum(source.to_migrate for source in self.sources)

    @property
    def in_place(self) -> int:
        """Those of them whose objects are there."""
        return sum(source.in_place for source in self.sources)

    def with_findings(self, more: Sequence[Finding]) -> Plan:
        """Return the plan with what was found besides, the gravest first."""
        findings = sorted((*self.findings, *more), key=lambda found: found.severity is not Severity.LOOK)
        return replace(self, findings=tuple(findings))

    @property
    def needs_a_look(self) -> bool:
        """Whether a person should look first."""
        return any(finding.severity is Severity.LOOK for finding in self.findings)


async def plan(
    evidence: Evidence,
    looker: Looker,
    database: Database,
    sources: Sequence[SourceTable],
    *,
    refusals: Sequence[Refusals],
    trials: Sequence[Trial | None],
    deep_percent: float | None,
    recognition: Recognition,
) -> Plan:
    """Judge gathered evidence. Where ETags do not compare, ``deep_percent`` of the objects are read; None: none.

    ``refusals`` and ``trials`` are those of each source: what the catalog makes certain, and what came of a flip that
    was tried, None where none was to be; ``recognition`` what the rows on neither side look like. Raises
    ``RunDirectoryError``, ``DatabaseError`` or ``S3Error``.
    """
    async with database.session() as session:
        facts = [await session.run(read_facts, each.table, doing="looking at the table") for each in sources]
        sizes = [await session.run(read_sizes, each.table, doing="looking at the table") for each in sources]
        offers = [
            await session.run(possible_offer, each.table, each.mapping, doing="looking at the table")
            for each in sources
        ]
    await evidence.judge()
    await looker.second_look()
    in_archives = await look_at_archived(looker)
    await looker.look_at_headers()
    compared = 0
    if deep_percent is not None:
        compared = (await looker.compare_unmigrated(deep_percent)).references
        await looker.second_look([Standing.CHANGED], is_all=True)  # one of both was gone when it was to be read
    await remark_spellings(evidence)
    await evidence.script("plan")
    await evidence.script("remarks")
    for number, each in enumerate(facts):
        if looker.site.sources[number].is_copied and _holds_no_path_twice(each):
            await evidence.ask(_UNIQUE, [number])
    await evidence.execute(_MOVED)
    await evidence.execute(_OF_ROWS)
    ((objects, size_bytes, listed),) = await evidence.ask(_OBJECTS)
    of_sources: list[SourcePlan] = []
    for number, *counts in await evidence.ask(_FIGURES):
        size = await _value_bytes(evidence, sources[number], number)
        legacy, production, other, to_migrate, in_place, references, references_in_place = counts
        of_sources.append(
            SourcePlan(
                name=looker.site.names[number],
                legacy_rows=legacy,
                production_rows=production,
                other_rows=other,
                to_migrate=to_migrate,
                in_place=in_place,
                references_to_migrate=references,
                references_in_place=references_in_place,
                value_bytes=size,
                facts=facts[number],
                sizes=sizes[number],
                refusals=refusals[number],
                trial=trials[number],
            )
        )
    findings = [*await _of_rows(evidence, looker.site, recognition), *tier_findings(in_archives.unseen)]
    for source, offer in zip(of_sources, offers, strict=True):
        name = source.name if len(of_sources) > 1 else ""
        of_table = table_findings(source.facts, source.refusals, source.trial)
        of_table += fence_finding(source.facts.fences, source.legacy_rows)
        of_table += index_finding(offer, source.legacy_rows)
        findings += [found.of(name) for found in of_table]
    return Plan(
        objects_to_copy=objects,
        bytes_to_copy=int(size_bytes),
        objects_listed=listed,
        deep_percent=deep_percent,
        compared_bytes=compared,
        sources=tuple(of_sources),
        findings=tuple(sorted(findings, key=lambda found: found.severity is not Severity.LOOK)),
        inventories=await inventories_read(evidence),
        archived=in_archives,
    )


def _holds_no_path_twice(facts: TableFacts) -> bool:
    return any(index.unique and index.on_path_alone and not index.partial for index in facts.indexes)


async def _value_bytes(evidence: Evidence, source: SourceTable, number: int) -> float:
    """Return how long old and new value of a row are: of keys exactly, of other values as a sample has them."""
    if not evidence.site.sources[number].is_copied:
        return value_bytes(source.sample)
    ((path_bytes,),) = await evidence.ask(_PATH_BYTES, [number])
    return float(path_bytes)


async def _of_rows(evidence: Evidence, site: EvidenceSite, recognition: Recognition) -> list[Finding]:
    """Say what of rows and objects was found, and first whether they were recognised at all."""
    counts, examples = await count_problems(evidence), await first_problems(evidence)
    rows = [
        Finding(kind, severity, counts[kind], what_to_do, examples[kind])
        for kind, (severity, what_to_do) in KINDS.items()
        if kind in counts
    ]
    shown = tuple(Example(row.key, row.path, told(row)) for row in examples_of(recognition.others))
    if recognition.is_nothing:
        rows.insert(0, _first(NOTHING, recognition.paths, shown))
    elif recognition.is_nothing_in_legacy:
        places = ", ".join(str(place) for place in site.places(SideName.LEGACY))
        rows.insert(0, _first(NOTHING_IN_LEGACY, recognition.other_paths, shown, f" {places}"))
    return rows


def _first(kind: str, count: int, examples: tuple[Example, ...], place: str = "") -> Finding:
    severity, what_to_do = KINDS[kind]
    return Finding(kind, severity, count, what_to_do + place, examples)
