"""The folder in which a probe works: what it wrote there, and how it is removed again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sketch_migrate.errors import S3Error, S3Refused
from sketch_migrate.model import Location

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketch_migrate.model import ObjectInfo
    from sketch_migrate.s3.client import S3Client

SOURCE_BODY = b"what is copied"
OCCUPANT_BODY = b"what is in the way"
"""Of different lengths, which tell them apart where ETags do not."""

SOURCE_HEADERS = {
    "content-type": "image/x-probe",
    "cache-control": "max-age=7",
    "content-disposition": "inline",
    "x-amz-meta-probe": "kept",
}


_REFUSALS = range(400, 500)


class ProbeFolder:
    """Probe objects below one prefix. ``at_once`` is the same store, asked but once."""

    def __init__(self, store: S3Client, bucket: str, prefix: str) -> None:
        self.store = store
        self.at_once = store.retrying(0)
        self.place = Location(bucket, prefix)
        self.source = self.at("source")
        self.keeps_versions = False
        self.left_behind: list[str] = []
        self._written: dict[str, None] = {}
        self._uploads: set[tuple[Location, str]] = set()

    def at(self, name: str) -> Location:
        """Say where an object of the probe belongs."""
        return Location(self.place.bucket, self.place.key + name)

    def taken(self, location: Location) -> Location:
        """Note that something may be there from now on."""
        self._written[location.key] = None
        return location

    async def put(self, location: Location, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Store an object."""
        try:
            await self.store.put(self.taken(location), body, headers)
        except S3Error as error:
            if error.status in _REFUSALS:
                self._written.pop(location.key)  # nothing can be there
            raise

    async def look(self, location: Location) -> ObjectInfo:
        """Look at an object. Raises ``ObjectMissing``."""
        info = await self.store.head(location)
        if info.headers.get("x-amz-version-id", "null") not in ("", "null"):
            self.keeps_versions = True
        return info

    async def begin_upload(self, location: Location) -> str:
        """Begin a multipart upload, to be completed or called off."""
        upload_id = await self.store.create_multipart_upload(location, {})
        self._uploads.add((location, upload_id))
        return upload_id

    def completed(self, location: Location, upload_id: str) -> None:
        """Note that an upload needs no calling off."""
        self._uploads.discard((location, upload_id))

    async def clear(self) -> None:
        """Remove everything; ``left_behind`` tells what could not be. Raises nothing of the store's."""
        await asyncio.gather(*(self._call_off(*upload) for upload in self._uploads))
        if self.keeps_versions and await self._clear_versions():
            return
        await asyncio.gather(*(self._delete(Location(self.place.bucket, key)) for key in self._written))
        if self.keeps_versions:
            self.left_behind.append(f"noncurrent versions below {self.place}: deleting them was refused")

    async def _clear_versions(self) -> bool:
        """Delete every version and delete marker for good; False where that is not allowed."""
        try:
            versions = await self.store.versions(self.place.bucket, self.place.key)
            await asyncio.gather(
                *(self.store.delete(Location(self.place.bucket, each.key), each.version_id) for each in versions)
            )
        except S3Error:
            return False
        return True

    async def _delete(self, location: Location) -> None:
        try:
            await self.store.delete(location)
        except S3Refused:
            self.left_behind.append(f"{location}: deleting it is not allowed (s3:DeleteObject)")
        except S3Error as error:
            self.left_behind.append(f"{location}: {error}")

    async def _call_off(self, location: Location, upload_id: str) -> None:
        try:
            await self.store.abort_multipart_upload(location, upload_id)
        except S3Error as error:
            self.left_behind.append(f"upload {upload_id} to {location}: {error}")
