"""Races conditional writes against writes of the same moment: what holds one after the other need not be atomic.

Seen on stores that check a condition first and store later: OpenStack Swift's conditional Complete replaced 31 of 200
objects that were stored in the same moment, SeaweedFS's conditional copy 20 of 2 500, Ceph's conditional put none of
1 000.

A race is a write of an object without a condition, as an application makes it, and one of ours with the condition: to a
key where nothing is, or where the object is that ours may replace. Whichever comes first, at the end the application's
object must be there: it was stored without a condition, and ours must not replace it. So a loss is any other end of a
race in which its write succeeded.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from sketchmigrate.errors import ObjectMissing, PreconditionFailed, S3Error
from sketchmigrate.s3.conditions import IF_ABSENT, R2_IF_ABSENT
from sketchmigrate.s3.findings import Question
from sketchmigrate.s3.probe_folder import OCCUPANT_BODY, SOURCE_BODY, ProbeFolder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sketchmigrate.model import Location

K = TypeVar("K")

RACES = 1_000
RACE_SECONDS = 10.0
KEYS = 8
"""So many keys are raced on at once, by all conditions together."""

LEAST_RACES = 100
"""Of fewer that were seen to their end nothing follows."""


# What a store says instead of 412 while another write is under way (S3 API reference, PutObject, If-None-Match).
_CONFLICTS = {"ConditionalRequestConflict", "OperationAborted"}


class Race(NamedTuple):
    """How often a condition was raced, the application's object replaced, and ours refused as theirs was first."""

    races: int
    lost: int
    refused: int

    @property
    def is_proved(self) -> bool:
        """Whether none was lost, of enough in which now the one was first and now the other."""
        return self.races >= LEAST_RACES and not self.lost and 0 < self.refused < self.races

    def told(self) -> str:
        """Say how it went, in a few words."""
        if self.lost:
            verb = "was" if self.lost == 1 else "were"
            return f"{self.lost:,} of {self.races:,} objects stored in the same moment {verb} replaced"
        if self.races < LEAST_RACES:
            return f"only {self.races:,} races against writes of the same moment came to their end, too few to tell"
        if not self.is_proved:
            return f"in all of {self.races:,} races the same write came first, so they never met"
        return f"none of {self.races:,} objects stored in the same moment was replaced"


Write: TypeAlias = Callable[[], Awaitable[object]]
"""Our write with its condition. Raises ``PreconditionFailed``, or another ``S3Error``."""

Contest: TypeAlias = Callable[["Location"], Awaitable[Write]]
"""Prepares a race on a key where nothing is, and returns our write. Raises ``S3Error``: such a race does not count."""


async def race(
    folder: ProbeFolder, contests: Mapping[K, Contest], *, races: int = RACES, seconds: float = RACE_SECONDS
) -> dict[K, Race]:
    """Race each of these conditions so often, all at once, until one race is lost or the time is over.

    The source of copies is in the folder already, and what is left there is for ``folder.clear``.
    """
    if not contests:
        return {}
    until = monotonic() + seconds
    running = {key: _Racing(folder, contest, races, until) for key, contest in contests.items()}
    lanes = max(1, KEYS // len(running))
    targets = [folder.at(f"race-{number}") for number in range(lanes * len(running))]
    runners = [each for each in running.values() for _ in range(lanes)]
    await asyncio.gather(*(each.run_lane(target) for each, target in zip(runners, targets, strict=True)))
    return {key: Race(each.done, each.lost, each.refused) for key, each in running.items()}


async def contests_for_absence(folder: ProbeFolder, questions: Iterable[Question]) -> dict[Question, Contest]:
    """Return how the conditions are raced that are to keep our write from replacing anything. Raises ``S3Error``."""
    store, source = folder.at_once, folder.source
    etag = (await folder.look(source)).etag

    async def put(target: Location) -> Write:
        return lambda: store.put(target, SOURCE_BODY, None, IF_ABSENT)

    async def copy(target: Location) -> Write:
        return lambda: store.copy(source, target, IF_ABSENT)

    async def copy_on_r2(target: Location) -> Write:
        return lambda: store.copy(source, target, R2_IF_ABSENT)

    async def complete(target: Location) -> Write:
        upload_id = await folder.begin_upload(target)
        part_etag = await store.upload_part_copy(source, target, upload_id, 1, None, if_match=etag)

        async def write() -> None:
            await store.complete_multipart_upload(target, upload_id, [part_etag], IF_ABSENT)
            folder.completed(target, upload_id)

        return write

    contests: dict[Question, Contest] = {
        Question.PUT_IF_ABSENT: put,
        Question.COPY_IF_ABSENT: copy,
        Question.COPY_IF_ABSENT_R2: copy_on_r2,
        Question.COMPLETE_IF_ABSENT: complete,
    }
    return {question: contests[question] for question in questions}


@dataclass(slots=True)
class _Racing:
    """One condition, raced on several keys at once. ``ours_seconds`` is how long our write takes, about."""

    folder: ProbeFolder
    contest: Contest
    races: int
    until: float
    begun: int = 0
    done: int = 0
    lost: int = 0
    refused: int = 0
    ours_seconds: float = 0.0

    async def run_lane(self, target: Location) -> None:
        """Race on one key, again and again."""
        self.folder.taken(target)
        while self.begun < self.races and not self.lost and monotonic() < self.until:
            self.begun += 1
            await self._race(target)
            try:
                await self.folder.at_once.delete(target)
            except S3Error:
                return  # where it stays, no further race can be run; ``clear`` tries once more

    async def _race(self, target: Location) -> None:
        """Run one race; one that the store failed does not count."""
        try:
            write = await self.contest(target)
            # now the one is a little ahead and now the other, by no more than ours takes
            lead = random.uniform(-1, 1) * self.ours_seconds  # noqa: S311 - no secret
            ours, theirs = self._ours(write, max(0.0, lead)), self._theirs(target, max(0.0, -lead))
            ended = await asyncio.gather(ours, theirs, return_exceptions=True)  # both are at their end then
            if failed := next((each for each in ended if isinstance(each, BaseException)), None):
                raise failed
            if ended[0]:
                self.refused += 1
            elif await self._is_ours_there(target):
                self.lost += 1
            self.done += 1
        except S3Error:
            return
        finally:
            await self.folder.call_off_all(target)

    async def _ours(self, write: Write, delay_seconds: float) -> bool:
        """Write with the condition; return whether it was refused."""
        await asyncio.sleep(delay_seconds)
        began = monotonic()
        try:
            await write()
        except PreconditionFailed:
            return True
        except S3Error as error:
            if error.code not in _CONFLICTS:
                raise
            return True
        finally:
            self.ours_seconds += (monotonic() - began - self.ours_seconds) / 8
        return False

    async def _theirs(self, target: Location, delay_seconds: float) -> None:
        await asyncio.sleep(delay_seconds)
        await self.folder.at_once.put(target, OCCUPANT_BODY)

    async def _is_ours_there(self, target: Location) -> bool:
        try:
            return (await self.folder.look(target)).size_bytes != len(OCCUPANT_BODY)
        except ObjectMissing:
            return True  # theirs is not there, though it was stored
