"""What can be told of a migration before anything is stored: by the production bucket's rules, and by a sample.

The rules are what the bucket does to each new object by itself: it keeps it (Object Lock), encrypts it. What a store
does not tell, or not to this user, is no error.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sketchmigrate.core.errors import S3Error
from sketchmigrate.migration.keeping import (
    archived_line,
    dropped_lines,
    in_one,
    keeping_json,
    look_at,
    untold_line,
    way_of,
)
from sketchmigrate.migration.store_trial import keeps_for_ever
from sketchmigrate.migration.transfer_kind import TransferKind
from sketchmigrate.s3.wire.xml import NotS3
from sketchmigrate.s3.wire.xml_subresources import read_encryption

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from sketchmigrate.migration.site import Site
    from sketchmigrate.s3.wire.xml_subresources import ObjectLock
    from sketchmigrate.settings import Options
    from sketchmigrate.sides import Side

T = TypeVar("T")

REQUESTS = 2

_HAS_NO_ENCRYPTION = "ServerSideEncryptionConfigurationNotFoundError"
"""How a store says that a bucket has no default."""


@dataclass(frozen=True, slots=True)
class LookAhead:
    """``warnings`` of what will fail or stay; ``lines`` of what copies do not keep, and what the store did not tell.

    ``dropped`` are those of ``lines`` that name a loss. ``not_tried`` is why the store is not to be tried, or empty.
    ``document`` is what JSON says of it, None where nothing was looked at. An object of the sample has ``mean_bytes``.
    """

    warnings: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    not_tried: str = ""
    document: dict[str, object] | None = None
    mean_bytes: float | None = None


async def look_ahead(site: Site, options: Options) -> LookAhead:
    """Look at the production bucket's rules and at a sample of the legacy objects that rows name."""
    if not site.sample:
        return LookAhead()
    rules = await read_bucket_rules(site.sides.production)
    objects = [move.source for move in site.sample]
    sample = await look_at(site.sides, in_one(objects), encryption=rules.encryption)
    sample.requests += REQUESTS
    is_streamed = options.transfer == TransferKind.STREAMED
    way = way_of(options.no_clobber, overwrite=options.overwrite, is_streamed=is_streamed)
    lines = tuple(dropped_lines(sample, way))
    return LookAhead(
        warnings=tuple(filter(None, (rules.about_lock(), rules.about_encryption(), archived_line(sample)))),
        lines=(*lines, *filter(None, [untold_line(rules, sample)])),
        dropped=lines if sample.dropped(way) else (),
        not_tried=keeps_for_ever(rules.lock),
        document=keeping_json(rules, sample, way),
        mean_bytes=sample.object_bytes / sample.objects if sample.objects else None,
    )


@dataclass(frozen=True, slots=True)
class BucketRules:
    """``lock`` is None where the store does not tell; ``encryption`` is the default's algorithm and key, or empty.

    ``untold`` has what the store did not tell, each with why.
    """

    lock: ObjectLock | None = None
    encryption: str = ""
    untold: tuple[str, ...] = ()

    @property
    def keeps_objects(self) -> bool:
        """Whether no new object can be deleted for a while."""
        return self.lock is not None and bool(self.lock.default_retention)

    def about_lock(self) -> str:
        """Say what Object Lock means for a migration; empty without it."""
        if self.lock is None or not self.lock.is_enabled:
            return ""
        if not self.lock.default_retention:
            return "Object Lock is on, without a default retention: copies are not locked."
        return (
            f"Object Lock keeps each new object ({self.lock.default_retention}): neither a copy nor what trying the"
            " store makes can be deleted before that, and the store may demand a checksum with each write."
        )

    def about_encryption(self) -> str:
        """Say what the default encryption means for a migration; empty where it means nothing."""
        if "kms" not in self.encryption:
            return ""
        return (
            f"New objects are encrypted with {self.encryption}: the S3 user needs kms:GenerateDataKey and kms:Decrypt"
            " for that key, and ETags do not tell equal objects there."
        )


async def read_bucket_rules(side: Side) -> BucketRules:
    """Ask for the rules of a side's bucket, with ``REQUESTS`` requests. Raises nothing of the store's."""
    at_once = side.retrying(0)
    (lock, no_lock), (encryption, no_encryption) = await asyncio.gather(
        _told(at_once.store.object_lock(side.bucket)), _told(_encryption(at_once))
    )
    untold = [
        f"{what} of s3://{side.bucket} ({why})"
        for what, why in (("Object Lock", no_lock), ("default encryption", no_encryption))
        if why
    ]
    return BucketRules(lock, encryption or "", tuple(untold))


async def _encryption(side: Side) -> str:
    return read_encryption(await side.store.subresource("GetBucketEncryption", side.at(""), "encryption"))


async def _told(question: Awaitable[T]) -> tuple[T | None, str]:
    """Return what a store tells of a bucket, None for nothing, and why it does not tell it."""
    try:
        return await question, ""
    except NotS3:
        return None, "the store does not know it"
    except S3Error as error:
        return None, "" if error.code == _HAS_NO_ENCRYPTION else error.code or str(error)
