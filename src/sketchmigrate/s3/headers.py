"""What belongs to an object besides its bytes: content headers, user metadata, tags, and whether it is archived.

A storage class named GLACIER is an archive on AWS, and may be a disk like any other elsewhere (Ceph gives classes any
name); and an object that was restored can be read. Where a HEAD tells of a restore, that decides; else one that may be
archived is asked for its first byte.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from sketchmigrate.core.errors import ObjectMissing, S3Error
from sketchmigrate.s3.retry import http_date

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.s3.client import S3Client
    from sketchmigrate.s3.config import Keep

CONTENT_HEADERS = frozenset(
    {"content-type", "content-encoding", "content-language", "content-disposition", "cache-control", "expires"}
)
"""What a browser is told, and CopyObject keeps besides user metadata and tags (S3 API reference, CopyObject)."""

METADATA = "x-amz-meta-"
"""How the headers of user metadata begin."""

MTIME = METADATA + "mtime"
"""When a file was last modified, in seconds since 1970: as rclone, s3fs and others keep it."""

TAG_COUNT = "x-amz-tagging-count"
"""Left out where there are no tags, where they may not be told, and by stores that never tell (S3 API, HeadObject)."""

# S3 has 10 tags for an object; of a count that is no number nothing is known, and so not that all tags were read.
_MAX_TAG_COUNT_DIGITS = 6

ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects have to be restored first (S3 User Guide, "Working with archived objects")."""

TIERED = "INTELLIGENT_TIERING"
"""The class of which some objects are in an archive tier, as a HEAD tells (``archive_of``), and no listing."""

NOT_RESTORED = frozenset({"InvalidObjectState", "ObjectNotInActiveTierError"})
"""What S3 says of them to GetObject, and to CopyObject."""

_ONGOING = re.compile(r'ongoing-request="(true|false)"').search
_UNDER_WAY_HINT = "Wait until it has ended, then run the command again."


def kept_headers(headers: Mapping[str, str], keep: Keep) -> dict[str, str]:
    """Return the headers to store an object with that HEAD showed these headers of: without tags and ACL.

    An object that was restored from an archive is not archived anew.
    """
    kept = {
        name: value
        for name, value in headers.items()
        if name.startswith(METADATA) or (name in CONTENT_HEADERS and value)
    }
    kept_class = headers.get("x-amz-storage-class", "") if keep.storage_class else ""
    if kept_class and kept_class not in ARCHIVES:
        kept["x-amz-storage-class"] = kept_class
    if keep.mtime and MTIME not in kept and (modified_at := unix_time_of(headers, "last-modified")) is not None:
        kept[MTIME] = f"{modified_at:.0f}"
    return kept


def header_list(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Lower the names, and refuse what would begin another header line. Raises ``ValueError``."""
    for name, value in headers.items():
        if not set("\r\n\0").isdisjoint(name + value):
            message = f"header {name!r} has a line break in it"
            raise ValueError(message)
    return [(name.lower(), value) for name, value in headers.items()]


def tags_header(tags: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the header to store an object with these tags with."""
    return {"x-amz-tagging": urlencode(tags, quote_via=quote)}


async def tags_of(client: S3Client, location: Location, info: ObjectInfo) -> list[tuple[str, str]]:
    """Return all tags of an object of which ``info`` was seen. Raises ``S3Error`` where some cannot be read."""
    tags = await client.tags(location)
    count = info.headers.get(TAG_COUNT, "0")
    if not count.isdecimal() or len(count) > _MAX_TAG_COUNT_DIGITS or len(tags) < int(count):
        raise S3Error(f"{location}: not all of its tags could be read", hint="Is s3:GetObjectTagging allowed?")
    return tags


def unix_time_of(headers: Mapping[str, str], name: str) -> float | None:
    """Return a time that a reply tells in a header (``date``, ``last-modified``), in whole seconds; None without it."""
    moment = http_date(headers.get(name, ""))
    return moment.timestamp() if moment else None


def archive_of(headers: Mapping[str, str]) -> str:
    """Return the archive in which a HEAD shows an object to be, restored or not; empty where it shows none."""
    storage_class = headers.get("x-amz-storage-class", "")
    if tier := headers.get("x-amz-archive-status", ""):  # of INTELLIGENT_TIERING, which listings do not show
        return f"{storage_class} {tier}".strip()
    return storage_class if storage_class in ARCHIVES else ""


def restore_under_way(location: Location, headers: Mapping[str, str]) -> S3Error | None:
    """Return that an archived object is being restored, as its HEAD says; None where it says nothing of that."""
    told = _ONGOING(headers.get("x-amz-restore", ""))
    if told is None or told[1] == "false":
        return None
    return S3Error(f"a restore of {location} is under way", hint=_UNDER_WAY_HINT)


async def not_restored(store: S3Client, location: Location, headers: Mapping[str, str]) -> S3Error | None:
    """Return why an archived object cannot be read, of which a HEAD told ``headers``; None where it can.

    ``x-amz-restore`` says that a restore is under way, or has ended; it is left out of an object that nobody restored,
    and by stores whose class of that name is no archive: those are tried (S3 API reference, HeadObject). Raises
    ``S3Error``.
    """
    if _ONGOING(headers.get("x-amz-restore", "")):
        return restore_under_way(location, headers)
    try:
        await store.read_beginning(location, 1)
    except ObjectMissing:
        return None
    except S3Error as error:
        if error.code not in NOT_RESTORED:
            raise
        return error
    return None
