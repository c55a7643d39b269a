"""What a migration will take: requests, money, time, WAL. Pure arithmetic, with its assumptions beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.filesize import decimal

from sketchmigrate.core.plural import counted
from sketchmigrate.inspect.wal import reckon_wal
from sketchmigrate.ledger.figures import figures_in
from sketchmigrate.report.limits import BANDWIDTH, CONCURRENCY, GOVERNOR, RATE, REFUSALS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sketchmigrate.ledger import PastRun
    from sketchmigrate.ledger.figures import RunFigures
    from sketchmigrate.postgres.catalog import Sizes, TableFacts
    from sketchmigrate.settings import Settings

LISTED_A_REQUEST = 1000

MEASURED_PAGES = 40
"""A rate is measured over so many pages of a ledger at most: 200 000 flips."""

FEWEST_FLIPS = 100
"""What fewer rows took tells nothing of many."""

ASSUMED_ROWS_PER_SECOND = 1000.0
"""Where no run was measured and none is given: what a store with 30 ms a copy does with 32 requests in flight."""

PREFIX_WRITES_PER_SECOND = 3500

PREFIX_READS_PER_SECOND = 5500
"""What S3 bears for each prefix until it has parted it, which takes hours of steady load.

S3 User Guide, "Best practices design patterns: optimizing Amazon S3 performance".
"""

FIRST_HOURS_SECONDS = 3 * 3600.0
"""How long that is taken to last. AWS names no time."""

REQUESTS_A_ROW = 2
"""A look and a copy."""

LIMITED_BY = "limited_by"
"""Noted by a migration at its end: what held it back most of the time, in a word of ``report.limits``."""

THROTTLED = frozenset({REFUSALS, RATE, BANDWIDTH, CONCURRENCY, GOVERNOR})
"""The words for a run that was kept from going as fast as it could."""

_CAPS = {
    "max_requests_per_second": "MAX_REQUESTS_PER_SECOND",
    "max_bandwidth": "MAX_BANDWIDTH",
    "max_rows_per_second": "MAX_ROWS_PER_SECOND",
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """``copies`` includes listings, which cost the same. ``rate_from`` says where ``rows_per_second`` is from.

    ``prefix_rows_per_second`` is what S3 bears in the first hours, where that is less, else None. ``ledger_bytes`` is
    the size of the run's ledger, and ``free_bytes`` the room that its disk has, None for one in a database.

    ``wal_bytes`` is a lower and ``wal_bytes_most`` an upper bound; ``table_bytes_more`` and ``index_bytes_more`` are by
    how much the table and its indexes, now of ``index_bytes``, may grow: see ``wal.Wal``. Where a run has measured its
    WAL, both bounds are that. ``flip_ms`` is what a flip of ``flip_rows`` rows took in it, on average.
    ``rollback_seconds`` is what it takes to set all rows back at the same rate, where nothing has to be copied.
    ``scheduled_end`` is when a run that begins now would end by SCHEDULE, in ISO 8601; empty where that is not in
    sight, None without a schedule.
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
    flip_ms: float | None
    flip_rows: float | None
    rollback_seconds: float
    scheduled_end: str | None = None


@dataclass(frozen=True, slots=True)
class TableWork:
    """What is to be done in one table: ``rows`` of ``total_rows`` are flipped, which have so many references.

    Of these, ``references_in_place`` are of rows whose objects are there already.
    """

    rows: int
    total_rows: int
    references: int
    references_in_place: int
    facts: TableFacts
    sizes: Sizes


def estimate(
    tables: Sequence[TableWork],
    *,
    objects_listed: int,
    rate: Rate,
    on_aws: bool,
    ledger_bytes: int,
    free_bytes: int | None,
    usd_per_1000_copies: float,
    usd_per_1000_reads: float,
) -> Estimate:
    """Reckon what it takes to flip the rows of some tables.

    A reference takes a look at production and a copy, or a look at both sides. A verify afterwards lists both sides.
    """
    rows = sum(each.rows for each in tables)
    references, in_place = sum(each.references for each in tables), sum(each.references_in_place for each in tables)
    copies = (references - in_place) + -(-objects_listed // LISTED_A_REQUEST) + 2
    reads = references + in_place
    limit = prefix_limit(references - in_place, references) if on_aws else math.inf
    seconds = seconds_on_aws(rows, rate.rows_per_second, limit)
    wals = [
        reckon_wal(each.rows, total_rows=each.total_rows, seconds=seconds, facts=each.facts, sizes=each.sizes)
        for each in tables
    ]
    measured = rate.figures.wal_bytes_a_row if rate.figures else None
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
        wal_bytes=sum(wal.least for wal in wals) if measured is None else round(measured * rows),
        wal_bytes_most=sum(wal.most for wal in wals) if measured is None else round(measured * rows),
        table_bytes_more=sum(wal.table_bytes_more for wal in wals),
        index_bytes=sum(wal.index_bytes for wal in wals),
        index_bytes_more=sum(wal.index_bytes_more for wal in wals),
        flip_ms=rate.figures.flip_ms if rate.figures else None,
        flip_rows=rate.figures.flip_rows if rate.figures else None,
        rollback_seconds=rows / rate.rows_per_second,
    )


