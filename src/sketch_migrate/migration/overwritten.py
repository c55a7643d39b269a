"""What became of an object that the application may have stored while we copied without a condition.

Asked for rows that the application has set to the production key meanwhile: it has most likely stored an object there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketch_migrate.errors import S3Error
from sketch_migrate.migration.placing import look
from sketch_migrate.model import POSSIBLY_OVERWRITTEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketch_migrate.model import Location
    from sketch_migrate.s3 import ListedVersion, S3Client


async def perhaps_overwritten(store: S3Client, target: Location, our_etag: str) -> str:
    """Return what to tell a person about an object that we wrote with this ETag, or an empty text.

    Where the bucket keeps versions it is certain, and the version to restore is named.
    """
    begin = f"{POSSIBLY_OVERWRITTEN}: the application (or another run) set this row to {target} while it was copied"
    try:
        production = await look(store, target)
        if production is None or production.etag != our_etag:
            return ""  # what is there now was written after our copy, and stays
        versions = await store.versions(target.bucket, target.key) if _keeps_versions(production.headers) else []
    except S3Error as error:
        return f"{begin}, and what is there now could not be looked at: {error}"
    own = [version for version in versions if version.key == target.key]
    if not own:
        return f"{begin}; the bucket keeps no versions, so store its object again if it differs"
    before = replaced(own, our_etag)
    if before is None:
        return ""
    return f"{begin}; its object is version {before.version_id}: restore that one"


def replaced(versions: Sequence[ListedVersion], our_etag: str) -> ListedVersion | None:
    """Return the version of one key, newest first, that the newest one of ours replaced. None if it replaced nothing.

    Older copies of ours (of a run that was killed) are passed over; a delete marker means that nothing was there.
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


def _keeps_versions(headers: dict[str, str]) -> bool:
    return headers.get("x-amz-version-id", "null") not in ("", "null")
