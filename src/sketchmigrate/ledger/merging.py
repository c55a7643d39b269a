"""Flips of several writers at once, put in one order: the newest first, or the oldest."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from typing import TYPE_CHECKING, Protocol

from sketchmigrate.ledger.contract import PAGE_FLIPS, values_of
from sketchmigrate.ledger.values import PAGE_BYTES, size_in_memory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from sketchmigrate.ledger.contract import PastFlip

LAST_NUMBER = 2**63 - 1
"""Of a flip: what comes behind all."""


class FlipSource(Protocol):
    """What one writer put on record."""

    @property
    def first_flip_at(self) -> float:
        """The Unix time of the first flip, or 0 where there is none."""

    @property
    def last_flip_at(self) -> float:
        """The Unix time of the last flip, or 0 where there is none."""

    def page(
        self, beyond: int, count: int, *, source: int | None = None, forwards: bool = False
    ) -> list[tuple[int, PastFlip]]:
        """Return flips with numbers below ``beyond``, and these numbers, the newest first; none at the end.

        ``forwards``: with numbers above it, the oldest first. Of one ``source``, or (None) of all.
        """


async def in_order(
    writers: Iterable[FlipSource], page_flips: int = PAGE_FLIPS, *, source: int | None = None, forwards: bool = False
) -> AsyncIterator[list[PastFlip]]:
    """Yield all flips in pages, the newest first unless ``forwards``.

    As many pages are in memory as there were writers at the same time.
    """
    readers = [_Reader(each, page_flips, source, forwards=forwards) for each in writers if each.last_flip_at]
    waiting = [(reader.next_at, number) for number, reader in enumerate(readers)]
    heapq.heapify(waiting)
    page: list[PastFlip] = []
    left_bytes = PAGE_BYTES
    while waiting:
        at, number = waiting[0]
        reader = readers[number]
        if not await reader.is_filled():
            heapq.heappop(waiting)
        elif reader.next_at > at:  # it was taken for nearer than it turned out
            heapq.heapreplace(waiting, (reader.next_at, number))
        else:
            heapq.heappop(waiting)
            until = waiting[0][0] if waiting else float("inf")
            taken, left_bytes = reader.take(until=until, count=page_flips - len(page), left_bytes=left_bytes)
            page += taken
            heapq.heappush(waiting, (reader.next_at, number))
        if len(page) == page_flips or left_bytes <= 0:
            yield page
            page, left_bytes = [], PAGE_BYTES
    if page:
        yield page


class _Reader:
    """Reads what one writer put on record, page by page."""

    def __init__(self, writer: FlipSource, page_flips: int, source: int | None, *, forwards: bool) -> None:
        self._writer, self._page_flips, self._source = writer, page_flips, source
        self._forwards, self._sign = forwards, 1 if forwards else -1
        self._beyond = 0 if forwards else LAST_NUMBER
        self._read: deque[PastFlip] = deque()
        self.next_at = self._sign * (writer.first_flip_at if forwards else writer.last_flip_at)
        """The Unix time of the next flip, or one before its turn as long as that is not read; negative backwards."""

    async def is_filled(self) -> bool:
        """Whether there is another flip; it is read then."""
        if not self._read:
            rows = await asyncio.to_thread(self._page)
            if rows:
                self._beyond = rows[-1][0]
                self._read.extend(flip for _, flip in rows)
                self.next_at = self._sign * self._read[0].unix_time
        return bool(self._read)

    def take(self, *, until: float, count: int, left_bytes: int) -> tuple[list[PastFlip], int]:
        """Take flips that were read already, as long as none of another writer comes before them; at least one.

        Returns them, and what they leave of so many bytes, of which only the last one goes beyond.
        """
        taken: list[PastFlip] = []
        while self._read and len(taken) < count and left_bytes > 0:
            if taken and self._sign * self._read[0].unix_time > until:
                break
            taken.append(self._read.popleft())
            left_bytes -= size_in_memory(values_of(taken[-1]))
        self.next_at = self._sign * (self._read or taken[-1:])[0].unix_time
        return taken, left_bytes

    def _page(self) -> list[tuple[int, PastFlip]]:
        return self._writer.page(self._beyond, self._page_flips, source=self._source, forwards=self._forwards)
