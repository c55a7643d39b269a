"""In what else than bytes two stored objects differ, where their HEADs may have to be completed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import CredentialsError, ObjectMissing, S3Busy, S3Error
from sketchmigrate.s3.comparison import other_headers
from sketchmigrate.s3.headers import TAG_COUNT

if TYPE_CHECKING:
    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.s3 import S3Client
    from sketchmigrate.sides import Sides


TAG_PATIENCE_SECONDS = 3.0
"""A store without tags may answer with an error that looks as if it would pass (rclone's server)."""


async def differing_headers(
    sides: Sides, source: Location, legacy: ObjectInfo, target: Location, production: ObjectInfo
) -> str:
    """Say in what two objects differ of which HEADs were seen; nothing where they do not.

    Nothing is asked for but the tags of an object whose HEAD told no number, where that of the other side told one: it
    has none, or they may not be told to this user (S3 API reference, HeadObject: "x-amz-tagging-count"). Raises
    ``S3Error``.
    """
    if (TAG_COUNT in legacy.headers) != (TAG_COUNT in production.headers):
        legacy = await _with_tag_count(sides.legacy.store, source, legacy)
        production = await _with_tag_count(sides.production.store, target, production)
    return other_headers(legacy, production)


async def _with_tag_count(store: S3Client, location: Location, info: ObjectInfo) -> ObjectInfo:
    if TAG_COUNT in info.headers:
        return info
    try:
        tags = await store.retrying(TAG_PATIENCE_SECONDS).tags(location)
    except (CredentialsError, ObjectMissing):
        raise
    except S3Error as error:
        if not error.is_client_error and not isinstance(error, S3Busy):
            raise
        return info  # who may not read tags compares none, nor does a store that knows none and fails
    return replace(info, headers={**info.headers, TAG_COUNT: str(len(tags))})
