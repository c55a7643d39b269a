"""Brings an object from one store into another, through this machine's memory and no file.

A small object is read whole and put whole; a large one is sent in parts, several at once, each read and sent by itself.
All that is in memory at once is within one budget. What was read is proved: by the legacy ETag where that is made of
the bytes, else, where nothing else guards the way (plain HTTP), by reading it twice. What was stored is proved by the
checksum that goes with it, and by the ETag of the reply.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from sketchmigrate.core.errors import NotBegun, ObjectExists, PreconditionFailed, S3Error
from sketchmigrate.s3.etags import EtagHash, digests_of, expected_etag, is_md5, is_of_bytes, parts_of
from sketchmigrate.s3.headers import TAG_COUNT, kept_headers, tags_of
from sketchmigrate.s3.multipart import MultipartUpload, abort_quietly
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
from sketchmigrate.s3.wire.conditions import for_completing, if_target_is, only_if_absent
from sketchmigrate.s3.wire.messages import CopyResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.s3.client import S3Client
    from sketchmigrate.s3.etags import Digests
    from sketchmigrate.s3.memory import MemoryBudget
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

TAG_QUESTIONS = 20
"""Of so many objects whose read tells no number of tags these are asked for, to see whether the store tells it."""

_PRECONDITION_FAILED, _NOT_IMPLEMENTED = 412, 501


class _Damaged(Exception):
    """What was read has another ETag than legacy's object; ``etag`` is that of what came."""

    def __init__(self, etag: str) -> None:
        super().__init__(etag)
        self.etag = etag


class UploadRecord(Protocol):
    """Keeps which uploads are under way, for whoever comes after a crash."""

    async def begun(self, upload: MultipartUpload, etag: str) -> None:
        """Take note of an upload of the object with this ETag, before its first part."""

    async def ended(self, upload: MultipartUpload) -> None:
        """Take note that it is an object by now, or aborted."""


class _Errand(NamedTuple):
    """What is to be brought where; ``proof`` is the ETag of an earlier reading that could not be believed yet."""

    source: Location
    target: Location
    conditions: tuple[Condition, ...]
    proof: str = ""


