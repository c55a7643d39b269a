"""How large a ledger grows. Pure.

Measured with 40 000 flips of paths of 24 and 25 characters: 117 bytes a flip in a file, 215 in PostgreSQL, its index
included (tests/integration/test_ledger_size.py).
"""

from __future__ import annotations

ETAG_BYTES = 32

FILE_ROW_BYTES = 36
"""Of a flip in SQLite, besides its paths and ETag: key, size, time, the record's header, what pages leave empty."""

DATABASE_ROW_BYTES = 134
"""Of a flip in PostgreSQL: the row's header, numbers, the key as JSON, and its entry in the primary key's index."""

MOST_JOURNAL_BYTES = 4 * 2**20
"""SQLite's write-ahead file is written back, and begun anew, when it is so long (sqlite.org/wal.html)."""


def ledger_bytes(rows: int, path_bytes: float, *, in_database: bool) -> int:
    """Return the size of the ledger of ``rows`` flips, whose old and new path have ``path_bytes`` bytes together."""
    row_bytes = (DATABASE_ROW_BYTES if in_database else FILE_ROW_BYTES) + path_bytes + ETAG_BYTES
    size_bytes = round(rows * row_bytes)
    return size_bytes if in_database else size_bytes + min(MOST_JOURNAL_BYTES, size_bytes)
