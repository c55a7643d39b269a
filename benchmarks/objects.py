"""The objects and rows that every contestant migrates: pictures of 2 KiB, or large files, numbered from 1."""

from __future__ import annotations

from hashlib import md5, sha256

LEGACY_BUCKET = "sketch-legacy-s3"
LEGACY_PREFIX, PRODUCTION_PREFIX = "image/", "avatar/"
SIZE_BYTES = 2048
LARGE_BYTES = 64 * 2**20


def name(number: int) -> str:
    """Return an object's name below its prefix."""
    return f"avatar-{number:07}.png"


def body(number: int, size_bytes: int = SIZE_BYTES) -> bytes:
    """Return an object's bytes: all of one size, a multiple of 32, each its own."""
    return sha256(str(number).encode()).digest() * (size_bytes // 32)


def etag(body: bytes) -> str:
    """Return the ETag of an object with these bytes."""
    return md5(body, usedforsecurity=False).hexdigest()
