"""The folder in which a probe works: what it wrote there, and how it is removed again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import ObjectMissing, S3Error, S3Refused
from sketchmigrate.core.objects import Location
from sketchmigrate.s3.multipart import MultipartUpload, unfinished_uploads
from sketchmigrate.s3.wire.xml import tagging_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sketchmigrate.core.objects import ObjectInfo
    from sketchmigrate.s3.client import S3Client

PROBE_FOLDER = ".sketch-migrate-probe-"
"""How the names of all probe objects begin, after the production prefix: a policy may allow to delete just these."""

PATIENCE_SECONDS = 3.0

SOURCE_BODY = b"what is copied"
OCCUPANT_BODY = b"what is in the way"
OLD_BODY = b"what may be replaced"
"""Of different lengths, which tell them apart where ETags do not."""

SOURCE_HEADERS = {
    "content-type": "image/x-probe",
    "cache-control": "max-age=7",
    "content-disposition": "inline",
    "x-amz-meta-probe": "kept",
}

ODD_NAMES = ("a//b", "/x", "a/../b", "b", "%41", "A", "a+b", "a b", "\u00fc", "u\u0308", "\uff5a", "\U0001f600")
"""Keys that software has normalised, decoded or sorted wrongly; some only show beside a second one. The last two are in
another order by UTF-16 than by bytes."""

# The last one is what rclone's server stores for the tags of an object that is not there.
_BODIES = {
    SOURCE_BODY,
    OCCUPANT_BODY,
    OLD_BODY,
    tagging_document([]),
    *(b"x" * size for size in range(1, len(ODD_NAMES) + 1)),
}
_MOST_BYTES = max(map(len, _BODIES)) + 1
_MOST_ROUNDS = 1_000


class ProbeFolder:
    """Probe objects below one place, a folder of a random name. ``at_once`` is the same store, asked but once.

    ``alone`` is a key of that name which is in no folder: rclone's server keeps the folder of an upload that is aborted
    on its disk. Listings by it have both.
    ``may_delete`` is what ``try_deleting`` has found. ``is_certain`` says that nothing is there but what was noted.
    """

    def __init__(self, store: S3Client, place: Location) -> None:
        self.store = store.retrying(PATIENCE_SECONDS)
        self.at_once = store.retrying(0)
        self.place = place
        self.alone = Location(place.bucket, place.key.removesuffix("/"))
        self.source = self.at("source")
        self.keeps_versions = False
        self.may_delete = True
        self.is_certain = True
        self.left_behind: list[str] = []
        self._written: dict[str, None] = {}
        self._uploads: set[MultipartUpload] = set()

    def at(self, name: str) -> Location:
        """Say where an object of the probe belongs."""
        return Location(self.place.bucket, self.place.key + name)

    def taken(self, location: Location) -> Location:
        """Note that something may be there from now on."""
        self._written[location.key] = None
        return location

    async def try_deleting(self) -> None:
        """Try it on a key that is not there, which S3 grants to whoever may delete."""
        try:
            await self.store.delete(self.at("absent"))
        except S3Error:
            self.may_delete = False

    async def put(self, location: Location, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Store an object."""
        try:
            await self.store.put(self.taken(location), body, headers)
        except S3Error as error:
            self.refused(location, error)
            raise

    def refused(self, location: Location, error: S3Error) -> None:
        """Note that nothing can be there, if the store has refused it: to delete nothing may make a delete marker."""
        if error.is_client_error:
            self._written.pop(location.key)

    async def look(self, location: Location) -> ObjectInfo:
        """Look at an object. Raises ``ObjectMissing``."""
        return self._noted(await self.store.head(location))

    async def find(self, location: Location) -> ObjectInfo | None:
        """Look at an object, or return None where there is none."""
        found = await self.store.find(location)
        return found and self._noted(found)

    def _noted(self, info: ObjectInfo) -> ObjectInfo:
        """Note whether the bucket gives versions."""
        self.keeps_versions = self.keeps_versions or info.headers.get("x-amz-version-id", "null") not in ("", "null")
        return info

    async def begin_upload(self, location: Location) -> MultipartUpload:
        """Begin a multipart upload, to be completed or aborted."""
        try:
            upload = await MultipartUpload.begin(self.store, location, {})
        except S3Error as error:
            self.is_certain = self.is_certain and error.is_client_error  # else it may have been begun
            raise
        self._uploads.add(upload)
        return upload

    def completed(self, upload: MultipartUpload) -> None:
        """Note that an upload needs no aborting."""
        self._uploads.discard(upload)

    async def abort(self, upload: MultipartUpload) -> None:
        """Abort an upload. Raises ``S3Error``: then ``clear`` tries it again."""
        await upload.abort()
        self.completed(upload)

    async def abort_all(self, location: Location) -> None:
        """Abort what was begun for a key and not completed; ``clear`` does what fails here."""
        for upload in [each for each in self._uploads if each.target == location]:
            with suppress(S3Error):
                await self.abort(upload)

    async def clear(self) -> None:
        """Remove everything; ``left_behind`` tells what could not be. Raises nothing of the store's."""
        await asyncio.gather(*(self._abort(upload) for upload in self._uploads))
        if self.keeps_versions and await self._clear_versions():
            return
        await asyncio.gather(*(self._delete(Location(self.place.bucket, key)) for key in self._written))
        if self.keeps_versions:
            self.left_behind.append(f"noncurrent versions below {self.place}: deleting them was refused")

    async def clear_past(self) -> None:
        """Remove what an earlier probe, which was killed, left here, as far as it is still what a probe makes.

        ``left_behind`` tells what stays, and why. Raises ``S3Error`` where that cannot be looked for.
        """
        try:
            uploads = await unfinished_uploads(self.store, *self.alone)
        except S3Error as error:
            self.left_behind.append(f"uploads below {self.place}, if there are any: {error}")
        else:
            self._uploads = set(uploads)
        found = [each async for page in self.store.list_pages(*self.alone) for each in page.objects]
        foreign = set[str]()
        for each in found:
            location = Location(self.place.bucket, each.key)
            if await self._is_ours(location):
                self.taken(location)
            else:
                foreign.add(each.key)
                self.left_behind.append(f"{location}: it is not what a probe makes, so somebody else has stored it")
        try:
            # also where only delete markers are left of the versions
            versions = await self.store.versions(*self.alone)
        except S3Error:
            versions = []  # a store without them; else what ``look`` saw makes ``clear`` say what is left
        self.keeps_versions = self.keeps_versions or any(each.version_id not in ("", "null") for each in versions)
        if foreign and self.keeps_versions:
            await asyncio.gather(*(self._abort(upload) for upload in self._uploads))
            self.left_behind.append(f"versions below {self.place}: some are not ours")
            return
        await self.clear()

    async def _is_ours(self, location: Location) -> bool:
        try:
            info, body = await self.store.read_beginning(location, _MOST_BYTES)
        except ObjectMissing:
            return True
        return self._noted(info).size_bytes == len(body) and body in _BODIES

    async def _clear_versions(self) -> bool:
        """Delete every version and delete marker for good; False where that is not allowed."""
        try:
            for _ in range(_MOST_ROUNDS):
                versions = await self.store.versions(*self.alone)
                if not versions:
                    return True
                await asyncio.gather(
                    *(self.store.delete(Location(self.place.bucket, each.key), each.version_id) for each in versions)
                )
        except S3Error:
            return False
        return False

    async def _delete(self, location: Location) -> None:
        try:
            await self.store.delete(location)
        except S3Refused:
            self.left_behind.append(f"{location}: deleting it is not allowed (s3:DeleteObject)")
        except S3Error as error:
            self.left_behind.append(f"{location}: {error}")

    async def _abort(self, upload: MultipartUpload) -> None:
        try:
            await upload.abort()
        except S3Error as error:
            self.left_behind.append(f"upload {upload.upload_id} to {upload.target}: {error}")


def told(left: Iterable[str], *, most: int = 3) -> str:
    """Name the first of what is left behind, and how much more there is; empty for nothing."""
    names = list(left)
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return "; ".join(names[:most]) + more
