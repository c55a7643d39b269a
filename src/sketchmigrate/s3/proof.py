"""Proves that the bytes which were read are the object's: by its ETag, or by a checksum that its store tells.

Most ETags are made of the bytes (``etags``). Where one is not, or is made of parts whose size is not known, the store
is asked for a checksum: with a HEAD, as the reply to a range has none. Where nothing compares TLS guards the way;
without it, two readings have to agree.

A store may also make ETags that look like an MD5 of something else. As long as that is not known of it, an ETag that
contradicts what was read is more likely to be right: then more readings have to agree, since two may be damaged alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.errors import S3Error
from sketchmigrate.s3.checksums import Checksum, ChecksumHash, told_checksum
from sketchmigrate.s3.etags import EtagHash, is_of_bytes, parts_of

if TYPE_CHECKING:
    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.s3.client import S3Client

CHECKSUM_QUESTIONS = 20
"""Of so many objects whose ETag tells nothing the checksum is asked for, to see whether the store tells any."""


READINGS = 2
"""So many have to agree where nothing tells what they should be."""

READINGS_AGAINST = 4
"""So many where an ETag or a checksum says otherwise, until so many objects were believed:"""

BELIEVED_OBJECTS = 20


class Readings(NamedTuple):
    """So many readings in a row came to this ETag."""

    etag: str = ""
    times: int = 0

    def and_then(self, etag: str) -> Readings:
        """Return them with one more."""
        return Readings(etag, self.times + 1 if etag == self.etag else 1)


NONE_YET = Readings()


class Damaged(Exception):
    """What was read is not what legacy's store tells of its object; ``readings`` are what came to the same by now."""

    def __init__(self, readings: Readings) -> None:
        super().__init__(readings)
        self.readings = readings


class Reading(NamedTuple):
    """What the bytes that were read come to: the ETag that they should have and, where one is told, their checksum."""

    etag: str
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a store tells of an object's bytes. ``part_bytes`` is how large the parts are of which its ETag is made.

    It is 0 where it is made of no parts. ``is_comparable``: it is made of the bytes, as far as can be known. Where it
    is not, there may be a ``checksum``.
    """

    etag: str
    part_bytes: int = 0
    is_comparable: bool = True
    checksum: Checksum | None = None

    def hashing(self) -> ReadHash:
        """Return what takes the bytes in their order, and tells what they come to."""
        return ReadHash(EtagHash(self.part_bytes), ChecksumHash(self.checksum.header) if self.checksum else None)


class ReadHash:
    """Takes an object's bytes piece after piece."""

    def __init__(self, etag: EtagHash, checksum: ChecksumHash | None) -> None:
        self._etag, self._checksum = etag, checksum

    def update(self, piece: bytes) -> None:
        """Take the next bytes."""
        self._etag.update(piece)
        if self._checksum:
            self._checksum.update(piece)

    def reading(self) -> Reading:
        """Return what all that came comes to. Nothing may come after it."""
        return Reading(self._etag.etag(), self._checksum.value() if self._checksum else "")


class Proving:
    """Proves what is read of one store, and learns what that tells."""

    def __init__(self, store: S3Client) -> None:
        self._store = store
        self.etags_tell = False  # one was seen to be that of the bytes
        self._checksums_tell = False  # so was one of these
        self._questions = CHECKSUM_QUESTIONS
        self._believed = 0  # objects whose readings agreed against what is told of them

    async def expected(self, source: Location, info: ObjectInfo) -> Expected:
        """Return what is known of the bytes of an object that was seen. Raises ``S3Error``."""
        if is_of_bytes(info):
            parts = parts_of(info.etag)
            part_bytes = await self._part_bytes(source, info, parts) if parts else 0
            if part_bytes or not parts:
                return Expected(info.etag, part_bytes)
        return Expected(info.etag, is_comparable=False, checksum=await self._told(source, info))

    async def _part_bytes(self, source: Location, info: ObjectInfo, parts: int) -> int:
        """Return the size of the parts that an object was made of, by its first one; 0 where it is not known."""
        if parts == 1:
            return max(1, info.size_bytes)
        try:
            first = await self._store.head(source, part_number=1)
        except S3Error as error:
            if not error.is_unsupported:
                raise
            return 0
        fits = first.size_bytes and -(-info.size_bytes // first.size_bytes) == parts
        return first.size_bytes if first.etag == info.etag and fits else 0

    async def _told(self, source: Location, info: ObjectInfo) -> Checksum | None:
        if not self._questions:
            return None
        try:
            seen = await self._store.head(source, checksums=True)
        except S3Error as error:
            if not error.is_unsupported:
                raise
            self._questions = 0
            return None
        told = told_checksum(seen.headers) if seen.etag == info.etag else None
        self._questions = CHECKSUM_QUESTIONS if told else self._questions - 1
        return told

    def prove(self, expected: Expected, reading: Reading, earlier: Readings = NONE_YET) -> str:
        """Return nothing where a reading is proved; what is to be kept of it where nothing tells what it should be.

        Some that agree with ``earlier`` ones count as well where no ETag or checksum of this store was ever that of the
        bytes: where one was, all were damaged alike. Raises ``Damaged``.
        """
        if reading.etag == expected.etag.lower():
            self.etags_tell = True
            return ""
        told = expected.checksum
        if told and reading.checksum == told.value:
            self._checksums_tell = True
            return ""
        can_tell = self.etags_tell if expected.is_comparable else told is not None and self._checksums_tell
        is_contradicted = expected.is_comparable or told is not None
        readings = earlier.and_then(reading.etag)
        if can_tell or readings.times < self._needed(is_contradicted=is_contradicted):
            raise Damaged(readings)
        self._believed += is_contradicted
        return reading.etag

    def _needed(self, *, is_contradicted: bool) -> int:
        """Return how many readings of an object have to agree."""
        if not is_contradicted:
            return 1 if self._store.is_encrypted else READINGS
        return READINGS_AGAINST if self._believed < BELIEVED_OBJECTS else READINGS
