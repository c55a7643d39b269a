"""What a migration will take: requests, money, time, WAL. Pure arithmetic, with its assumptions beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sketchmigrate.inspect.rate import prefix_limit, seconds_on_aws
from sketchmigrate.inspect.wal import reckon_wal

if TYPE_CHECKING:
    from sketchmigrate.inspect.rate import Rate
    from sketchmigrate.postgres.catalog import Sizes, TableFacts

LISTED_A_REQUEST = 1000


@dataclass(frozen=True, slots=True)
class Estimate:
    """``copies`` includes listings, which cost the same. ``rate_from`` says where ``rows_per_second`` is from.

    ``prefix_rows_per_second`` is what S3 bears in the first hours, where that is less, else None. ``ledger_bytes`` is
    the size of the run's ledger, and ``free_bytes`` the room that its disk has, None for one in a database.

    ``wal_bytes`` is a lower and ``wal_bytes_most`` an upper bound; ``table_bytes_more`` and ``index_bytes_more`` are by
    how much the table and its indexes, now of ``index_bytes``, may grow: see ``wal.Wal``.
    """

    copies: int
    reads: int
    price_usd: float
    rows_per_second: float
    rate_from: str
    seconds: float
    prefix_rows_per_second: float | None
    ledger_bytes: int
    free_bytes: int | None
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
    rate: Rate,
    on_aws: bool,
    ledger_bytes: int,
    free_bytes: int | None,
    usd_per_1000_copies: float,
    usd_per_1000_reads: float,
) -> Estimate:
    """Reckon what it takes to flip ``rows`` rows, ``rows_in_place`` of them with an object that is there already.

    A row takes a look at production and a copy, or a look at both sides. A verify afterwards lists both sides.
    """
    copies = (rows - rows_in_place) + -(-objects_listed // LISTED_A_REQUEST) + 2
    reads = rows + rows_in_place
    limit = prefix_limit(rows - rows_in_place, rows) if on_aws else math.inf
    seconds = seconds_on_aws(rows, rate.rows_per_second, limit)
    wal = reckon_wal(rows, total_rows=total_rows, seconds=seconds, facts=facts, sizes=sizes)
    return Estimate(
        copies=copies,
        reads=reads,
        price_usd=(copies * usd_per_1000_copies + reads * usd_per_1000_reads) / 1000,
        rows_per_second=rate.rows_per_second,
        rate_from=rate.source,
        seconds=seconds,
        prefix_rows_per_second=limit if limit < rate.rows_per_second else None,
        ledger_bytes=ledger_bytes,
        free_bytes=free_bytes,
        wal_bytes=wal.least,
        wal_bytes_most=wal.most,
        table_bytes_more=wal.table_bytes_more,
        index_bytes=wal.index_bytes,
        index_bytes_more=wal.index_bytes_more,
    )
