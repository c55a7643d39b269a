"""Which conditional write keeps an object from being replaced once it is not ours any more: found out by trying.

Stores differ in which one they honour, and some accept the condition and overwrite all the same.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from sketch_migrate.errors import S3Error
from sketch_migrate.s3 import if_target_is
from sketch_migrate.s3.probe_folder import OCCUPANT_BODY, SOURCE_BODY, ProbeFolder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sketch_migrate.s3 import Condition

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


async def find_guard(folder: ProbeFolder) -> Guard:
    """Try both conditions on objects of our own in a folder, and return the strongest guard that works.

    Raises ``S3Error`` where nothing can be written.
    """
    target = folder.at("target")

    async def copy(condition: Condition) -> None:
        await folder.at_once.copy(folder.source, target, condition)

    async def put(condition: Condition) -> None:
        await folder.at_once.put(target, SOURCE_BODY, None, condition)

    await folder.put(folder.source, SOURCE_BODY)
    for guard, write in ((Guard.COPY, copy), (Guard.PUT, put), (Guard.PUT_BARE, put)):
        await folder.put(target, OCCUPANT_BODY)
        if await _honoured(folder, guard, write):
            return guard
    return Guard.LOOK


async def _honoured(folder: ProbeFolder, guard: Guard, write: Callable[[Condition], Awaitable[None]]) -> bool:
    """Whether a wrong ETag keeps the object as it is, and the right one lets the write through."""
    target = folder.at("target")
    before = (await folder.look(target)).etag
    try:
        await write(guard.condition(WRONG_ETAG))
    except S3Error:
        pass
    else:
        return False
    if (await folder.look(target)).etag != before:
        return False
    try:
        await write(guard.condition(before))
    except S3Error:
        return False
    return (await folder.look(target)).etag != before
