"""Objects in an archive: told by their storage class, and believed only when reading them fails.

A class named GLACIER is an archive on AWS, and may be a disk like any other elsewhere (Ceph gives classes any name);
and an object that was restored can be read. So one that may be archived is asked for its first byte, which tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.errors import ObjectMissing, S3Error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketchmigrate.core.objects import Location
    from sketchmigrate.s3.client import S3Client

ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects have to be restored first (S3 User Guide, "Working with archived objects")."""

NOT_RESTORED = frozenset({"InvalidObjectState", "ObjectNotInActiveTierError"})
"""What S3 says of them to GetObject, and to CopyObject."""


def archive_of(headers: Mapping[str, str]) -> str:
    """Return the archive in which a HEAD shows an object to be, restored or not; empty where it shows none."""
    storage_class = headers.get("x-amz-storage-class", "")
    if tier := headers.get("x-amz-archive-status", ""):  # of INTELLIGENT_TIERING, which listings do not show
        return f"{storage_class} {tier}".strip()
    return storage_class if storage_class in ARCHIVES else ""


async def not_restored(store: S3Client, location: Location, archive: str) -> str:
    """Return why an object in an archive cannot be read, by the store; empty where it can. Raises ``S3Error``."""
    try:
        await store.read_beginning(location, 1)
    except ObjectMissing:
        return ""
    except S3Error as error:
        if error.code not in NOT_RESTORED:
            raise
        return f"archived ({archive}), and not restored: {error}"
    return ""
