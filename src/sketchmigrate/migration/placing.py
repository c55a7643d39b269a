"""The strategies that bring an object into production without replacing one: see ``no_clobber`` for the choice.

Each takes a move and returns ``Placed`` or ``Taken``: what is there already is for the copier to compare. A source that
is missing raises ``ObjectMissing``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sketchmigrate.core.errors import ObjectExists, ObjectMissing, PreconditionFailed, S3Error
from sketchmigrate.migration.no_clobber import Means, Strategy
from sketchmigrate.migration.versions import keeps_versions, version_before
from sketchmigrate.s3 import IF_ABSENT
from sketchmigrate.s3.headers import kept_headers, tags_of
from sketchmigrate.s3.multipart import copy_in_parts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.s3 import S3Client

MIB = 2**20
PUT_LIMIT_BYTES = 8 * MIB
"""Larger objects are copied in parts within the store: what is put passes through this machine and its memory."""

FIRST_BYTES = 256 * 2**10
"""Read with the first request: most avatars are smaller, and with 128 requests at once this is 32 MiB."""

LARGE_PUTS = 4
"""Objects between the two sizes that are in memory at once: at most 32 MiB more, and as much again on the wire."""


class Placed(NamedTuple):
    """The object is in production. ``guarded``: the store made sure that it replaced nothing, or told what it did.

    ``replaced`` is the version of an object that it did replace, or empty.
    """

    etag: str
    size_bytes: int | None
    guarded: bool
    replaced: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """Production has an object under the key already, and nothing was written.

    ``production`` is what a look showed, or None if nobody looked. ``perhaps_ours``: a request was sent twice, so that
    the object may be what the first one made.
    """

    production: ObjectInfo | None = None
    perhaps_ours: bool = False


class Placing(Protocol):
    """A strategy at work."""

    async def place(self, move: Move) -> Placed | Taken:
        """Bring one object into production. Raises ``S3Error``."""

    async def unguarded(self) -> bool:
        """Whether nothing keeps any copy from replacing an object."""


def placing_of(store: S3Client, strategy: Strategy) -> Placing:
    """Return the strategy's implementation."""
    match strategy.means:
        case Means.CONDITIONAL_COPY:
            return ConditionalCopy(store, strategy)
        case Means.CONDITIONAL_PUT:
            return ConditionalPut(store, strategy)
        case Means.CONDITIONAL_COMPLETE:
            return ConditionalComplete(store)
        case Means.CHECK_FIRST:
            return CheckFirst(store, sent_all_the_same(store, strategy))


def sent_all_the_same(store: S3Client, strategy: Strategy) -> Placing:
    """Return what writes for check-first after its look: with a condition where the store honours one, though unproved.

    It does not hold against every write of the same moment, but against most.
    """
    match strategy.sends:
        case Means.CONDITIONAL_COPY:
            return ConditionalCopy(store, strategy)
        case Means.CONDITIONAL_PUT:
            return ConditionalPut(store, strategy)
        case _:
            return Replacing(store)


class OnceSettled:
    """Whatever strategy ``settle`` comes to, which is asked for with the first object, and once."""

    def __init__(self, store: S3Client, settle: Callable[[], Awaitable[Strategy]]) -> None:
        self._store = store
        self._settle = settle
        self._settling = asyncio.Lock()
        self._settled: Placing | None = None

    async def place(self, move: Move) -> Placed | Taken:
        """Bring one object. Raises what ``settle`` raises."""
        return await (self._settled or await self._once_settled()).place(move)

    async def unguarded(self) -> bool:
        """Whether it came to no condition at all. Raises what ``settle`` raises."""
        return await (self._settled or await self._once_settled()).unguarded()

    async def _once_settled(self) -> Placing:
        async with self._settling:
            if self._settled is None:
                self._settled = placing_of(self._store, await self._settle())
        return self._settled


class Replacing:
    """CopyObject without a condition, for those who allow to replace what differs."""

    def __init__(self, store: S3Client) -> None:
        self._store = store

    async def place(self, move: Move) -> Placed | Taken:
        """Copy."""
        done = await self._store.copy(move.source, move.target)
        return Placed(done.etag, done.size_bytes, guarded=True)

    async def unguarded(self) -> bool:
        """No: to replace is what was asked for."""
        return False


class ConditionalCopy:
    """CopyObject with a condition: one request an object."""

    def __init__(self, store: S3Client, strategy: Strategy) -> None:
        self._store = store
        self._condition = strategy.copy_condition
        self._guards_parts = strategy.guards_parts

    async def place(self, move: Move) -> Placed | Taken:
        """Copy. An object above the limit of CopyObject was copied in parts, which its size tells."""
        try:
            done = await self._store.copy(move.source, move.target, self._condition)
        except ObjectExists as error:
            return Taken(perhaps_ours=error.attempts > 1)
        return Placed(done.etag, done.size_bytes, guarded=self._guards_parts or done.size_bytes is None)

    async def unguarded(self) -> bool:
        """No."""
        return False


