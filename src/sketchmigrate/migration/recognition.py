"""Whether a table is understood at all, before anything is written: a wrong prefix looks like a table that is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.appearance import EXAMPLES, Legacy, other_row
from sketchmigrate.errors import NothingRecognised
from sketchmigrate.postgres.neither import Others, is_any_on_a_side
from sketchmigrate.report.recognition import nothing_recognised

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sketchmigrate.migration.site import Site
    from sketchmigrate.model import OtherRow
    from sketchmigrate.settings import Settings

HINT = "Look at DB_TABLE, DB_PATH_COLUMN, LEGACY_PREFIX and PRODUCTION_PREFIX: a path has to begin with either prefix."


async def check_recognised(site: Site, say: Callable[[str], None]) -> None:
    """Check that a row is on either side, where rows have paths and legacy has objects. Raises ``NothingRecognised``.

    Asks nothing where a legacy row was seen already. Else it takes a request, and most often one page of the table; see
    ``postgres.neither`` for what it takes at most, and what is told to ``say``. Raises ``DatabaseError`` or ``S3Error``
    as well.
    """
    settings = site.settings
    if site.first_legacy_path is not None:
        return
    if not (await site.store.list_page(settings.legacy_bucket, settings.legacy_prefix, max_keys=1)).objects:
        return
    prefixes = settings.legacy_prefix, settings.production_prefix
    others = Others(site.table, prefixes, wanted=100 * EXAMPLES)  # among so many there may be some kinds
    async with site.database.session() as session:
        if await is_any_on_a_side(session, others, say):
            return
    legacy = Legacy(settings.legacy_bucket, settings.legacy_prefix)
    rows = [other_row(str(row.key), row.path, legacy) for row in others.rows]
    if rows:
        raise refusal(settings, rows)


def refusal(settings: Settings, rows: Sequence[OtherRow]) -> NothingRecognised:
    """Return what to tell of a table that is not understood."""
    return NothingRecognised(f"nothing recognised: {nothing_recognised(settings, rows)}", hint=HINT)
