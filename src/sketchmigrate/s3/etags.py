"""What an ETag tells of an object's bytes, and the ETag that bytes have: of an object, or of one made of parts. Pure.

The ETag of an object is the MD5 of its bytes, and of one made of parts the MD5 of the parts' MD5s and their number; but
not under SSE-KMS or SSE-C, nor on every store (S3 API reference, Object: "ETag").
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import md5, sha256
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sketchmigrate.core.objects import ObjectInfo

_MD5 = re.compile(r"[0-9a-fA-F]{32}").fullmatch
_OF_PARTS = re.compile(r"[0-9a-fA-F]{32}-([1-9]\d{0,4})").fullmatch


def is_of_bytes(info: ObjectInfo) -> bool:
    """Whether an object's ETag may be made of the bytes: nothing speaks against it."""
    if "x-amz-server-side-encryption-customer-algorithm" in info.headers:
        return False
    if info.headers.get("x-amz-server-side-encryption", "").startswith("aws:"):
        return False
    return _MD5(info.etag) is not None or _OF_PARTS(info.etag) is not None


def is_md5(etag: str) -> bool:
    """Whether an ETag looks as the MD5 of the bytes does."""
    return _MD5(etag) is not None


def parts_of(etag: str) -> int:
    """Return of how many parts an object was made, by its ETag; 0 for none."""
    found = _OF_PARTS(etag)
    return int(found[1]) if found else 0


class Digests(NamedTuple):
    """The checksums of a body in hexadecimal digits: the store's own, and that which is signed."""

    md5: str
    sha256: str

    @property
    def content_md5(self) -> str:
        """The value of ``Content-MD5`` (RFC 1864)."""
        return b64encode(bytes.fromhex(self.md5)).decode()


def digests_of(body: bytes) -> Digests:
    """Return the checksums of a body."""
    return Digests(md5(body, usedforsecurity=False).hexdigest(), sha256(body).hexdigest())


class EtagHash:
    """The ETag of bytes that come piece after piece; made of parts of ``part_bytes``, 0 for one of no parts."""

    def __init__(self, part_bytes: int = 0) -> None:
        self._part_bytes = part_bytes
        self._left_bytes = part_bytes
        self._of_part = md5(usedforsecurity=False)
        self._digests: list[bytes] = []

    def update(self, piece: bytes) -> None:
        """Take the next bytes."""
        if not self._part_bytes:
            self._of_part.update(piece)
            return
        view = memoryview(piece)
        while view:
            if not self._left_bytes:
                self._end_part()
            taken = view[: self._left_bytes]
            self._of_part.update(taken)
            self._left_bytes -= len(taken)
            view = view[len(taken) :]

    def _end_part(self) -> None:
        self._digests.append(self._of_part.digest())
        self._of_part, self._left_bytes = md5(usedforsecurity=False), self._part_bytes

    @staticmethod
    def of_one_part(digest: str) -> str:
        """Return the ETag of an object made of a single part with this MD5."""
        return f"{md5(bytes.fromhex(digest), usedforsecurity=False).hexdigest()}-1"

    def etag(self) -> str:
        """Return the ETag of all that came. Nothing may come after it."""
        if not self._part_bytes:
            return self._of_part.hexdigest()
        self._end_part()
        return f"{md5(b''.join(self._digests), usedforsecurity=False).hexdigest()}-{len(self._digests)}"
