"""Uploads in parts on record: what a run that was killed has left open is aborted by the next one, and nothing else.

Their parts cost storage, and no listing of objects shows them. Whose an upload is, the store does not tell; so only
those are touched that a ledger names.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import S3Error
from sketchmigrate.core.objects import Location
from sketchmigrate.ledger import OpenUpload
from sketchmigrate.s3.multipart import MultipartUpload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sketchmigrate.ledger import Ledger, PastRun
    from sketchmigrate.migration.settling import Tell
    from sketchmigrate.sides import Side


class LedgerUploads:
    """Puts uploads on record in a run's ledger; what a ``Streamer`` tells of them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def begun(self, upload: MultipartUpload, etag: str) -> None:
        """Take note of an upload of the object with this ETag, before its first part."""
        await self._ledger.record_upload(OpenUpload(*upload.target, upload.upload_id, etag))

    async def ended(self, upload: MultipartUpload) -> None:
        """Take note that it is an object by now, or aborted."""
        await self._ledger.record_upload_ended(upload.upload_id)


def left_open(runs: Iterable[PastRun]) -> list[OpenUpload]:
    """Return what runs have begun and no run has ended; those of a run that still goes on are its own."""
    begun: dict[str, OpenUpload] = {}
    ended: set[str] = set()
    for run in runs:
        of_run, known = run.uploads()
        ended |= known
        if of_run and not run.goes_on():
            begun |= {each.upload_id: each for each in of_run}
    return [each for upload_id, each in begun.items() if upload_id not in ended]


async def abort_left_open(runs: Iterable[PastRun], production: Side, ledger: Ledger, tell: Tell) -> None:
    """Abort what runs have left open. What the store refuses is told, and tried again by the next run."""
    for left in left_open(runs):
        upload = MultipartUpload(production.store, Location(left.bucket, left.object_key), left.upload_id)
        try:
            await upload.abort()
        except S3Error as error:
            tell(f"Note: the upload {left.upload_id} of {upload.target} could not be aborted: {error}", logging.WARNING)
            continue
        await ledger.record_upload_ended(left.upload_id)
        tell(f"The upload of {upload.target}, which a run that was killed has left, was aborted.", logging.INFO)
