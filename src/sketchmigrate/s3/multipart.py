"""Multipart uploads, and copying in parts what is too large for CopyObject, with everything that it would have kept."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import (
    BucketMissing,
    ObjectMissing,
    PreconditionFailed,
    S3Busy,
    S3Error,
    S3Malformed,
    S3Unreachable,
)
from sketchmigrate.core.objects import Location
from sketchmigrate.s3 import replies
from sketchmigrate.s3.etags import expected_etag
from sketchmigrate.s3.failures import object_exists
from sketchmigrate.s3.wire import xml
from sketchmigrate.s3.wire.addressing import copy_source, encode_query
from sketchmigrate.s3.wire.conditions import if_source_is, only_if_absent
from sketchmigrate.s3.wire.messages import Request
from sketchmigrate.task_group import task_group

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sketchmigrate.core.objects import ObjectInfo
    from sketchmigrate.s3.client import S3Client
    from sketchmigrate.s3.etags import Digests
    from sketchmigrate.s3.wire.conditions import Condition
    from sketchmigrate.s3.wire.xml_subresources import ListedPart

logger = logging.getLogger(__name__)

MAX_PARTS = 10_000  # S3 User Guide, "Amazon S3 multipart upload limits"
# One large object must not take all slots from the many small ones.
PARTS_IN_FLIGHT = 8
_MIB = 2**20
NO_UPLOAD = "NoSuchUpload"
_OUTCOME_UNKNOWN = (S3Busy, S3Malformed, S3Unreachable)


@dataclass(frozen=True, slots=True)
class MultipartUpload:
    """An upload of an object in parts, until it is completed or aborted. Its operations raise ``S3Error``."""

    client: S3Client = field(compare=False)
    target: Location
    upload_id: str

    @classmethod
    async def begin(cls, client: S3Client, target: Location, headers: Mapping[str, str]) -> MultipartUpload:
        """Begin an upload with the headers that the object shall have."""
        headers_of_new = client.headers_of_new(headers)
        request = Request("CreateMultipartUpload", "POST", target, query="uploads=", headers=headers_of_new)
        return cls(client, target, await client.perform(request, replies.upload_id))

    async def copy_part(
        self, source: Location, number: int, byte_range: tuple[int, int] | None, *, if_match: str
    ) -> str:
        """Copy a range of bytes (both ends included) as a part, if the source still has that ETag; return the part's.

        ``byte_range`` None is the whole source: only of one over 5 MiB may a range be taken. Parts are numbered from 1;
        all but the last are at least 5 MiB.
        """
        headers = [("x-amz-copy-source", copy_source(source)), if_source_is(if_match)]
        if byte_range is not None:
            headers.append(("x-amz-copy-source-range", f"bytes={byte_range[0]}-{byte_range[1]}"))
        query = self._query(partNumber=str(number))
        request = Request("UploadPartCopy", "PUT", self.target, query=query, headers=headers, source=source)
        return await self.client.perform(request, replies.part_copied)

    async def send_part(self, number: int, body: bytes, digests: Digests | None = None) -> str:
        """Send a part, with a checksum where those of the body are given, and return its ETag."""
        query = self._query(partNumber=str(number))
        checksum = digests.sha256 if digests else sha256(body).hexdigest()
        request = Request(
            "UploadPart", "PUT", self.target, query=query, body=body, body_sha256=checksum, payload_bytes=len(body)
        )
        return await self.client.store_body(request, digests)

    async def parts(self) -> dict[int, ListedPart]:
        """Return the parts that are there by their numbers, as far as they are told.

        Where a store repeats a page (rclone's server always tells the first), that is all.
        """
        found: dict[int, ListedPart] = {}
        while True:
            last = max(found, default=0)
            query = self._query(**{"part-number-marker": str(last)} if last else {})
            request = Request("ListParts", "GET", self.target, query=query)
            page, is_truncated = await self.client.perform(request, replies.parts)
            found |= page
            if not is_truncated or max(found, default=0) <= last:
                return found

    async def complete(self, part_etags: Sequence[str], *conditions: Condition) -> str:
        """Make the object of parts 1, 2, … and return its ETag.

        Where the reply of a first attempt was lost, the second finds no such upload: then the object that is there is
        recognised by the ETag that these parts make. So it is where no reply told the outcome and no further attempt
        is made, as after a signal: Ceph 16 names no ETag in its first reply, only in the one to a second attempt.
        """
        body = xml.complete_document(part_etags)
        query, headers = self._query(), list(conditions)
        request = Request("CompleteMultipartUpload", "POST", self.target, query=query, body=body, headers=headers)
        request.body_sha256 = sha256(body).hexdigest()
        try:
            return await self.client.perform(request, replies.completed)
        except PreconditionFailed as error:
            if only_if_absent(conditions):
                raise object_exists(error, request) from error
            raise
        except S3Error as error:
            etag = expected_etag(part_etags)
            if error.code == NO_UPLOAD and request.attempts > 1:
                became = (await self.client.head(self.target)).etag == etag
            else:
                became = bool(request.attempts) and isinstance(error, _OUTCOME_UNKNOWN) and await self._became(etag)
            if not became:
                raise
            return etag

    async def _became(self, etag: str) -> bool:
        """Whether the object has this ETag and the upload is gone. What is asked for that, is asked but once.

        The ETag alone does not tell: the object that was to be replaced may have the same bytes and other headers.
        """
        once = MultipartUpload(self.client.retrying(0), self.target, self.upload_id)
        try:
            if (await once.client.head(self.target)).etag != etag:
                return False
        except S3Error as error:
            logger.info("%s cannot be looked at after upload %s: %s", self.target, self.upload_id, error)
            return False
        try:
            await once.parts()
        except S3Error as error:
            logger.info(
                "%s has the ETag of upload %s, whose parts are not told: %s", self.target, self.upload_id, error
            )
            return error.code == NO_UPLOAD or isinstance(error, ObjectMissing)  # which Ceph 16 says of the upload
        return False

    async def abort(self) -> None:
        """Discard the upload and its parts. That it is gone already is no error."""
        request = Request("AbortMultipartUpload", "DELETE", self.target, query=self._query())
        try:
            await self.client.perform(request, replies.done)
        except BucketMissing:
            raise
        except S3Error as error:
            if error.code != NO_UPLOAD:
                raise

    def _query(self, **parameters: str) -> str:
        return encode_query({**parameters, "uploadId": self.upload_id})


async def unfinished_uploads(client: S3Client, bucket: str, prefix: str) -> list[MultipartUpload]:
    """Return up to 1 000 uploads under a prefix that are neither completed nor aborted."""
    query = encode_query({"uploads": "", "encoding-type": "url", "prefix": prefix})
    request = Request("ListMultipartUploads", "GET", Location(bucket, ""), query=query)
    listed = await client.perform(request, replies.uploads)
    return [MultipartUpload(client, Location(bucket, each.key), each.upload_id) for each in listed]


def part_ranges(size_bytes: int, part_size_bytes: int) -> list[tuple[int, int]]:
    """Cut an object into ranges (both ends included), larger than asked for where 10 000 parts would not do."""
    smallest_bytes = math.ceil(size_bytes / MAX_PARTS / _MIB) * _MIB
    step = max(part_size_bytes, smallest_bytes)
    return [(first, min(first + step, size_bytes) - 1) for first in range(0, size_bytes, step)]


async def copy_in_parts(
    client: S3Client,
    source: Location,
    target: Location,
    info: ObjectInfo,
    *conditions: Condition,
) -> str:
    """Copy an object of which ``info`` was seen, with all that is to be kept of it, and return the new ETag.

    Every part is copied on the condition that the source is still that object. Some stores ignore the condition, so the
    source is looked at once more before the parts become the object. Raises ``PreconditionFailed`` if it changed.
    ``conditions`` are those on the target, for the moment in which the parts become the object: ``ObjectExists`` is
    raised where it should have been absent. On any failure the upload is aborted; parts that could not be discarded are
    reported, because they cost storage.
    """
    properties = client.properties
    kept = await properties.of(source, info)

    async def upload(headers: Mapping[str, str]) -> str:
        return await _upload(client, source, target, info, headers, *conditions)

    while True:
        part_bytes = client.part_size_bytes
        try:
            etag = await properties.store(target, kept, upload)
        except S3Error as error:
            if not client.may_cut_smaller(error, min(part_bytes, info.size_bytes)):
                raise
        else:
            break
    await properties.see_with_tags(target, kept, etag)
    return etag


async def _upload(
    client: S3Client,
    source: Location,
    target: Location,
    info: ObjectInfo,
    headers: Mapping[str, str],
    *conditions: Condition,
) -> str:
    upload = await MultipartUpload.begin(client, target, headers)
    try:
        part_etags = await _copy_parts(upload, source, info)
        await _see_unchanged(client, source, info)
        return await upload.complete(part_etags, *conditions)
    except BaseException:
        await abort_quietly(upload)
        raise


async def _see_unchanged(client: S3Client, source: Location, info: ObjectInfo) -> None:
    seen = await client.head(source)
    if (seen.etag, seen.size_bytes) != (info.etag, info.size_bytes):
        raise PreconditionFailed(f"{source} was replaced while it was copied", hint="Run the command again.")


async def _copy_parts(upload: MultipartUpload, source: Location, info: ObjectInfo) -> list[str]:
    ranges = part_ranges(info.size_bytes, upload.client.part_size_bytes)
    if not ranges:
        return [await upload.send_part(1, b"")]  # nothing cannot be copied as a part, but sent
    if len(ranges) == 1:
        return [await upload.copy_part(source, 1, None, if_match=info.etag)]
    etags = [""] * len(ranges)
    pending: Iterator[tuple[int, tuple[int, int]]] = iter(enumerate(ranges))

    async def work() -> None:
        for index, byte_range in pending:
            etags[index] = await upload.copy_part(source, index + 1, byte_range, if_match=info.etag)

    async with task_group() as group:
        for _ in range(min(PARTS_IN_FLIGHT, len(ranges))):
            group.create_task(work())
    return etags


async def abort_quietly(upload: MultipartUpload) -> bool:
    """Discard an upload that came to nothing, and return whether it is gone; what the store says is only logged."""
    try:
        await upload.abort()
    except S3Error as error:
        logger.warning(
            "the parts of an unfinished copy to %s remain and cost storage: abort upload %s by hand (%s)",
            upload.target,
            upload.upload_id,
            error,
        )
        return False
    return True
