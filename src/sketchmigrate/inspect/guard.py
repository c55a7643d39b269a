"""Which conditional write keeps an object from being replaced once it is not ours any more: found out by trying.

Stores differ in which one they honour, and some accept the condition and overwrite all the same. One that is honoured
is raced against writes of the same moment (``s3.probe_race``), as an application makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
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


class Guard(StrEnum):
    """What a repair copies with.

    Ceph compares the header with the ETag as it stores that: with the quotes of RFC 9110 it refuses every write.
    """

    COPY = "CopyObject with If-Match"
    PUT = "PutObject with If-Match"
    PUT_BARE = "PutObject with If-Match, its ETag without quotes"
    LOOK = "a look before each copy, which leaves a moment between the two"

    @property
    def puts(self) -> bool:
        """Whether the object is read and put, and not copied."""
        return self in {Guard.PUT, Guard.PUT_BARE}

    def condition(self, etag: str) -> Condition:
        """Return the condition that the object which is to be replaced has this ETag."""
        return ("if-match", etag) if self is Guard.PUT_BARE else if_target_is(etag)


@dataclass(frozen=True, slots=True)
class SettledGuard:
    """The guard, in ``words`` what it is worth, and what trying it left behind."""

    guard: Guard
    words: str
    left_behind: tuple[str, ...] = ()


async def settle_guard(side: Side, run_dir: str) -> SettledGuard:
    """Try both conditions on objects of our own, and return the first that is proved, else the first that is honoured.

    Raises ``S3Error`` where nothing can be written, and ``RunDirectoryError``.
    """
    lock = await object_lock_of(side)
    if why_not := keeps_for_ever(lock):
        return SettledGuard(Guard.LOOK, f"{Guard.LOOK}; conditions were {why_not}")
    async with recorded_folder(side, run_dir) as folder:
        guard, words = await find_guard(folder, run_dir, has_lock=is_enabled(lock))
    return SettledGuard(guard, words, tuple(folder.left_behind))


async def find_guard(folder: ProbeFolder, run_dir: str, *, has_lock: bool) -> tuple[Guard, str]:
    """Do so in a folder, which the caller clears; return the guard, and in words what it is worth."""
    await folder.put(folder.source, SOURCE_BODY)
    await folder.try_deleting()
    chosen, unproved = Guard.LOOK, ""
    for guard in (Guard.COPY, Guard.PUT, Guard.PUT_BARE):
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
        return lambda: _write(self.folder, target, self.guard, etag)


async def _write(folder: ProbeFolder, target: Location, guard: Guard, etag: str) -> None:
    condition = guard.condition(etag)
    if guard.puts:
        await folder.at_once.put(target, SOURCE_BODY, None, condition)
    else:
        await folder.at_once.copy(folder.source, target, condition)


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
