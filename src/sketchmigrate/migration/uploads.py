"""Uploads in parts on record: what a run that was killed has left open is resumed or aborted by the next one.

Their parts cost storage, and no listing of objects shows them. Whose an upload is, the store does not tell; so only
those are touched that a ledger names, and that no run which goes on has on record.

A run that streams takes them over when it begins: they are on record as its own from then on, and whoever brings the
object of one claims it (``s3/streamed_uploads``). What nobody has claimed when the run has come to its end, it aborts:
the row is gone, or its object is in production already. A run that was stopped, or had a limit, leaves those to the
next. One that copies within the store aborts them all when it begins.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import RunDirectoryError, S3Error
from sketchmigrate.core.objects import Location
from sketchmigrate.ledger import OpenUpload
from sketchmigrate.migration.record import runs_of
from sketchmigrate.s3.multipart import MultipartUpload
from sketchmigrate.s3.streamed_uploads import BegunFor, LeftUpload

if TYPE_CHECKING:
    from pathlib import Path

    from sketchmigrate.ledger import Ledger, PastRun, WholeLedger
    from sketchmigrate.migration.settling import Tell
    from sketchmigrate.settings import Settings
    from sketchmigrate.sides import Side


class LedgerUploads:
    """Keeps uploads on record in a run's ledger: a ``streamed_uploads.UploadRecord``."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def begun(self, upload: MultipartUpload, begun_for: BegunFor) -> None:
        """Take note of an upload before its first part."""
        etag, part_bytes, headers_sha256 = begun_for
        of_it = OpenUpload(*upload.target, upload.upload_id, etag, part_bytes, headers_sha256)
        await self._ledger.record_upload(of_it)

    async def ended(self, upload: MultipartUpload) -> None:
        """Take note that it is an object by now, or aborted."""
        await self._ledger.record_upload_ended(upload.upload_id)

    async def claim(self, target: Location) -> LeftUpload | None:
        """Return an upload of this object that an earlier run has left open; each once in a run."""
        left = await self._ledger.claim_upload(*target)
        return left and LeftUpload(left.upload_id, BegunFor(left.etag, left.part_bytes, left.headers_sha256))


class LeftUploads:
    """What earlier runs of a site have left open in production, to a run that is about to bring objects there.

    ``run`` is its directory, and ``tell`` hears what a person should know. The methods raise ``DatabaseError``,
    ``RunDirectoryError`` or ``UsageError`` where a ledger cannot be read or written.
    """

    def __init__(self, settings: Settings, run: Path, production: Side, ledger: WholeLedger, tell: Tell) -> None:
        self._settings, self._run, self._production = settings, run, production
        self._ledger, self._tell = ledger, tell
        self._said: set[str] = set()

    async def take_over(self) -> None:
        """Put them on record as this run's own, to be claimed.

        Where another run does so at the same moment, each sees it once both are on record, and neither resumes them.
        """
        left = self._left_open()
        if not left:
            return
        await self._ledger.take_over_uploads(left)
        ours = {each.upload_id for each in self._left_open()}
        for each in left:
            if each.upload_id not in ours:
                await self._ledger.claim_upload(each.bucket, each.object_key)

    async def abort(self, *, own: bool = False) -> None:
        """Abort them; with ``own`` what this run has on record alone: taken over, or begun by a worker that was lost.

        What the store refuses is told, and tried again by the next run.
        """
        for left in self._left_open(only_own=own):
            upload = MultipartUpload(self._production.store, Location(left.bucket, left.object_key), left.upload_id)
            try:
                await upload.abort()
            except S3Error as error:
                told = f"Note: the upload {left.upload_id} of {upload.target} could not be aborted: {error}"
                self._tell(told, logging.WARNING)
                continue
            await self._ledger.record_upload_ended(left.upload_id)
            self._tell(f"The upload of {upload.target}, which was left unfinished, was aborted.", logging.INFO)

    def _left_open(self, *, only_own: bool = False) -> list[OpenUpload]:
        """Return what was begun, and no run has ended; what other runs are at is theirs.

        An upload may be on record of several runs, one after the other.
        """
        begun: dict[str, OpenUpload] = {}
        not_ours: set[str] = set()
        for run in runs_of(self._settings, self._run):
            of_run, ended = run.uploads()
            not_ours |= ended
            is_own = run.directory == self._run
            if not of_run:
                continue
            if not is_own and self._may_go_on(run):
                not_ours |= {each.upload_id for each in of_run}
            elif is_own or not only_own:
                begun |= {each.upload_id: each for each in of_run}
        return [each for upload_id, each in begun.items() if upload_id not in not_ours]

    def _may_go_on(self, run: PastRun) -> bool:
        """Whether a run goes on, or that cannot be told, which is said once."""
        try:
            return bool(run.goes_on())
        except RunDirectoryError as error:
            told = f"Note: {error.message}. It may go on, so the uploads that it began are left alone."
            if told not in self._said:
                self._said.add(told)
                self._tell(told, logging.WARNING)
            return True
