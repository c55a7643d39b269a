"""What a migration will take: requests, money, time, WAL. Pure arithmetic, with its assumptions beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sketch_migrate.postgres.catalog import TableFacts

LISTED_A_REQUEST = 1000

ASSUMED_ROWS_PER_SECOND = 1000.0
"""Where no run was measured and none is given: what a store with 30 ms a copy does with 32 requests in flight."""

WAL_RECORD_BYTES = 110
"""A heap update's record besides the row: headers, block references, a share of the commit (by pg_waldump)."""

WAL_INDEX_ENTRY_BYTES = 100
"""An index entry of a path, with its record's header."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """``copies`` includes listings, which cost the same. ``rate_from`` says where ``rows_per_second`` is from.

    ``wal_bytes`` is without full-page images, ``wal_bytes_most`` with one for every page and checkpoint's first touch.
    """

    copies: int
    reads: int
    price_usd: float
    rows_per_second: float
    rate_from: str
    seconds: float
    wal_bytes: int
    wal_bytes_most: int


def estimate(
    *,
    rows: int,
    rows_in_place: int,
    objects_listed: int,
    facts: TableFacts,
    rate: tuple[float, str],
    usd_per_1000_copies: float,
    usd_per_1000_reads: float,
) -> Estimate:
    """Reckon what it takes to flip ``rows`` rows, ``rows_in_place`` of them with an object that is there already.

    A row takes a look at production and a copy, or a look at both sides. A verify afterwards lists both sides.
    """
    copies = (rows - rows_in_place) + -(-objects_listed // LISTED_A_REQUEST) + 2
    reads = rows + rows_in_place
    per_row = WAL_RECORD_BYTES + facts.row_bytes
    if not facts.heap_only:
        per_row += (len(facts.indexes) + 1) * WAL_INDEX_ENTRY_BYTES
    wal_bytes = rows * per_row
    # each page is written whole at its first change after a checkpoint; new versions of rows fill pages of their own
    pages = min(rows, 2 * max(facts.pages, 1)) * (1 if facts.heap_only else 1 + len(facts.indexes))
    images = pages * facts.page_bytes if facts.full_page_writes else 0
    return Estimate(
        copies=copies,
        reads=reads,
        price_usd=(copies * usd_per_1000_copies + reads * usd_per_1000_reads) / 1000,
        rows_per_second=rate[0],
        rate_from=rate[1],
        seconds=rows / rate[0],
        wal_bytes=wal_bytes,
        wal_bytes_most=wal_bytes + images,
    )
