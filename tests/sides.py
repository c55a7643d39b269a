"""Both sides of a migration on one client, for tests of what is below a site."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.rule import SideName
from sketchmigrate.sides import Side, Sides

if TYPE_CHECKING:
    from sketchmigrate.s3 import S3Client


def sides_of(
    client: S3Client,
    legacy_bucket: str = "legacy",
    production_bucket: str = "production",
    prefixes: tuple[str, str] = ("image/", "avatar/"),
) -> Sides:
    """Return the sides that lie in these buckets."""
    legacy = Side(SideName.LEGACY, client, legacy_bucket, prefixes[0], "the store")
    return Sides(legacy, Side(SideName.PRODUCTION, client, production_bucket, prefixes[1], "the store"))
