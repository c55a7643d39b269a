"""The ranges of one parallel listing: which there are, how far each is, and where a running one is split. Pure.

A range begins behind its ``after`` and ends with its ``until``. At any moment they cover all keys, and none twice.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from sketchmigrate.inspect.listing.keyspace import between, in_order, left_per_done, order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sketchmigrate.s3 import ListedObjects

WORTH_SPLITTING_KEYS = 2000
"""What is left of a range is split from here on: two pages are as soon listed by the one who is at it."""


MOST_LEFT = 10.0
"""So many times of what is done may be left for that to be a ground: the first page of a range, one key of it, may lie
anywhere, and a guess from it has announced 16 517 792 635 803 objects of 6 000."""


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
    position: str = ""
    found: int = 0
    first: str | None = None
    beyond: str | None = None

    def __post_init__(self) -> None:
        self.position = self.after

    def take(self, objects: ListedObjects) -> ListedObjects:
        """Take the next page in; return what of it is in the range. Where ``beyond`` is set, that was the last one.

        Raises ``OutOfOrder``.
        """
        if not objects:
            return objects
        keys = objects.keys
        if not in_order(keys) or order(keys[0]) <= order(self.position):
            raise OutOfOrder
        if self.first is None:
            self.first = keys[0]
        if self.until is not None and order(keys[-1]) > (end := order(self.until)):
            inside = bisect_right(keys, end, key=order)
            self.beyond = keys[inside]
            objects = objects[:inside]
        if objects:
            self.position = objects.keys[-1]
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
        self._cut_beforehand = len(self._all)
        self._guessed_at = 0
        self._guess: int | None = None

    @property
    def keys_found(self) -> int:
        """How many keys were listed so far."""
        return sum(each.found for each in self._all)

    @property
    def keys_expected(self) -> int | None:
        """A guess at how many keys there are, or None without any ground. It is made anew where 1 % more are found."""
        found = self.keys_found
        if self._cut_beforehand > 1 and found >= 1.01 * self._guessed_at:
            self._guessed_at, self._guess = found, self._guess_all()
        return self._guess and max(found, self._guess)

    def _guess_all(self) -> int | None:
        """Add up what was found and what is left.

        The ranges that were cut beforehand are meant to be alike, so that none is far from the median; nor is the last
        one, of which nobody knows where it ends.
        """
        found = {each: (each.found, self._keys_left(each)) for each in self._all if each.found and each.until}
        begun = {each: done + ahead for each, (done, ahead) in found.items() if ahead <= MOST_LEFT * done}
        if not begun:
            return None
        usual = median(begun.values())
        cut_beforehand = self._all[: self._cut_beforehand]
        guesses = [begun.get(each, usual if each in cut_beforehand else 0.0) for each in self._running]
        left = [
            max(0.0, min(guess, 2 * usual) - each.found) for guess, each in zip(guesses, self._running, strict=True)
        ]
        return round(self.keys_found + sum(left) + usual * len(self._waiting))

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

    def take(self, running: Range, objects: ListedObjects) -> ListedObjects:
        """Take a page of a range in; see ``Range.take``."""
        inside = running.take(objects)
        if inside:
            self._alphabet.update(objects.keys[0], objects.keys[-1])
        return inside

    def end(self, running: Range) -> None:
        """Note that a range is done."""
        self._running.remove(running)

    def seams(self) -> Iterator[tuple[Range, Range]]:
        """Yield neighbours, in order, of which the second one does not begin with the key at which the first ended."""
        for left, right in pairwise(sorted(self._all, key=lambda each: order(each.after))):
            if left.beyond != right.first:
                yield left, right

    def _split(self) -> Range | None:
        """Cut the running range with the most left in two, and return its second half.

        It may turn out to hold nothing, at the cost of a request. Then what was guessed to be left has been halved, and
        after a few dozen of these at most it is no longer worth it.
        """
        left_keys = {each: self._keys_left(each) for each in self._running if each.beyond is None}
        for running in sorted(left_keys, key=left_keys.__getitem__, reverse=True):
            if left_keys[running] < WORTH_SPLITTING_KEYS:
                return None
            tail = between(self._tail(running.position), running.until and self._tail(running.until), self._alphabet)
            if tail is not None:
                cut = self._prefix + tail
                half = Range(cut, running.until)
                running.until = cut
                self._all.append(half)
                return half
        return None

    def _keys_left(self, running: Range) -> float:
        """Guess how many keys are left: as dense as they were from its first one on. Where none was found, nothing."""
        if not running.found or running.first is None or running.beyond is not None or running not in self._running:
            return 0.0
        begin, position = self._tail(running.first), self._tail(running.position)
        end = running.until and self._tail(running.until)
        return running.found * left_per_done(begin, position, end, self._alphabet)

    def _tail(self, key: str) -> str:
        return key.removeprefix(self._prefix)
