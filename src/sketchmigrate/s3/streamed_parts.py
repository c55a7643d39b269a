"""The parts of an object on their way from one store into another: each is read and sent by itself, several at once."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sketchmigrate.core.errors import MigrateError, S3Error, StoredDamaged
from sketchmigrate.s3.dialect import SMALLEST_PART_BYTES
from sketchmigrate.s3.etags import digests_of, expected_etag, is_md5
from sketchmigrate.s3.multipart import MAX_PARTS, NO_UPLOAD
from sketchmigrate.s3.proof import Reading
from sketchmigrate.task_group import task_group

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.s3.etags import Digests
    from sketchmigrate.s3.proof import Expected
    from sketchmigrate.s3.streamed_uploads import OpenedUpload
    from sketchmigrate.s3.streaming import Streamer

T = TypeVar("T")

MIB = 2**20

USUAL_PART_BYTES = 16 * MIB

PARTS_AT_ONCE = 8
"""Of one object: it must not take all connections from the many small ones."""

ATTEMPTS = 5
"""So often an object is read or sent anew that was replaced meanwhile, or came damaged."""

IN_THREAD_BYTES = MIB
"""Checksums of more bytes are made in a thread: the event loop serves hundreds of others."""

DAMAGED_CODES = frozenset({"BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "InvalidDigest"})


class Anew(Exception):
    """It has to be begun anew; ``error`` is what to say if that helps nothing."""

    def __init__(self, error: S3Error) -> None:
        super().__init__(error)
        self.error = error


class _Part(NamedTuple):
    """A range of the object's bytes, the last one included. Parts are numbered from 1."""

    number: int
    first: int
    last: int

    @property
    def size_bytes(self) -> int:
        """How many bytes it has."""
        return self.last - self.first + 1


class SentParts:
    """The parts of one object on their way; those that an upload has already are kept where they are proved.

    Where legacy's object was made of such parts, each has a checksum of its own, and these make the whole's. Else that
    is made of all bytes in their order, part after part as each has come.
    """

    def __init__(
        self,
        streamer: Streamer,
        source: Location,
        info: ObjectInfo,
        opened: OpenedUpload,
        expected: Expected,
    ) -> None:
        self._streamer, self._source, self._info = streamer, source, info
        self._upload, part_bytes, self._there = opened
        self._whole = expected.hashing()
        self._is_cut_alike = expected.part_bytes == part_bytes
        firsts = range(0, info.size_bytes, part_bytes) or (0,)  # nothing is one part, too
        parts = [
            _Part(number, first, min(first + part_bytes, info.size_bytes) - 1)
            for number, first in enumerate(firsts, start=1)
        ]
        self._to_bring = deque(part for part in parts if not self._is_proved_unread(part))
        self._hashed = [asyncio.Event() for _ in parts]
        self._md5s = [self._there[part.number].etag if part.number in self._there else "" for part in parts]
        self.etags = list(self._md5s)

    def _is_proved_unread(self, part: _Part) -> bool:
        """Whether a part that is there need not be read: if it is not legacy's, the whole will not have its ETag."""
        there = self._there.get(part.number)
        if there is None or not self._is_cut_alike or not self._streamer.etags_are_md5:
            return False
        return there.size_bytes == part.size_bytes and is_md5(there.etag)

    async def send_all(self) -> Reading:
        """Send all parts that are not there; return what the bytes of all come to."""
        workers = min(PARTS_AT_ONCE, len(self._to_bring))
        async with task_group(MigrateError, Anew) as group:
            for _ in range(workers):
                group.create_task(self._work())
        return Reading(expected_etag(self._md5s)) if self._is_cut_alike else self._whole.reading()

    async def _work(self) -> None:
        memory = self._streamer.memory
        while self._to_bring:
            part = self._to_bring.popleft()
            await memory.take(part.size_bytes)  # in the order of the parts: none waits for one that has to wait
            with memory.held(part.size_bytes):
                await self._bring(part)

    async def _bring(self, part: _Part) -> None:
        streamer, index = self._streamer, part.number - 1
        body = b""
        if part.size_bytes:
            body = await streamer.read(self._source, self._info, part.first, part.last)
        if not self._is_cut_alike:
            if index:
                await self._hashed[index - 1].wait()
            await in_thread(len(body), self._whole.update, body)
            self._hashed[index].set()
        digests = await in_thread(len(body), digests_of, body)
        self._md5s[index] = digests.md5
        there = self._there.get(part.number)
        if there is None or (there.size_bytes, there.etag.lower()) != (len(body), digests.md5):
            self.etags[index] = await self._send(part.number, body, digests)

    async def _send(self, part_number: int, body: bytes, digests: Digests) -> str:
        streamer, before = self._streamer, ""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                etag = await self._upload.send_part(part_number, body, digests)
            except StoredDamaged:
                continue  # it is there, and damaged: what comes next takes its place
            except S3Error as error:
                if error.code == NO_UPLOAD:  # what failed before has ended it, or somebody else has
                    raise Anew(error) from error
                if error.code not in DAMAGED_CODES or attempt == ATTEMPTS:
                    raise
                continue
            if not streamer.differs(etag, digests):
                return etag
            if etag == before:  # twice the same: it is made of something else than the bytes
                streamer.etags_tell_nothing()
                return etag
            before = etag
        raise not_as_sent(f"part {part_number} of {self._upload.target}")


def not_as_sent(what: object) -> S3Error:
    """Return what to raise where a store holds something else than it was sent, each time."""
    text = f"{what}: what is stored there is not what was sent"
    return S3Error(text, hint="Is a proxy in between that changes bodies?")


def part_bytes_for(size_bytes: int, legacy_part_bytes: int, memory_bytes: int, what: object) -> int:
    """Return how large parts are: as legacy's, where one fits into memory, else as few as are well at once.

    Raises ``S3Error`` where so few as may be (10 000) would not fit into memory, naming what would.
    """
    least_bytes = max(SMALLEST_PART_BYTES, -(-size_bytes // MAX_PARTS))
    is_allowed = (
        legacy_part_bytes >= min(SMALLEST_PART_BYTES, size_bytes) and legacy_part_bytes * MAX_PARTS >= size_bytes
    )
    if 0 < legacy_part_bytes <= memory_bytes and is_allowed:
        return legacy_part_bytes
    if least_bytes > memory_bytes:
        text = (
            f"{what} has {size_bytes:,} bytes: of {MAX_PARTS:,} parts each has {least_bytes:,}, too many for the memory"
        )
        raise S3Error(text, hint=f"Set STREAM_MEMORY to {-(-least_bytes // 10**6)}M or more.")
    return max(least_bytes, min(USUAL_PART_BYTES, memory_bytes))


async def in_thread(size_bytes: int, act: Callable[[bytes], T], body: bytes) -> T:
    """Do something with a body, in a thread where it is large."""
    return await asyncio.to_thread(act, body) if size_bytes > IN_THREAD_BYTES else act(body)
