"""How stores differ from S3: what they say in words of their own, and what a client has learned of one. Pure.

Stores have words of their own for what AWS never says or says otherwise: that they are full, that they take no copy of
that size, that they want a checksum. A code alone is not enough: ``EntityTooLarge`` is a quota on OpenStack Swift. What
a store wants or lacks is learned from a refusal, which costs one request, and never asked for beforehand.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from hashlib import md5
from typing import TYPE_CHECKING

from sketchmigrate.s3.checksums import SHA256, sha256_value

if TYPE_CHECKING:
    from sketchmigrate.core.errors import S3Error
    from sketchmigrate.s3.etags import Digests
    from sketchmigrate.s3.wire.messages import Request

SMALLEST_PART_BYTES = 5 * 2**20
"""All parts but the last are at least as large (S3 User Guide, "Amazon S3 multipart upload limits")."""

INSUFFICIENT_STORAGE = 507
_CLIENT_ERRORS = range(400, 500)
_TOO_MANY_REQUESTS = 429

# QuotaExceeded: Ceph, StorageGRID, versitygw, Ozone. XMinioStorageFull, XMinioAdminBucketQuotaExceeded: MinIO.
# ObjectQuotaExceeded, StorageQuotaExceeded: NooBaa. The others are spelt alike.
_FULL_CODE = re.compile(r"\w*(?:QuotaExceeded|StorageFull|StorageLimitExceeded|InsufficientStorage)").fullmatch
# "Upload exceeds quota." with 413 or EntityTooLarge: Swift. "storage cap exceeded" with AccessDenied: Backblaze.
_FULL_TEXT = re.compile(
    r"exceed\w* (?:the |your |its )?(?:\w+ )?quota|quota (?:has been |was |is )?exceeded|storage cap exceeded",
    re.IGNORECASE,
).search

# EntityTooLarge: MinIO, Ceph, Swift. InvalidRequest ("larger than the maximum allowable size for a copy source:
# 5368709120") and InvalidArgument ("maximum allowable copy size"): AWS and those who follow it.
_TOO_LARGE_CODE = frozenset({"EntityTooLarge", "MaxMessageLengthExceeded"})
_PERHAPS_TOO_LARGE_CODES = frozenset({"InvalidRequest", "InvalidArgument"})
_SIZE_TEXT = re.compile(r"too (?:large|big)|larger than|exceed|maxim|size|limit", re.IGNORECASE).search
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)(?:B|bytes)?\b", re.IGNORECASE).finditer
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}

# "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters": AWS,
# with InvalidRequest. "Missing required header for this request: Content-Md5.": MinIO, with MissingContentMD5.
_CHECKSUM_TEXT = re.compile(r"content-md5|x-amz-(?:sdk-)?checksum", re.IGNORECASE).search
# A directory bucket (S3 Express One Zone) takes no Content-MD5, and each of the other checksums.
_MD5_TEXT = re.compile(r"md5", re.IGNORECASE).search
_WRONG_CHECKSUM_CODES = frozenset({"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "AccessDenied"})

_CONTENT_MD5 = "content-md5"
_EXPLICIT_DENY = "explicit deny"


def says_full(status: int, code: str, said: str) -> bool:
    """Whether the store, the bucket or its owner's quota is full: no other object will be taken either."""
    if status == _TOO_MANY_REQUESTS:
        return False  # a quota of requests
    if status == INSUFFICIENT_STORAGE or _FULL_CODE(code):
        return True
    return status in _CLIENT_ERRORS and _FULL_TEXT(said) is not None


def may_be_about_size(code: str) -> bool:
    """Whether a code is one that stores use for what is too large, among others."""
    return code in _TOO_LARGE_CODE or code in _PERHAPS_TOO_LARGE_CODES


def says_too_large(code: str, said: str) -> bool:
    """Whether it may be the object's size for which a copy was refused."""
    return code in _TOO_LARGE_CODE or (code in _PERHAPS_TOO_LARGE_CODES and _SIZE_TEXT(said) is not None)


def named_limit_bytes(said: str) -> int | None:
    """Return the size that the store names as its limit (``10485760``, ``10 MB``, ``1GiB``); None if it names none.

    MB is read as MiB where a limit could be either: it is the larger one that stores mean, and one that is too large
    is corrected by the next refusal.
    """
    sizes = [round(float(found[1]) * 1024 ** _POWERS[found[2].upper()]) for found in _SIZE(said)]
    return max(sizes, default=None)


def demands_checksum(code: str, said: str) -> bool:
    """Whether the request was refused because it lacks a checksum of its body."""
    return code == "MissingContentMD5" or (code not in _WRONG_CHECKSUM_CODES and _CHECKSUM_TEXT(said) is not None)


