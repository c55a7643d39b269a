"""Compares the two objects of references, their bytes or what describes them, in portions that any process can take on.

A portion is pure data, and is only read: one that was lost is compared again elsewhere, and nothing has to be undone.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from sketchmigrate.core.errors import ObjectMissing, PreconditionFailed, S3Error
from sketchmigrate.inspect.looks import Refused
from sketchmigrate.migration.headers import differing_headers
from sketchmigrate.s3 import same_content, tells_tags
from sketchmigrate.task_group import all_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.inspect.looks import Looks
    from sketchmigrate.s3 import S3Client

STREAMS = 12
PIECE_BYTES = 4 * 2**20
"""Objects are hashed in pieces of this size, one for each stream at a time."""

READ_TIMES = 3
"""How often a pair is read that is changed while it is read, before it is called one that could not be."""

PORTION_PAIRS = 500


class Subject(StrEnum):
    """What of two objects is compared. ``METADATA`` are content headers, user metadata and tags: no object is read."""

    BYTES = "bytes"
    METADATA = "metadata"


class Pair(NamedTuple):
    """The two objects of a reference as they were listed, both of one size. ``slot`` is its place in the row."""

    key: str
    legacy: Location
    production: Location
    size_bytes: int
    legacy_etag: str
    production_etag: str
    source: int = 0
    slot: int = 0


Portion: TypeAlias = tuple[Pair, ...]

Seen: TypeAlias = tuple[int, str]


class Answer(NamedTuple):
    """What was seen of a pair. ``same``: of its bytes, as far as they are the subject; None where it was not compared.

    ``detail`` says in what else the two differ, or why they could not be read; it is empty where one of them is not
    there any more. ``legacy`` and ``production`` are size in bytes and ETag of what was looked at. ``tags_told``: one
    of the two told a number of tags; where metadata is the subject, the tags of both were compared.
    """

    same: bool | None
    detail: str = ""
    tags_told: bool = False
    legacy: Seen = (0, "")
    production: Seen = (0, "")


Answers: TypeAlias = tuple[Answer, ...]
"""One for each pair of a portion."""


@dataclass(frozen=True, slots=True)
class PortionSize:
    """What one portion holds at most. One pair is never parted, however large it is."""

    pairs: int = PORTION_PAIRS
    size_bytes: float = math.inf


class Comparer(Protocol):
    """Compares portions: here, or on other processes. One comparison after the other, each of one subject."""

    def portion_size(self, pairs: int, size_bytes: int) -> PortionSize:
        """Return how to cut so many pairs, of so many bytes on one side."""

    async def compare(
        self,
        portions: AsyncIterator[Portion],
        take: Callable[[Portion, Answers], Awaitable[None]],
        told: Callable[[int, int], None],
        subject: Subject = Subject.BYTES,
    ) -> None:
        """Compare all portions; ``take`` gets the answers of each one once.

        ``told`` hears how many pairs were compared and how many bytes were read so far. Raises ``MigrateError``.
        """


class ComparerHere:
    """Compares one portion after the other in this process."""

    def __init__(self, looks: Looks) -> None:
        self._looks = looks

    def portion_size(self, pairs: int, size_bytes: int) -> PortionSize:  # noqa: ARG002 - of the protocol
        """Return the usual number of pairs: nothing is redone, so that bytes do not matter."""
        return PortionSize()

    async def compare(
        self,
        portions: AsyncIterator[Portion],
        take: Callable[[Portion, Answers], Awaitable[None]],
        told: Callable[[int, int], None],
        subject: Subject = Subject.BYTES,
    ) -> None:
        """Compare all portions; see ``Comparer``."""
        counted = Counted(told)
        async for portion in portions:
            await take(portion, await compare_portion(self._looks, portion, counted.add, subject))


class Counted:
    """Adds up pairs and bytes, and tells how many it were so far."""

    def __init__(self, told: Callable[[int, int], None]) -> None:
        self.pairs, self.bytes_read = 0, 0
        self._told = told

    def add(self, pairs: int, bytes_read: int) -> None:
        """Count some more."""
        self.pairs, self.bytes_read = self.pairs + pairs, self.bytes_read + bytes_read
        self._told(self.pairs, self.bytes_read)


def cut_portions(pairs: Iterable[Pair], size: PortionSize) -> Iterator[Portion]:
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


async def compare_portion(
    looks: Looks, portion: Portion, add: Callable[[int, int], None], subject: Subject = Subject.BYTES
) -> Answers:
    """Compare both objects of each pair, some side by side; ``add`` hears of each pair, and of each piece's bytes.

    Raises ``S3Error`` where the store as a whole cannot be used.
    """
    # looks hold nothing in memory, and the store's own limit is theirs
    free = asyncio.Semaphore(STREAMS if subject is Subject.BYTES else PORTION_PAIRS)

    async def compare(pair: Pair) -> Answer:
        async with free:
            answer = await _answer(looks, pair, add, subject)
        add(1, 0)
        return answer

    return tuple(await all_of([compare(pair) for pair in portion]))


async def _answer(looks: Looks, pair: Pair, add: Callable[[int, int], None], subject: Subject) -> Answer:
    """Compare a pair as it is now, whatever was listed: what is refused, or never stays the same, was not read."""
    for _ in range(READ_TIMES):
        began_at = time.monotonic()
        seen = await _look_at_both(looks, pair)
        if isinstance(seen, Answer):
            return seen
        try:
            if subject is Subject.METADATA:
                answer = await _described(looks, pair, *seen)
            else:
                answer = await _compared(looks, pair, *seen, add)
        except ObjectMissing:
            answer = None  # gone since the look, or the store contradicts itself: looked at once more
        except S3Error as error:
            return Answer(None, (await looks.refused(error, began_at)).words)
        if answer is not None:
            return answer
    return Answer(None, f"it was another object after each of the {READ_TIMES} times that it was read")


async def _look_at_both(looks: Looks, pair: Pair) -> tuple[ObjectInfo, ObjectInfo] | Answer:
    """Return what HEADs tell of both objects, or the answer where one of them is gone or refused."""
    legacy, production = await looks.legacy(pair.legacy), await looks.production(pair.production)
    if legacy is None or production is None:
        return Answer(None)
    if isinstance(legacy, Refused):
        return Answer(None, legacy.words)
    if isinstance(production, Refused):
        return Answer(None, production.words)
    return legacy, production


async def _compared(
    looks: Looks, pair: Pair, legacy: ObjectInfo, production: ObjectInfo, add: Callable[[int, int], None]
) -> Answer | None:
    """Compare the bytes of two objects as HEADs showed them and, where they are the same, what the HEADs say besides.

    Return None where one was changed meanwhile. Raises ``S3Error``.
    """
    sides = looks.sides
    seen = (legacy.size_bytes, legacy.etag), (production.size_bytes, production.etag)
    if legacy.size_bytes != production.size_bytes:
        return Answer(same=False, legacy=seen[0], production=seen[1])
    ours = await _digest(sides.legacy.store, pair.legacy, legacy, add)
    theirs = None if ours is None else await _digest(sides.production.store, pair.production, production, add)
    if ours is None or theirs is None:
        return None
    if ours != theirs:
        return Answer(same=False, legacy=seen[0], production=seen[1])
    other = await differing_headers(sides, pair.legacy, legacy, pair.production, production)
    return Answer(True, other, tells_tags(legacy, production), *seen)  # noqa: FBT003 - the fields in their order


async def _described(looks: Looks, pair: Pair, legacy: ObjectInfo, production: ObjectInfo) -> Answer | None:
    """Compare what describes two objects; of those whose HEADs prove other bytes it does not matter."""
    seen = (legacy.size_bytes, legacy.etag), (production.size_bytes, production.etag)
    if same_content(legacy, production) is False:
        return Answer(False, "", False, *seen)  # noqa: FBT003 - the fields in their order
    differing, with_tags = await looks.metadata.compare(pair.legacy, legacy, pair.production, production)
    return Answer(True, differing, with_tags, *seen)  # noqa: FBT003 - as above


async def _digest(
    store: S3Client, location: Location, seen: ObjectInfo, add: Callable[[int, int], None]
) -> bytes | None:
    """Return the hash of the bytes of the object that a HEAD showed; None where it was changed since.

    It is read by the ETag of the HEAD: a listing may show another one (OpenStack Swift, for large objects). A 412 may
    also mean that something on the way takes no condition: then a look after the reading tells whether it was that one.
    """
    if seen.etag:
        with suppress(PreconditionFailed):
            return await _read(store, location, seen.size_bytes, seen.etag, add)
    digest = await _read(store, location, seen.size_bytes, "", add)
    return digest if _state(await store.head(location)) == _state(seen) else None


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
