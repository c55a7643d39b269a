"""Finds the legacy rows of a source by an index of their paths, where that reads far fewer blocks than the key does.

A row may get another path while a pass goes on, and move from before the pass to behind it. So no such pass proves that
nothing is left, unless one statement has seen all that is legacy; else a pass by the key comes last.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import DatabaseError
from sketchmigrate.postgres.paging import FEWEST_ROWS, PageTooSlow
from sketchmigrate.postgres.path_index import choose_index

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sketchmigrate.migration.runner import Migration
    from sketchmigrate.postgres.pages import Page
    from sketchmigrate.postgres.path_index import PathIndex
    from sketchmigrate.postgres.references import References
    from sketchmigrate.postgres.table import Table

log = logging.getLogger(__name__)


@dataclass(slots=True)
class PathPass:
    """A pass over a source by an index. ``has_seen_all``: its first statement had all that was legacy at that moment.

    ``is_given_up``: a page took too long, so some rows may not have been looked at.
    """

    index: PathIndex
    has_seen_all: bool = False
    is_given_up: bool = False

    def finished_rows(self, table: Table) -> int:
        """Return about how many rows the index leaves out."""
        return max(0, (table.estimated_rows or 0) - self.index.legacy_rows)

    async def pages(self, references: References) -> AsyncIterator[Page]:
        """Read all legacy rows, as far as no page takes too long."""
        self.has_seen_all, asked = True, FEWEST_ROWS
        try:
            async for page in references.pages_by_path(self.index):
                self.has_seen_all &= page.rows < asked
                asked = 0
                yield page
        except PageTooSlow:
            self.has_seen_all, self.is_given_up = False, True
            log.info("The index %s has too many dead entries: rows are read by their key.", self.index.name)


async def usable_indexes(migrations: Sequence[Migration]) -> dict[int, PathIndex]:
    """Return the indexes by which sources are read, by their numbers.

    None for a dry run and with ``follow``: each of their passes is the last one. None as well where the database does
    not tell: who reads the first page meets what is in the way.
    """
    options, database = migrations[0].options, migrations[0].database
    if options.dry_run or options.follow:
        return {}
    found: dict[int, PathIndex] = {}
    doing = "looking for an index of the paths"
    try:
        async with database.session() as session:
            for number, each in enumerate(migrations):
                index = await session.run(choose_index, each.table, each.source.mapping, doing=doing)
                if index is not None:
                    log.info("Legacy rows of %s are found by the index %s.", each.source.source.name, index.name)
                    found[number] = index
    except DatabaseError as error:
        log.debug("No index of the paths is used: %s", error)
    return found
