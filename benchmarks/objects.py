"""The objects and rows that every contestant migrates: pictures of 2 KiB, numbered from 1."""

from __future__ import annotations

from hashlib import sha256

LEGACY_BUCKET = "sketch-legacy-s3"
LEGACY_PREFIX, PRODUCTION_PREFIX = "image/", "avatar/"
SIZE_BYTES = 2048


def name(number: int) -> str:
    """Return an object's name below its prefix."""
    return f"avatar-{number:07}.png"


def body(number: int) -> bytes:
    """Return an object's bytes: all of one size, each its own."""
    return sha256(str(number).encode()).digest() * (SIZE_BYTES // 32)
