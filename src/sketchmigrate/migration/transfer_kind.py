"""Settles whether the store copies objects itself, or whether they are streamed through this machine. Only reads.

A store copies within itself alone. That both sides are one store is believed where one client serves both; else the
credentials of production have to see legacy's objects as those of legacy do: another store may have a bucket of that
name.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sketchmigrate.core.errors import ObjectMissing, S3Error, TransferRefused, UsageError
from sketchmigrate.core.rule import BOTH_SIDES, SideName
from sketchmigrate.migration.no_clobber import Means
from sketchmigrate.migration.preflight import PATIENCE_SECONDS
from sketchmigrate.migration.uploads import LedgerUploads
from sketchmigrate.s3.keeping_copy import KeepingCopy, takes_a_look
from sketchmigrate.s3.streaming import ALWAYS_IN_PARTS, WHOLE_BYTES, Streamer
from sketchmigrate.s3.wire.redirect import is_aws, partition_of
from sketchmigrate.settings.stores import store_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.core.objects import Location
    from sketchmigrate.ledger import Ledger
    from sketchmigrate.migration.site import Site
    from sketchmigrate.migration.stop import Stop
    from sketchmigrate.s3 import Condition, CopyResult
    from sketchmigrate.s3.memory import MemoryBudget
    from sketchmigrate.settings import Options, Settings
    from sketchmigrate.sides import Sides

SAMPLED_OBJECTS = 20


class TransferKind(StrEnum):
    """How the bytes of an object get to production."""

    IN_STORE = "in-store"
    STREAMED = "streamed"


class SettledKind(NamedTuple):
    """The kind, and why. ``is_plain``: it is what anybody expects, and nothing to speak of."""

    kind: TransferKind
    reason: str
    is_plain: bool = False


class Copying(Protocol):
    """What copies an object: production's client, within the store, or a ``Streamer``."""

    async def copy(self, source: Location, target: Location, *conditions: Condition) -> CopyResult:
        """Copy an object, if the conditions on the target hold. Raises ``S3Error``."""


def copying_of(sides: Sides, options: Options, memory: MemoryBudget, ledger: Ledger | None, stop: Stop) -> Copying:
    """Return what copies by the kind that was settled; for one that was not, what is right in any case.

    What is streamed is in this ``memory``, and its uploads in parts are kept on record in the ledger.
    """
    is_settled = options.transfer in set(TransferKind)
    kind = TransferKind(options.transfer) if is_settled else _likely(sides)
    if kind is TransferKind.IN_STORE:
        store = sides.production.store
        return KeepingCopy(store) if takes_a_look(store.config) else store
    whole_bytes = ALWAYS_IN_PARTS if options.no_clobber == Means.CONDITIONAL_COMPLETE else WHOLE_BYTES
    uploads = LedgerUploads(ledger) if ledger else None
    legacy, production = sides.legacy.store, sides.production.store
    return Streamer(legacy, production, memory, whole_bytes, uploads, lambda: stop.requested)


def _likely(sides: Sides) -> TransferKind:
    return TransferKind.IN_STORE if len(sides.stores) == 1 else TransferKind.STREAMED


async def settle_kind(site: Site, options: Options) -> SettledKind:
    """Settle it, by what is asked for and by what both sides see of up to ``SAMPLED_OBJECTS`` legacy objects.

    Raises ``TransferRefused`` where in-store was asked for and is not possible, ``UsageError`` where the copies would
    be streamed and a condition on CopyObject was asked for, and ``S3Error`` where legacy cannot be read.
    """
    settled = await kind_between(site.sides, site.settings, named_by(site), options.transfer)
    if settled.kind is TransferKind.STREAMED and options.no_clobber == Means.CONDITIONAL_COPY:
        raise UsageError(
            f"--no-clobber {Means.CONDITIONAL_COPY} is for copies within a store, and objects are streamed:"
            f" {settled.reason}",
            hint=f"Leave --no-clobber away: {Means.CONDITIONAL_PUT} is taken, where the store is proved to honour it.",
        )
    return settled


def named_by(site: Site) -> list[Location]:
    """Return legacy objects that rows of the site name."""
    return list(dict.fromkeys(pair.source for move in site.sample for pair in move.pairs))


async def kind_between(
    sides: Sides, settings: Settings, named: Sequence[Location] = (), wanted: str = "auto"
) -> SettledKind:
    """Settle the kind between two sides. ``named`` are legacy objects to tell by; where those are few, others are.

    Raises ``TransferRefused`` where in-store was ``wanted`` and is not possible, and ``S3Error``.
    """
    if wanted == TransferKind.STREAMED:
        return SettledKind(TransferKind.STREAMED, "it was asked for")
    if len(sides.stores) == 1:
        return SettledKind(TransferKind.IN_STORE, "both sides are reached alike", is_plain=True)
    why_not = elsewhere(settings)
    if not why_not:
        objects = await _sample(sides, named)
        why_not = await _seen_otherwise(sides, objects) if objects else "there is no legacy object to tell by"
        if not why_not:
            reason = f"both sides see the same: {len(objects)} legacy objects were looked at"
            return SettledKind(TransferKind.IN_STORE, reason)
    if wanted == TransferKind.IN_STORE:
        hint = "Leave --transfer away: objects are then streamed through this machine."
        raise TransferRefused(f"--transfer {wanted} is not possible: {why_not}", hint=hint)
    return SettledKind(TransferKind.STREAMED, why_not)


def elsewhere(settings: Settings) -> str:
    """Say why the two sides are two stores, by their addresses; empty where they may be one."""
    legacy, production = (store_of(settings, side) for side in BOTH_SIDES)
    both_aws = all(is_aws(each.endpoint_url) for each in (legacy, production))
    if both_aws and partition_of(legacy.region) == partition_of(production.region):
        return ""
    if legacy.endpoint_url == production.endpoint_url and not both_aws:
        return ""
    return f"legacy is at {legacy}, production at {production}"


async def _sample(sides: Sides, named: Sequence[Location]) -> list[Location]:
    """Return legacy objects that are named and, where those are too few, others."""
    objects = list(named)[:SAMPLED_OBJECTS]
    if len(objects) < SAMPLED_OBJECTS:
        legacy = sides.legacy.retrying(PATIENCE_SECONDS)
        page = await legacy.store.list_page(legacy.bucket, legacy.prefix, max_keys=SAMPLED_OBJECTS)
        objects = list(dict.fromkeys([*objects, *(legacy.at(each.key) for each in page.objects)]))[:SAMPLED_OBJECTS]
    return objects


async def _seen_otherwise(sides: Sides, objects: Sequence[Location]) -> str:
    """Say what production's credentials see otherwise than legacy's, at production's endpoint; empty for nothing."""
    patient = sides.retrying(PATIENCE_SECONDS)

    async def seen(side: SideName, location: Location) -> tuple[str, int] | str:
        store = patient.legacy.store if side is SideName.LEGACY else patient.production.store
        try:
            info = await store.head(location)
        except ObjectMissing:
            return "no such object"
        except S3Error as error:
            if side is SideName.LEGACY and not error.is_client_error:
                raise
            return error.code or f"status {error.status}"
        return info.etag, info.size_bytes

    async def compare(location: Location) -> str:
        ours, theirs = await asyncio.gather(*(seen(side, location) for side in BOTH_SIDES))
        if ours == theirs:
            return ""
        told = theirs if isinstance(theirs, str) else "another object"
        return f"through production's endpoint, with its credentials, {location} is {told}"

    found = await asyncio.gather(*(compare(each) for each in objects))
    return next(filter(None, found), "")
