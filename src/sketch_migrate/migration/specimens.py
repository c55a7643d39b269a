"""An object to try the right to read on: one that can be read, where any can.

A refusal of one object says nothing of the others: it may belong to another account, or be encrypted with a key of its
own. So others are tried before it is said that reading is not allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketch_migrate.errors import ObjectMissing, S3Refused
from sketch_migrate.model import Location

if TYPE_CHECKING:
    from sketch_migrate.s3 import S3Client

OTHERS_TRIED = 20
"""Spread over the first page of the listing."""

_DENIED = {"AccessDenied", "Forbidden", ""}


async def readable(store: S3Client, first: Location, prefix: str) -> Location:
    """Return ``first`` if it can be read or is not there, else another object below the prefix that can be.

    Where none can, ``first`` is returned: to read it tells why. Raises ``S3Error`` for all but a refusal of an object.
    """
    if await _can_be_read(store, first):
        return first
    page = await store.list_page(first.bucket, prefix)
    others = [each.key for each in page.objects if each.key not in (first.key, prefix)]
    for key in others[:: max(1, len(others) // OTHERS_TRIED)][:OTHERS_TRIED]:
        other = Location(first.bucket, key)
        if await _can_be_read(store, other):
            return other
    return first


async def _can_be_read(store: S3Client, location: Location) -> bool:
    try:
        await store.head(location)
    except ObjectMissing:
        return True
    except S3Refused as error:
        if error.code in _DENIED:
            return False
        raise
    return True
