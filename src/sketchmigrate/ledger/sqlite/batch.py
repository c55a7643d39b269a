"""How a ledger's file keeps flips: those of a batch in one row, so that what they have in common is there once.

``batch``       a batch's first flip has the ``number``, and counts go on without a gap; ``flips`` says how many there
                are, ``first_key`` and ``last_key`` the least and the greatest key. ``rows`` is a JSON array with a row
                for each flip: key, rest of the old path, size, whether the object was copied. The paths are
                ``old_begin`` and that rest, ``new_begin`` and that rest. ``etags`` has 16 bytes for each row.
                What does not fit that adds three columns to all rows, each null where it does: the rest of the new
                path, where it is another one; the ETag, where one of them is not 32 digits in hex; ``read_checksum``.
``long_value``  by the flip's number, its old and its new value as ``values.pack`` makes them, where one is long. In
                ``rows`` they are empty.
``flip``        a view: each flip as a row, with whole paths, for people and their own queries.

A flip as a row of a table takes twice as many bytes, and twice the CPU to write, as SQLite binds each of its values and
its write-ahead log has more pages.
"""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from sketchmigrate.core.keys import stored_key
from sketchmigrate.core.reference import make_all
from sketchmigrate.ledger.contract import Flip
from sketchmigrate.ledger.values import Kept, all_short, is_long, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sketchmigrate.core.keys import StoredKey

MOST_FLIPS = 1_000
"""Of a batch: so many are in memory at once where they are read."""

TABLES = """
CREATE TABLE IF NOT EXISTS batch (
    number INTEGER PRIMARY KEY, flips INTEGER NOT NULL, first_key NOT NULL, last_key NOT NULL, unix_time REAL NOT NULL,
    attempt INTEGER NOT NULL, source INTEGER NOT NULL, old_begin TEXT NOT NULL, new_begin TEXT NOT NULL, etags BLOB,
    rows TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS long_value (number INTEGER PRIMARY KEY, old_value BLOB NOT NULL, new_value BLOB NOT NULL);
CREATE VIEW IF NOT EXISTS flip AS SELECT
    json_extract(r.value, '$[0]') AS key,
    coalesce(l.old_value, b.old_begin || json_extract(r.value, '$[1]')) AS old_path,
    coalesce(
        l.new_value, b.new_begin || coalesce(json_extract(r.value, '$[4]'), json_extract(r.value, '$[1]'))
    ) AS new_path,
    json_extract(r.value, '$[2]') AS size_bytes,
    coalesce(json_extract(r.value, '$[5]'), lower(hex(substr(b.etags, 16 * r.key + 1, 16)))) AS etag,
    b.unix_time, json_extract(r.value, '$[3]') AS copied, b.attempt, b.source,
    coalesce(json_extract(r.value, '$[6]'), '') AS read_checksum
FROM batch AS b, json_each(b.rows) AS r LEFT JOIN long_value AS l ON l.number = b.number + r.key;
"""

_USUAL_COLUMNS = 4
_ETAG_BYTES = 16
_ETAG_DIGITS = 2 * _ETAG_BYTES

_encoded = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


class Batch(NamedTuple):
    """A row of the table, its fields in the table's order; see above."""

    number: int
    flips: int
    first_key: StoredKey
    last_key: StoredKey
    unix_time: float
    attempt: int
    source: int
    old_begin: str
    new_begin: str
    etags: bytes | None
    rows: str

    def unpacked(self) -> list[Flip]:
        """Return its flips, those with long values without them. A uuid key is text, as the ledger has no such type.

        Raises ``sqlite3.DatabaseError`` where the row is damaged: one flip less would be a row that no rollback sets.
        """
        try:
            return self._unpacked()
        except (ValueError, TypeError) as error:
            raise sqlite3.DatabaseError(f"its batch of flips {self.number} is damaged: {error}") from error

    def _unpacked(self) -> list[Flip]:
        found = json.loads(self.rows)
        if len(found) != self.flips or (self.etags and len(self.etags) != _ETAG_BYTES * self.flips):
            raise ValueError(f"it has {len(found)} of {self.flips} flips, or too few ETags")
        columns = list(zip(*found, strict=True))
        keys, rests, sizes, copied = columns[:_USUAL_COLUMNS]
        more = columns[_USUAL_COLUMNS:] or [(None,)] * 3
        new_rests, etags, checksums = (column if column[0] is not None else None for column in more)
        rows = zip(
            keys,
            map(self.old_begin.__add__, rests),
            map(self.new_begin.__add__, new_rests or rests),
            sizes,
            etags or _etags_of(self.etags or b""),
            map(bool, copied),
            checksums or [""] * self.flips,
            strict=True,
        )
        return make_all(Flip, rows)


