"""The list of what needs a look: counted, the first ones of each kind, and all of them in files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.core.rule import SideName
from sketchmigrate.core.spelling import spellings, spelt_otherwise
from sketchmigrate.inspect.standing import Standing

if TYPE_CHECKING:
    from pathlib import Path

    from sketchmigrate.inspect.evidence import Evidence

EXAMPLES = 5
"""So many of each kind are shown; the files have them all."""

PROBLEMS_NAME = "problems"

_FIRST = """
SELECT kind, key, path, detail, source FROM problem
QUALIFY row_number() OVER (PARTITION BY kind ORDER BY path, key, source) <= ?
ORDER BY kind, path, key, source
"""

_ALL = """
SELECT p.kind, p.key, p.path, p.detail, s.name AS source FROM problem AS p LEFT JOIN source AS s USING (source)
ORDER BY p.kind, p.path, p.key, p.source
"""

MOST_MISSING = 10_000
"""So many rows a side are looked for in other spellings. Where there are more, these tell what they have in common."""

_MISSING = """
SELECT source, key, path, route, tail FROM verdict
WHERE standing = ? AND side = ? AND tail <> '' ORDER BY key, source, slot LIMIT ?
"""

_SPELLING = """
CREATE TEMP TABLE spelling (
    source USMALLINT, key VARCHAR, path VARCHAR, route USMALLINT, tail VARCHAR, other VARCHAR
)
"""

# One pass over the listing. Case and normal form are folded on both sides, and so is white space at the end.
_FOUND = """
SELECT w.source, w.key, w.path, w.route, w.tail, min(o.tail)
FROM {side}_object AS o JOIN spelling AS w
    ON lower(nfc_normalize(rtrim(o.tail))) = lower(nfc_normalize(rtrim(w.other))) AND o.route = w.route
WHERE o.tail <> w.tail GROUP BY w.source, w.key, w.path, w.route, w.tail
"""


@dataclass(frozen=True, slots=True)
class Example:
    """A reference or an object; ``key`` is None for an object that no row names, and ``source`` is a name, or empty."""

    key: str | None
    path: str | None
    detail: str
    source: str = ""


async def count_problems(evidence: Evidence) -> dict[str, int]:
    """Return how many problems there are of each kind."""
    return dict(await evidence.ask("SELECT kind, count(*) FROM problem GROUP BY kind ORDER BY kind"))


async def first_problems(evidence: Evidence) -> dict[str, tuple[Example, ...]]:
    """Return the first problems of each kind, by path."""
    examples: dict[str, tuple[Example, ...]] = {}
    names = evidence.site.names
    for kind, key, path, detail, source in await evidence.ask(_FIRST, [EXAMPLES]):
        name = "" if source is None else names[source]
        examples[kind] = (*examples.get(kind, ()), Example(key, path, detail, name))
    return examples


async def write_problems(evidence: Evidence, directory: Path, name: str = PROBLEMS_NAME) -> list[Path]:
    """Write all problems into the run's directory, as Parquet and as CSV; nothing where there are none."""
    ((count,),) = await evidence.ask("SELECT count(*) FROM problem")
    if not count:
        return []
    paths = [directory / f"{name}.parquet", directory / f"{name}.csv"]
    for path in paths:
        await evidence.export(_ALL, path)
    return paths


async def remark_spellings(evidence: Evidence) -> None:
    """Look in the listings for missing objects in other spellings, and remark on their rows, dangling ones as well.

    Raises ``RunDirectoryError``.
    """
    routes = evidence.site.pairing.routes
    for side, standing in ((SideName.LEGACY, Standing.MISSING), (SideName.PRODUCTION, Standing.DANGLING)):
        missing = await evidence.ask(_MISSING, [standing.value, side, MOST_MISSING])
        if not missing:
            continue
        await evidence.execute(_SPELLING)
        await evidence.insert(
            "spelling", [(*row, other) for row in missing for other in (row[-1], *spellings(row[-1]))]
        )
        remarks = []
        for source, key, path, route, tail, other in await evidence.ask(_FOUND.format(side=side)):
            prefix = routes[route - 1].place(side).prefix
            remarks.append((source, key, path, spelt_otherwise(prefix + tail, prefix + other)))
        await evidence.insert("remark", remarks)
        await evidence.execute("DROP TABLE spelling")