@dataclass(frozen=True, slots=True)
class Rate:
    """Rows a second, in words whence that is, and what else the run has measured that tells it."""

    rows_per_second: float
    source: str
    figures: RunFigures | None = None


def caps_noted(settings: Settings) -> dict[str, str]:
    """Return what a migration's ledger says of the caps that it kept to."""
    return {name: f"{getattr(settings, name):g}" for name in _CAPS if getattr(settings, name)}


async def measured_rate(runs: Sequence[PastRun]) -> Rate | None:
    """Return the rate of the newest of these migrations that measured it, or flipped for at least a second, or None.

    One that a cap or the store's refusals held back tells what it was allowed, and not what the store bears: it is
    taken only where there is no other, and called what it is.
    """
    throttled: Rate | None = None
    for run in sorted(runs, key=lambda each: each.last_flip_at, reverse=True):
        limit, figures = limit_of(run.description), figures_in(run.description)
        if figures is not None and figures.flips >= FEWEST_FLIPS:
            source = f"measured by run {run.directory.name} with {counted(figures.flips, 'row')}, {limit[0]}"
            found = Rate(figures.rows_per_second, source, figures)
            if not limit[1]:
                return found
            throttled = throttled or found
            continue
        flips, first, pages = 0, run.last_flip_at, 0
        async for page in run.newest_first():
            flips, first, pages = flips + len(page), page[-1].unix_time, pages + 1
            if pages == MEASURED_PAGES:
                break
        if run.last_flip_at - first < 1:
            continue
        found = Rate(flips / (run.last_flip_at - first), f"measured by run {run.directory.name}, {limit[0]}")
        if not limit[1]:
            return found
        throttled = throttled or found
    return throttled


def limit_of(description: Mapping[str, str]) -> tuple[str, bool]:
    """Say what limited a run, by what its ledger says of it, and whether that was a cap or the store's refusals."""
    caps = ", ".join(f"{shown}={description[name]}" for name, shown in _CAPS.items() if description.get(name))
    word = description.get(LIMITED_BY)
    if word in THROTTLED:
        return f"which was limited by {word}" + (f" ({caps})" if caps else "") + ": without that it may go faster", True
    if caps:
        return f"which was capped ({caps}): without that it may go faster", True
    if word is None:
        return "of which it is not on record whether anything limited it", False
    return f"limited by {word}" if word else "which nothing was seen to limit", False


def bound(settings: Settings, streamed_bytes_a_row: float = 0.0) -> tuple[float, str]:
    """Return the most rows a second that the settings' own caps allow, and why; infinity where there is none.

    What is streamed passes through this machine twice: it is read, and written.
    """
    most, why = math.inf, ""
    if cap := settings.max_requests_per_second:
        most, why = cap / REQUESTS_A_ROW, f"MAX_REQUESTS_PER_SECOND ({cap:g}) allows no more"
    if 0 < (rows := settings.max_rows_per_second) < most:
        most, why = rows, f"MAX_ROWS_PER_SECOND ({rows:g}) allows no more"
    if settings.max_bandwidth and streamed_bytes_a_row:
        by_bytes = settings.max_bandwidth / (2 * streamed_bytes_a_row)
        if by_bytes < most:
            most, why = by_bytes, f"MAX_BANDWIDTH ({decimal(settings.max_bandwidth)} a second) allows no more"
    return most, why


def prefix_limit(copies: int, rows: int) -> float:
    """Return the most rows a second that one prefix of S3 bears on each side, where ``copies`` of ``rows`` are copied.

    In production each row takes a look and perhaps a copy; in legacy it is read once.
    """
    writes_a_row = copies / rows if rows else 1.0
    return min(PREFIX_WRITES_PER_SECOND / writes_a_row if writes_a_row else math.inf, PREFIX_READS_PER_SECOND)


def seconds_on_aws(rows: int, rate: float, limit: float) -> float:
    """Return how long ``rows`` rows take at a rate that is not reached in the first hours, where ``limit`` is lower."""
    if limit >= rate:
        return rows / rate
    in_first_hours = limit * FIRST_HOURS_SECONDS
    return rows / limit if rows <= in_first_hours else FIRST_HOURS_SECONDS + (rows - in_first_hours) / rate
