"""What can be told of a migration before anything is stored: by the production bucket's rules, and by a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.migration.bucket_rules import REQUESTS, read_bucket_rules
from sketchmigrate.migration.keeping import look_at, way_of
from sketchmigrate.migration.keeping_text import archived_line, dropped_lines, untold_line
from sketchmigrate.migration.store_trial import keeps_for_ever

if TYPE_CHECKING:
    from sketchmigrate.migration.site import Site
    from sketchmigrate.settings import Options


@dataclass(frozen=True, slots=True)
class LookAhead:
    """``warnings`` of what will fail or stay; ``lines`` of what copies do not keep, and what the store did not tell.

    ``dropped`` are those of ``lines`` that name a loss. ``not_tried`` is why the store is not to be tried, or empty.
    """

    warnings: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    not_tried: str = ""


async def look_ahead(site: Site, options: Options) -> LookAhead:
    """Look at the production bucket's rules and at a sample of the legacy objects that rows name."""
    if not site.legacy_paths:
        return LookAhead()
    rules = await read_bucket_rules(site.sides.production)
    objects = [site.sides.legacy.at(path) for path in site.legacy_paths]
    sample = await look_at(site.sides.legacy.store, objects, encryption=rules.encryption)
    sample.requests += REQUESTS
    way = way_of(options.no_clobber, overwrite=options.overwrite)
    lines = tuple(dropped_lines(sample, way))
    return LookAhead(
        warnings=tuple(filter(None, (rules.about_lock(), rules.about_encryption(), archived_line(sample)))),
        lines=(*lines, *filter(None, [untold_line(rules, sample)])),
        dropped=lines if sample.dropped(way) else (),
        not_tried=keeps_for_ever(rules.lock),
    )
