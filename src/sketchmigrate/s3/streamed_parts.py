"""The parts of an object on their way from one store into another: each is read and sent by itself, several at once."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from sketchmigrate.core.errors import MigrateError, S3Error
from sketchmigrate.s3.dialect import SMALLEST_PART_BYTES
from sketchmigrate.s3.etags import digests_of
from sketchmigrate.s3.multipart import MAX_PARTS, NO_UPLOAD
from sketchmigrate.task_group import task_group

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.s3.etags import Digests, EtagHash
    from sketchmigrate.s3.multipart import MultipartUpload
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


class SentParts:
    """The parts of one object on their way. Their checksum is made in their order, as each has come."""

    def __init__(
        self, streamer: Streamer, source: Location, info: ObjectInfo, upload: MultipartUpload, whole: EtagHash
    ) -> None:
        self._streamer, self._source, self._info, self._upload, self._whole = streamer, source, info, upload, whole
        self._ranges: deque[tuple[int, int, int]] = deque()
        self._hashed: list[asyncio.Event] = []
        self.etags: list[str] = []

    async def send_all(self, part_bytes: int) -> str:
        """Send all parts; return the ETag that the whole should have in legacy."""
        firsts = range(0, self._info.size_bytes, part_bytes)
        if not firsts:
            self.etags = [await self._send(1, b"", digests_of(b""))]
            return self._whole.etag()
        self._ranges.extend(
            (number, first, min(first + part_bytes, self._info.size_bytes) - 1) for number, first in enumerate(firsts)
        )
        self.etags = [""] * len(firsts)
        self._hashed = [asyncio.Event() for _ in firsts]
        async with task_group(MigrateError, Anew) as group:
            for _ in range(min(PARTS_AT_ONCE, len(firsts))):
                group.create_task(self._work())
        return self._whole.etag()

    async def _work(self) -> None:
        memory = self._streamer.memory
        while self._ranges:
            number, first, last = self._ranges.popleft()
            await memory.take(last - first + 1)  # in the order of the parts: none waits for one that has to wait
            with memory.held(last - first + 1):
                await self._bring(number, first, last)

    async def _bring(self, number: int, first: int, last: int) -> None:
        body = await self._streamer.read(self._source, self._info, first, last)
        if number:
            await self._hashed[number - 1].wait()
        await in_thread(len(body), self._whole.update, body)
        self._hashed[number].set()
        self.etags[number] = await self._send(number + 1, body, await in_thread(len(body), digests_of, body))

    async def _send(self, part_number: int, body: bytes, digests: Digests) -> str:
        streamer, before = self._streamer, ""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                etag = await self._upload.send_part(part_number, body, digests)
            except S3Error as error:
                if error.code == NO_UPLOAD:  # what failed before has ended it, or somebody else has
                    raise Anew(error) from error
                if error.code not in DAMAGED_CODES or attempt == ATTEMPTS:
                    raise
                continue
            if not streamer.differs(etag, digests):
                return etag
            if etag == before:  # twice the same: it is made of something else than the bytes
                streamer.etags_are_md5 = False
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
