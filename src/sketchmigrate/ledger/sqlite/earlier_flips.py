"""The flips of ledgers in files up to the seventh edition, which had a row for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.keys import keys_json
from sketchmigrate.core.outcome import Outcome
from sketchmigrate.ledger.contract import STORED_OTHERWISE, PastFlip, RecordedFlip, past_flip, values_of
from sketchmigrate.ledger.sqlite.writer import AMONG, OF_LONG
from sketchmigrate.ledger.values import page_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from sketchmigrate.core.keys import StoredKey

WITH_BATCHES = 8
"""The first edition in which the flips of a batch are one row."""

_COLUMNS = {
    "run": {"name": "''", "value": "''"},
    "flip": {
        **dict.fromkeys(("rowid", "key", "old_path", "new_path", "size_bytes", "etag", "unix_time", "attempt"), "NULL"),
        "source": "0",
        "read_checksum": "''",
    },
    "not_flipped": {
        **dict.fromkeys(("key", "path", "outcome", "reason", "about", "attempt", "packed"), "NULL"),
        "source": "0",
    },
    "upload": {
        **dict.fromkeys(("upload_id", "bucket", "object_key", "etag", "has_ended"), "NULL"),
        "part_bytes": "0",
        "headers_sha256": "''",
    },
    "sample": {"at": "NULL", "packed": "NULL"},
    "unsettled": {**dict.fromkeys(("key", "path", "new_path", "xid"), "NULL"), "source": "0"},
}
"""What is read, by table, and what stands for a column in files of editions that do not have it."""

_SAME_VALUE = f"""
CASE typeof(f.old_path) WHEN 'text' THEN n.packed IS NULL AND n.path = f.old_path
ELSE {OF_LONG.format("n.packed")} = {OF_LONG.format("f.old_path")} END
"""
_SAID = f"""
EXISTS (
    SELECT 1 FROM not_flipped AS n
    WHERE n.attempt = f.attempt AND n.source = f.source AND n.key = f.key AND {_SAME_VALUE} AND {{}}
)
"""  # noqa: S608 - our own words
_STORED = f"n.reason = '{STORED_OTHERWISE}'"
_DENIED = _SAID.format(f"n.outcome <> '{Outcome.MIGRATED}'")
_DENIED_AS_STORED = _SAID.format(_STORED)
_FLIP = "f.key, f.old_path, f.new_path, f.etag, f.unix_time"
_PAGE = f"""
SELECT f.rowid, {_FLIP}, {_DENIED_AS_STORED}, f.source, f.read_checksum FROM flip AS f
WHERE f.rowid {{beyond}} ?1 AND (?2 IS NULL OR f.source = ?2) AND (NOT {_DENIED} OR {_DENIED_AS_STORED})
ORDER BY f.rowid {{order}} LIMIT ?3
"""  # noqa: S608 - our own words
_PAGES = {False: _PAGE.format(beyond="<", order="DESC"), True: _PAGE.format(beyond=">", order="ASC")}
_ENDS = [f"SELECT rowid, unix_time FROM flip ORDER BY rowid {order} LIMIT 1" for order in ("ASC", "DESC")]  # noqa: S608 - ours
_STORED_OTHERWISE = f"""
SELECT {_FLIP}, 1, f.source, f.read_checksum FROM not_flipped AS n
JOIN flip AS f ON f.key = n.key AND f.attempt = n.attempt AND f.source = n.source AND {_SAME_VALUE}
WHERE {_STORED} AND n.source = ?1 AND (?2 IS NULL OR n.key > ?2) GROUP BY n.key ORDER BY n.key LIMIT ?3
"""  # noqa: S608 - our own words

_NEWEST_OBJECTS = """
SELECT new_path, size_bytes FROM flip WHERE typeof(new_path) = 'text' ORDER BY rowid DESC LIMIT ?
"""
_FLIPS_OF = f"""
SELECT {_FLIP}, {_DENIED_AS_STORED}, f.source, f.read_checksum, {_DENIED}, u.key IS NOT NULL, u.xid
FROM flip AS f LEFT JOIN unsettled AS u ON u.source = f.source AND u.key = f.key
WHERE f.source = ? AND f.{AMONG} ORDER BY f.rowid
"""  # noqa: S608 - our own words


class EarlierFlips:
    """The flips of a file, and what the run has said of their references. The connection is the caller's.

    A run that was killed while it began its ledger has no tables, and no flips.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        there = {name for (name,) in database.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")}
        self._tells_what_was_made = {"flip", "unsettled", "not_flipped"} <= there
        self._show_as_of_the_seventh(there)

    def ends(self) -> tuple[float, int, float]:
        """Return the Unix time of the first flip, how many there are, and the time of the last; 0 where none is."""
        first, last = (self._database.execute(end).fetchone() or (0, 0.0) for end in _ENDS)
        return (first[1], *last)

    def page(self, beyond: int, count: int, *, source: int | None, forwards: bool) -> list[tuple[int, PastFlip]]:
        """Return flips beyond a number, and their numbers, but those that did not come about as the run noted."""
        rows = self._database.execute(_PAGES[forwards], (beyond, source, count))
        return page_of(((number, past_flip(row)) for number, *row in rows), lambda each: values_of(each[1]))

    def flips_of(self, keys: Sequence[StoredKey], source: int) -> list[RecordedFlip]:
        """Return the flips of these keys, in their order."""
        if not self._tells_what_was_made:
            return []
        rows = self._database.execute(_FLIPS_OF, (source, keys_json(keys)))
        return [
            RecordedFlip(past_flip(flip), bool(denied), bool(open_), xid, source) for *flip, denied, open_, xid in rows
        ]

    def stored_otherwise(self, after: StoredKey | None, count: int, source: int) -> list[PastFlip]:
        """Return flips, by key, for which the database stored another path, which the run committed."""
        return [past_flip(row) for row in self._database.execute(_STORED_OTHERWISE, (source, after, count))]

    def newest_objects(self, count: int) -> list[tuple[str, int | None]]:
        """Return what the newest flips set rows to, but for long values, and the size of the object if it is known."""
        return self._database.execute(_NEWEST_OBJECTS, (count,)).fetchall()

    def _show_as_of_the_seventh(self, there: set[str]) -> None:
        """Have the tables of an earlier edition read as those of the seventh, by views that stand before them.

        Views of the connection's own are looked for first (sqlite.org/lang_naming.html).
        """
        execute = self._database.execute
        execute("PRAGMA temp_store = MEMORY")
        for table, columns in _COLUMNS.items():
            has = {"rowid", *(name for (name,) in execute("SELECT name FROM pragma_table_info(?)", (table,)))}
            shown = ", ".join(f"{name if name in has else instead} AS {name}" for name, instead in columns.items())
            if table in there:
                execute(f"CREATE TEMP VIEW {table} AS SELECT {shown} FROM main.{table}")  # noqa: S608 - our own words
            else:
                nothing = ", ".join(f"NULL AS {name}" for name in columns)
                execute(f"CREATE TEMP VIEW {table} AS SELECT {nothing} WHERE false")
