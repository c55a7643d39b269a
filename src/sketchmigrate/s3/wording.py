"""What a store says beyond the codes that S3 defines, and what it means by that. Pure.

Stores have words of their own for what AWS never says or says otherwise: that they are full, that they take no copy of
that size, that they want a checksum. A code alone is not enough: ``EntityTooLarge`` is a quota on OpenStack Swift.
"""

from __future__ import annotations

import re

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
_WRONG_CHECKSUM_CODES = frozenset({"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "AccessDenied"})

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


def is_denied_explicitly(code: str, said: str) -> bool:
    """Whether a policy denies it in so many words, whatever else is granted (AWS: "with an explicit deny")."""
    return code == "AccessDenied" and _EXPLICIT_DENY in said
