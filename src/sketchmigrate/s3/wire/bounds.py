"""How long a reply may take, and how large it may be, before what answers is not taken for a store any more. Pure.

Silence alone does not tell: a byte a second is never silent. So the whole reply has a deadline, which follows from its
size: every byte of its body earns it time. 1 KiB a second is slower than any line that is of use; 32 replies side by
side then still pass one of 256 kbit/s.

A server that copies or puts parts together answers with the head at once, and then sends white space (Ceph: elements
with its progress) while it works, "several minutes" (S3 API reference, CompleteMultipartUpload; the same is true of
CopyObject and UploadPartCopy, of 5 GiB each). It has 15 times as long, once its head is there: a quarter of an hour by
default, in which a copy of 5 GiB may be as slow as 6 MB/s.
"""

from __future__ import annotations

LEAST_BYTES_PER_SECOND = 1024
WORKING_TIMES = 15

HEAD_BYTES = 64 * 2**10
"""A head of S3 has a few kilobytes, of which user metadata are 2 (S3 User Guide, "Working with object metadata")."""

INTERIM_REPLIES = 100
"""Nobody asks for one; a server, or a proxy on the way, may send some all the same (RFC 9110, section 15.2)."""

DOCUMENT_BYTES = 2**20
"""Ceph's copy of 5 GiB tells its progress in 200 kB; nothing else but a listing has more than a few."""

LISTING_BYTES = 8 * 2**20
"""A page of 1 000 keys has 300 kB, and 4 MB where each key has 1 024 bytes and all of them are percent-encoded."""

WIRE_BYTES = 2**20
"""A reply has its head, perhaps interim ones before it and trailers after it, beside its body."""

WIRE_BYTES_EACH = 16
"""And for each byte of its body, at most a chunk of its own, which has six (RFC 9112, section 7.1)."""


_KEPT_ALIVE = frozenset({"CopyObject", "UploadPartCopy", "CompleteMultipartUpload"})
_LISTINGS = frozenset({"ListObjectsV2", "ListObjects", "ListObjectVersions", "ListMultipartUploads"})


def body_bytes(operation: str, payload_bytes: int) -> int:
    """Return how large the body of a reply may be: a document, and the content that was asked for."""
    return (LISTING_BYTES if operation in _LISTINGS else DOCUMENT_BYTES) + payload_bytes


def wire_bytes(body_bytes: int) -> int:
    """Return how many bytes may have come where so many are of the body."""
    return WIRE_BYTES + WIRE_BYTES_EACH * body_bytes


def sending_seconds(timeout_seconds: float, sent_bytes: int) -> float:
    """Return how long it may have taken to send so much of a request."""
    return timeout_seconds + sent_bytes / LEAST_BYTES_PER_SECOND


def reply_seconds(timeout_seconds: float, operation: str, body_bytes: int | None) -> float:
    """Return how long a reply may have taken since the request was sent.

    ``body_bytes`` of its body are there; None where its head is not.
    """
    works = body_bytes is not None and operation in _KEPT_ALIVE
    return timeout_seconds * (WORKING_TIMES if works else 1) + (body_bytes or 0) / LEAST_BYTES_PER_SECOND
