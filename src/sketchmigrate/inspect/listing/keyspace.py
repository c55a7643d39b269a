"""Where in the space of keys a listing may be cut. Pure.

Keys are in the order of their UTF-8 bytes (S3 API reference, ListObjectsV2). A key is read as a fraction between 0 and
1: its digits are its characters, and all characters that were seen make the base, in the order of their code points,
which is that of their bytes. So ``avatar-5`` is half of the way from ``avatar-1`` to ``avatar-9``.
"""

from __future__ import annotations

from itertools import islice, takewhile
from operator import lt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

DIGITS = 16
"""So many characters behind what both ends share are reckoned with."""

FURTHER_DIGITS = 2
"""A cut need not be exact: it has so many characters more than it takes to tell it from where it begins."""

MOST_BYTES = 1024
"""No key is longer (S3 User Guide, "Naming Amazon S3 objects")."""


def order(key: str) -> bytes:
    """Return what keys are ordered by; bytes that are not UTF-8 are surrogate escapes in our text."""
    return key.encode("utf-8", "surrogateescape")


def in_order(keys: Sequence[str]) -> bool:
    """Whether keys ascend, each above the one before it.

    Code points have the order of their UTF-8 bytes, but not where bytes that are no text stand for themselves.
    """
    if "".join(keys).isascii():
        return all(map(lt, keys, islice(keys, 1, None)))
    ordered = [order(key) for key in keys]
    return all(map(lt, ordered, islice(ordered, 1, None)))


def is_text(key: str) -> bool:
    """Whether a key is UTF-8: no other one can be asked for."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def usable_cuts(cuts: Iterable[str], prefix: str, most: int) -> list[str]:
    """Return at most so many of these keys, evenly chosen, each once, and in order: of those below the prefix."""
    below = {cut for cut in cuts if cut.startswith(prefix) and cut != prefix and can_be_asked_for(cut)}
    ordered = sorted(below, key=order)
    if len(ordered) <= most:
        return ordered
    return [ordered[(number + 1) * len(ordered) // (most + 1)] for number in range(most)]


def between(low: str, high: str | None, alphabet: Collection[str]) -> str | None:
    """Return a text about half way from ``low`` to ``high``, and truly between them by bytes; None where none is found.

    ``high`` None is the end of all keys that are made of the alphabet.
    """
    scale = _Scale(low, high, alphabet)
    for middle in scale.texts((scale.number(low) + scale.end(high)) // 2):
        enough = next((size for size in range(len(middle)) if order(middle[:size]) > order(low)), len(middle))
        cut = middle[: enough + FURTHER_DIGITS]
        if order(low) < order(cut) and (high is None or order(cut) < order(high)) and can_be_asked_for(cut):
            return cut
    return None


def left_per_done(begin: str, position: str, end: str | None, alphabet: Collection[str]) -> float:
    """Return how much of the way from ``begin`` to ``end`` is left, as a multiple of that which is done."""
    scale = _Scale(begin, end, alphabet)
    reached = scale.number(position)
    return max(0, scale.end(end) - reached) / max(1, reached - scale.number(begin))


def can_be_asked_for(key: str) -> bool:
    """Whether a store can be asked what follows a key: its reply repeats it, and XML has no control characters.

    moto's server writes one all the same, and no parser reads that reply.
    """
    return key.isprintable() and is_text(key) and len(key.encode()) <= MOST_BYTES


class _Scale:
    """Reads texts that lie between two others as whole numbers of ``DIGITS`` digits. Digit 0 is the end of the text."""

    def __init__(self, low: str, high: str | None, alphabet: Collection[str]) -> None:
        same = takewhile(lambda pair: pair[0] == pair[1], zip(low, high or "", strict=False))
        self._shared = "".join(character for character, _ in same)
        characters = {*alphabet, *self._tail(low), *self._tail(high or "")}
        self._digits = sorted(character for character in characters if is_text(character))
        self._values = {character: value for value, character in enumerate(self._digits, start=1)}
        self._base = len(self._digits) + 1

    def _tail(self, text: str) -> str:
        return text[len(self._shared) : len(self._shared) + DIGITS]

    def number(self, text: str) -> int:
        """Read a text; a character that is not in the alphabet counts as none."""
        number = 0
        values = [self._values.get(character, 0) for character in self._tail(text)]
        for value in values + [0] * (DIGITS - len(values)):
            number = number * self._base + value
        return number

    def end(self, high: str | None) -> int:
        """Read the upper end."""
        return self._base**DIGITS - 1 if high is None else self.number(high)

    def texts(self, number: int) -> tuple[str, str]:
        """Write a number. A digit 0 within it cannot be written: the text ends there, or has the smallest character."""
        values: list[int] = []
        for _ in range(DIGITS if self._digits else 0):
            number, value = divmod(number, self._base)
            values.insert(0, value)
        length = values.index(0) if 0 in values else len(values)
        text = self._shared + "".join(self._digits[max(value, 1) - 1] for value in values)
        return text[: len(self._shared) + length], text
