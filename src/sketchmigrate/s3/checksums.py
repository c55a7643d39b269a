"""Checksums that a store tells of an object besides its ETag, as far as Python makes them. Pure.

They are in base64, and of the object's bytes as a whole; one of the parts' checksums (``…-7``) is another thing (S3
User Guide, "Checking object integrity in Amazon S3"). CRC-64/NVME and CRC-32C would take a library: see
docs/architecture.md, "Decisions".
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from hashlib import sha1, sha256
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

SHA256 = "x-amz-checksum-sha256"
"""The header that a body goes with, and that replies repeat."""

_PART_OF_PARTS = "COMPOSITE"


class Checksum(NamedTuple):
    """A checksum of an object's bytes: the header that tells it, and its value in base64."""

    header: str
    value: str


class _Hash(Protocol):
    def update(self, piece: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._crc = 0

    def update(self, piece: bytes) -> None:
        self._crc = zlib.crc32(piece, self._crc)

    def digest(self) -> bytes:
        return self._crc.to_bytes(4, "big")


def _sha1() -> _Hash:
    return sha1(usedforsecurity=False)


_HASHES = {SHA256: sha256, "x-amz-checksum-sha1": _sha1, "x-amz-checksum-crc32": _Crc32}
"""The strongest first."""


def told_checksum(headers: Mapping[str, str]) -> Checksum | None:
    """Return the strongest checksum of the whole object that a HEAD tells and that can be made here."""
    if headers.get("x-amz-checksum-type", "").upper() == _PART_OF_PARTS:
        return None
    told = (Checksum(header, headers.get(header, "")) for header in _HASHES)
    return next((each for each in told if each.value and "-" not in each.value), None)


class ChecksumHash:
    """The checksum of bytes that come piece after piece, of the kind that a header tells."""

    def __init__(self, header: str) -> None:
        self._hash: _Hash = _HASHES[header]()

    def update(self, piece: bytes) -> None:
        """Take the next bytes."""
        self._hash.update(piece)

    def value(self) -> str:
        """Return the checksum of all that came, in base64."""
        return b64encode(self._hash.digest()).decode()


def sha256_value(hexadecimal: str) -> str:
    """Return the value of ``x-amz-checksum-sha256`` for a SHA-256 in hexadecimal digits."""
    return b64encode(bytes.fromhex(hexadecimal)).decode()
