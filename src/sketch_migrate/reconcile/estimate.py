"""What a migration will take: requests, money, time, WAL. Pure arithmetic, with its assumptions beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketch_migrate.reconcile.wal import reckon_wal

if TYPE_CHECKING:
    from sketch_migrate.postgres.catalog import TableFacts
    from sketch_migrate.postgres.sizes import Sizes

LISTED_A_REQUEST = 1000

ASSUMED_ROWS_PER_SECOND = 1000.0
"""Where no run was measured and none is given: what a store with 30 ms a copy does with 32 requests in flight."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """``copies`` includes listings, which cost the same. ``rate_from`` says where ``rows_per_second`` is from.

    ``wal_bytes`` is a lower and ``wal_bytes_most`` an upper bound; ``table_bytes_more`` and ``index_bytes_more`` are by
    how much the table and its indexes, now of ``index_bytes``, may grow: see ``wal.Wal``.
    """

    copies: int
    reads: int
    price_usd: float
    rows_per_second: float
    rate_from: str
    seconds: float
    wal_bytes: int
    wal_bytes_most: int
    table_bytes_more: int
    index_bytes: int
    index_bytes_more: int


def estimate(
    *,
    rows: int,
    rows_in_place: int,
    total_rows: int,
    objects_listed: int,
    facts: TableFacts,
    sizes: Sizes,
    rate: tuple[float, str],
    usd_per_1000_copies: float,
    usd_per_1000_reads: float,
) -> Estimate:
    """Reckon what it takes to flip ``rows`` rows, ``rows_in_place`` of them with an object that is there already.

    A row takes a look at production and a copy, or a look at both sides. A verify afterwards lists both sides.
    """
    copies = (rows - rows_in_place) + -(-objects_listed // LISTED_A_REQUEST) + 2
    reads = rows + rows_in_place
    seconds = rows / rate[0]
    wal = reckon_wal(rows, total_rows=total_rows, seconds=seconds, facts=facts, sizes=sizes)
    return Estimate(
        copies=copies,
        reads=reads,
        price_usd=(copies * usd_per_1000_copies + reads * usd_per_1000_reads) / 1000,
        rows_per_second=rate[0],
        rate_from=rate[1],
        seconds=seconds,
        wal_bytes=wal.least,
        wal_bytes_most=wal.most,
        table_bytes_more=wal.table_bytes_more,
        index_bytes=wal.index_bytes,
        index_bytes_more=wal.index_bytes_more,
    )
