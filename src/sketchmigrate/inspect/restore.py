"""Copies the legacy object once more for a dangling row: one that a run of ours set, and whose object is gone since.

It is brought as a migration brings it, so that nothing is replaced that the application stores meanwhile.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from sketchmigrate.core.errors import ObjectMissing, S3Error
from sketchmigrate.core.keys import key_text
from sketchmigrate.core.mapping import Move
from sketchmigrate.core.objects import ObjectInfo
from sketchmigrate.core.reference import Reference
from sketchmigrate.inspect.repair import Again, Done, in_groups
from sketchmigrate.migration.transfer import replaced_version
from sketchmigrate.s3 import CopyResult, same_content

if TYPE_CHECKING:
    from pathlib import Path

    from sketchmigrate.inspect.evidence import Evidence, EvidenceSite
    from sketchmigrate.inspect.looks import Looks
    from sketchmigrate.migration.transfer import Transfer

log = logging.getLogger(__name__)

# Without a flip on record the legacy object of that name may be another one than the row has lost. One row for each.
_LOST = """
SELECT any_value(v.source), any_value(v.key), v.route, v.tail FROM verdict AS v
SEMI JOIN flip AS f ON f.key = v.key AND f.source = v.source AND f.path = v.path
WHERE v.standing = 'dangling' AND v.side = 'production' AND v.legacy_bytes IS NOT NULL GROUP BY v.route, v.tail
"""
_DANGLING = """
SELECT count(*) FILTER (EXISTS (FROM flip AS f WHERE f.key = v.key AND f.source = v.source AND f.path = v.path)),
       count(*)
FROM verdict AS v WHERE standing = 'dangling' AND side = 'production' AND legacy_bytes IS NOT NULL
"""


async def count_lost(evidence: Evidence) -> tuple[int, int]:
    """Return how many dangling rows have a legacy object: of those that a run of ours set, and of the others."""
    ((ours, all_of_them),) = await evidence.ask(_DANGLING)
    return ours, all_of_them - ours


async def restore_lost(
    evidence: Evidence, site: EvidenceSite, transfer: Transfer, looks: Looks, record: Path
) -> dict[Again, int]:
    """Bring the objects that rows of ours lost, and count what became of each. Raises as ``copy_ours`` does."""

    async def restore(row: tuple[Any, ...]) -> Done:
        source, *of_object = row
        move = _move(site, *of_object)
        outcome, etag = await _restore(move, transfer, looks)
        return Done(outcome, etag, key_text(move.reference.key), move.new_path, source)

    outcomes = (Again.RESTORED, Again.NOT_OURS, Again.MISSING, Again.REFUSED)
    return await in_groups(evidence.stream(_LOST), restore, outcomes, record)


def _move(site: EvidenceSite, key: str, route: int, tail: str) -> Move:
    source, target = site.pairing.legacy(route, tail), site.pairing.production(route, tail)
    assert source is not None  # noqa: S101 - it was listed, as it has bytes
    return Move(Reference(key, target.key), target.key, source, target)


async def _restore(move: Move, transfer: Transfer, looks: Looks) -> tuple[Again, str]:
    """Bring one object; return what became of it and, where it was written, its ETag."""
    began_at = time.monotonic()
    try:
        outcome = await transfer.bring(move)
    except ObjectMissing:
        return Again.MISSING, ""
    except S3Error as error:
        log.warning("%s was not copied: %s", move.target, (await looks.refused(error, began_at)).words)
        return Again.REFUSED, ""
    if isinstance(outcome, CopyResult):
        if outcome.replaced:
            log.warning("%s", replaced_version(move.target, outcome.replaced))
        return Again.RESTORED, outcome.etag
    if outcome.perhaps_ours:
        legacy, now = await looks.legacy(move.source), await looks.production(move.target)
        if isinstance(legacy, ObjectInfo) and isinstance(now, ObjectInfo) and same_content(legacy, now):
            return Again.RESTORED, now.etag
    return Again.NOT_OURS, ""