@dataclass(slots=True)
class Streamer:
    """Copies between two stores, as ``S3Client.copy`` does within one. For any number of concurrent callers.

    ``whole_bytes`` is the size up to which objects are put whole. ``asks_for_tags``: tags are asked for where a reply
    tells no number of them. ``uploads`` keeps those in parts on record. Where it ``is_stopping``, what waits for its
    turn is not begun.
    """

    legacy: S3Client
    production: S3Client
    memory: MemoryBudget
    whole_bytes: int = WHOLE_BYTES
    uploads: UploadRecord | None = None
    is_stopping: Callable[[], bool] = lambda: False
    asks_for_tags: bool = False
    etags_are_md5: bool = True  # of production, until it is seen that they are not
    legacy_etags_tell: bool = False  # one was seen to be that of the bytes
    takes_tags: bool = True  # production, until it is seen that it does not
    _tag_questions: int = TAG_QUESTIONS
    _large: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LARGE_AT_ONCE))

    async def copy(self, source: Location, target: Location, *conditions: Condition) -> CopyResult:
        """Bring one object, with its content headers, user metadata and tags.

        Raises ``ObjectMissing`` for a source that is missing, ``ObjectExists`` and ``PreconditionFailed`` of the
        target, and other kinds of ``S3Error``.
        """
        errand = _Errand(source, target, conditions)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._copy(errand)
            except _Damaged as damaged:
                if attempt == ATTEMPTS:
                    text = f"{source}: what is read has not the ETag that the store tells, at {ATTEMPTS} attempts"
                    raise S3Error(text, hint="Is a proxy in between that changes bodies?") from damaged
                logger.debug("%s was read with the ETag %s: it is read again", source, damaged.etag)
                # the same again is what the object has, whatever its ETag is made of
                errand = errand._replace(proof=damaged.etag)
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
        self._prove(info, expected_etag([digests.md5]) if parts_of(info.etag) == 1 else digests.md5, errand.proof)
        etag = await self._with_headers(errand, info, lambda headers: self._put(errand, body, digests, headers))
        return CopyResult(etag, 1, info.size_bytes)

    async def read(self, source: Location, info: ObjectInfo, first: int, last: int) -> bytes:
        """Read a range of the object that was seen. Raises ``Anew`` where there is another one by now."""
        try:
            return await self.legacy.get(source, first, last, if_match=info.etag)
        except PreconditionFailed as error:
            text = f"{source} was replaced while it was read"
            raise Anew(PreconditionFailed(text, hint="Run the command again.")) from error

    def _prove(self, info: ObjectInfo, digest: str, proof: str, *, is_comparable: bool = True) -> None:
        """Raise ``_Damaged`` unless what was read is what the store holds.

        ``digest`` is the ETag that it should have, ``proof`` that of an earlier reading. Where nothing compares, TLS
        guards the way; without it, two readings have to agree. They count as well where no ETag of this store was ever
        that of the bytes: where one was, two readings that agree were damaged alike.
        """
        is_comparable = is_comparable and is_of_bytes(info)
        if digest == info.etag.lower():
            self.legacy_etags_tell = True
        elif (is_comparable and self.legacy_etags_tell) or (
            digest != proof and (is_comparable or not self.legacy.is_encrypted)
        ):
            raise _Damaged(digest)

    async def _put(self, errand: _Errand, body: bytes, digests: Digests, headers: dict[str, str]) -> str:
        """Put a body, and see that it is what the store has; return its ETag."""
        target, conditions = errand.target, errand.conditions
        for attempt in range(1, ATTEMPTS + 1):
            try:
                etag = await self.production.put(target, body, headers, *conditions, digests=digests)
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
        return self.etags_are_md5 and is_md5(etag) and etag.lower() != digests.md5

    async def _holds(self, target: Location, body: bytes, etag: str) -> bool:
        """Whether an object has these bytes, though its ETag is another: then no ETag of this store tells."""
        held = await self.production.get(target, 0, max(0, len(body) - 1), if_match=etag) if body else b""
        if held == body:
            self.etags_are_md5 = False
            return True
        return False

    async def _tags(self, source: Location, info: ObjectInfo) -> list[tuple[str, str]]:
        """Return the tags of an object, where a read tells their number, or the store is seen to tell none of those.

        Nearly every store tells it. Whether this one does, the first objects show, which are asked.
        """
        if TAG_COUNT in info.headers:
            return await tags_of(self.legacy, source, info) if info.headers[TAG_COUNT] != "0" else []
        if self.asks_for_tags:
            return await tags_of(self.legacy, source, info)
        if self._tag_questions == 0:
            return []
        self._tag_questions -= 1
        try:
            tags = await self.legacy.retrying(0).tags(source)
        except S3Error as error:
            logger.debug("the tags of %s were not told: %s", source, error)
            self._tag_questions = 0  # it knows none, or this user may not read them
            return []
        self.asks_for_tags = bool(tags)
        return tags

    async def _with_headers(
        self, errand: _Errand, info: ObjectInfo, store: Callable[[dict[str, str]], Awaitable[T]]
    ) -> T:
        """Store something with all that an object has besides its bytes; without tags where production knows none."""
        tags = await self._tags(errand.source, info) if self.takes_tags else []
        try:
            return await store(kept_headers(info.headers, tags))
        except S3Error as error:
            if not tags or error.status != _NOT_IMPLEMENTED:
                raise
            logger.warning("production's store takes no tags (%s): the objects lose theirs", error.code or error.status)
            self.takes_tags = False
        return await store(kept_headers(info.headers, []))

    # -- objects in parts

    async def _in_parts(self, errand: _Errand, info: ObjectInfo) -> CopyResult:
        source, target, conditions, proof = errand
        legacy_part_bytes = await self._legacy_part_bytes(source, info)
        part_bytes = part_bytes_for(info.size_bytes, legacy_part_bytes, self.memory.limit_bytes, source)
        if only_if_absent(conditions) and await self.production.find(target):
            raise ObjectExists(f"{target} exists already", status=_PRECONDITION_FAILED)
        begin = partial(MultipartUpload.begin, self.production, target)
        upload = await self._with_headers(errand, info, begin)
        try:
            if self.uploads is not None:
                await self.uploads.begun(upload, info.etag)
            sending = SentParts(self, source, info, upload, EtagHash(legacy_part_bytes))
            digest = await sending.send_all(part_bytes)
            self._prove(info, digest, proof, is_comparable=bool(legacy_part_bytes) or not parts_of(info.etag))
            etag = await upload.complete(sending.etags, *for_completing(conditions))
        except BaseException:
            if await abort_quietly(upload) and self.uploads is not None:
                await self.uploads.ended(upload)
            raise
        if self.uploads is not None:
            await self.uploads.ended(upload)
        return CopyResult(await self._as_told(target, etag, digest), 1, info.size_bytes, in_parts=True)

    async def _as_told(self, target: Location, etag: str, digest: str) -> str:
        """Return the ETag of an object that was just made of parts, as a look shows it; empty where that is not known.

        A store may tell another one when it makes the object (rclone's server, whose looks show the MD5 of the whole).
        """
        seen = await self.production.find(target)
        if seen is None or seen.etag == etag:
            return etag
        return seen.etag if seen.etag.lower() == digest else ""  # or somebody else has stored another one by now

    async def _legacy_part_bytes(self, source: Location, info: ObjectInfo) -> int:
        """Return the size of the parts that legacy's object was made of, by its first one; 0 where it is not known."""
        parts = parts_of(info.etag)
        if parts <= 1:
            return info.size_bytes if parts else 0
        first = await self.legacy.head(source, part_number=1)
        fits = first.size_bytes and -(-info.size_bytes // first.size_bytes) == parts
        return first.size_bytes if first.etag == info.etag and fits else 0
