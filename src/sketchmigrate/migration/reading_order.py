"""Chooses another order than the key's to find the legacy rows of a source in, where that reads far fewer blocks.

By an index of their paths, or block by block. A row may get another path or another place while such a pass goes on,
and move from before the pass to behind it. So it proves that nothing is left only where one statement has seen all that
is legacy; else a pass by the key comes last. One that moves the other way comes twice, as one that is done, or failed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from sketchmigrate.core.errors import DatabaseError
from sketchmigrate.postgres.heap_blocks import HeapBlocks, begin_at_legacy, find_blocks
from sketchmigrate.postgres.paging import FEWEST_ROWS, PageTooSlow
from sketchmigrate.postgres.path_index import PathIndex, choose_index
from sketchmigrate.postgres.row_spread import read_spread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from psycopg import AsyncConnection

    from sketchmigrate.core.mapping import Mapping
    from sketchmigrate.migration.runner import Migration
    from sketchmigrate.postgres.pages import Page
    from sketchmigrate.postgres.references import References
    from sketchmigrate.postgres.table import Table

ReadingOrder: TypeAlias = PathIndex | HeapBlocks

log = logging.getLogger(__name__)


@dataclass(slots=True)
class OrderedPass:
    """A pass over a source in another order than that of its key.

    ``has_seen_all``: one statement had all that was legacy at that moment. ``is_given_up``: a page took too long, so
    some rows may not have been looked at.
    """

    order: ReadingOrder
    mapping: Mapping
    has_seen_all: bool = False
    is_given_up: bool = False

    def finished_rows(self, table: Table) -> int:
        """Return about how many rows it has no need to look at."""
        if isinstance(self.order, HeapBlocks):
            return 0
        return max(0, (table.estimated_rows or 0) - self.order.legacy_rows)

    async def pages(self, references: References) -> AsyncIterator[Page]:
        """Read all legacy rows, as far as no page takes too long."""
        if isinstance(self.order, HeapBlocks):
            async for page in references.pages_by_block(self.order, self.mapping):
                yield page
            return
        self.has_seen_all, asked = True, FEWEST_ROWS
        try:
            async for page in references.pages_by_path(self.order):
                self.has_seen_all &= page.rows < asked
                asked = 0
                yield page
        except PageTooSlow:
            self.has_seen_all, self.is_given_up = False, True
            log.info("The index %s has too many dead entries: rows are read by their key.", self.order.name)


def is_for_one_pass(order: ReadingOrder) -> bool:
    """Whether a further pass would be no better than the one by the key, which has to come anyway."""
    return isinstance(order, HeapBlocks)


async def usable_orders(migrations: Sequence[Migration]) -> dict[int, ReadingOrder]:
    """Return the orders in which sources are read, by their numbers, where that is not the key's.

    None for a dry run and with ``follow``: each of their passes is the last one. None as well where the database does
    not tell: who reads the first page meets what is in the way.
    """
    options, database = migrations[0].options, migrations[0].database
    if options.dry_run or options.follow:
        return {}
    found: dict[int, ReadingOrder] = {}
    doing = "looking how rows are best found"
    try:
        async with database.session() as session:
            for number, each in enumerate(migrations):
                order = await session.run(choose_order, each.table, each.source.mapping, doing=doing)
                if order is None:
                    continue
                how = "block by block" if isinstance(order, HeapBlocks) else f"by the index {order.name}"
                log.info("Legacy rows of %s are found %s.", each.source.source.name, how)
                found[number] = order
    except DatabaseError as error:
        log.debug("Rows are read by their key: %s", error)
    return found


async def choose_order(connection: AsyncConnection, table: Table, mapping: Mapping) -> ReadingOrder | None:
    """Return the order that reads the fewest blocks; None where that of the key is not far worse."""
    index = await choose_index(connection, table, mapping)
    spread = await read_spread(connection, table)
    if spread is None or not spread.is_less_by_block:
        return index
    if index is not None and spread.blocks_by_path(index.legacy_rows) <= spread.blocks:
        return index
    blocks = await find_blocks(connection, table, mapping)
    return index if blocks is None else await begin_at_legacy(connection, table, mapping, blocks)
