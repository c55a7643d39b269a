"""Uploads in parts of streamed objects: on record before their first part, and resumed where a killed run has left one.

One is resumed if it was begun for the same: legacy's ETag, the size of the parts, the headers. A part that is there is
kept if it is proved. Where legacy's object was made of parts of that size, the ETags of all parts make the ETag of the
whole, which is compared with legacy's before the parts become the object: then a part is neither read nor sent again.
Else it is read again, as the ETag of the whole is made of all bytes in their order, and sent unless its MD5 is the ETag
of what is there. To keep the state of that hash on record would take a write to the ledger with each part, and would
believe what was read by a process that is gone.
"""

from __future__ import annotations

import json
import logging
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sketchmigrate.core.errors import S3Error
from sketchmigrate.s3.multipart import MultipartUpload, abort_quietly

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sketchmigrate.core.objects import Location
    from sketchmigrate.s3.client import S3Client
    from sketchmigrate.s3.wire.xml_subresources import ListedPart

logger = logging.getLogger(__name__)


PATIENCE_SECONDS = 30.0
"""So long the parts of an upload are asked for: what is not told is sent again."""


class BegunFor(NamedTuple):
    """What an upload was begun for: the ETag of legacy's object, the size of the parts, and the object's headers."""

    etag: str
    part_bytes: int
    headers_sha256: str


class LeftUpload(NamedTuple):
    """An upload that a run which was killed has left open."""

    upload_id: str
    begun_for: BegunFor


class UploadRecord(Protocol):
    """Keeps which uploads are under way, for whoever comes after a crash."""

    async def begun(self, upload: MultipartUpload, begun_for: BegunFor) -> None:
        """Take note of an upload before its first part."""

    async def ended(self, upload: MultipartUpload) -> None:
        """Take note that it is an object by now, or aborted."""

    async def claim(self, target: Location) -> LeftUpload | None:
        """Return an upload of this object that an earlier run has left open; each once, so that nobody else has it."""


class OpenedUpload(NamedTuple):
    """An upload to go on with, the size of its parts, and those that are there, by their numbers."""

    upload: MultipartUpload
    part_bytes: int
    there: Mapping[int, ListedPart]


async def open_upload(
    client: S3Client,
    target: Location,
    headers: Mapping[str, str],
    of_headers: Callable[[str], BegunFor],
    record: UploadRecord | None,
) -> OpenedUpload:
    """Resume an upload that was left open, or begin one with these headers. Raises ``S3Error``.

    ``of_headers`` returns what it is for, of the digest of the headers. What was left and cannot be resumed is aborted:
    it was begun for something else, or its parts are not told.
    """
    begun_for = of_headers(_digest(client, headers))
    while record is not None and (left := await record.claim(target)) is not None:
        upload = MultipartUpload(client, target, left.upload_id)
        if left.begun_for == begun_for and (there := await _told_parts(upload)) is not None:
            logger.info("the upload %s of %s is resumed: %d parts are there", left.upload_id, target, len(there))
            return OpenedUpload(upload, begun_for.part_bytes, there)
        if await abort_quietly(upload):
            await record.ended(upload)
    upload = await MultipartUpload.begin(client, target, headers)
    if record is not None:
        try:
            await record.begun(upload, begun_for)
        except BaseException:
            await abort_quietly(upload)
            raise
    return OpenedUpload(upload, begun_for.part_bytes, {})


def _digest(client: S3Client, headers: Mapping[str, str]) -> str:
    """Return a digest of the headers that an object is made with: they are those of the beginning, if it is resumed."""
    sent = json.dumps(sorted(client.headers_of_new(headers)))
    return sha256(sent.encode("utf-8", "surrogateescape")).hexdigest()


async def _told_parts(upload: MultipartUpload) -> Mapping[int, ListedPart] | None:
    """Return the parts that are there; None where the store does not tell, or has no such upload any more."""
    patient = MultipartUpload(upload.client.retrying(PATIENCE_SECONDS), upload.target, upload.upload_id)
    try:
        return await patient.parts()
    except S3Error as error:
        logger.info("the upload %s of %s is begun anew: %s", upload.upload_id, upload.target, error)
        return None
