"""Brings an object from one store into another, through this machine's memory and no file.

A small object is read whole and put whole; a large one is sent in parts, several at once, each read and sent by itself.
All that is in memory at once is within one budget. What was read is proved by what legacy's store tells of it (see
``proof``). What was stored is proved by the checksum that goes with it, and by the ETag or the checksum of the reply.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sketchmigrate.core.errors import NotBegun, ObjectExists, PreconditionFailed, S3Error, StoredDamaged
from sketchmigrate.s3.etags import digests_of, is_md5, parts_of
from sketchmigrate.s3.multipart import abort_quietly
from sketchmigrate.s3.proof import NONE_YET, Damaged, Proving, Readings
from sketchmigrate.s3.properties import Properties
from sketchmigrate.s3.streamed_parts import (
    ATTEMPTS,
    DAMAGED_CODES,
    MIB,
    Anew,
    SentParts,
    in_thread,
    not_as_sent,
    part_bytes_for,
)
from sketchmigrate.s3.streamed_uploads import BegunFor, open_upload
from sketchmigrate.s3.wire.conditions import for_completing, if_target_is, only_if_absent
from sketchmigrate.s3.wire.messages import CopyResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.s3.client import S3Client
    from sketchmigrate.s3.etags import Digests
    from sketchmigrate.s3.memory import MemoryBudget
    from sketchmigrate.s3.streamed_uploads import UploadRecord
    from sketchmigrate.s3.wire.conditions import Condition

logger = logging.getLogger(__name__)
T = TypeVar("T")

FIRST_BYTES = 256 * 2**10
"""Read with the first request, which tells the size: most avatars have no more."""

WHOLE_BYTES = 16 * MIB
"""Up to this size an object is put whole, so that its ETag is that of its bytes, as in legacy."""

ALWAYS_IN_PARTS = -1
"""As the size of those that are put whole: for a store that honours a condition on the completion of parts alone."""

LARGE_AT_ONCE = 4
"""Objects in parts that are under way: a stop waits for these, and the others are not begun."""

_PRECONDITION_FAILED = 412


class _Errand(NamedTuple):
    """What is to be brought where; ``earlier`` are readings that could not be believed yet."""

    source: Location
    target: Location
    conditions: tuple[Condition, ...]
    earlier: Readings = NONE_YET


@dataclass(slots=True)
class Streamer:
    """Copies between two stores, as ``S3Client.copy`` does within one. For any number of concurrent callers.

    ``whole_bytes`` is the size up to which objects are put whole. ``uploads`` keeps those in parts on record. Where it
    ``is_stopping``, what waits for its turn is not begun. ``properties`` are what objects have besides their bytes.
    """

    legacy: S3Client
    production: S3Client
    memory: MemoryBudget
    whole_bytes: int = WHOLE_BYTES
    uploads: UploadRecord | None = None
    is_stopping: Callable[[], bool] = lambda: False
    etags_are_md5: bool = True  # of production, until it is seen that they are not
    properties: Properties = field(init=False)
    _large: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LARGE_AT_ONCE))
    _proving: Proving = field(init=False)

    def __post_init__(self) -> None:
        """Learn of both stores what they tell and know, from the first object on."""
        self._proving = Proving(self.legacy)
        self.properties = Properties(self.legacy, self.production)

    async def copy(self, source: Location, target: Location, *conditions: Condition) -> CopyResult:
        """Bring one object, with all that is to be kept of it.

        Raises ``ObjectMissing`` for a source that is missing, ``ObjectExists`` and ``PreconditionFailed`` of the
        target, and other kinds of ``S3Error``.
        """
        errand = _Errand(source, target, conditions)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._copy(errand)
            except Damaged as damaged:
                if attempt == ATTEMPTS:
                    text = f"{source}: what is read has not the ETag or checksum that the store tells"
                    text += f", at {ATTEMPTS} attempts"
                    raise S3Error(text, hint="Is a proxy in between that changes bodies?") from damaged
                logger.debug("%s was read with the ETag %s: it is read again", source, damaged.readings.etag)
                # the same again and again is what the object has, whatever its ETag is made of
                errand = errand._replace(earlier=damaged.readings)
            except Anew as anew:
                if attempt == ATTEMPTS:
                    raise anew.error from anew.__cause__
        raise AssertionError  # the last attempt returns or raises

    async def _copy(self, errand: _Errand) -> CopyResult:
        await self.memory.take(FIRST_BYTES)
        with self.memory.held(FIRST_BYTES) as held:
            self._see_going_on(errand)
            info, body = await self.legacy.read_beginning(errand.source, FIRST_BYTES)
            if self.puts_whole(info) and (len(body) == info.size_bytes or held.try_to_grow(info.size_bytes)):
                held.shrink(info.size_bytes)
                return await self._whole(errand, info, body)
        del body
        if not self.puts_whole(info):
            async with self._large:
                self._see_going_on(errand)
                return await self._in_parts(errand, info)
        await self.memory.take(info.size_bytes)
        with self.memory.held(info.size_bytes):
            self._see_going_on(errand)
            return await self._whole(errand, info, b"")

    def _see_going_on(self, errand: _Errand) -> None:
        """Raise ``NotBegun`` where a stop was requested while it waited for its turn."""
        if self.is_stopping():
            raise NotBegun(f"{errand.source} was not begun")

    def puts_whole(self, info: ObjectInfo) -> bool:
        """Whether an object is put whole, and not sent in parts."""
        most_bytes = min(self.whole_bytes, self.memory.limit_bytes)
        if parts_of(info.etag) and info.size_bytes > FIRST_BYTES:
            return False  # parts like those of legacy have the same ETag
        return info.size_bytes <= most_bytes

    # -- whole objects

    async def _whole(self, errand: _Errand, info: ObjectInfo, beginning: bytes) -> CopyResult:
        body = beginning
        if len(body) < info.size_bytes:
            body += await self.read(errand.source, info, len(body), info.size_bytes - 1)
        digests = await in_thread(len(body), digests_of, body)
        read_checksum = ""
        if digests.md5 == info.etag:  # as of nearly every object
            self._proving.etags_tell = True
        else:
            read_checksum = await self._prove(errand, info, body)
        kept, target = await self.properties.of(errand.source, info), errand.target
        etag = await self.properties.store(target, kept, lambda headers: self._put(errand, body, digests, headers))
        await self.properties.see(target, kept)
        return CopyResult(etag, info.size_bytes, read_checksum=read_checksum)

    async def _prove(self, errand: _Errand, info: ObjectInfo, body: bytes) -> str:
        """See that what was read is what legacy has; return its checksum where nothing tells. Raises ``Damaged``."""
        expected = await self._proving.expected(errand.source, info)
        read = expected.hashing()
        await in_thread(len(body), read.update, body)
        return self._proving.prove(expected, read.reading(), errand.earlier)

    async def read(self, source: Location, info: ObjectInfo, first: int, last: int) -> bytes:
        """Read a range of the object that was seen. Raises ``Anew`` where there is another one by now."""
        try:
            return await self.legacy.get(source, first, last, if_match=info.etag)
        except PreconditionFailed as error:
            text = f"{source} was replaced while it was read"
            raise Anew(PreconditionFailed(text, hint="Run the command again.")) from error

    async def _put(self, errand: _Errand, body: bytes, digests: Digests, headers: dict[str, str]) -> str:
        """Put a body, and see that it is what the store has; return its ETag."""
        target, conditions = errand.target, errand.conditions
        for attempt in range(1, ATTEMPTS + 1):
            try:
                etag = await self.production.put(target, body, headers, *conditions, digests=digests)
            except StoredDamaged as damaged:
                conditions = (if_target_is(damaged.etag),)
                continue
            except S3Error as error:
                if error.code not in DAMAGED_CODES or attempt == ATTEMPTS:
                    raise
                continue  # damaged on the way, and not stored
            if not self.differs(etag, digests) or await self._holds(target, body, etag):
                return etag
            conditions = (if_target_is(etag),)  # it is stored, and damaged: it is ours to replace
        raise not_as_sent(target)

    def differs(self, etag: str, digests: Digests) -> bool:
        """Whether the ETag of what was stored tells that it is not what was sent."""
        if not is_md5(etag):
            self.production.compare_checksums()
            return False
        return self.etags_are_md5 and etag.lower() != digests.md5

    def etags_tell_nothing(self) -> None:
        """Take note that production's ETags are made of something else than the bytes: its checksums are compared."""
        self.etags_are_md5 = False
        self.production.compare_checksums()

    async def _holds(self, target: Location, body: bytes, etag: str) -> bool:
        """Whether an object has these bytes, though its ETag is another: then no ETag of this store tells."""
        held = await self.production.get(target, 0, max(0, len(body) - 1), if_match=etag) if body else b""
        if held == body:
            self.etags_tell_nothing()
            return True
        return False

    # -- objects in parts

    async def _in_parts(self, errand: _Errand, info: ObjectInfo) -> CopyResult:
        source, target, conditions, earlier = errand
        expected = await self._proving.expected(source, info)
        part_bytes = part_bytes_for(info.size_bytes, expected.part_bytes, self.memory.limit_bytes, source)
        if only_if_absent(conditions) and await self.production.find(target):
            raise ObjectExists(f"{target} exists already", status=_PRECONDITION_FAILED)
        begun_for = partial(BegunFor, info.etag, part_bytes)
        kept = await self.properties.of(source, info)
        opened = await self.properties.store(
            target, kept, lambda headers: open_upload(self.production, target, headers, begun_for, self.uploads)
        )
        upload = opened.upload
        try:
            sending = SentParts(self, source, info, opened, expected)
            reading = await sending.send_all()
            read_checksum = self._proving.prove(expected, reading, earlier)
            etag = await upload.complete(sending.etags, *for_completing(conditions))
        except BaseException:
            if await abort_quietly(upload) and self.uploads is not None:
                await self.uploads.ended(upload)
            raise
        if self.uploads is not None:
            await self.uploads.ended(upload)
        shown = await self._as_told(target, etag, reading.etag)
        await self.properties.see_with_tags(target, kept, shown)
        return CopyResult(shown, info.size_bytes, in_parts=True, read_checksum=read_checksum)

    async def _as_told(self, target: Location, etag: str, digest: str) -> str:
        """Return the ETag of an object that was just made of parts, as a look shows it; empty where that is not known.

        A store may tell another one when it makes the object (rclone's server, whose looks show the MD5 of the whole).
        """
        seen = await self.production.find(target)
        if seen is None or seen.etag == etag:
            return etag
        return seen.etag if seen.etag.lower() == digest else ""  # or somebody else has stored another one by now
