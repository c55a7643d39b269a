"""How long each part of a large run takes, and what it costs. Pure arithmetic; every figure has its source.

The rate of a run is the least of what its workers' cores, their connections, the store's partitions and the database
allow; the store's part grows while the run lasts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

COPIES_A_SECOND = 3_500
"""Of one partitioned prefix at least (S3 User Guide, "Best practices design patterns: optimizing S3 performance")."""

DOUBLING_MINUTES = 45
"""S3 partitions a prefix further under lasting load; AWS's support names 30 to 60 minutes for it (re:Post, "How can I
scale my request rate to S3"). That each round doubles what is possible is our assumption."""

CORE_US_A_ROW = 60
"""CPU of a worker for a row that is copied with one request (docs/performance/figures.md)."""

FLIPS_A_SECOND = 110_000
"""PostgreSQL on two cores, batches of 1 000, text parameters; 150 000 to 219 000 with binary ones (measured)."""

WAL_BYTES_A_FLIP = 425
"""Measured on PostgreSQL 15 and 18, batches of 500: a number, a path and four short columns, an index on the number,
fillfactor 100, the first image of each page included (tests/integration/test_wal_bounds.py, docs/plan.md). 239 where
each page has room for its rows' new versions, 560 with an index on the path, 898 with six indexes."""

LEDGER_BYTES_A_FLIP = 66
"""Measured with paths of 37 and 38 characters (tests/unit/test_ledger.py); 47 with paths of 24 and 25."""

LISTING_SECONDS_A_PAGE = 0.08
"""1 000 keys: 100 million were listed in 8 214 s one after the other (published; 102 s with 100 ranges)."""

KEYS_A_PAGE = 1_000
USD_A_THOUSAND_COPIES = 0.005
"""AWS's list price of PUT, COPY, POST and LIST requests, S3 Standard, us-east-1."""

SIZES = (10**8, 10**9, 10**10)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The workers of a run: processes with a core each, and the requests that all of them have in flight at once."""

    processes: int
    in_flight: int
    request_seconds: float = 0.05

    @property
    def rows_a_second(self) -> float:
        """What the workers and the database allow, whatever the store does."""
        cores = self.processes * 1e6 / CORE_US_A_ROW
        return min(cores, self.in_flight / self.request_seconds, FLIPS_A_SECOND)


def copied_after(seconds: float, most_a_second: float, prefixes: int = 1) -> float:
    """Return how many objects are copied so long after the start, where the store's limit doubles by and by."""
    done, limit, doubling = 0.0, float(COPIES_A_SECOND * prefixes), DOUBLING_MINUTES * 60.0
    while seconds > 0 and limit < most_a_second:
        step = min(seconds, doubling)
        done += step * limit
        seconds -= step
        limit *= 2
    return done + max(seconds, 0.0) * most_a_second


def seconds_for(objects: int, most_a_second: float, prefixes: int = 1) -> float:
    """Return how long it takes until so many are copied."""
    done, spent, limit, doubling = 0.0, 0.0, float(COPIES_A_SECOND * prefixes), DOUBLING_MINUTES * 60.0
    while limit < most_a_second:
        if done + doubling * limit >= objects:
            return spent + (objects - done) / limit
        done += doubling * limit
        spent += doubling
        limit *= 2
    return spent + (objects - done) / most_a_second


def listing_seconds(objects: int, ranges: int) -> float:
    """Return how long one side takes to list, in so many ranges side by side."""
    return math.ceil(objects / KEYS_A_PAGE) * LISTING_SECONDS_A_PAGE / ranges


def copy_usd(objects: int) -> float:
    """Return AWS's price of the copies."""
    return objects * USD_A_THOUSAND_COPIES / 1_000
