"""How an object gets to production: within the store, and without replacing one. See ``no_clobber`` for the choice.

A ``Transfer`` takes a move and returns a ``CopyResult``, or ``Taken``: what is there already is for the copier to
compare. A source that is missing raises ``ObjectMissing``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sketchmigrate.core.errors import ObjectExists, PreconditionFailed, S3Error
from sketchmigrate.core.reason import Reason, ReasonKind, because
from sketchmigrate.migration.no_clobber import Means, Strategy
from sketchmigrate.s3 import IF_ABSENT, CopyResult
from sketchmigrate.s3.multipart import copy_in_parts
from sketchmigrate.s3.properties import Properties

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.migration.transfer_kind import Copying
    from sketchmigrate.s3 import ListedVersion, S3Client
    from sketchmigrate.sides import Sides

MIB = 2**20
PUT_LIMIT_BYTES = 8 * MIB
"""Larger objects are copied in parts within the store: what is put passes through this machine and its memory."""

FIRST_BYTES = 256 * 2**10
"""Read with the first request: most avatars are smaller, and with 128 requests at once this is 32 MiB."""

LARGE_PUTS = 4
"""Objects between the two sizes that are in memory at once: at most 32 MiB more, and as much again on the wire."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Up to which size an object is put, and how much of it is read with the first request."""

    put_limit_bytes: int = PUT_LIMIT_BYTES
    first_bytes: int = FIRST_BYTES


USUAL_SIZES = Sizes()


@dataclass(frozen=True, slots=True)
class Taken:
    """Production has an object under the key already, and nothing was written.

    ``production`` is what a look showed, or None if nobody looked. ``perhaps_ours``: a request was sent twice, so that
    the object may be what the first one made.
    """

    production: ObjectInfo | None = None
    perhaps_ours: bool = False


class Transfer(Protocol):
    """How objects get to production: settled before the first one is brought."""

    async def bring(self, move: Move) -> CopyResult | Taken:
        """Bring one object into production. Raises ``S3Error``."""

    async def unguarded(self) -> bool:
        """Whether nothing keeps any copy from replacing an object."""


def transfer_of(sides: Sides, copying: Copying, strategy: Strategy, sizes: Sizes = USUAL_SIZES) -> Transfer:
    """Return the strategy's implementation; ``copying`` is what copies an object."""
    if strategy.means is Means.CHECK_FIRST:
        return CheckFirst(sides, _sent_all_the_same(sides, copying, strategy, sizes))
    return _conditional(strategy.means, sides, copying, strategy, sizes)


def _conditional(
    means: Means, sides: Sides, copying: Copying, strategy: Strategy, sizes: Sizes
) -> ConditionalCopy | ConditionalPut | ConditionalComplete:
    if means is Means.CONDITIONAL_COPY or strategy.is_streamed:
        return ConditionalCopy(copying, strategy)
    if means is Means.CONDITIONAL_PUT:
        return ConditionalPut(sides, copying, strategy, sizes)
    return ConditionalComplete(sides)


def _sent_all_the_same(sides: Sides, copying: Copying, strategy: Strategy, sizes: Sizes) -> Transfer:
    """Return what writes for check-first after its look: with a condition where the store honours one, though unproved.

    It does not hold against every write of the same moment, but against most.
    """
    if strategy.sends in {Means.CONDITIONAL_COPY, Means.CONDITIONAL_PUT}:
        return _conditional(strategy.sends, sides, copying, strategy, sizes)
    return Replacing(copying)


class Replacing:
    """A copy without a condition, for those who allow to replace what differs."""

    def __init__(self, copying: Copying) -> None:
        self._copying = copying

    async def bring(self, move: Move) -> CopyResult | Taken:
        """Copy."""
        return await self._copying.copy(move.source, move.target)

    async def unguarded(self) -> bool:
        """No: to replace is what was asked for."""
        return False


class ConditionalCopy:
    """A copy with a condition: within the store one request an object, or streamed."""

    def __init__(self, copying: Copying, strategy: Strategy) -> None:
        self._copying = copying
        self._condition = strategy.copy_condition
        self._guards_parts = strategy.guards_parts

    async def bring(self, move: Move) -> CopyResult | Taken:
        """Copy. One that was made of parts is guarded by the condition on their completion."""
        try:
            done = await self._copying.copy(move.source, move.target, self._condition)
        except ObjectExists as error:
            return Taken(perhaps_ours=error.attempts > 1)
        return done if self._guards_parts or not done.in_parts else done._replace(guarded=False)

    async def unguarded(self) -> bool:
        """No."""
        return False


class CheckFirst:
    """A look, then a copy: what is stored in between is replaced. Where the bucket keeps versions, those tell what.

    ``writing`` is what copies: without a condition, or with one that is not proved.
    """

    def __init__(self, sides: Sides, writing: Transfer | None = None) -> None:
        self._store = sides.production.store
        self._writing = writing or Replacing(sides.production.store)
        self._versions_kept: bool | None = None  # nobody has looked

    async def bring(self, move: Move) -> CopyResult | Taken:
        """Copy where a look shows nothing."""
        if production := await self._store.find(move.target):
            return Taken(production)
        done = await self._writing.bring(move)
        if isinstance(done, Taken):
            return done  # the condition has held
        if self._versions_kept is None:
            copied = await self._store.find(move.target)
            self._versions_kept = copied is not None and keeps_versions(copied)
        if not self._versions_kept:
            return done._replace(guarded=False)
        try:
            before = await version_before(self._store, move.target, done.etag)
        except S3Error:
            return done._replace(guarded=False)  # asked again, and told, if the row was set
        return done._replace(guarded=True, replaced=before)

    async def unguarded(self) -> bool:
        """Yes."""
        return True


