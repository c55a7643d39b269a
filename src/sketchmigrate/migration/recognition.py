"""Whether a table is understood at all, before anything is written: a wrong prefix looks like a table that is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.appearance import EXAMPLES, Legacy, other_row
from sketchmigrate.core.errors import NothingRecognised
from sketchmigrate.core.keys import key_text
from sketchmigrate.core.reference import KeyRange
from sketchmigrate.core.rule import SideName
from sketchmigrate.postgres.neither import Others, is_any_on_a_side
from sketchmigrate.postgres.references import References
from sketchmigrate.report.recognition import nothing_in_legacy, nothing_recognised, source_unrecognised
from sketchmigrate.settings.sources import routes_of, sources_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sketchmigrate.core.status import OtherRow
    from sketchmigrate.migration.planning import SourceTable
    from sketchmigrate.migration.site import Site
    from sketchmigrate.migration.stop import Stop
    from sketchmigrate.settings import Settings

HINT = "Look at DB_TABLE, DB_PATH_COLUMN, LEGACY_PREFIX and PRODUCTION_PREFIX: a path has to begin with either prefix."


async def check_recognised(site: Site, say: Callable[[str], None]) -> bool:
    """Check that a row is on either side, where rows have paths and legacy has objects. Raises ``NothingRecognised``.

    Return whether legacy has no object, where that was asked. Of several sources those that have no such row are told
    to ``say``, and the error is for all of them.

    Asks nothing where each source has shown a legacy row already. Else it takes a request, and most often one page of a
    table; see ``postgres.neither`` for what it takes at most, and what is told to ``say``. Raises ``DatabaseError`` or
    ``S3Error`` as well.
    """
    unseen = [each for each in site.sources if not each.sample]
    if not unseen:
        return False
    if not await _any_object(site):
        return not site.sample
    unrecognised: list[SourceTable] = []
    rows: list[OtherRow] = []
    is_any = bool(site.sample)
    for each in unseen:
        others = _others(each)
        async with site.database.session() as session:
            counted = await is_any_on_a_side(References(session, each.table), others, say)
        is_any = is_any or counted.is_recognised
        if counted.has_paths and not counted.is_recognised:
            unrecognised.append(each)
            rows += _told(others, each)
    if unrecognised and not is_any:
        raise refusal(site.settings, rows)
    if unrecognised:
        say(f"Note: {source_unrecognised([each.source.name for each in unrecognised])}")
    return False


async def _any_object(site: Site) -> bool:
    """Whether legacy has an object, in whichever of its places."""
    store = site.sides.legacy.store
    for place in routes_of(site.settings).places(SideName.LEGACY):
        if (await store.list_page(place.bucket, place.prefix, max_keys=1)).objects:
            return True
    return False


async def about_empty_legacy(site: Site, stop: Stop) -> str:
    """Say what rows have a path on neither side, for a legacy side without a row or object; empty where none has.

    Counts the tables, page by page, and says nothing where it is stopped meanwhile. Raises ``DatabaseError``.
    """
    count = 0
    rows: list[OtherRow] = []
    for each in site.sources:
        others, key_range = _others(each), KeyRange()
        async with site.database.session() as session:
            references = References(session, each.table)
            async for page in references.counted_pages(key_range, each.mapping):
                if stop.requested or page.legacy:  # a row that came meanwhile tells that the side is the right one
                    return ""
                count += page.paths - page.production
                await others.take(references, page, key_range)
                key_range = KeyRange(page.last_key)
        rows += _told(others, each)
    return nothing_in_legacy(sources_of(site.settings), routes_of(site.settings), count, rows) if count else ""


def _others(source: SourceTable) -> Others:
    """Return what takes rows on neither side: among so many there may be some kinds. Only of keys they tell much."""
    return Others(source.mapping, wanted=100 * EXAMPLES if source.source.is_of_keys else 0)


def _told(others: Others, source: SourceTable) -> list[OtherRow]:
    route = source.source.routes.all[0]
    legacy = Legacy(route.legacy_bucket, route.legacy_prefix)
    return [other_row(key_text(row.key), row.path, legacy) for row in others.rows]


def refusal(settings: Settings, rows: Sequence[OtherRow]) -> NothingRecognised:
    """Return what to tell of tables that are not understood."""
    text = nothing_recognised(sources_of(settings), routes_of(settings), rows)
    hint = "Look at REFERENCES and MOVES: a value has to name an object of either side."
    return NothingRecognised(f"nothing recognised: {text}", hint=hint if settings.has_lists else HINT)
