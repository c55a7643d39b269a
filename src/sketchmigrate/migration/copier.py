"""Brings the objects of one iteration into production: place, and where something is there already, compare.

The decision is ``decide``, a pure function of what a look at both sides showed; ``transfer`` has the ways in which an
object is brought without replacing another; ``Copier`` does it for many, with as many requests in flight as the store's
client allows.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.clock import SYSTEM, Clock
from sketchmigrate.core.errors import (
    ConditionNotProved,
    MigrateError,
    ObjectMissing,
    RunDirectoryError,
    S3Error,
    S3Malformed,
    UsageError,
)
from sketchmigrate.core.reason import ReasonKind, archived, because, refused_by_store
from sketchmigrate.migration.access import HOPELESS, Access
from sketchmigrate.migration.headers import differing_headers
from sketchmigrate.migration.other_spellings import OtherSpellings
from sketchmigrate.migration.transfer import CheckFirst, Replacing, Taken, replaced_version
from sketchmigrate.s3 import CopyResult, same_content, tells_tags
from sketchmigrate.s3.headers import NOT_RESTORED, archive_of, not_restored, restore_under_way
from sketchmigrate.task_group import task_group

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from sketchmigrate.core.mapping import Move
    from sketchmigrate.core.objects import Location, ObjectInfo
    from sketchmigrate.core.reason import Detail, Reason
    from sketchmigrate.migration.stop import Stop
    from sketchmigrate.migration.transfer import Transfer
    from sketchmigrate.sides import Sides

logger = logging.getLogger(__name__)

COMPARE_BYTES = 8 * 2**20
"""Objects whose ETags do not compare are read in pieces of this size, one of each side at a time."""

MEASURE_FIRST, MEASURE_ONE_IN = 100, 1000
"""A blind copy does not tell the object's size; HEADs of the first, and then of one in so many, give the estimate."""

LOOKS_ONE_IN = 8
"""So many objects of a batch are begun from one look at how many may be on their way to the next. With fewer workers
each looks: all might wait, for their turn below a prefix, before one came to the next look."""

VACATED_TIMES = 3
"""How often a key may be taken, and free again when it is looked at, before that is called a failure."""


class Verdict(Enum):
    """What became of one object."""

    COPIED = "copied"
    IN_PLACE = "in place"  # production already held the same content
    MISSING = "missing"
    CONFLICT = "conflict"
    FAILED = "failed"
    UNTOUCHED = "untouched"  # the run is stopping: nothing was begun


class Copied(NamedTuple):
    """The verdict on one object, the reason where it needs a person, and what is known of the object.

    ``guarded``: the store made sure that nothing was replaced, or told what was, or replacing was allowed. ``sampled``:
    the copy did not tell the size, so that of this one was looked up. ``also_copied`` is how many other objects of the
    same row were copied; ``etag`` is then a text that tells of all of them (``ledger.etags``), and so is
    ``read_checksum``, that of the bytes that were read where nothing else proved them.
    """

    verdict: Verdict
    reason: Reason | None = None
    size_bytes: int | None = None
    etag: str = ""
    guarded: bool = True
    sampled: bool = False
    also_copied: int = 0
    read_checksum: str = ""

    @property
    def may_flip(self) -> bool:
        """Whether the production object was seen to exist with the right content (promise 1)."""
        return self.verdict in _IN_PRODUCTION


# For each row, and Python 3.11 takes 0.3 µs to find a member by its name, and 1 µs to find it in a set.
_COPIED = Verdict.COPIED
_IN_PRODUCTION = (Verdict.COPIED, Verdict.IN_PLACE)
_UNTOUCHED = Copied(Verdict.UNTOUCHED)


class Need(Enum):
    """What a look at both sides calls for."""

    COPY = "copy"
    NOTHING = "nothing"
    COMPARE_BYTES = "compare bytes"


def decide(legacy: ObjectInfo | None, production: ObjectInfo | None, *, overwrite: bool) -> Copied | Need:
    """Decide what one object needs, from a HEAD of both sides (None: no such object)."""
    if legacy is None:
        return _missing(production)
    if production is None:
        return Need.COPY
    same = same_content(legacy, production)
    if same:
        return Need.NOTHING
    if overwrite:
        return Need.COPY
    return Need.COMPARE_BYTES if same is None else _conflict(legacy, production)


def _missing(production: ObjectInfo | None, probably: str = "") -> Copied:
    known: dict[str, Detail] = {"taken": 1} if production else {}
    if probably:
        known["probably"] = probably
    return Copied(Verdict.MISSING, because(ReasonKind.NO_LEGACY_OBJECT, **known))


