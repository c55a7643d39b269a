"""Complete listings of a prefix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sketch_migrate.s3 import S3Client


@dataclass(frozen=True, slots=True)
class Extent:
    """How many objects a prefix holds, and how many bytes they have in all."""

    objects: int
    size_bytes: int


async def measure(store: S3Client, bucket: str, prefix: str) -> Extent:
    """List a prefix to its end and add it up. Raises ``S3Error``: a listing that breaks off is never a short one."""
    objects = size_bytes = 0
    async for page in store.list_pages(bucket, prefix):
        objects += len(page.objects)
        size_bytes += sum(listed.size_bytes for listed in page.objects)
    return Extent(objects, size_bytes)
