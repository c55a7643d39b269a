"""A store's listings in memory, with the faults that listings have: for claims about whole listings."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sketchmigrate.inspect.listing.keyspace import order
from sketchmigrate.s3 import ListedObject, ListedObjects, ListPage

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncGenerator, Callable, Iterable


@dataclass(slots=True)
class Shelf:
    """Lists ``keys`` as S3 does, after as many turns of the event loop as ``chance`` says.

    ``shown`` makes the objects. ``sort_key`` is the store's order. ``ignores_start_after`` and ``on_request`` are its
    faults: the latter is told what a page is asked for after, and may raise, or change ``keys``.
    """

    keys: Iterable[str]
    chance: random.Random
    shown: Callable[[str], ListedObject] = lambda key: ListedObject(key, len(key), "", "")
    sort_key: Callable[[str], Any] = order
    ignores_start_after: bool = False
    on_request: Callable[[str], None] = lambda _: None
    requests: list[str] = field(default_factory=list)

    async def list_pages(
        self, bucket: str, prefix: str, *, start_after: str = "", max_keys: int = 1000
    ) -> AsyncGenerator[ListPage, None]:
        """Yield pages as ``S3Client`` does."""
        del bucket
        after = "" if self.ignores_start_after else start_after
        more = True
        while more:
            for _ in range(self.chance.randrange(4)):
                await asyncio.sleep(0)
            self.requests.append(after)
            self.on_request(after)
            inside = sorted((key for key in self.keys if key.startswith(prefix)), key=self.sort_key)
            rest = [key for key in inside if not after or self.sort_key(key) > self.sort_key(after)]
            more = len(rest) > max_keys
            page = rest[:max_keys]
            yield ListPage([self.shown(key) for key in page], page[-1] if more else None)
            after = page[-1] if page else after


@dataclass(slots=True)
class Heap:
    """A sink that keeps the keys."""

    chance: random.Random
    keys: list[str] = field(default_factory=list)
    times_forgotten: int = 0

    async def take(self, objects: ListedObjects) -> None:
        """Keep the keys, sooner or later."""
        for _ in range(self.chance.randrange(3)):
            await asyncio.sleep(0)
        self.keys += objects.keys

    async def forget(self) -> None:
        """Begin again."""
        self.keys.clear()
        self.times_forgotten += 1
