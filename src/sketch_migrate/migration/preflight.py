"""What is checked before anything is changed: that the table can be flipped and both buckets used as the job needs.

Every failure names the thing and the setting or right to mend. Nothing is written that an application could see: the
right to write into production is tried by a multipart upload that is begun and called off at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketch_migrate.errors import BucketMissing, ObjectMissing, S3Error, S3Refused
from sketch_migrate.model import Location
from sketch_migrate.postgres.privileges import inspect_table

if TYPE_CHECKING:
    from sketch_migrate.postgres.connection import Database
    from sketch_migrate.postgres.references import Table
    from sketch_migrate.s3 import S3Client
    from sketch_migrate.settings import Settings

PATIENCE_SECONDS = 3.0
"""For a store that does not answer before the run: a wrong address is told at once, a hiccup is passed."""

PROBE_NAME = ".sketch-migrate-write-check"

RIGHTS = "README.md lists the rights that are needed under “Privileges”."


async def check_database(database: Database, settings: Settings, *, for_writing: bool) -> Table:
    """Connect once and look at the table. Raises ``DatabaseUnreachable`` or ``DatabaseRefused``, without waiting."""
    async with await database.connect() as connection:
        return await inspect_table(connection, settings, for_writing=for_writing)


async def check_reading(store: S3Client, settings: Settings) -> list[str]:
    """Try to list both sides and to read an object of each; return what could not be tried. Raises ``S3Error``."""
    nothing_to_read: list[str] = []
    for side, bucket, prefix in (
        ("LEGACY", settings.legacy_bucket, settings.legacy_prefix),
        ("PRODUCTION", settings.production_bucket, settings.production_prefix),
    ):
        try:
            page = await store.list_page(bucket, prefix, max_keys=2)
        except BucketMissing as error:
            raise BucketMissing(
                f"there is no bucket {bucket} at {store_name(settings)}", hint=f"Set {side}_BUCKET, or make the bucket."
            ) from error
        except S3Refused as error:
            raise _refused(error, f"list s3://{bucket}/{prefix}", "s3:ListBucket") from error
        if page.objects:  # the first may be a folder marker: the prefix itself
            await _check_read(store, Location(bucket, page.objects[-1].key))
        elif side == "LEGACY":
            nothing_to_read.append(f"No object is under s3://{bucket}/{prefix}: reading was not tried.")
    return nothing_to_read


async def _check_read(store: S3Client, location: Location) -> None:
    try:
        await store.head(location)
    except ObjectMissing:
        return  # deleted since it was listed
    except S3Refused as error:
        raise _refused(error, f"read {location}", "s3:GetObject") from error


async def check_writing(store: S3Client, settings: Settings) -> None:
    """Try the right to write into production. Raises ``S3Error``."""
    location = Location(settings.production_bucket, settings.production_prefix + PROBE_NAME)
    try:
        upload_id = await store.create_multipart_upload(location, {})
    except S3Refused as error:
        place = f"s3://{location.bucket}/{settings.production_prefix}"
        raise _refused(error, f"write into {place}", "s3:PutObject") from error
    try:
        await store.abort_multipart_upload(location, upload_id)
    except S3Error as error:
        message = f"the upload {upload_id} to {location}, begun to try the right to write, was not called off: {error}"
        raise S3Refused(message, hint=f"Allow s3:AbortMultipartUpload. {RIGHTS}", code=error.code) from error


def store_name(settings: Settings) -> str:
    """Name the store in a message."""
    return settings.s3_endpoint_url or f"AWS in {settings.s3_region}"


def _refused(error: S3Refused, what: str, right: str) -> S3Refused:
    """Say in the words of the job what was refused; wrong credentials keep their own words."""
    if error.code not in {"AccessDenied", "Forbidden", ""}:
        return error
    return S3Refused(
        f"not allowed to {what}: {error}",
        hint=f"Give the S3 user the right {right} there. {RIGHTS}",
        status=error.status,
        code=error.code,
    )