class LongValue(NamedTuple):
    """The values of a flip where one of them is long; see above."""

    number: int
    old_value: Kept
    new_value: Kept


def batch_of(
    flips: Sequence[Flip], number: int, unix_time: float, attempt: int, source: int
) -> tuple[Batch, list[LongValue]]:
    """Return a batch of at least one flip and ``MOST_FLIPS`` at most, the first of which has this number. Pure.

    Their keys are of one type, as those of one column are.
    """
    columns: list[Sequence[Any]] = list(zip(*flips, strict=True))
    keys, old_paths, new_paths, sizes, etags, copied, checksums = columns
    if isinstance(keys[0], UUID):
        keys = list(map(stored_key, keys))
    long_values: list[LongValue] = []
    if not all_short(old_paths) or not all_short(new_paths):
        long_values = [
            LongValue(number + place, *pack(flip.old_path, flip.new_path))
            for place, flip in enumerate(flips)
            if is_long(flip.old_path) or is_long(flip.new_path)
        ]
        are_long = {each.number - number for each in long_values}
        old_paths, new_paths = (
            ["" if place in are_long else path for place, path in enumerate(paths)] for paths in (old_paths, new_paths)
        )
    old_begin, new_begin = _common_begin(old_paths), _common_begin(new_paths)
    rests = [path[len(old_begin) :] for path in old_paths]
    new_rests = [path[len(new_begin) :] for path in new_paths]
    packed_etags = _packed_etags(etags)
    columns = [keys, rests, sizes, list(map(int, copied))]
    if new_rests != rests or packed_etags is None or any(checksums):
        nothing = [None] * len(flips)
        columns += [
            new_rests if new_rests != rests else nothing,
            etags if packed_etags is None else nothing,
            checksums if any(checksums) else nothing,
        ]
    rows = _encoded(list(zip(*columns, strict=True)))
    ends = min(keys), max(keys)
    return (
        Batch(number, len(flips), *ends, unix_time, attempt, source, old_begin, new_begin, packed_etags, rows),
        long_values,
    )


def _common_begin(paths: Sequence[str]) -> str:
    """Return what all of these begin with: all others lie between the least and the greatest of them."""
    least, greatest = min(paths), max(paths)
    pairs = enumerate(zip(least, greatest, strict=False))
    return least[: next((same for same, (one, other) in pairs if one != other), len(least))]


def _packed_etags(etags: Sequence[str]) -> bytes | None:
    """Return ETags of 32 digits as 16 bytes each; None where one of them is anything else, capitals included."""
    if set(map(len, etags)) != {_ETAG_DIGITS}:
        return None
    digits = "".join(etags)
    try:
        packed = bytes.fromhex(digits)
    except ValueError:
        return None
    return packed if packed.hex() == digits else None


def _etags_of(packed: bytes) -> list[str]:
    digits = packed.hex()
    return [digits[at : at + _ETAG_DIGITS] for at in range(0, len(digits), _ETAG_DIGITS)]


def batches(
    database: sqlite3.Connection,
    which: str,
    values: Sequence[object],
    *,
    schema: str = "main",
    newest_first: bool = False,
) -> Iterator[Batch]:
    """Yield the batches for which an SQL condition holds, in their order, one after the other from the file."""
    order = "DESC" if newest_first else "ASC"
    statement = f"SELECT * FROM {schema}.batch WHERE {which} ORDER BY number {order}"  # noqa: S608 - our own words
    return map(Batch._make, database.execute(statement, values))


def flips_in(
    database: sqlite3.Connection,
    batch: Batch,
    is_wanted: Callable[[int, Flip], bool] = lambda _number, _flip: True,
    *,
    schema: str = "main",
    newest_first: bool = False,
) -> Iterator[tuple[int, Flip]]:
    """Yield the flips of a batch that are wanted, and their numbers; only their long values are read, one by one."""
    ends = (batch.number, batch.number + batch.flips - 1)
    which = f"FROM {schema}.long_value WHERE number"
    are_long = {number for (number,) in database.execute(f"SELECT number {which} BETWEEN ? AND ?", ends)}
    numbered = list(enumerate(batch.unpacked(), start=batch.number))
    for number, flip in reversed(numbered) if newest_first else numbered:
        if not is_wanted(number, flip):
            continue
        if number in are_long:
            (kept,) = database.execute(f"SELECT old_value, new_value {which} = ?", (number,))
            old_path, new_path = unpack(*kept)
            yield number, flip._replace(old_path=old_path, new_path=new_path)
        else:
            yield number, flip
