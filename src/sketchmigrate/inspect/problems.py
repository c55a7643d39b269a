"""The list of what needs a look: counted, the first ones of each kind, and all of them in files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.core.spelling import spellings, spelt_otherwise
from sketchmigrate.inspect.standing import Standing

if TYPE_CHECKING:
    from pathlib import Path

    from sketchmigrate.inspect.evidence import Evidence

EXAMPLES = 5
"""So many of each kind are shown; the files have them all."""

PROBLEMS_NAME = "problems"

_FIRST = """
SELECT kind, key, path, detail FROM problem
QUALIFY row_number() OVER (PARTITION BY kind ORDER BY path, key) <= ?
ORDER BY kind, path, key
"""

MOST_MISSING = 10_000
"""So many rows a side are looked for in other spellings. Where there are more, these tell what they have in common."""

_MISSING = """
SELECT key, tail FROM verdict WHERE standing = ? AND side = ? AND tail <> '' ORDER BY key LIMIT ?
"""

# One pass over the listing. Case and normal form are folded on both sides, and so is white space at the end.
_FOUND = """
SELECT w.key, w.tail, min(o.tail)
FROM {side}_object AS o JOIN spelling AS w
    ON lower(nfc_normalize(rtrim(o.tail))) = lower(nfc_normalize(rtrim(w.other)))
WHERE o.tail <> w.tail GROUP BY w.key, w.tail
"""


@dataclass(frozen=True, slots=True)
class Example:
    """A row or an object; ``key`` is None for an object that no row names."""

    key: str | None
    path: str | None
    detail: str


async def count_problems(evidence: Evidence) -> dict[str, int]:
    """Return how many problems there are of each kind."""
    return dict(await evidence.ask("SELECT kind, count(*) FROM problem GROUP BY kind ORDER BY kind"))


async def first_problems(evidence: Evidence) -> dict[str, tuple[Example, ...]]:
    """Return the first problems of each kind, by path."""
    examples: dict[str, tuple[Example, ...]] = {}
    for kind, key, path, detail in await evidence.ask(_FIRST, [EXAMPLES]):
        examples[kind] = (*examples.get(kind, ()), Example(key, path, detail))
    return examples


async def write_problems(evidence: Evidence, directory: Path, name: str = PROBLEMS_NAME) -> list[Path]:
    """Write all problems into the run's directory, as Parquet and as CSV; nothing where there are none."""
    ((count,),) = await evidence.ask("SELECT count(*) FROM problem")
    if not count:
        return []
    paths = [directory / f"{name}.parquet", directory / f"{name}.csv"]
    for path in paths:
        await evidence.export("SELECT kind, key, path, detail FROM problem ORDER BY kind, path, key", path)
    return paths


async def remark_spellings(evidence: Evidence) -> None:
    """Look in the listings for missing objects in other spellings, and remark on their rows, dangling ones as well.

    Raises ``RunDirectoryError``.
    """
    rule = evidence.rule
    for side, standing, key_of in (
        ("legacy", Standing.MISSING, rule.legacy_key),
        ("production", Standing.DANGLING, rule.production_key),
    ):
        missing = await evidence.ask(_MISSING, [standing.value, side, MOST_MISSING])
        if not missing:
            continue
        await evidence.execute("CREATE TEMP TABLE spelling (key VARCHAR, tail VARCHAR, other VARCHAR)")
        await evidence.insert(
            "spelling", [(key, tail, other) for key, tail in missing for other in (tail, *spellings(tail))]
        )
        found = await evidence.ask(_FOUND.format(side=side))
        await evidence.insert(
            "remark", [(key, spelt_otherwise(key_of(tail), key_of(other))) for key, tail, other in found]
        )
        await evidence.execute("DROP TABLE spelling")
