"""How much WAL the flips of a table write, and how much larger it gets: a lower and an upper bound each. Pure.

By measurements on PostgreSQL 15 and 18 (``tests/integration/test_wal_bounds.py`` repeats them). An update is
heap-only (HOT) where no index has the path and the row's page has room; any other writes an entry into every index of
the table, the primary key's included (PostgreSQL manual, section "Heap-Only Tuples").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sketchmigrate.postgres.catalog import IndexSize, Sizes, TableFacts

LOCK_BYTES = 54
"""The record of a row's lock: a flip takes the row that is free, and then updates it."""

HOT_BYTES = 56
"""The least that a heap-only update writes besides: of the row only what differs."""

UPDATE_BYTES, UPDATE_BYTES_MOST = 90, 150
"""The record of another update besides the row: headers, two blocks, a share of the commit and of pruning."""

ENTRY_BYTES, ENTRY_BYTES_MOST = 68, 60
"""The record of an entry in a B-tree: the least with its key, the most without."""

SPLITS = 1.7
"""Where pages of an index split, what they hold is written once more: so many times an entry's record at most."""

OTHER_ENTRY_BYTES_MOST = 2_000
"""An index that is no B-tree may write many entries for a row: a guess, for GIN on trigrams of a path."""

TUPLE_BYTES = 28
"""Header and pointer of a row in its page."""

SURELY_HOT = 0.75
"""So much of the room that pages have on the average is taken to be where it is needed."""


@dataclass(frozen=True, slots=True)
class Wal:
    """``least`` is without images of pages, ``most`` with one of every page for each checkpoint that may touch it.

    ``index_bytes_more`` is by how much all indexes may grow together, ``table_bytes_more`` the table: vacuum lets that
    room be used again, and gives none back.
    """

    least: int
    most: int
    table_bytes_more: int
    index_bytes: int
    index_bytes_more: int


def reckon_wal(rows: int, *, total_rows: int, seconds: float, facts: TableFacts, sizes: Sizes) -> Wal:
    """Reckon the flips of ``rows`` of a table's ``total_rows``, which take so many seconds."""
    total_rows = max(total_rows, rows, 1)
    dense_bytes = sizes.table_bytes * sizes.fillfactor / 100 / total_rows
    row_bytes = min(facts.row_bytes, max(0.0, dense_bytes - TUPLE_BYTES))
    least = LOCK_BYTES + UPDATE_BYTES + row_bytes + sum(_entry_least(index) for index in sizes.indexes)
    if facts.heap_only:
        least = LOCK_BYTES + HOT_BYTES
    not_hot = 1.0 - (_hot_share(total_rows, facts, sizes) if facts.heap_only else 0.0)
    row_bytes_most = max(facts.row_bytes, dense_bytes)
    entries_most = sum(_entry_most(index, total_rows) for index in sizes.indexes)
    most = rows * (LOCK_BYTES + UPDATE_BYTES_MOST + row_bytes_most + not_hot * entries_most)
    touched = not_hot * rows / total_rows
    return Wal(
        least=round(rows * least),
        most=round(most + _images(rows, most, seconds, facts, sizes)),
        table_bytes_more=round(sizes.table_bytes * touched * 100 / sizes.fillfactor),
        index_bytes=sum(index.size_bytes for index in sizes.indexes),
        # the entries of new paths come where there were none, and fill pages that split in two
        index_bytes_more=round(
            sum(index.size_bytes * (2 if index.has_path else 1) for index in sizes.indexes) * touched
        ),
    )


def _entry_least(index: IndexSize) -> float:
    return 0 if index.method == "brin" else ENTRY_BYTES


def _entry_most(index: IndexSize, total_rows: int) -> float:
    if index.method not in {"btree", "hash", "brin"}:
        return OTHER_ENTRY_BYTES_MOST
    return SPLITS * (ENTRY_BYTES_MOST + max(16.0, index.size_bytes / total_rows))


def _hot_share(total_rows: int, facts: TableFacts, sizes: Sizes) -> float:
    """Return how many of the updates surely find room in their page, by the fillfactor and by what the table fills."""
    if not sizes.width_is_known:
        return 0.0
    kept_free = 100 / sizes.fillfactor - 1
    filled = total_rows * (facts.row_bytes + TUPLE_BYTES)
    free = sizes.table_bytes / filled - 1 if filled else 0.0
    return SURELY_HOT * max(0.0, min(1.0, kept_free, free))


def _images(rows: int, wal_bytes: float, seconds: float, facts: TableFacts, sizes: Sizes) -> float:
    """Return the most that images of pages take: each is written whole at its first change after a checkpoint.

    What flips go through in the order of the key they touch once, or twice at its edges; the rest between any two
    checkpoints again. Pages that are new are not written whole before the next checkpoint.
    """
    if not facts.full_page_writes:
        return 0
    checkpoints = 1 + seconds / max(sizes.checkpoint_seconds, 1) + wal_bytes / max(sizes.checkpoint_bytes, 1)
    pages = 0.0
    for size_bytes, in_order in (
        (sizes.table_bytes, sizes.is_in_key_order),
        *((index.size_bytes, index.is_in_key_order) for index in sizes.indexes),
    ):
        held = size_bytes / facts.page_bytes
        pages += min(2.0 * rows, held + 2 * checkpoints if in_order else held * (2 * checkpoints - 1))
    return pages * facts.page_bytes
