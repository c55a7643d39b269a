"""What a migration of this site would meet, cost and take, told beforehand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sketchmigrate.core.appearance import examples as examples_of
from sketchmigrate.inspect.findings import KINDS, NOTHING, NOTHING_IN_LEGACY, Finding, Severity, table_findings
from sketchmigrate.inspect.problems import Example, count_problems, first_problems, remark_spellings
from sketchmigrate.inspect.standing import Standing
from sketchmigrate.migration.keeping import SAMPLE_OBJECTS
from sketchmigrate.postgres.catalog import read_facts, read_sizes
from sketchmigrate.report.recognition import told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.inspect.evidence import Evidence
    from sketchmigrate.inspect.recognition import Recognition
    from sketchmigrate.inspect.second_look import Looker
    from sketchmigrate.migration.trial import Trial
    from sketchmigrate.postgres.catalog import Sizes, TableFacts
    from sketchmigrate.postgres.database import Database
    from sketchmigrate.postgres.refusals import Refusals
    from sketchmigrate.postgres.table import Table

_FIGURES = """
SELECT count(*) FILTER (side = 'legacy'), count(*) FILTER (side = 'production'), count(*) FILTER (side = 'neither'),
       count(*) FILTER (standing = 'unmigrated' AND same),
       count(*) FILTER (standing = 'unmigrated' AND (same IS true OR tail NOT IN (SELECT tail FROM archived))),
       (SELECT count(*) FROM moved), (SELECT coalesce(sum(bytes), 0) FROM moved),
       (SELECT count(*) FROM legacy_object) + (SELECT count(*) FROM production_object)
FROM verdict
"""

_SAMPLE = """
SELECT tail FROM verdict WHERE standing = 'unmigrated' AND tail <> '' USING SAMPLE {count} ROWS (reservoir, 1)
"""

_PATH_BYTES = """
SELECT coalesce(avg(strlen(path) + strlen(production_key(tail))), 0)
FROM verdict WHERE standing = 'unmigrated'
"""

_MOVED = """
CREATE TEMP VIEW moved AS
SELECT tail, any_value(legacy_bytes) AS bytes FROM verdict
WHERE standing = 'unmigrated' AND same IS NULL AND production_bytes IS NULL
    AND tail NOT IN (SELECT tail FROM archived) GROUP BY tail
"""

_UNIQUE = """
INSERT INTO problem
SELECT 'unique constraint', key, path, 'another row holds ' || production_key(tail) || ' already'
FROM verdict
WHERE side = 'legacy' AND tail <> '' AND tail IN (SELECT tail FROM reference WHERE side = 'production')
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be moved, and what was found. ``to_migrate`` are the rows that a run could flip.

    ``in_place`` are those of them whose object is in production already. ``compared_bytes`` are the rows whose objects
    were read to know that. ``path_bytes`` is what old and new path of a row have together on average, and
    ``sample_tails`` are some objects to be copied, taken at random, without their prefix.
    """

    legacy_rows: int
    production_rows: int
    other_rows: int
    to_migrate: int
    in_place: int
    objects_to_copy: int
    bytes_to_copy: int
    objects_listed: int
    path_bytes: float
    sample_tails: tuple[str, ...]
    deep_percent: float | None
    compared_bytes: int
    facts: TableFacts
    sizes: Sizes
    refusals: Refusals
    trial: Trial | None
    findings: tuple[Finding, ...]

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
    table: Table,
    *,
    refusals: Refusals,
    trial: Trial | None,
    deep_percent: float | None,
    recognition: Recognition,
) -> Plan:
    """Judge gathered evidence. Where ETags do not compare, ``deep_percent`` of the objects are read; None: none.

    ``trial`` is what came of a flip that was tried, None where none was to be; ``recognition`` what the rows on neither
    side look like. Raises ``RunDirectoryError``, ``DatabaseError`` or ``S3Error``.
    """
    async with database.session() as session:
        facts = await session.run(read_facts, database.settings, doing="looking at the table")
        sizes = await session.run(read_sizes, table, doing="looking at the table")
    await evidence.script("verdict")
    await looker.second_look()
    await looker.look_at_archived()
    await looker.look_at_headers()
    compared = 0
    if deep_percent is not None:
        compared = (await looker.compare_unmigrated(deep_percent)).references
        await looker.second_look([Standing.CHANGED], most=None)  # one of both was gone when it was to be read
    await remark_spellings(evidence)
    await evidence.script("plan")
    await evidence.script("remarks")
    if any(index.unique and index.on_path_alone and not index.partial for index in facts.indexes):
        await evidence.execute(_UNIQUE)
    await evidence.execute(_MOVED)
    ((legacy, production, other, in_place, to_migrate, objects, size_bytes, listed),) = await evidence.ask(_FIGURES)
    ((path_bytes,),) = await evidence.ask(_PATH_BYTES)
    tails = await evidence.ask(_SAMPLE.format(count=SAMPLE_OBJECTS))
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
        place = f" s3://{looker.site.legacy_bucket}/{looker.site.legacy_prefix}"
        rows.insert(0, _first(NOTHING_IN_LEGACY, recognition.other_paths, shown, place))
    findings = [*rows, *table_findings(facts, refusals, trial)]
    return Plan(
        legacy_rows=legacy,
        production_rows=production,
        other_rows=other,
        to_migrate=to_migrate,
        in_place=in_place,
        objects_to_copy=objects,
        bytes_to_copy=int(size_bytes),
        objects_listed=listed,
        path_bytes=float(path_bytes),
        sample_tails=tuple(sorted(tail for (tail,) in tails)),
        deep_percent=deep_percent,
        compared_bytes=compared,
        facts=facts,
        sizes=sizes,
        refusals=refusals,
        trial=trial,
        findings=tuple(sorted(findings, key=lambda found: found.severity is not Severity.LOOK)),
    )


def _first(kind: str, count: int, examples: tuple[Example, ...], place: str = "") -> Finding:
    severity, what_to_do = KINDS[kind]
    return Finding(kind, severity, count, what_to_do + place, examples)
