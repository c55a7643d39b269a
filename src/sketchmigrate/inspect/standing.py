"""How a reference stands: where its object is, and whether the two sides agree. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from sketchmigrate.s3 import same_content

if TYPE_CHECKING:
    from sketchmigrate.core.objects import ObjectInfo


class Standing(StrEnum):
    """Exactly one holds for each reference, and the counts add up to the table."""

    EQUAL = "equal"
    SAME_SIZE = "same size"
    ALONE = "alone"
    REWRITTEN = "rewritten"
    NEITHER = "neither"
    CHANGED = "changed"
    DANGLING = "dangling"
    MISSING = "missing"
    UNMIGRATED = "unmigrated"
    UNRECOGNISED = "unrecognised"
    CONFLICT = "conflict"
    DIFFERENT = "different"
    STALE = "stale"
    OTHER_HEADERS = "other headers"
    NOT_READ = "not read"

    @property
    def meaning(self) -> str:
        """What it says of a row, for a person."""
        return _MEANINGS[self]


_MEANINGS = {
    Standing.EQUAL: "migrated, and the legacy object is the same",
    Standing.SAME_SIZE: "migrated, as large as the legacy object, ETags do not compare",
    Standing.ALONE: "in production, and there is no legacy object of that name",
    Standing.REWRITTEN: "migrated, then the application stored another object there",
    Standing.NEITHER: "on neither side: not ours",
    Standing.CHANGED: "its row was changed by the application while this looked",
    Standing.DANGLING: "in production, but its object does not exist",
    Standing.MISSING: "legacy, and its object does not exist",
    Standing.UNMIGRATED: "legacy, still to be migrated",
    Standing.UNRECOGNISED: "on neither side, but names a legacy object in another way",
    Standing.CONFLICT: "legacy, and production holds something else under the new key",
    Standing.DIFFERENT: "in production, and not what legacy holds",
    Standing.STALE: "migrated, but the legacy object was changed afterwards",
    Standing.OTHER_HEADERS: "migrated, but with other content headers, metadata or tags",
    Standing.NOT_READ: "migrated, and its objects could not be read to be compared",
}

HEADLINES = {
    "dangling": (Standing.DANGLING, Standing.MISSING),
    "unmigrated": (Standing.UNMIGRATED, Standing.CONFLICT, Standing.UNRECOGNISED),
    "different": (Standing.DIFFERENT, Standing.STALE, Standing.OTHER_HEADERS, Standing.NOT_READ),
}
"""What verify must find none of, and the standings that count for it."""

WRONG = tuple(standing for standings in HEADLINES.values() for standing in standings)

SUSPECTS = (Standing.DANGLING, Standing.MISSING, Standing.CONFLICT, Standing.DIFFERENT, Standing.STALE)
"""What a listing may only seem to show: the application goes on meanwhile, and listings tell nothing of encryption."""


def standing_of(
    side: str, legacy: ObjectInfo | None, production: ObjectInfo | None, *, was: Standing, other: str = ""
) -> tuple[Standing, str]:
    """Judge a reference by a HEAD of both sides (None: no such object): its standing, and what proves equality.

    ``was`` tells stale from different, where the two still differ; ``other`` says in what the two differ where their
    bytes do not. The rules are those of ``sql/verdict.sql``, and of listings, which tell no headers.
    """
    same = same_content(legacy, production) if legacy and production else None
    if side == "legacy":
        there = Standing.CONFLICT if same is False or (same and other) else Standing.UNMIGRATED
        return (Standing.MISSING if legacy is None else there), ""
    if production is None or legacy is None:
        return (Standing.DANGLING if production is None else Standing.ALONE), ""
    if same is False:
        return (was if was in HEADLINES["different"] else Standing.DIFFERENT), ""
    if same and other:
        return Standing.OTHER_HEADERS, ""
    return (Standing.EQUAL, "ETag") if same else (Standing.SAME_SIZE, "")