class CheckFirst:
    """A look, then a copy: what is stored in between is replaced. Where the bucket keeps versions, those tell what.

    ``writing`` is what copies: without a condition, or with one that is not proved.
    """

    def __init__(self, store: S3Client, writing: Placing | None = None) -> None:
        self._store = store
        self._writing = writing or Replacing(store)
        self._versions_kept: bool | None = None  # nobody has looked

    async def place(self, move: Move) -> Placed | Taken:
        """Copy where a look shows nothing."""
        if production := await look(self._store, move.target):
            return Taken(production)
        done = await self._writing.place(move)
        if isinstance(done, Taken):
            return done  # the condition has held
        if self._versions_kept is None:
            copied = await look(self._store, move.target)
            self._versions_kept = copied is not None and keeps_versions(copied)
        if not self._versions_kept:
            return Placed(done.etag, done.size_bytes, guarded=False)
        try:
            before = await version_before(self._store, move.target, done.etag)
        except S3Error:
            return Placed(done.etag, done.size_bytes, guarded=False)  # asked again, and told, if the row was set
        return Placed(done.etag, done.size_bytes, guarded=True, replaced=before)

    async def unguarded(self) -> bool:
        """Yes."""
        return True


class InParts:
    """Part copies, and a Complete with the condition, after a look that spares most of them in vain.

    ``guarded`` says that the condition is proved.
    """

    def __init__(self, store: S3Client, *, guarded: bool = True) -> None:
        self._store = store
        self._guarded = guarded

    async def place(self, move: Move, info: ObjectInfo) -> Placed | Taken:
        """Copy an object of which ``info`` was seen."""
        if production := await look(self._store, move.target):
            return Taken(production)
        try:
            etag = await copy_in_parts(self._store, move.source, move.target, info, IF_ABSENT, storage_class=True)
        except ObjectExists as error:
            return Taken(perhaps_ours=error.attempts > 1)
        return Placed(etag, info.size_bytes, guarded=self._guarded)


class ConditionalComplete:
    """A multipart copy, mostly of a single part, whose Complete has the condition."""

    def __init__(self, store: S3Client) -> None:
        self._store = store
        self._in_parts = InParts(store)

    async def place(self, move: Move) -> Placed | Taken:
        """Copy in parts."""
        return await self._in_parts.place(move, await self._store.head(move.source))

    async def unguarded(self) -> bool:
        """No."""
        return False


class ConditionalPut:
    """The object is read, and put with the condition; a large one is copied in parts.

    Where the store does not honour the condition on Complete at all, parts gain nothing over a look and a copy; and
    Ceph 16 decodes the source of a part copy twice, so that it finds no key with a percent sign.
    """

    def __init__(self, store: S3Client, strategy: Strategy) -> None:
        self._store = store
        self._asks_for_tags = strategy.asks_for_tags
        self._in_parts = InParts(store, guarded=strategy.guards_parts) if strategy.sends_parts else None
        self._check_first = CheckFirst(store)
        self._large_puts = asyncio.Semaphore(LARGE_PUTS)
        self._looks_first = False

    async def place(self, move: Move) -> Placed | Taken:
        """Read and put. After an object that was there already the next is looked for: they rarely come alone."""
        if self._looks_first and (production := await look(self._store, move.target)):
            return Taken(production)
        info, beginning = await self._store.read_beginning(move.source, FIRST_BYTES)
        if info.size_bytes > PUT_LIMIT_BYTES:
            parts, check_first = self._in_parts, self._check_first
            outcome = await (parts.place(move, info) if parts else check_first.place(move))
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
            return await self._store.get(source, read_bytes, info.size_bytes - 1, if_match=info.etag)
        except PreconditionFailed as error:
            hint = "Run the command again."
            raise PreconditionFailed(f"{source} was replaced while it was read", hint=hint) from error

    async def _put(self, move: Move, info: ObjectInfo, body: bytes) -> Placed | Taken:
        tagged = self._asks_for_tags or info.headers.get("x-amz-tagging-count", "0") != "0"
        tags = await tags_of(self._store, move.source, info) if tagged else []
        headers = kept_headers(info.headers, tags, storage_class=True)
        try:
            etag = await self._store.put(move.target, body, headers, IF_ABSENT)
        except ObjectExists as error:
            return Taken(perhaps_ours=error.attempts > 1)
        return Placed(etag, info.size_bytes, guarded=True)


async def look(store: S3Client, location: Location) -> ObjectInfo | None:
    """Return what a HEAD tells, or None where there is no such object."""
    try:
        return await store.head(location)
    except ObjectMissing:
        return None
