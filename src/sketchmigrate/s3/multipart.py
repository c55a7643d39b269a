"""Copying what is too large for CopyObject: in parts, with everything that CopyObject would have kept."""

from __future__ import annotations

import logging
import math
from hashlib import md5
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from sketchmigrate.core.errors import PreconditionFailed, S3Error
from sketchmigrate.s3.archive import ARCHIVES
from sketchmigrate.s3.comparison import CONTENT_HEADERS
from sketchmigrate.task_group import task_group

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.s3.client import S3Client
    from sketchmigrate.s3.wire.conditions import Condition

logger = logging.getLogger(__name__)

MAX_PARTS = 10_000  # S3 User Guide, "Amazon S3 multipart upload limits"
# One large object must not take all slots from the many small ones.
PARTS_IN_FLIGHT = 8
# S3 has 10 tags for an object; of a count that is no number nothing is known, and so not that all tags were read.
MAX_TAG_COUNT_DIGITS = 6
_MIB = 2**20


def kept_headers(
    headers: Mapping[str, str], tags: Sequence[tuple[str, str]], *, storage_class: bool = False
) -> dict[str, str]:
    """Return the headers to store an object with, so that it is as CopyObject would have made it.

    With ``storage_class`` also in the class of its source, which CopyObject drops; but an object that was restored from
    an archive is not archived anew.
    """
    kept = {name: headers[name] for name in CONTENT_HEADERS if headers.get(name)}
    kept.update((name, value) for name, value in headers.items() if name.startswith("x-amz-meta-"))
    kept_class = headers.get("x-amz-storage-class", "") if storage_class else ""
    if kept_class and kept_class not in ARCHIVES:
        kept["x-amz-storage-class"] = kept_class
    if tags:
        kept["x-amz-tagging"] = urlencode(tags, quote_via=quote)
    return kept


def part_ranges(size_bytes: int, part_size_bytes: int) -> list[tuple[int, int]]:
    """Cut an object into ranges (both ends included), larger than asked for where 10 000 parts would not do."""
    smallest_bytes = math.ceil(size_bytes / MAX_PARTS / _MIB) * _MIB
    step = max(part_size_bytes, smallest_bytes)
    return [(first, min(first + step, size_bytes) - 1) for first in range(0, size_bytes, step)]


def expected_etag(part_etags: Sequence[str]) -> str:
    """Return the ETag that S3 gives an object made of these parts, where the parts' ETags are MD5s; else empty."""
    try:
        digests = b"".join(bytes.fromhex(etag) for etag in part_etags)
    except ValueError:
        return ""
    return f"{md5(digests, usedforsecurity=False).hexdigest()}-{len(part_etags)}"


async def tags_of(client: S3Client, location: Location, info: ObjectInfo) -> list[tuple[str, str]]:
    """Return all tags of an object of which ``info`` was seen. Raises ``S3Error`` where some cannot be read."""
    tags = await client.tags(location)
    count = info.headers.get("x-amz-tagging-count", "0")
    if not count.isdecimal() or len(count) > MAX_TAG_COUNT_DIGITS or len(tags) < int(count):
        raise S3Error(f"{location}: not all of its tags could be read", hint="Is s3:GetObjectTagging allowed?")
    return tags


async def copy_in_parts(
    client: S3Client,
    source: Location,
    target: Location,
    info: ObjectInfo,
    *conditions: Condition,
    storage_class: bool = False,
) -> str:
    """Copy an object of which ``info`` was seen, and return the new ETag.

    Every part is copied on the condition that the source is still that object. Some stores ignore the condition, so the
    source is looked at once more before the parts become the object. Raises ``PreconditionFailed`` if it changed.
    ``conditions`` are those on the target, for the moment in which the parts become the object: ``ObjectExists`` is
    raised where it should have been absent. On any failure the upload is aborted; parts that could not be discarded are
    reported, because they cost storage.
    """
    tags = await tags_of(client, source, info)
    headers = kept_headers(info.headers, tags, storage_class=storage_class)
    while True:
        part_bytes = client.part_size_bytes
        try:
            etag = await _upload(client, source, target, info, headers, *conditions)
        except S3Error as error:
            if not client.may_cut_smaller(error, min(part_bytes, info.size_bytes)):
                raise
        else:
            break
    if tags and sorted(await client.tags(target)) != sorted(tags) and (await client.head(target)).etag == etag:
        await client.put_tags(target, tags)  # Ceph 16 ignores the tags that an upload begins with
    return etag


async def _upload(
    client: S3Client,
    source: Location,
    target: Location,
    info: ObjectInfo,
    headers: Mapping[str, str],
    *conditions: Condition,
) -> str:
    upload_id = await client.create_multipart_upload(target, headers)
    try:
        part_etags = await _copy_parts(client, source, target, upload_id, info)
        await _see_unchanged(client, source, info)
        etag = await client.complete_multipart_upload(target, upload_id, part_etags, *conditions)
    except BaseException:
        await _abort(client, target, upload_id)
        raise
    return etag


async def _see_unchanged(client: S3Client, source: Location, info: ObjectInfo) -> None:
    seen = await client.head(source)
    if (seen.etag, seen.size_bytes) != (info.etag, info.size_bytes):
        raise PreconditionFailed(f"{source} was replaced while it was copied", hint="Run the command again.")


async def _copy_parts(
    client: S3Client, source: Location, target: Location, upload_id: str, info: ObjectInfo
) -> list[str]:
    ranges = part_ranges(info.size_bytes, client.part_size_bytes)
    if not ranges:
        return [await client.upload_part(target, upload_id, 1, b"")]  # nothing cannot be copied as a part, but sent
    if len(ranges) == 1:
        return [await client.upload_part_copy(source, target, upload_id, 1, None, if_match=info.etag)]
    etags = [""] * len(ranges)
    pending: Iterator[tuple[int, tuple[int, int]]] = iter(enumerate(ranges))

    async def work() -> None:
        for index, byte_range in pending:
            etags[index] = await client.upload_part_copy(
                source, target, upload_id, index + 1, byte_range, if_match=info.etag
            )

    async with task_group() as group:
        for _ in range(min(PARTS_IN_FLIGHT, len(ranges))):
            group.create_task(work())
    return etags


async def _abort(client: S3Client, target: Location, upload_id: str) -> None:
    try:
        await client.abort_multipart_upload(target, upload_id)
    except S3Error as error:
        logger.warning(
            "the parts of an unfinished copy to %s remain and cost storage: abort upload %s by hand (%s)",
            target,
            upload_id,
            error,
        )