class InParts:
    """Part copies, and a Complete with the condition, after a look that spares most of them in vain.

    ``guarded`` says that the condition is proved.
    """

    def __init__(self, sides: Sides, *, guarded: bool = True) -> None:
        self._store = sides.production.store
        self._guarded = guarded

    async def bring(self, move: Move, info: ObjectInfo) -> CopyResult | Taken:
        """Copy an object of which ``info`` was seen."""
        if production := await self._store.find(move.target):
            return Taken(production)
        try:
            etag = await copy_in_parts(self._store, move.source, move.target, info, IF_ABSENT)
        except ObjectExists as error:
            return Taken(perhaps_ours=error.attempts > 1)
        return CopyResult(etag, info.size_bytes, in_parts=True, guarded=self._guarded)


class ConditionalComplete:
    """A multipart copy, mostly of a single part, whose Complete has the condition."""

    def __init__(self, sides: Sides) -> None:
        self._legacy = sides.legacy.store
        self._in_parts = InParts(sides)

    async def bring(self, move: Move) -> CopyResult | Taken:
        """Copy in parts."""
        return await self._in_parts.bring(move, await self._legacy.head(move.source))

    async def unguarded(self) -> bool:
        """No."""
        return False


class ConditionalPut:
    """The object is read, and put with the condition; a large one is copied in parts.

    Where the store does not honour the condition on Complete at all, parts gain nothing over a look and a copy; and
    Ceph 16 decodes the source of a part copy twice, so that it finds no key with a percent sign.
    """

    def __init__(self, sides: Sides, copying: Copying, strategy: Strategy, sizes: Sizes) -> None:
        self._legacy, self._production = sides.legacy.store, sides.production.store
        self._sizes = sizes
        self._properties = Properties(
            self._legacy, self._production, asks_for_tags=strategy.asks_for_tags, tag_questions=0
        )  # the probe has told whether they are to be asked for
        self._in_parts = InParts(sides, guarded=strategy.guards_parts) if strategy.sends_parts else None
        self._check_first = CheckFirst(sides, Replacing(copying))
        self._large_puts = asyncio.Semaphore(LARGE_PUTS)
        self._looks_first = False

    async def bring(self, move: Move) -> CopyResult | Taken:
        """Read and put. After an object that was there already the next is looked for: they rarely come alone."""
        if self._looks_first and (production := await self._production.find(move.target)):
            return Taken(production)
        info, beginning = await self._legacy.read_beginning(move.source, self._sizes.first_bytes)
        if info.size_bytes > self._sizes.put_limit_bytes:
            parts, check_first = self._in_parts, self._check_first
            outcome = await (parts.bring(move, info) if parts else check_first.bring(move))
        elif info.size_bytes > len(beginning):
            async with self._large_puts:
                rest = await self._rest(move.source, info, len(beginning))
                outcome = await self._put(move, info, beginning + rest)
        else:
            outcome = await self._put(move, info, beginning)
        self._looks_first = isinstance(outcome, Taken)
        return outcome

    async def unguarded(self) -> bool:
        """No: but for large ones, perhaps."""
        return False

    async def _rest(self, source: Location, info: ObjectInfo, read_bytes: int) -> bytes:
        try:
            return await self._legacy.get(source, read_bytes, info.size_bytes - 1, if_match=info.etag)
        except PreconditionFailed as error:
            hint = "Run the command again."
            raise PreconditionFailed(f"{source} was replaced while it was read", hint=hint) from error

    async def _put(self, move: Move, info: ObjectInfo, body: bytes) -> CopyResult | Taken:
        kept = await self._properties.of(move.source, info)

        async def put(headers: Mapping[str, str]) -> str:
            return await self._production.put(move.target, body, headers, IF_ABSENT)

        try:
            etag = await self._properties.store(move.target, kept, put)
        except ObjectExists as error:
            return Taken(perhaps_ours=error.attempts > 1)
        await self._properties.see(move.target, kept)
        return CopyResult(etag, info.size_bytes)


def keeps_versions(info: ObjectInfo) -> bool:
    """Whether the bucket that an object was written into kept versions then."""
    return info.headers.get("x-amz-version-id", "null") not in ("", "null")


async def version_before(store: S3Client, target: Location, our_etag: str) -> str:
    """Return the id of the version that our copy with this ETag replaced; empty for none. Raises ``S3Error``."""
    listed = await store.versions(target.bucket, target.key)
    own = [version for version in listed if version.key == target.key]
    if own and own[0].etag != our_etag:
        return ""  # what is there now was written after our copy, and stays
    before = replaced(own, our_etag)
    return before.version_id if before else ""


def replaced_version(target: Location, version_id: str) -> Reason:
    """Say what is certain: which version our copy replaced."""
    return because(ReasonKind.REPLACED_VERSION, target=str(target), version=version_id)


def replaced(versions: Sequence[ListedVersion], our_etag: str) -> ListedVersion | None:
    """Return the version of one key, newest first, that the newest one of ours replaced. None if it replaced nothing.

    Older copies of the same content (of a run that was killed, or of one at the same time) are passed over; a delete
    marker means that nothing was there.
    """
    ours_seen = False
    for version in versions:
        if version.is_delete_marker:
            if ours_seen:
                return None
        elif version.etag == our_etag:
            ours_seen = True
        elif ours_seen:
            return version
    return None
