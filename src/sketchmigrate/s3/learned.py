"""What a store was found to want or to lack, for the rest of a client's life. Pure bookkeeping.

It is learned from a refusal, which costs one request, and never asked for beforehand: the store's word decides.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from hashlib import md5
from typing import TYPE_CHECKING

from sketchmigrate.s3 import wording

if TYPE_CHECKING:
    from sketchmigrate.core.errors import S3Error
    from sketchmigrate.s3.wire.messages import Request

SMALLEST_PART_BYTES = 5 * 2**20
"""All parts but the last are at least as large (S3 User Guide, "Amazon S3 multipart upload limits")."""


@dataclass(slots=True)
class Learned:
    """``lists_by_marker``: the store has no ListObjectsV2. ``wants_checksums``: it takes no body without one.

    ``part_limit_bytes`` is the largest range that it copies as a part, as far as it refused larger ones.
    ``source_was_too_large``: the last copy was refused for its size, so that the next object is looked at first: they
    rarely come alone. ``copy_limit_bytes`` is the size up to which a copy is then tried.
    """

    copy_limit_bytes: int
    part_limit_bytes: int
    lists_by_marker: bool = False
    wants_checksums: bool = False
    source_was_too_large: bool = False

    def add_checksum(self, request: Request) -> None:
        """Add the checksum of the body, where it is wanted: in the form that every store knows."""
        if self.wants_checksums and not any(name == "content-md5" for name, _ in request.headers):
            request.headers.append(("content-md5", content_md5(request.body)))

    def wants_checksum_of(self, request: Request, error: S3Error) -> bool:
        """Whether a request was refused for lack of a checksum; then it has one now, and is to be sent again."""
        if any(name == "content-md5" for name, _ in request.headers):
            return False
        if not wording.demands_checksum(error.code, error.said):
            return False
        self.wants_checksums = True
        self.add_checksum(request)
        return True

    def is_too_large(self, error: S3Error, size_bytes: int) -> bool:
        """Whether it is for its size that the store did not copy an object; then the limit is known.

        What is not larger than a part would gain nothing by being one.
        """
        may_be = size_bytes > SMALLEST_PART_BYTES and wording.says_too_large(error.code, error.said)
        if not may_be and size_bytes <= self.copy_limit_bytes:
            return False
        named = wording.named_limit_bytes(error.said) or 0
        self.copy_limit_bytes = named if 0 < named < size_bytes else min(self.copy_limit_bytes, size_bytes - 1)
        if 0 < named < size_bytes:
            self.part_limit_bytes = max(SMALLEST_PART_BYTES, min(self.part_limit_bytes, named))
        self.source_was_too_large = True
        return True

    def is_part_too_large(self, error: S3Error, part_bytes: int) -> bool:
        """Whether a part was refused for its size, and smaller ones can be tried; then their limit is known."""
        if part_bytes <= SMALLEST_PART_BYTES or not wording.says_too_large(error.code, error.said):
            return False
        named = wording.named_limit_bytes(error.said) or 0
        limit = named if 0 < named < part_bytes else part_bytes // 4
        self.part_limit_bytes = max(SMALLEST_PART_BYTES, limit)
        return True


def content_md5(body: bytes) -> str:
    """Return the value of ``Content-MD5`` (RFC 1864)."""
    return b64encode(md5(body, usedforsecurity=False).digest()).decode()
