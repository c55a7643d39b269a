"""Another object to try the right to read on, where the store refuses the first.

A refusal of one object says nothing of the others: it may belong to another account, or be encrypted with a key of its
own. So others are tried before it is said that reading is not allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.errors import ObjectMissing, S3Refused
from sketchmigrate.core.objects import Location

if TYPE_CHECKING:
    from sketchmigrate.s3 import S3Client

OTHERS_TRIED = 20
"""Spread over the first page of the listing."""


async def other_readable(store: S3Client, refused: Location, prefix: str) -> Location | None:
    """Return an object below the prefix that can be read, or None. Raises ``S3Error`` for all but refusals."""
    page = await store.list_page(refused.bucket, prefix)
    others = [each.key for each in page.objects if each.key not in (refused.key, prefix)]
    for key in others[:: max(1, len(others) // OTHERS_TRIED)][:OTHERS_TRIED]:
        other = Location(refused.bucket, key)
        try:
            await store.head(other)
        except ObjectMissing:
            continue
        except S3Refused as error:
            if not error.is_denial:
                raise
        else:
            return other
    return None
