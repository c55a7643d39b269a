"""Complete listings of a prefix, in ranges side by side.

A store gives 1 000 keys a request, and the next request only when it has told the last key. So the space of keys is cut
into ranges, each of which is asked for with ``start-after``; where a worker has nothing left to do, it takes over half
of what another one has before it. Wherever the cuts are, each key is listed exactly once, in any order.

That holds if the store lists in the order of bytes, and it is not taken on trust. Every page is looked at for its
order. And at each seam the key at which one range ended must be the one with which the next began: then the ranges, one
behind the other, are what a listing in one go would have been, in whatever order. A store that fails in either is
listed once more, in one go.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sketchmigrate.core.errors import MigrateError, S3Refused
from sketchmigrate.inspect.listing.keyspace import order, usable_cuts
from sketchmigrate.inspect.listing.ranges import OutOfOrder, Range, Ranges
from sketchmigrate.s3 import ListedObjects
from sketchmigrate.task_group import task_group

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from sketchmigrate.s3 import ListPage

logger = logging.getLogger(__name__)

WORKERS = 8
"""Requests of one listing in flight. The client's own limit on all requests holds besides."""

KEYS_A_RANGE = 2000
"""So many are worth a range of their own: at its end it takes half a page that another one lists as well.

More ranges than workers were worse: 8 of 25 pages each are done in 27 round trips, 32 of 6 pages in 30 to 35.
"""


class Sink(Protocol):
    """Where a listing goes. ``take`` may be called again before it has returned; while it waits, the store waits."""

    async def take(self, objects: ListedObjects) -> None:
        """Take in objects that were not there before."""

    async def forget(self) -> None:
        """Forget all that was taken in: the listing begins again."""


class Told(Protocol):
    """Hears how far a listing is."""

    def __call__(self, objects: int, expected: int | None) -> None:
        """Hear how many objects were found so far, and how many there may be, where that can be guessed."""


class Pages(Protocol):
    """What a listing needs of a store: ``S3Client`` has it."""

    def list_pages(
        self, bucket: str, prefix: str, *, start_after: str = "", max_keys: int = 1000
    ) -> AsyncGenerator[ListPage, None]:
        """Yield the pages of a listing after a key."""


def tell_nobody(objects: int, expected: int | None) -> None:
    """Let the listing go on unwatched."""


async def list_all(
    store: Pages,
    bucket: str,
    prefix: str,
    sink: Sink,
    *,
    cuts: Iterable[str] = (),
    expected: int | None = None,
    told: Told = tell_nobody,
    page_keys: int = 1000,
) -> None:
    """List a prefix to its end.

    ``cuts`` are keys below the prefix at which it may well be cut, in any order; so few are used that the ranges of
    ``expected`` objects, where that is known, are worth it.

    Raises ``S3Error``: a listing that breaks off is never a short one.
    """

    def pages_after(key: str) -> AsyncGenerator[ListPage, None]:
        return store.list_pages(bucket, prefix, start_after=key, max_keys=page_keys)

    told(0, None)
    try:
        worth = WORKERS if expected is None else min(WORKERS, max(1, expected // KEYS_A_RANGE))
        ranges = Ranges(prefix, usable_cuts(cuts, prefix, worth - 1))
        await _Listing(pages_after, ranges, sink, told).in_ranges()
    except OutOfOrder:
        logger.warning(
            "The store does not list s3://%s/%s… in the order of bytes: listing it again, in one go.", bucket, prefix
        )
    else:
        return
    await sink.forget()
    found = 0
    async with aclosing(pages_after("")) as pages:
        async for page in pages:
            await sink.take(ListedObjects.of(page.objects))
            found += len(page.objects)
            told(found, None)
    told(found, found)


class _Listing:
    def __init__(
        self, pages_after: Callable[[str], AsyncGenerator[ListPage, None]], ranges: Ranges, sink: Sink, told: Told
    ) -> None:
        self._pages_after, self._ranges, self._sink, self._told = pages_after, ranges, sink, told
        self._news = asyncio.Event()

    async def in_ranges(self) -> None:
        async with task_group(OutOfOrder, MigrateError) as group:
            for _ in range(WORKERS):
                group.create_task(self._work())
        async with task_group(OutOfOrder, MigrateError) as group:
            for left, right in self._ranges.seams():
                group.create_task(self._look_at_the_seam(left, right))
        self._told(self._ranges.keys_found, self._ranges.keys_found)

    async def _work(self) -> None:
        while not self._ranges.all_done:
            begun = self._ranges.begin()
            if begun is not None:
                await self._list(begun)
            else:
                await self._news.wait()

    def _tell(self) -> None:
        """Wake those who found no range to list: there may be one now, or none ever."""
        self._news.set()
        self._news = asyncio.Event()

    async def _list(self, listed: Range) -> None:
        try:
            async with aclosing(self._pages_after(listed.after)) as pages:
                async for page in pages:
                    objects = self._ranges.take(listed, ListedObjects.of(page.objects))
                    self._tell()
                    await self._sink.take(objects)
                    self._told(self._ranges.keys_found, self._ranges.keys_expected)
                    if listed.beyond is not None:
                        break
        except S3Refused as error:
            if listed.after and listed.first is None:  # it may be start-after that is refused
                raise OutOfOrder from error
            raise
        self._ranges.end(listed)
        self._tell()

    async def _look_at_the_seam(self, left: Range, right: Range) -> None:
        """Ask once more for both sides of a seam, at the same moment: an object may have come or gone meanwhile.

        Raises ``OutOfOrder`` where they still do not meet.
        """
        before, behind = await asyncio.gather(
            self._first_behind(right.after, since=left.position), self._first_behind(right.after, since=right.after)
        )
        if before != behind:
            raise OutOfOrder

    async def _first_behind(self, seam: str, *, since: str) -> str | None:
        """Return the first key behind the seam that the store gives when it is asked for all ``since`` a key."""
        async with aclosing(self._pages_after(since)) as pages:
            async for page in pages:
                for each in page.objects:
                    if order(each.key) > order(seam):
                        return each.key
        return None


@dataclass(slots=True)
class Extent:
    """How many objects a prefix holds, and how many bytes they have in all. A ``Sink``."""

    objects: int = 0
    size_bytes: int = 0

    async def take(self, objects: ListedObjects) -> None:
        """Add objects up."""
        self.objects += len(objects)
        self.size_bytes += sum(objects.sizes_bytes)

    async def forget(self) -> None:
        """Begin again with nothing."""
        self.objects = self.size_bytes = 0
