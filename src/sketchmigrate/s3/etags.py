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
    from collections.abc import Sequence

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


def expected_etag(part_etags: Sequence[str]) -> str:
    """Return the ETag that S3 gives an object made of these parts, where the parts' ETags are MD5s; else empty."""
    try:
        digests = b"".join(bytes.fromhex(etag) for etag in part_etags)
    except ValueError:
        return ""
    return f"{md5(digests, usedforsecurity=False).hexdigest()}-{len(part_etags)}"


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
        self._part_etags: list[str] = []

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
        self._part_etags.append(self._of_part.hexdigest())
        self._of_part, self._left_bytes = md5(usedforsecurity=False), self._part_bytes

    def etag(self) -> str:
        """Return the ETag of all that came. Nothing may come after it."""
        if not self._part_bytes:
            return self._of_part.hexdigest()
        self._end_part()
        return expected_etag(self._part_etags)
