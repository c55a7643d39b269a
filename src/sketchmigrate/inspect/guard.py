"""Which conditional write keeps an object from being replaced once it is not ours any more: found out by trying.

Stores differ in which one they honour, and some accept the condition and overwrite all the same. One that is honoured
is raced against writes of the same moment (``s3.probe_race``), as an application makes them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import S3Error
from sketchmigrate.migration.probe_record import recorded_folder
from sketchmigrate.migration.store_trial import is_enabled, keeps_for_ever, object_lock_of, prove
from sketchmigrate.s3 import if_target_is
from sketchmigrate.s3.probe.folder import OLD_BODY, SOURCE_BODY, ProbeFolder

if TYPE_CHECKING:
    from sketchmigrate.core.objects import Location
    from sketchmigrate.s3 import Condition
    from sketchmigrate.s3.probe.race import Write
    from sketchmigrate.sides import Side

WRONG_ETAG = "0" * 32
PUT_LIMIT_BYTES = 8 * 2**20
"""Of a larger object the body does not pass through this machine."""


class Guard(StrEnum):
    """What a repair copies with.

    Ceph compares the header with the ETag as it stores that: with the quotes of RFC 9110 it refuses every write.
    """

    COPY = "CopyObject with If-Match"
    PUT = "PutObject with If-Match"
    PUT_BARE = "PutObject with If-Match, its ETag without quotes"
    PARTS = "CompleteMultipartUpload with If-Match"
    PARTS_BARE = "CompleteMultipartUpload with If-Match, its ETag without quotes"
    LOOK = "a look before each copy, which leaves a moment between the two"

    @property
    def puts(self) -> bool:
        """Whether the object is read and put, and not copied."""
        return self in {Guard.PUT, Guard.PUT_BARE}

    @property
    def completes(self) -> bool:
        """Whether the object is copied in parts, and the condition is for the moment in which they become it."""
        return self in {Guard.PARTS, Guard.PARTS_BARE}

    def condition(self, etag: str) -> Condition:
        """Return the condition that the object which is to be replaced has this ETag."""
        return ("if-match", etag) if self in {Guard.PUT_BARE, Guard.PARTS_BARE} else if_target_is(etag)


@dataclass(frozen=True, slots=True)
class SettledGuard:
    """The guard, in ``words`` what it is worth, and what trying it left behind.

    ``of_large`` is that of objects which are too large to be put, where others are.
    """

    guard: Guard
    words: str
    of_large: Guard = Guard.LOOK
    left_behind: tuple[str, ...] = ()

    def of(self, size_bytes: int) -> Guard:
        """Return the guard of an object of that size."""
        is_other = self.guard is not Guard.COPY and size_bytes > PUT_LIMIT_BYTES
        return self.of_large if is_other else self.guard


async def settle_guard(side: Side, run_dir: str, *, large: bool, is_streamed: bool = False) -> SettledGuard:
    """Try the conditions on objects of our own, and return the first that is proved, else the first that is honoured.

    With ``large`` there are objects over ``PUT_LIMIT_BYTES``; those that are streamed are never copied. Raises
    ``S3Error`` where nothing can be written, and ``RunDirectoryError``.
    """
    lock = await object_lock_of(side)
    if why_not := keeps_for_ever(lock):
        return SettledGuard(Guard.LOOK, f"{Guard.LOOK}; conditions were {why_not}")
    async with recorded_folder(side, run_dir) as folder:
        guards = _PUTS if is_streamed else (Guard.COPY, *_PUTS)
        found = await find_guard(folder, run_dir, guards, has_lock=is_enabled(lock), large=large or is_streamed)
    return replace(found, left_behind=tuple(folder.left_behind))


_PUTS = (Guard.PUT, Guard.PUT_BARE)


async def find_guard(
    folder: ProbeFolder,
    run_dir: str,
    guards: tuple[Guard, ...] = (Guard.COPY, *_PUTS),
    *,
    has_lock: bool,
    large: bool,
) -> SettledGuard:
    """Do so in a folder, which the caller clears."""
    await folder.put(folder.source, SOURCE_BODY)
    await folder.try_deleting()
    guard, words = await _first(folder, guards, run_dir, has_lock=has_lock)
    if guard is Guard.COPY or not large:
        return SettledGuard(guard, words)
    of_large, more = await _first(folder, (Guard.PARTS, Guard.PARTS_BARE), run_dir, has_lock=has_lock)
    if of_large is guard:
        return SettledGuard(guard, words)  # a look, for both
    which = f"those over {PUT_LIMIT_BYTES >> 20} MiB" if Guard.COPY in guards else "those in parts"
    return SettledGuard(guard, f"{words}; {which} with {more}", of_large)


async def _first(folder: ProbeFolder, guards: tuple[Guard, ...], run_dir: str, *, has_lock: bool) -> tuple[Guard, str]:
    """Return the first of the guards that is proved, else the first that is honoured, and what it is worth."""
    chosen, unproved = Guard.LOOK, ""
    for guard in guards:
        if not await _honoured(folder, guard):
            continue
        (proof,) = (await prove(folder, {guard: _Contest(folder, guard)}, run_dir, has_lock=has_lock)).values()
        if proof.is_proved:
            return guard, str(guard)
        if chosen is Guard.LOOK:
            chosen = guard
            unproved = f"; that it holds against a write of the same moment is not proved: {proof.evidence}"
    return chosen, f"{chosen}{unproved}"


@dataclass(frozen=True, slots=True)
class _Contest:
    """Our write, under a guard, to a key that has what ours may replace."""

    folder: ProbeFolder
    guard: Guard

    async def __call__(self, target: Location) -> Write:
        etag = await self.folder.at_once.put(target, OLD_BODY)
        return await _prepared(self.folder, target, self.guard, etag)


async def _prepared(folder: ProbeFolder, target: Location, guard: Guard, etag: str) -> Write:
    """Return our write, with all done that comes before the condition is asked."""
    condition = guard.condition(etag)
    if guard.puts:
        return lambda: folder.at_once.put(target, SOURCE_BODY, None, condition)
    if not guard.completes:
        return lambda: folder.at_once.copy(folder.source, target, condition)
    upload = replace(await folder.begin_upload(target), client=folder.at_once)
    part_etag = await upload.send_part(1, SOURCE_BODY)

    async def complete() -> None:
        await upload.complete([part_etag], condition)
        folder.completed(upload)

    return complete


async def _write(folder: ProbeFolder, target: Location, guard: Guard, etag: str) -> None:
    try:
        await (await _prepared(folder, target, guard, etag))()
    finally:
        await folder.abort_all(target)


async def _honoured(folder: ProbeFolder, guard: Guard) -> bool:
    """Whether a wrong ETag keeps the object as it is, and the right one lets the write through."""
    target = folder.at("target")
    await folder.put(target, OLD_BODY)
    before = (await folder.look(target)).etag
    try:
        await _write(folder, target, guard, WRONG_ETAG)
    except S3Error:
        pass
    else:
        return False
    if (await folder.look(target)).etag != before:
        return False
    try:
        await _write(folder, target, guard, before)
    except S3Error:
        return False
    return (await folder.look(target)).etag != before
