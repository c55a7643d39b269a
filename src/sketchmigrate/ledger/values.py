"""How a ledger keeps the values of rows: short ones as text, long ones packed. Pure.

A row's value may be a document of a megabyte of which a run replaces a few short places. So of a long one the old value
is kept whole and compressed, and of the new one only the pieces that were replaced. Nothing is lost either way.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections import defaultdict
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar, cast, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

TEXT_BYTES = 1024
"""A value of more bytes in UTF-8 is long: no key of an object is (S3 User Guide, "Naming Amazon S3 objects")."""

PAGE_BYTES = 16 * 2**20
"""Rows that are read at once hold values of so many bytes in memory, and the last of them may go beyond."""

SHOWN_CHARS = 1_000
"""So much of a long value is shown to a person."""

DIGEST_BYTES = 16
"""A packed value begins with its digest, so that a ledger's own database can compare it."""

_NEAR_CHARS = 256
"""So far behind a difference the texts are first looked at for where they are the same again."""

_SAME_CHARS = 16
"""So many characters in a row are the same again there: with less between them, two places are one piece."""

_BLOCK_CHARS = 64
"""What is the same again farther off is found by blocks of this length."""

_LEVEL = 1
"""Of the compression: level 6 takes three times as long for texts, and saves a seventh."""

_CERTAINLY_SHORT_CHARS = TEXT_BYTES // 4
"""A character has at most four bytes in UTF-8."""

Kept: TypeAlias = str | bytes
"""A value as a ledger keeps it: as text, or packed."""

Row = TypeVar("Row")


class Piece(NamedTuple):
    """What stands instead of the characters from ``start`` to ``stop`` (not included) of a text."""

    start: int
    stop: int
    text: str


def pieces(old: str, new: str) -> tuple[Piece, ...]:
    """Return what makes ``new`` of ``old``, in order and without overlap, in linear time.

    Where a few short places differ they are few and short; they are not always the shortest.
    """
    if old == new:
        return ()
    begin = _same_from(old, 0, new, 0)
    end = _same_until(old, len(old), new, len(new), min(len(old), len(new)) - begin)
    stop_old, stop_new = len(old) - end, len(new) - end
    found: list[Piece] = []
    again = _Again(old, stop_old, new, stop_new)
    at_old = at_new = begin
    while at_old < stop_old or at_new < stop_new:
        next_old, next_new = again.near(at_old, at_new) or again.anywhere(at_old, at_new) or (stop_old, stop_new)
        found.append(Piece(at_old, next_old, new[at_new:next_new]))
        same = min(_same_from(old, next_old, new, next_new), stop_old - next_old, stop_new - next_new)
        at_old, at_new = next_old + same, next_new + same
    return tuple(found)


def apply(old: str, replaced: Iterable[Piece]) -> str:
    """Return the text that pieces make of another one."""
    parts: list[str] = []
    at = 0
    for start, stop, text in replaced:
        parts += (old[at:start], text)
        at = stop
    return "".join((*parts, old[at:]))


class _Again:
    """Finds where two texts are the same again, behind a difference. The ``stop`` of each is where both end alike."""

    def __init__(self, old: str, stop_old: int, new: str, stop_new: int) -> None:
        self._old, self._stop_old = old, stop_old
        self._new, self._stop_new = new, stop_new
        self._looks = stop_new  # for near places, in all: that keeps it linear
        self._blocks: defaultdict[str, list[int]] | None = None

    def near(self, at_old: int, at_new: int) -> tuple[int, int] | None:
        """Return the places that leave out the least of both texts, where some are near."""
        nearest: tuple[int, int] | None = None
        stop_old = min(self._stop_old, at_old + _NEAR_CHARS)
        cost = _NEAR_CHARS
        for place_new in range(at_new, min(self._stop_new, at_new + _NEAR_CHARS) - _SAME_CHARS + 1):
            if place_new - at_new >= cost or self._looks <= 0:
                break
            self._looks -= 1
            place_old = self._old.find(self._new[place_new : place_new + _SAME_CHARS], at_old, stop_old)
            if place_old >= 0 and (left_out := place_old - at_old + place_new - at_new) < cost:
                nearest, cost = (place_old, place_new), left_out
        return nearest

    def anywhere(self, at_old: int, at_new: int) -> tuple[int, int] | None:
        """Return the first place of the new text that is in the old one as well, from these places on."""
        blocks = self._blocks = self._blocks or self._blocks_from(at_old)
        for place_new in range(at_new, self._stop_new - _BLOCK_CHARS + 1):
            places = blocks.get(self._new[place_new : place_new + _BLOCK_CHARS])
            while places and places[-1] < at_old:
                places.pop()
            if places:
                room = min(places[-1] - at_old, place_new - at_new)
                back = _same_until(self._old, places[-1], self._new, place_new, room)
                return places[-1] - back, place_new - back
        return None

    def _blocks_from(self, begin: int) -> defaultdict[str, list[int]]:
        """Return the places of each block of the old text, the first one last."""
        places: defaultdict[str, list[int]] = defaultdict(list)
        for place in reversed(range(begin, self._stop_old - _BLOCK_CHARS + 1, _BLOCK_CHARS)):
            places[self._old[place : place + _BLOCK_CHARS]].append(place)
        return places


