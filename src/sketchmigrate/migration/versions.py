"""What a copy of ours has replaced, where the bucket keeps versions: it is certain then, whoever wrote it and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.outcome import POSSIBLY_OVERWRITTEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.s3 import ListedVersion, S3Client


def keeps_versions(info: ObjectInfo) -> bool:
    """Whether the bucket that an object was written into kept versions then."""
    return info.headers.get("x-amz-version-id", "null") not in ("", "null")


async def version_before(store: S3Client, target: Location, our_etag: str) -> str:
    """Return the id of the version that our copy with this ETag replaced; empty for none. Raises ``S3Error``."""
    listed = await store.versions(target.bucket, target.key)
    own = [version for version in listed if version.key == target.key]
    if own and own[0].etag != our_etag:
        return ""  # what is there now was written after our copy, and stays
    before = replaced(own, our_etag)
    return before.version_id if before else ""


def replaced_version(target: Location, version_id: str) -> str:
    """Say what is certain: which version our copy replaced."""
    return (
        f"{POSSIBLY_OVERWRITTEN}: our copy to {target} replaced what had been stored there in that moment;"
        f" its object is version {version_id}: restore that one"
    )


def replaced(versions: Sequence[ListedVersion], our_etag: str) -> ListedVersion | None:
    """Return the version of one key, newest first, that the newest one of ours replaced. None if it replaced nothing.

    Older copies of the same content (of a run that was killed, or of one at the same time) are passed over; a delete
    marker means that nothing was there.
    """
    ours_seen = False
    for version in versions:
        if version.is_delete_marker:
            if ours_seen:
                return None
        elif version.etag == our_etag:
            ours_seen = True
        elif ours_seen:
            return version
    return None