def _conflict(legacy: ObjectInfo, production: ObjectInfo) -> Copied:
    sizes = {"production_bytes": production.size_bytes, "legacy_bytes": legacy.size_bytes}
    return Copied(Verdict.CONFLICT, because(ReasonKind.DIFFERENT_OBJECT, **sizes), legacy.size_bytes)


@dataclass(slots=True)
class _Batch:
    """The objects of one iteration on their way: ``taken`` of them were begun, ``unfinished`` have no verdict yet."""

    moves: Sequence[Move]
    verdicts: list[Copied]
    unfinished: int
    done: asyncio.Future[None]
    look_first: bool
    taken: int = 0


class Copier:
    """Brings objects into production. One for the whole run, shared by its iterations. An async context manager.

    As many objects are on their way as keep the store busy, and the oldest iteration is served first. If each had
    workers of its own, all would share the store evenly, finish at the same moment, and then leave the store idle while
    all of them flip.

    ``check_access`` raises ``S3Error`` where the store as a whole cannot be used. It is asked when an object fails and
    no other has succeeded since that one was begun, or none just now: then it may not be the object's fault. Once no
    object can succeed any more the stop is requested; once that is requested, nothing new is begun.

    ``transfer`` is how an object gets there: None replaces with ``overwrite``, and else looks first. A dry run looks
    and compares. ``batches`` is the number of those on their way, and ``iterations`` that of those that have not
    ended.
    """

    def __init__(
        self,
        sides: Sides,
        check_access: Callable[[], Awaitable[object]],
        *,
        overwrite: bool,
        dry_run: bool,
        stop: Stop,
        transfer: Transfer | None = None,
        clock: Clock = SYSTEM,
        compare_bytes: int = COMPARE_BYTES,
    ) -> None:
        self._sides = sides
        self._legacy, self._production = sides.legacy.store, sides.production.store
        self._other_spellings = OtherSpellings(sides.legacy, stop)
        self._monotonic = clock.monotonic
        self._compare_bytes = compare_bytes
        self._access = Access(check_access, clock)
        self._overwrite = overwrite
        self._dry_run = dry_run
        self._transfer = transfer or (Replacing(sides.production.store) if overwrite else CheckFirst(sides))
        self._stop = stop
        self._opening = task_group()  # what ends the run is raised itself, and in no group
        self._group: asyncio.TaskGroup
        self._waiting: deque[_Batch] = deque()
        self._working = self._wanted = 0
        self.batches = self.iterations = 0
        self._on_the_way: dict[
            Location, asyncio.Future[Copied] | None
        ] = {}  # by target; None: nobody else waits for it
        self._copied = 0
        self._told_of_tags = False

    async def __aenter__(self) -> Self:
        self._group = await self._opening.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opening.__aexit__(kind, error, trace)

    async def copy_all(self, moves: Sequence[Move], *, look_first: bool = False) -> list[Copied]:
        """Bring the objects of all moves into production; the verdicts are in the order of the moves.

        With ``look_first`` those that are there already are not copied, also where replacing is allowed.
        """
        verdicts = [_UNTOUCHED] * len(moves)
        if moves:
            batch = _Batch(moves, verdicts, len(moves), asyncio.get_running_loop().create_future(), look_first)
            self._waiting.append(batch)
            self._employ_for(len(moves))
            self.batches += 1
            try:
                await batch.done
            finally:
                self.batches -= 1
        return verdicts

    @contextmanager
    def iteration(self) -> Iterator[None]:
        """Count an iteration, as long as the context lasts, among those that may still bring batches."""
        self.iterations += 1
        try:
            yield
        finally:
            self.iterations -= 1

    @property
    def has_work(self) -> bool:
        """Whether objects wait for a worker."""
        return bool(self._waiting)

    def _employ_for(self, objects: int) -> None:
        """Begin workers for so many objects, as far as more are wanted at this moment."""
        self._wanted = self._sides.concurrency
        for _ in range(min(self._wanted - self._working, objects)):
            self._working += 1
            self._group.create_task(self._work())

    async def _work(self) -> None:
        """Take one object after the other.

        A task for each worker costs less than one for each object, as long as there are fewer workers than a batch has
        objects.
        """
        while self._waiting and self._working <= self._wanted:  # else the others go on
            batch = self._waiting[0]
            index = batch.taken
            batch.taken += 1
            left = len(batch.moves) - batch.taken
            if index % LOOKS_ONE_IN == 0 or self._working <= LOOKS_ONE_IN:
                self._employ_for(left)
            if not left:
                self._waiting.popleft()
            if not self._stop.requested:
                batch.verdicts[index] = await self._judge_once(batch.moves[index], look_first=batch.look_first)
            batch.unfinished -= 1
            if batch.unfinished == 0 and not batch.done.done():
                batch.done.set_result(None)
        self._working -= 1

    async def _judge_once(self, move: Move, *, look_first: bool) -> Copied:
        """Bring one object, once for all rows that name it at that moment.

        A second look at an object on its way sees a difference that is none where a store shows it half written
        (rclone does), and a picture that a million rows share is not copied by a hundred workers at once.
        """
        target = move.target
        if target in self._on_the_way:
            shared: asyncio.Future[Copied] = self._on_the_way[target] or asyncio.get_running_loop().create_future()
            self._on_the_way[target] = shared
            verdict = await asyncio.shield(shared)
            return verdict._replace(verdict=Verdict.IN_PLACE, reason=None) if verdict.may_flip else verdict
        self._on_the_way[target] = None
        verdict = _UNTOUCHED
        try:
            verdict = await self._judge(move, look_first=look_first)
        finally:
            waited_for = self._on_the_way.pop(target)
            if waited_for is not None:
                waited_for.set_result(verdict)
        return verdict

    async def _judge(self, move: Move, *, look_first: bool) -> Copied:
        """Bring one object; what a stop cut short is untouched, and begun again by the next run."""
        began_at = self._monotonic()
        try:
            verdict = await self._bring(move, look_first=look_first)
        except (S3Error, UsageError, RunDirectoryError, ConditionNotProved) as error:
            if isinstance(error, HOPELESS) or not self._stop.requested:
                try:
                    await self._access.check(error, began_at)
                except MigrateError as reason:
                    self._stop.by_error(reason)
            if self._stop.requested or not isinstance(error, S3Error):
                return _UNTOUCHED
            is_archived = error.code in NOT_RESTORED
            return Copied(Verdict.FAILED, await self._archived(move, error) if is_archived else refused_by_store(error))
        self._access.usable_at = self._monotonic()
        return verdict

    async def _archived(self, move: Move, refusal: S3Error) -> Reason:
        """Say where an object is that was refused as archived, and whether it is being restored, as a look tells."""
        try:
            legacy = await self._legacy.find(move.source)
        except S3Error as error:
            logger.info("%s is archived, and cannot be looked at: %s", move.source, error)
            legacy = None
        if legacy is None:
            return archived(refusal)
        return archived(restore_under_way(move.source, legacy.headers) or refusal, archive_of(legacy.headers))

    async def _bring(self, move: Move, *, look_first: bool) -> Copied:
        if self._dry_run:
            return await self._play_through(move)
        if look_first:
            seen, _ = await self._look_at_both(move)
            if isinstance(seen, Copied):
                return seen
        for _ in range(VACATED_TIMES):
            try:
                outcome = await self._transfer.bring(move)
            except (ObjectMissing, S3Malformed) as error:
                if isinstance(error, S3Malformed) and error.status != HTTPStatus.NOT_FOUND:
                    raise  # but a 404 that repeats a key with a control character is no XML, and a 404
                return await self._said_to_be_missing(move, error)
            if isinstance(outcome, CopyResult):
                self._copied += 1
                size_bytes, sampled = outcome.size_bytes, False
                if size_bytes is None and (self._copied <= MEASURE_FIRST or self._copied % MEASURE_ONE_IN == 1):
                    size_bytes, sampled = await self._measured(move.target)
                reason = replaced_version(move.target, outcome.replaced) if outcome.replaced else None
                etag, guarded = outcome.etag, outcome.guarded
                return Copied(_COPIED, reason, size_bytes, etag, guarded, sampled, 0, outcome.read_checksum)
            decision = await self._compare(move, outcome)
            if isinstance(decision, Copied):
                return decision
        return Copied(Verdict.FAILED, because(ReasonKind.TAKEN_BY_TURNS))

    async def _measured(self, location: Location) -> tuple[int | None, bool]:
        """Look up a size for the estimate, and say whether that worked. It is no reason to call a copy failed."""
        try:
            info = await self._production.find(location)
        except S3Error as error:
            logger.info("%s was copied, and its size cannot be looked up: %s", location, error)
            return None, False
        return (info.size_bytes, True) if info else (None, False)

    async def _said_to_be_missing(self, move: Move, told: S3Error) -> Copied:
        """Believe that there is no legacy object only where a look finds none either."""
        if await self._legacy.find(move.source):
            return Copied(Verdict.FAILED, refused_by_store(told, ReasonKind.FOUND_AND_REFUSED))
        return await self._missing(move, await self._production.find(move.target))

    async def _missing(self, move: Move, production: ObjectInfo | None) -> Copied:
        """Say that there is no legacy object, and which one is probably meant."""
        return _missing(production, await self._other_spellings.probably_meant(move.source))

    async def _play_through(self, move: Move) -> Copied:
        decision, legacy = await self._look_at_both(move)
        if isinstance(decision, Copied):
            return decision
        archive = archive_of(legacy.headers) if legacy else ""
        if legacy and archive and (refusal := await not_restored(self._legacy, move.source, legacy.headers)):
            return Copied(Verdict.FAILED, archived(refusal, archive))
        size_bytes, etag = (legacy.size_bytes, legacy.etag) if legacy else (None, "")
        return Copied(Verdict.COPIED, size_bytes=size_bytes, etag=etag)

    async def _look_at_both(self, move: Move) -> tuple[Copied | Need, ObjectInfo | None]:
        """Say what an object needs, by a look at both sides, and what legacy has."""
        production, legacy = await self._production.find(move.target), await self._legacy.find(move.source)
        return await self._decide(move, legacy, production, overwrite=self._overwrite), legacy

    async def _compare(self, move: Move, taken: Taken) -> Copied | Need:
        """Say what the object that is there already means; it may be ours, from a request whose reply was lost."""
        legacy = await self._legacy.find(move.source)
        production = taken.production or await self._production.find(move.target)
        decision = await self._decide(move, legacy, production, overwrite=False)
        if taken.perhaps_ours and isinstance(decision, Copied) and decision.verdict is Verdict.IN_PLACE:
            return Copied(Verdict.COPIED, size_bytes=decision.size_bytes, etag=decision.etag)
        return decision

    async def _decide(
        self, move: Move, legacy: ObjectInfo | None, production: ObjectInfo | None, *, overwrite: bool
    ) -> Copied | Need:
        """Decide by a look at both sides, and by their bytes where that is needed: then ``COPY`` is left, or is not."""
        if legacy is None:
            return await self._missing(move, production)
        decision = decide(legacy, production, overwrite=overwrite)
        if production is None:
            return decision
        if decision is Need.COMPARE_BYTES:
            same = await self._same_bytes(move, legacy, production)
            decision = Need.NOTHING if same else _conflict(legacy, production)
        if decision is Need.NOTHING and (other := await self._other_headers(move, legacy, production)):
            taken = Copied(Verdict.CONFLICT, because(ReasonKind.OTHER_HEADERS, difference=other), legacy.size_bytes)
            decision = Need.COPY if overwrite else taken
        if decision is Need.NOTHING:
            return Copied(Verdict.IN_PLACE, size_bytes=legacy.size_bytes, etag=legacy.etag)
        return decision

    async def unguarded(self) -> bool:
        """Whether nothing keeps any copy from replacing an object that is stored in the same moment."""
        return not self._dry_run and await self._transfer.unguarded()

    async def differs(self, move: Move) -> bool:
        """Whether production holds other bytes than legacy; not, where one is gone. Raises ``S3Error``.

        Headers do not count: a store may drop some as it copies, and then our copy has others, too.
        """
        legacy, production = await self._legacy.find(move.source), await self._production.find(move.target)
        if legacy is None or production is None:
            return False
        decision = decide(legacy, production, overwrite=False)
        if decision is Need.COMPARE_BYTES:
            return not await self._same_bytes(move, legacy, production)
        return decision is not Need.NOTHING

    async def _other_headers(self, move: Move, legacy: ObjectInfo, production: ObjectInfo) -> str:
        """Say in what they differ that a browser is told of: then it is another object for whoever looks at it."""
        if not self._told_of_tags and not tells_tags(legacy, production):
            self._told_of_tags = True
            logger.info("%s: neither side tells a number of tags; they are compared only where both do", move.target)
        return await differing_headers(self._sides, move.source, legacy, move.target, production)

    async def _same_bytes(self, move: Move, legacy: ObjectInfo, production: ObjectInfo) -> bool:
        """Compare two objects of the same size piece by piece; ``if_match`` keeps each from changing meanwhile."""
        for first in range(0, legacy.size_bytes, self._compare_bytes):
            last = min(first + self._compare_bytes, legacy.size_bytes) - 1
            ours = await self._legacy.get(move.source, first, last, if_match=legacy.etag)
            theirs = await self._production.get(move.target, first, last, if_match=production.etag)
            if ours != theirs:
                return False
        return True