def _same_from(one: str, at_one: int, other: str, at_other: int) -> int:
    """Return how many characters are the same from these places on."""
    most = min(len(one) - at_one, len(other) - at_other)
    return _longest(
        most, lambda have, size: one.startswith(other[at_other + have : at_other + have + size], at_one + have)
    )


def _same_until(one: str, stop_one: int, other: str, stop_other: int, most: int) -> int:
    """Return how many characters, at most, are the same just before these places."""
    return _longest(
        most, lambda have, size: one.endswith(other[stop_other - have - size : stop_other - have], 0, stop_one - have)
    )


def _longest(most: int, are_same: Callable[[int, int], bool]) -> int:
    """Return how many of ``most`` are the same, where ``are_same`` compares some behind those that are known to be.

    As many steps as the logarithm of that, and of what is compared no more than four times as much.
    """
    have, size = 0, 16
    while have + size <= most and are_same(have, size):
        have, size = have + size, 2 * size
    size = min(size, most - have)
    while size > 0:
        if have + size <= most and are_same(have, size):
            have += size
        size //= 2
    return have


def is_long(value: str) -> bool:
    """Whether a value is too long to be kept as text."""
    return len(value) > _CERTAINLY_SHORT_CHARS and len(value.encode()) > TEXT_BYTES


def all_short(values: Sequence[str]) -> bool:
    """Whether all of these can be kept as they are, without a look at each where they are as short as keys are."""
    return max(map(len, values), default=0) <= _CERTAINLY_SHORT_CHARS or not any(map(is_long, values))


@overload
def pack(old: str, new: str) -> tuple[Kept, Kept]: ...
@overload
def pack(old: str, new: None) -> tuple[Kept, None]: ...
@overload
def pack(old: str, new: str | None) -> tuple[Kept, Kept | None]: ...
def pack(old: str, new: str | None) -> tuple[Kept, Kept | None]:
    """Return an old value, and what becomes of it, as a ledger keeps both: as they are, or packed if one is long."""
    if not is_long(old) and (new is None or not is_long(new)):
        return old, new
    packed = digest(old) + zlib.compress(old.encode(), _LEVEL)
    if new is None:
        return packed, None
    return packed, zlib.compress(json.dumps(pieces(old, new)).encode(), _LEVEL)


@overload
def unpack(old: Kept, new: Kept) -> tuple[str, str]: ...
@overload
def unpack(old: Kept, new: None) -> tuple[str, None]: ...
@overload
def unpack(old: Kept, new: Kept | None) -> tuple[str, str | None]: ...
def unpack(old: Kept, new: Kept | None) -> tuple[str, str | None]:
    """Return the values of which ``pack`` made these. Raises ``zlib.error`` where they are damaged."""
    if isinstance(old, str):
        return old, cast("str | None", new)
    whole = zlib.decompress(old[DIGEST_BYTES:]).decode()
    if new is None:
        return whole, None
    return whole, apply(whole, (Piece(*each) for each in json.loads(zlib.decompress(cast("bytes", new)))))


def digest(value: str) -> bytes:
    """Return what tells a long value from all others."""
    return blake2b(value.encode(), digest_size=DIGEST_BYTES).digest()


def digest_of_long(value: str) -> bytes | None:
    """Return with what a packed value begins; None for one that is kept as text."""
    return digest(value) if is_long(value) else None


def shown(value: str) -> tuple[str, bytes | None]:
    """Return what a person sees of a value and, where that is not the whole, the whole of it, packed."""
    if not is_long(value):
        return value, None
    return f"{value[:SHOWN_CHARS]}…", cast("bytes", pack(value, None)[0])


def size_in_memory(values: Iterable[str | None]) -> int:
    """Return how many bytes of memory values take."""
    return sum(map(sys.getsizeof, values))


def is_full(rows: Iterable[Iterable[str | None]]) -> bool:
    """Whether the values of these rows fill a page."""
    return sum(map(size_in_memory, rows)) >= PAGE_BYTES


def page_of(rows: Iterable[Row], values: Callable[[Row], Iterable[str | None]]) -> list[Row]:
    """Take rows until their ``values`` fill a page; at least one, if there is one."""
    page: list[Row] = []
    left_bytes = PAGE_BYTES
    for row in rows:
        page.append(row)
        left_bytes -= size_in_memory(values(row))
        if left_bytes <= 0:
            break
    return page
