"""Flips of several writers at once, put in one order: the newest first."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from typing import TYPE_CHECKING, Protocol

from sketchmigrate.ledger.contract import PAGE_FLIPS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from sketchmigrate.ledger.contract import PastFlip

LAST_NUMBER = 2**63 - 1
"""Of a flip: what comes behind all."""


class FlipSource(Protocol):
    """What one writer put on record."""

    @property
    def last_flip_at(self) -> float:
        """The Unix time of the last flip, or 0 where there is none."""

    def page(self, before: int, count: int) -> list[tuple[int, PastFlip]]:
        """Return flips with numbers below ``before``, and these numbers, the newest first; none at the end."""


async def newest_first(sources: Iterable[FlipSource], page_flips: int = PAGE_FLIPS) -> AsyncIterator[list[PastFlip]]:
    """Yield all flips in pages. As many pages are in memory as there were writers at the same time."""
    readers = [_Reader(source, page_flips) for source in sources if source.last_flip_at]
    newest = [(-reader.newest_at, number) for number, reader in enumerate(readers)]
    heapq.heapify(newest)
    page: list[PastFlip] = []
    while newest:
        at, number = newest[0]
        reader = readers[number]
        if not await reader.is_filled():
            heapq.heappop(newest)
        elif -reader.newest_at > at:  # it was taken for newer than it turned out
            heapq.heapreplace(newest, (-reader.newest_at, number))
        else:
            heapq.heappop(newest)
            others = -newest[0][0] if newest else 0.0
            page += reader.take(not_before=others, count=page_flips - len(page))
            heapq.heappush(newest, (-reader.newest_at, number))
        if len(page) == page_flips:
            yield page
            page = []
    if page:
        yield page


class _Reader:
    """Reads one source, page by page, the newest flip first."""

    def __init__(self, source: FlipSource, page_flips: int) -> None:
        self._source, self._page_flips = source, page_flips
        self._before = LAST_NUMBER
        self._read: deque[PastFlip] = deque()
        self.newest_at = source.last_flip_at
        """The Unix time of the next flip, or a later one as long as that is not read."""

    async def is_filled(self) -> bool:
        """Whether there is another flip; it is read then."""
        if not self._read:
            rows = await asyncio.to_thread(self._source.page, self._before, self._page_flips)
            if rows:
                self._before = rows[-1][0]
                self._read.extend(flip for _, flip in rows)
                self.newest_at = self._read[0].unix_time
        return bool(self._read)

    def take(self, *, not_before: float, count: int) -> list[PastFlip]:
        """Take flips that were read already, as long as they are of this time or newer; at least one."""
        taken = [self._read.popleft()]
        while self._read and len(taken) < count and self._read[0].unix_time >= not_before:
            taken.append(self._read.popleft())
        self.newest_at = (self._read or taken[-1:])[0].unix_time
        return taken
