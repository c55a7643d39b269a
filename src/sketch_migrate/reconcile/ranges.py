"""The ranges of one parallel listing: which there are, how far each is, and where a running one is split. Pure.

A range begins behind its ``after`` and ends with its ``until``. At any moment they cover all keys, and none twice.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from itertools import islice, pairwise
from operator import lt
from typing import TYPE_CHECKING

from sketch_migrate.reconcile.keyspace import between, left_per_done, order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sketch_migrate.s3 import ListedObject

WORTH_SPLITTING_KEYS = 2000
"""What is left of a range is split from here on: two pages are as soon listed by the one who is at it."""


class OutOfOrder(Exception):
    """The store does not list in the order of bytes, or not from the key that it was asked for."""


@dataclass(slots=True, eq=False)
class Range:
    """The keys after ``after`` up to and with ``until``: an empty text is before all keys, None is behind them.

    ``position`` is the last key of the range that was listed, ``first`` the first one that the store gave, in the range
    or beyond it, ``beyond`` the one at which the range ended, and None where the whole listing did.
    """

    after: str
    until: str | None
    split_off: bool = False
    position: str = ""
    found: int = 0
    first: str | None = None
    beyond: str | None = None

    def __post_init__(self) -> None:
        self.position = self.after

    def take(self, objects: list[ListedObject]) -> list[ListedObject]:
        """Take the next page in; return what of it is in the range. Where ``beyond`` is set, that was the last one.

        Raises ``OutOfOrder``.
        """
        if not objects:
            return objects
        keys = [order(each.key) for each in objects]
        if keys[0] <= order(self.position) or not all(map(lt, keys, islice(keys, 1, None))):
            raise OutOfOrder
        if self.first is None:
            self.first = objects[0].key
        if self.until is not None and keys[-1] > (end := order(self.until)):
            inside = bisect_right(keys, end)
            self.beyond = objects[inside].key
            objects = objects[:inside]
        if objects:
            self.position = objects[-1].key
            self.found += len(objects)
        return objects


class Ranges:
    """All ranges of a listing: cut beforehand, handed out one by one, then split off from what is under way."""

    def __init__(self, prefix: str, cuts: Sequence[str]) -> None:
        self._prefix = prefix
        self._all = [Range(after, until) for after, until in zip(["", *cuts], [*cuts, None], strict=True)]
        self._waiting = deque(self._all)
        self._running: list[Range] = []
        self._alphabet: set[str] = set()
        self._pages = self._in_vain = 0

    @property
    def keys_found(self) -> int:
        """How many keys were listed so far."""
        return sum(each.found for each in self._all)

    @property
    def keys_expected(self) -> int | None:
        """A guess at how many keys there are, or None without any ground: the ranges are about alike."""
        begun = len(self._all) - len(self._waiting)
        ended = begun - len(self._running)
        if not ended:
            return None
        found = self.keys_found
        a_range = found / begun
        left = [
            max(0.0, a_range - each.found) if each.until is None else self._keys_left(each) for each in self._running
        ]
        return round(found + sum(left) + a_range * len(self._waiting))

    @property
    def all_done(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._waiting and not self._running

    def begin(self) -> Range | None:
        """Return a range to list: one that waits, else a half of the one with the most left. None: none is worth it."""
        begun = self._waiting.popleft() if self._waiting else self._split()
        if begun is not None:
            self._running.append(begun)
        return begun

    def take(self, running: Range, objects: list[ListedObject]) -> list[ListedObject]:
        """Take a page of a range in; see ``Range.take``."""
        self._pages += 1
        if objects:
            self._alphabet.update(objects[0].key, objects[-1].key)
        return running.take(objects)

    def end(self, running: Range) -> None:
        """Note that a range is done."""
        self._running.remove(running)
        self._in_vain += running.split_off and not running.found

    def seams(self) -> Iterator[tuple[Range, Range]]:
        """Yield neighbours, in order, of which the second one does not begin with the key at which the first ended."""
        for left, right in pairwise(sorted(self._all, key=lambda each: order(each.after))):
            if left.beyond != right.first:
                yield left, right

    def _split(self) -> Range | None:
        """Cut the running range with the most left in two, and return its second half.

        One that turns out to hold nothing has cost a request, so there are no more of these than pages.
        """
        if self._in_vain > self._pages:
            return None
        left_keys = {each: self._keys_left(each) for each in self._running if each.beyond is None}
        for running in sorted(left_keys, key=left_keys.__getitem__, reverse=True):
            if left_keys[running] < WORTH_SPLITTING_KEYS:
                return None
            tail = between(self._tail(running.position), running.until and self._tail(running.until), self._alphabet)
            if tail is not None:
                cut = self._prefix + tail
                half = Range(cut, running.until, split_off=True)
                running.until = cut
                self._all.append(half)
                return half
        return None

    def _keys_left(self, running: Range) -> float:
        """Guess how many keys are left: as dense as they were so far. Nothing, where nothing was found so far."""
        if not running.found:
            return 0.0
        ends = running.after, running.position, running.until
        begin, position, end = (end and self._tail(end) for end in ends)
        return running.found * left_per_done(begin or "", position or "", end, self._alphabet)

    def _tail(self, key: str) -> str:
        return key.removeprefix(self._prefix)