def refuses_md5(code: str, said: str) -> bool:
    """Whether a request was refused because it carries the MD5 of its body, though that is right."""
    return code not in _WRONG_CHECKSUM_CODES and _MD5_TEXT(said) is not None


def is_denied_explicitly(code: str, said: str) -> bool:
    """Whether a policy denies it in so many words, whatever else is granted (AWS: "with an explicit deny")."""
    return code == "AccessDenied" and _EXPLICIT_DENY in said


@dataclass(slots=True)
class Learned:
    """What a client has found out about its store so far.

    ``lists_by_marker``: the store has no ListObjectsV2. ``copies_tags``: no object was seen that may not be copied with
    its tags. ``knows_tags``: it did not say that it has no such operation. ``wants_checksums``: it takes no body
    without one, and ``sends_sha256``: that is not its MD5, as the store does not take it, or tells nothing by its
    ETags.

    ``part_limit_bytes`` is the largest range that it copies as a part, as far as it refused larger ones.
    ``source_was_too_large``: the last copy was refused for its size, so that the next object is looked at first: they
    rarely come alone. ``copy_limit_bytes`` is the size up to which a copy is then tried.
    """

    copy_limit_bytes: int
    part_limit_bytes: int
    lists_by_marker: bool = False
    copies_tags: bool = True
    knows_tags: bool = True
    wants_checksums: bool = False
    source_was_too_large: bool = False
    sends_sha256: bool = False
    _takes_md5: bool = True
    _tells_sha256: bool = True

    def add_checksum(self, request: Request, digests: Digests | None = None) -> None:
        """Add a checksum of the body: its MD5, which every store knows, or the SHA-256 that is signed anyway."""
        if self.sends_sha256:
            request.headers.append((SHA256, sha256_value(request.body_sha256)))
        else:
            request.headers.append((_CONTENT_MD5, digests.content_md5 if digests else content_md5(request.body)))

    def wants_checksum_of(self, request: Request, error: S3Error) -> bool:
        """Whether a request was refused for its checksum, or for lack of one; then it has the right one now.

        It is to be sent again.
        """
        sent, _ = _checksum_of(request)
        if not sent:
            if not demands_checksum(error.code, error.said):
                return False
            self.wants_checksums = True
        elif sent == _CONTENT_MD5:
            if not refuses_md5(error.code, error.said):
                return False
            self.sends_sha256, self._takes_md5 = True, False
        else:
            if not self._takes_md5 or not demands_checksum(error.code, error.said):
                return False
            self.sends_sha256 = self._tells_sha256 = False
        request.headers = [header for header in request.headers if header[0] != sent]
        self.add_checksum(request)
        return True

    def prefer_sha256(self) -> None:
        """Send the SHA-256 of bodies from now on, where the store is not seen to leave it out of its replies."""
        self.sends_sha256 = self.sends_sha256 or self._tells_sha256

    def is_stored_damaged(self, request: Request, told: str) -> bool:
        """Whether the SHA-256 that a reply tells is not that of the body. A store that tells none gets MD5s again."""
        sent, value = _checksum_of(request)
        if sent != SHA256:
            return False
        if not told:
            self._tells_sha256, self.sends_sha256 = False, not self._takes_md5
        return told not in ("", value)

    def is_too_large(self, error: S3Error, size_bytes: int) -> bool:
        """Whether it is for its size that the store did not copy an object; then the limit is known.

        What is not larger than a part would gain nothing by being one.
        """
        may_be = size_bytes > SMALLEST_PART_BYTES and says_too_large(error.code, error.said)
        if not may_be and size_bytes <= self.copy_limit_bytes:
            return False
        named = named_limit_bytes(error.said) or 0
        self.copy_limit_bytes = named if 0 < named < size_bytes else min(self.copy_limit_bytes, size_bytes - 1)
        if 0 < named < size_bytes:
            self.part_limit_bytes = max(SMALLEST_PART_BYTES, min(self.part_limit_bytes, named))
        self.source_was_too_large = True
        return True

    def is_part_too_large(self, error: S3Error, part_bytes: int) -> bool:
        """Whether a part was refused for its size, and smaller ones can be tried; then their limit is known."""
        if part_bytes <= SMALLEST_PART_BYTES or not says_too_large(error.code, error.said):
            return False
        named = named_limit_bytes(error.said) or 0
        limit = named if 0 < named < part_bytes else part_bytes // 4
        self.part_limit_bytes = max(SMALLEST_PART_BYTES, limit)
        return True


def _checksum_of(request: Request) -> tuple[str, str]:
    """Return the header with a checksum that a request has, and its value; both empty for none."""
    return next((header for header in request.headers if header[0] in (_CONTENT_MD5, SHA256)), ("", ""))


def content_md5(body: bytes) -> str:
    """Return the value of ``Content-MD5`` (RFC 1864)."""
    return b64encode(md5(body, usedforsecurity=False).digest()).decode()
