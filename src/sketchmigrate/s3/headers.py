"""What belongs to an object besides its bytes: content headers, user metadata, tags, and whether it is archived.

A storage class named GLACIER is an archive on AWS, and may be a disk like any other elsewhere (Ceph gives classes any
name); and an object that was restored can be read. So one that may be archived is asked for its first byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from sketchmigrate.core.errors import ObjectMissing, S3Error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.s3.client import S3Client

CONTENT_HEADERS = (
    "content-type",
    "content-encoding",
    "content-language",
    "content-disposition",
    "cache-control",
    "expires",
)
"""What a browser is told, and CopyObject keeps besides user metadata and tags (S3 API reference, CopyObject)."""

TAG_COUNT = "x-amz-tagging-count"
"""Left out where there are no tags, where they may not be told, and by stores that never tell (S3 API, HeadObject)."""

# S3 has 10 tags for an object; of a count that is no number nothing is known, and so not that all tags were read.
_MAX_TAG_COUNT_DIGITS = 6

ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects have to be restored first (S3 User Guide, "Working with archived objects")."""

NOT_RESTORED = frozenset({"InvalidObjectState", "ObjectNotInActiveTierError"})
"""What S3 says of them to GetObject, and to CopyObject."""


def kept_headers(
    headers: Mapping[str, str], tags: Sequence[tuple[str, str]], *, storage_class: bool = False
) -> dict[str, str]:
    """Return the headers to store an object with, so that it is as CopyObject would have made it.

    With ``storage_class`` also in the class of its source, which CopyObject drops; but an object that was restored from
    an archive is not archived anew.
    """
    kept = {name: headers[name] for name in CONTENT_HEADERS if headers.get(name)}
    kept.update((name, value) for name, value in headers.items() if name.startswith("x-amz-meta-"))
    kept_class = headers.get("x-amz-storage-class", "") if storage_class else ""
    if kept_class and kept_class not in ARCHIVES:
        kept["x-amz-storage-class"] = kept_class
    if tags:
        kept["x-amz-tagging"] = urlencode(tags, quote_via=quote)
    return kept


async def tags_of(client: S3Client, location: Location, info: ObjectInfo) -> list[tuple[str, str]]:
    """Return all tags of an object of which ``info`` was seen. Raises ``S3Error`` where some cannot be read."""
    tags = await client.tags(location)
    count = info.headers.get(TAG_COUNT, "0")
    if not count.isdecimal() or len(count) > _MAX_TAG_COUNT_DIGITS or len(tags) < int(count):
        raise S3Error(f"{location}: not all of its tags could be read", hint="Is s3:GetObjectTagging allowed?")
    return tags


def archive_of(headers: Mapping[str, str]) -> str:
    """Return the archive in which a HEAD shows an object to be, restored or not; empty where it shows none."""
    storage_class = headers.get("x-amz-storage-class", "")
    if tier := headers.get("x-amz-archive-status", ""):  # of INTELLIGENT_TIERING, which listings do not show
        return f"{storage_class} {tier}".strip()
    return storage_class if storage_class in ARCHIVES else ""


async def not_restored(store: S3Client, location: Location) -> S3Error | None:
    """Return what the store says where an archived object cannot be read; None where it can. Raises ``S3Error``."""
    try:
        await store.read_beginning(location, 1)
    except ObjectMissing:
        return None
    except S3Error as error:
        if error.code not in NOT_RESTORED:
            raise
        return error
    return None
