"""Compares the two objects of references by their bytes, in portions that any process can take on.

A portion is pure data, and is only read: one that was lost is compared again elsewhere, and nothing has to be undone.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from sketch_migrate.errors import ObjectMissing, PreconditionFailed, S3Error
from sketch_migrate.s3 import tells_tags
from sketch_migrate.s3.archive import NOT_RESTORED
from sketch_migrate.s3.fields import differing_headers
from sketch_migrate.task_group import all_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

    from sketch_migrate.model import Location, ObjectInfo
    from sketch_migrate.s3 import S3Client

STREAMS = 12
PIECE_BYTES = 4 * 2**20
"""Objects are hashed in pieces of this size, one for each stream at a time."""

PORTION_PAIRS = 500


class Pair(NamedTuple):
    """The two objects of a reference as they were listed, both of one size."""

    key: str
    legacy: Location
    production: Location
    size_bytes: int
    legacy_etag: str
    production_etag: str


Portion: TypeAlias = tuple[Pair, ...]


class Answer(NamedTuple):
    """What was seen of a pair. ``same``: of its bytes; None where there is nothing to compare any more.

    ``detail`` says in what else the two differ, or why their bytes could not be read; it is empty where one of them was
    changed or deleted meanwhile. ``tags_told``: one of the two told a number of tags.
    """

    same: bool | None
    detail: str = ""
    tags_told: bool = False


Answers: TypeAlias = tuple[Answer, ...]
"""One for each pair of a portion."""


@dataclass(frozen=True, slots=True)
class PortionSize:
    """What one portion holds at most. One pair is never parted, however large it is."""

    pairs: int = PORTION_PAIRS
    size_bytes: float = math.inf


class Comparer(Protocol):
    """Compares portions: here, or on other processes."""

    def portion_size(self, pairs: int, size_bytes: int) -> PortionSize:
        """Return how to cut so many pairs, of so many bytes on one side."""

    async def compare(
        self,
        portions: AsyncIterator[Portion],
        take: Callable[[Portion, Answers], Awaitable[None]],
        told: Callable[[int, int], None],
    ) -> None:
        """Compare all portions; ``take`` gets the answers of each one once.

        ``told`` hears how many pairs were compared and how many bytes were read so far. Raises ``MigrateError``.
        """


class ComparerHere:
    """Compares one portion after the other in this process."""

    def __init__(self, store: S3Client) -> None:
        self._store = store

    def portion_size(self, pairs: int, size_bytes: int) -> PortionSize:  # noqa: ARG002 - of the protocol
        """Return the usual number of pairs: nothing is redone, so that bytes do not matter."""
        return PortionSize()

    async def compare(
        self,
        portions: AsyncIterator[Portion],
        take: Callable[[Portion, Answers], Awaitable[None]],
        told: Callable[[int, int], None],
    ) -> None:
        """Compare all portions; see ``Comparer``."""
        counted = Counted(told)
        async for portion in portions:
            await take(portion, await compare_portion(self._store, portion, counted.add))


class Counted:
    """Adds up pairs and bytes, and tells how many it were so far."""

    def __init__(self, told: Callable[[int, int], None]) -> None:
        self.pairs, self.bytes_read = 0, 0
        self._told = told

    def add(self, pairs: int, bytes_read: int) -> None:
        """Count some more."""
        self.pairs, self.bytes_read = self.pairs + pairs, self.bytes_read + bytes_read
        self._told(self.pairs, self.bytes_read)


def cut(pairs: Iterable[Pair], size: PortionSize) -> Iterator[Portion]:
    """Cut pairs into portions, in their order."""
    portion: list[Pair] = []
    size_bytes = 0
    for pair in pairs:
        if portion and (len(portion) == size.pairs or size_bytes + pair.size_bytes > size.size_bytes):
            yield tuple(portion)
            portion, size_bytes = [], 0
        portion.append(pair)
        size_bytes += pair.size_bytes
    if portion:
        yield tuple(portion)


async def compare_portion(store: S3Client, portion: Portion, add: Callable[[int, int], None]) -> Answers:
    """Read both objects of each pair, some side by side; ``add`` hears of each pair, and of each piece's bytes.

    Raises ``S3Error``.
    """
    free = asyncio.Semaphore(STREAMS)

    async def compare(pair: Pair) -> Answer:
        async with free:
            answer = await _answer(store, pair, add)
        add(1, 0)
        return answer

    return tuple(await all_of([compare(pair) for pair in portion]))


async def _answer(store: S3Client, pair: Pair, add: Callable[[int, int], None]) -> Answer:
    """Compare the bytes and, where they are the same, what HEADs say of the two."""
    try:
        legacy = await _digest(store, pair.legacy, pair.size_bytes, pair.legacy_etag, add)
        production = await _digest(store, pair.production, pair.size_bytes, pair.production_etag, add)
        if legacy is None or production is None:
            return Answer(None)
        if legacy != production:
            return Answer(same=False)
        heads = await store.head(pair.legacy), await store.head(pair.production)
        other = await differing_headers(store, pair.legacy, heads[0], pair.production, heads[1])
        return Answer(same=True, detail=other, tags_told=tells_tags(*heads))
    except ObjectMissing:
        return Answer(None)
    except S3Error as error:
        if not isinstance(error, PreconditionFailed) and error.code not in NOT_RESTORED:
            raise
        return Answer(None, str(error))


async def _digest(
    store: S3Client, location: Location, size_bytes: int, etag: str, add: Callable[[int, int], None]
) -> bytes | None:
    """Return the hash of an object's bytes; None where it was changed since it was listed, or while it was read.

    A 412 may also mean that the store lists another ETag than it reads by (OpenStack Swift, for large objects), or that
    something on the way takes no condition: then looks before and after the reading tell whether it was one object.
    """
    try:
        return await _read(store, location, size_bytes, etag, add)
    except PreconditionFailed:
        before = await store.head(location)
    if before.size_bytes != size_bytes:
        return None
    digest = await _read(store, location, size_bytes, "", add)
    return digest if _state(await store.head(location)) == _state(before) else None


async def _read(
    store: S3Client, location: Location, size_bytes: int, etag: str, add: Callable[[int, int], None]
) -> bytes:
    hashed = sha256()
    for first in range(0, size_bytes, PIECE_BYTES):
        last = min(first + PIECE_BYTES, size_bytes) - 1
        hashed.update(await store.get(location, first, last, if_match=etag))
        add(0, last - first + 1)
    return hashed.digest()


def _state(info: ObjectInfo) -> tuple[int, str, str]:
    return info.size_bytes, info.etag, info.headers.get("last-modified", "")
