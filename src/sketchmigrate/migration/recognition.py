"""Whether a table is understood at all, before anything is written: a wrong prefix looks like a table that is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.appearance import EXAMPLES, Legacy, other_row
from sketchmigrate.core.errors import NothingRecognised
from sketchmigrate.core.keys import key_text
from sketchmigrate.core.reference import KeyRange
from sketchmigrate.postgres.neither import Others, is_any_on_a_side
from sketchmigrate.postgres.references import References
from sketchmigrate.report.recognition import nothing_in_legacy, nothing_recognised

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sketchmigrate.core.status import OtherRow
    from sketchmigrate.migration.site import Site
    from sketchmigrate.migration.stop import Stop
    from sketchmigrate.settings import Settings

HINT = "Look at DB_TABLE, DB_PATH_COLUMN, LEGACY_PREFIX and PRODUCTION_PREFIX: a path has to begin with either prefix."


async def check_recognised(site: Site, say: Callable[[str], None]) -> bool:
    """Check that a row is on either side, where rows have paths and legacy has objects. Raises ``NothingRecognised``.

    Return whether legacy has no object, where that was asked.

    Asks nothing where a legacy row was seen already. Else it takes a request, and most often one page of the table; see
    ``postgres.neither`` for what it takes at most, and what is told to ``say``. Raises ``DatabaseError`` or ``S3Error``
    as well.
    """
    settings = site.settings
    if site.first_legacy_path is not None:
        return False
    legacy = site.sides.legacy
    if not (await legacy.store.list_page(legacy.bucket, legacy.prefix, max_keys=1)).objects:
        return True
    others = _others(site)
    async with site.database.session() as session:
        if await is_any_on_a_side(References(session, site.table), others, say):
            return False
    if others.rows:
        raise refusal(settings, _told(others, settings))
    return False


async def about_empty_legacy(site: Site, stop: Stop) -> str:
    """Say what rows have a path on neither side, for a legacy side without a row or object; empty where none has.

    Counts the whole table, page by page, and says nothing where it is stopped meanwhile. Raises ``DatabaseError``.
    """
    others = _others(site)
    count, key_range = 0, KeyRange()
    async with site.database.session() as session:
        references = References(session, site.table)
        async for page in references.counted_pages(key_range, site.mapping.rule):
            if stop.requested or page.legacy:  # a row that came meanwhile tells that the side is the right one
                return ""
            count += page.paths - page.production
            await others.take(references, page, key_range)
            key_range = KeyRange(page.last_key)
    return nothing_in_legacy(site.settings, count, _told(others, site.settings)) if count else ""


def _others(site: Site) -> Others:
    """Return what takes rows on neither side: among so many there may be some kinds."""
    return Others(site.mapping.rule, wanted=100 * EXAMPLES)


def _told(others: Others, settings: Settings) -> list[OtherRow]:
    legacy = Legacy(settings.legacy_bucket, settings.legacy_prefix)
    return [other_row(key_text(row.key), row.path, legacy) for row in others.rows]


def refusal(settings: Settings, rows: Sequence[OtherRow]) -> NothingRecognised:
    """Return what to tell of a table that is not understood."""
    return NothingRecognised(f"nothing recognised: {nothing_recognised(settings, rows)}", hint=HINT)
