"""The list of what needs a look: counted, the first ones of each kind, and all of them in files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
