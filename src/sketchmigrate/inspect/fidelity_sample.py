"""Which legacy objects ``plan`` looks at to tell what their copies would not keep: some, taken at random, or all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.migration.keeping import SAMPLE_OBJECTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sketchmigrate.core.objects import Location
    from sketchmigrate.inspect.evidence import Evidence, EvidenceSite

# Those that are archived are among them, as they are copied once they are restored.
_TO_COPY = """
SELECT DISTINCT route, tail FROM verdict
WHERE standing = 'unmigrated' AND route IS NOT NULL AND tail <> '' AND production_bytes IS NULL
"""
_SOME = f"{_TO_COPY} ORDER BY hash(tail), route LIMIT {SAMPLE_OBJECTS}"  # the same each time, and not all are sorted


async def objects_to_copy(evidence: Evidence, site: EvidenceSite, *, full: bool) -> AsyncIterator[list[Location]]:
    """Yield legacy objects of judged evidence that would be copied, in portions. Raises ``RunDirectoryError``."""
    async for pairs in evidence.stream(_TO_COPY if full else _SOME):
        places = (site.pairing.legacy(*pair) for pair in pairs)
        yield sorted(place for place in places if place is not None)
