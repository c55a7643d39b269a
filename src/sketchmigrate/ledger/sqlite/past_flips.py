"""The flips of a ledger's file, read again: see ``batch`` for how they are kept."""

from __future__ import annotations

import json
import sqlite3
from itertools import chain, islice
from typing import TYPE_CHECKING

from sketchmigrate.core.outcome import Outcome
from sketchmigrate.ledger.contract import PastFlip, RecordedFlip, values_of
from sketchmigrate.ledger.sqlite.batch import batches, flips_in
from sketchmigrate.ledger.values import DIGEST_BYTES, digest_of_long, is_long, page_of, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sketchmigrate.core.keys import StoredKey
    from sketchmigrate.ledger.contract import Flip
    from sketchmigrate.ledger.sqlite.batch import Batch

OVERLAPPING = """
first_key <= ? AND last_key >= ? AND EXISTS (SELECT 1 FROM json_each(?) WHERE value BETWEEN first_key AND last_key)
"""
"""Which batches may have flips of some keys; for ``overlapping``."""

_BELOW = "number < ? AND ifnull(source = ?, true)"
_ABOVE = "number >= ifnull((SELECT max(number) FROM batch WHERE number <= ?), 0) AND ifnull(source = ?, true)"
_SAID_BETWEEN = "SELECT 1 FROM not_flipped WHERE attempt = ? AND source = ? AND key BETWEEN ? AND ? LIMIT 1"
_DENIED = f"""
SELECT key, path, substr(packed, 1, {DIGEST_BYTES}) FROM not_flipped
WHERE attempt = ? AND source = ? AND key IN (SELECT value FROM json_each(?)) AND outcome <> '{Outcome.MIGRATED}'
"""  # noqa: S608 - our own words
_UNSETTLED = "SELECT key, xid FROM unsettled WHERE source = ? AND key IN (SELECT value FROM json_each(?))"


def overlapping(keys: Sequence[StoredKey]) -> tuple[StoredKey, StoredKey, str]:
    """Return the parameters of ``OVERLAPPING`` for some keys; there is at least one."""
    return max(keys), min(keys), json.dumps(list(keys))


class BatchedFlips:
    """The flips of a file, and what the run has said of their references. The connection is the caller's."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def ends(self) -> tuple[float, int, float]:
        """Return the Unix time of the first flip, how many there are, and the time of the last; 0 where none is.

        Raises ``sqlite3.DatabaseError`` where some between them are gone.
        """
        ((last_number, all_flips),) = self._database.execute("SELECT max(number + flips - 1), sum(flips) FROM batch")
        if last_number != all_flips:
            raise sqlite3.DatabaseError(f"it has {all_flips} of {last_number} flips")
        columns = "SELECT unix_time, number + flips - 1, unix_time FROM batch ORDER BY number"
        first, last = (self._database.execute(f"{columns} {order} LIMIT 1").fetchone() for order in ("ASC", "DESC"))
        return (first[0], last[1], last[2]) if last else (0.0, 0, 0.0)

    def page(self, beyond: int, count: int, *, source: int | None, forwards: bool) -> list[tuple[int, PastFlip]]:
        """Return flips beyond a number, and their numbers, but those that did not come about as the run noted."""
        found = batches(self._database, _ABOVE if forwards else _BELOW, (beyond, source), newest_first=not forwards)
        flips = chain.from_iterable(self._made(batch, beyond, forwards=forwards) for batch in found)
        return page_of(islice(flips, count), lambda each: values_of(each[1]))

    def flips_of(self, keys: Sequence[StoredKey], source: int) -> list[RecordedFlip]:
        """Return the flips of these keys, in their order."""
        if not keys:
            return []
        wanted = set(keys)
        unsettled = dict(self._database.execute(_UNSETTLED, (source, json.dumps(list(wanted)))).fetchall())
        recorded: list[RecordedFlip] = []
        for batch in batches(self._database, f"source = ? AND {OVERLAPPING}", (source, *overlapping(keys))):
            denied = self._denied(batch)
            recorded += [
                RecordedFlip(
                    _past(flip, batch), _said(flip) in denied, flip.key in unsettled, unsettled.get(flip.key), source
                )
                for _, flip in flips_in(self._database, batch, lambda _, flip: flip.key in wanted)
            ]
        return recorded

    def stored_otherwise(self, _after: StoredKey | None, _count: int, _source: int) -> list[PastFlip]:
        """Return nothing: versions that write such files roll back what the database stores otherwise."""
        return []

    def newest_objects(self, count: int) -> list[tuple[str, int | None]]:
        """Return what the newest flips set rows to, but for long values, and the size of the object if it is known."""
        flips = (
            flip
            for batch in batches(self._database, "true", (), newest_first=True)
            for _, flip in flips_in(self._database, batch, newest_first=True)
            if not is_long(flip.old_path) and not is_long(flip.new_path)
        )
        return [(flip.new_path, flip.size_bytes) for flip in islice(flips, count)]

    def _made(self, batch: Batch, beyond: int, *, forwards: bool) -> Iterator[tuple[int, PastFlip]]:
        """Yield the flips of a batch that lie beyond a number and, as far as the run noted, came about."""
        denied = self._denied(batch)
        is_beyond = beyond.__lt__ if forwards else beyond.__gt__
        wanted = flips_in(self._database, batch, lambda number, _: is_beyond(number), newest_first=not forwards)
        for number, flip in wanted:
            if not denied or _said(flip) not in denied:
                yield number, _past(flip, batch)

    def _denied(self, batch: Batch) -> set[tuple[StoredKey, str, bytes | None]]:
        """Return of which references of a batch the run has said that they were not flipped; see ``_said``."""
        of_all = (batch.attempt, batch.source)
        if not self._database.execute(_SAID_BETWEEN, (*of_all, batch.first_key, batch.last_key)).fetchone():
            return set()
        keys = json.dumps([flip.key for flip in batch.unpacked()])
        return set(self._database.execute(_DENIED, (*of_all, keys)))


def _said(flip: Flip) -> tuple[StoredKey, str, bytes | None]:
    """Return what stands for a flip's reference in ``not_flipped``."""
    return flip.key, shown(flip.old_path)[0], digest_of_long(flip.old_path)  # type: ignore[return-value]  # as it was stored


def _past(flip: Flip, batch: Batch) -> PastFlip:
    key, old_path, new_path, _, etag, _, read_checksum = flip
    return PastFlip(key, old_path, new_path, etag, batch.unix_time, False, batch.source, read_checksum)  # type: ignore[arg-type]  # noqa: FBT003  # as it was stored
