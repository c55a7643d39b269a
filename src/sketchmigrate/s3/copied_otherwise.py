"""What is done where a store does not copy an object as it was asked to: with a checksum, without tags, or in parts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.errors import ObjectExists, S3Error, S3Refused, StoreFull
from sketchmigrate.s3 import dialect, multipart
from sketchmigrate.s3.wire.conditions import for_completing, only_if_absent
from sketchmigrate.s3.wire.messages import CopyResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.s3.client import S3Client
    from sketchmigrate.s3.dialect import Learned
    from sketchmigrate.s3.wire.conditions import Condition
    from sketchmigrate.s3.wire.messages import Request

logger = logging.getLogger(__name__)

WITHOUT_TAGS = ("x-amz-tagging-directive", "REPLACE")
"""With no tags named a copy has none (S3 API reference, CopyObject); Ceph 16 ignores it, and keeps them."""

_PRECONDITION_FAILED = 412


class CopiedOtherwise(NamedTuple):
    """One copy, as it was asked for. ``info`` is what was seen of the source, where somebody has looked."""

    client: S3Client
    learned: Learned
    source: Location
    target: Location
    conditions: tuple[Condition, ...]
    headers: Mapping[str, str] | None
    info: ObjectInfo | None

    async def after(self, error: S3Error, request: Request) -> CopyResult:
        """Copy otherwise what was refused by this error. Raises it where nothing else would help."""
        if self.learned.wants_checksum_of(request, error):
            return await self._anew(self.headers)
        if isinstance(error, S3Refused):
            return await self._without_tags(error)
        if not dialect.may_be_about_size(error.code) or isinstance(error, StoreFull):
            raise error
        info = await self._seen()
        if not self.learned.is_too_large(error, info.size_bytes):
            raise error
        return await self._in_parts(info)

    async def in_parts_again(self) -> CopyResult | None:
        """Copy in parts, as the last object was for its size; None where this one is not that large."""
        info = await self._seen()
        if info.size_bytes > self.learned.copy_limit_bytes:
            return await self._in_parts(info)
        self.learned.source_was_too_large = False
        return None

    async def _seen(self) -> ObjectInfo:
        return self.info or await self.client.head(self.source)

    async def _anew(self, headers: Mapping[str, str] | None) -> CopyResult:
        return await self.client.copy(self.source, self.target, *self.conditions, headers=headers, info=self.info)

    async def _without_tags(self, error: S3Refused) -> CopyResult:
        """Copy without tags what was perhaps refused for them. Raises the refusal where it was for something else.

        The source's are read with s3:GetObjectTagging, and the copy's written with s3:PutObjectTagging.
        """
        (name, value), headers = WITHOUT_TAGS, self.headers or {}
        if error.code != "AccessDenied" or self.client.config.keep.tags != "if-allowed" or name in headers:
            raise error
        try:
            done = await self._anew({**headers, name: value})
        except S3Refused:
            raise error from None  # what was refused first says more
        logger.log(
            logging.WARNING if self.learned.copies_tags else logging.DEBUG,
            "%s may not be copied with its tags, and was copied without: %s",
            self.source,
            error,
        )
        self.learned.copies_tags = False
        return done

    async def _in_parts(self, info: ObjectInfo) -> CopyResult:
        """Copy in parts. What should be absent is looked for before: not every store minds a condition at the end."""
        client, target = self.client, self.target
        if only_if_absent(self.conditions) and await client.find(target):
            raise ObjectExists(f"{target} exists already", status=_PRECONDITION_FAILED)
        etag = await multipart.copy_in_parts(client, self.source, target, info, *for_completing(self.conditions))
        return CopyResult(etag, info.size_bytes, in_parts=True)
