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
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from sketchmigrate.core.errors import PreconditionFailed, S3Error
from sketchmigrate.s3.probe.findings import Question
from sketchmigrate.s3.probe.folder import OCCUPANT_BODY, SOURCE_BODY, ProbeFolder
from sketchmigrate.s3.wire.conditions import IF_ABSENT, R2_IF_ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sketchmigrate.core.objects import Location

K = TypeVar("K")

RACES = 1_000
RACE_SECONDS = 10.0
KEYS = 8
"""So many keys are raced on at once, by all conditions together."""

LEAST_RACES = 400
"""Of fewer that were seen to their end nothing follows. SeaweedFS's conditional copy loses one of some 40, 8 to 191 of
them one after the other; at 60 ms from a store 460 are run in the time."""

FIRST_STEP_SECONDS, LEAST_STEP_SECONDS, MOST_STEP_SECONDS = 0.002, 0.0001, 0.02
SMALLER, LARGER = 0.7, 1.2
"""How a step changes after a race that ended otherwise than the one before it, and after one that ended alike."""


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
    """Race each of these conditions so often, until one race of it is lost or the time is over.

    The first ones come first, with as many races as a proof takes. The source of copies is in the folder already, and
    what is left there is for ``folder.clear``.
    """
    if not contests:
        return {}
    running = {key: _Racing(folder, contest) for key, contest in contests.items()}
    until = monotonic() + seconds

    async def run_lane(target: Location) -> None:
        """Race on one key, again and again."""
        folder.taken(target)
        aims = {key: Aim() for key in running}
        while monotonic() < until and (key := _next(running, races)) is not None:
            await running[key].race(target, aims[key])
            try:
                await folder.at_once.delete(target)
            except S3Error:
                return  # where it stays, no further race can be run; ``clear`` tries once more

    await asyncio.gather(*(run_lane(folder.at(f"race-{lane}")) for lane in range(KEYS)))
    return {key: Race(each.done, each.lost, each.refused) for key, each in running.items()}


def _next(running: Mapping[K, _Racing], races: int) -> K | None:
    """Return the condition to race next."""
    for wanted in (min(LEAST_RACES, races), races):
        for key, each in running.items():
            if not each.lost and each.begun < wanted:
                return key
    return None


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
        upload = replace(await folder.begin_upload(target), client=store)
        part_etag = await upload.copy_part(source, 1, None, if_match=etag)

        async def write() -> None:
            await upload.complete([part_etag], IF_ABSENT)
            folder.completed(upload)

        return write

    contests: dict[Question, Contest] = {
        Question.PUT_IF_ABSENT: put,
        Question.COPY_IF_ABSENT: copy,
        Question.COPY_IF_ABSENT_R2: copy_on_r2,
        Question.COMPLETE_IF_ABSENT: complete,
    }
    return {question: contests[question] for question in questions}


@dataclass(slots=True)
class Aim:
    """Finds by how much our write must be later for both to come to the store at the same moment. Pure.

    How far the store is says nothing of how long it takes from its look to its write, a millisecond or less: leads
    spread over the time of a request hardly ever meet that. So each race is aimed by how the ones before it ended, a
    step sooner or later, and the steps become small (a staircase, as in psychophysics). Times are in seconds.
    """

    step: float = FIRST_STEP_SECONDS
    lead: float = 0.0
    _was_refused: bool | None = None

    def next_lead(self, chance: float) -> float:
        """Return the lead of the next race; ``chance`` is a number from -1 to 1."""
        return self.lead + chance * self.step

    def ended(self, *, refused: bool) -> None:
        """Take note of whether ours was refused, as theirs was first."""
        if self._was_refused is not None:
            change = SMALLER if refused is not self._was_refused else LARGER
            self.step = min(max(self.step * change, LEAST_STEP_SECONDS), MOST_STEP_SECONDS)
        self._was_refused = refused
        self.lead += -self.step if refused else self.step


@dataclass(slots=True)
class _Racing:
    """One condition, raced on several keys at once."""

    folder: ProbeFolder
    contest: Contest
    begun: int = 0
    done: int = 0
    lost: int = 0
    refused: int = 0

    async def race(self, target: Location, aim: Aim) -> None:
        """Run one race; one that the store failed does not count."""
        self.begun += 1
        try:
            write = await self.contest(target)
            lead = aim.next_lead(random.uniform(-1, 1))  # noqa: S311 - no secret
            ours, theirs = self._ours(write, max(0.0, lead)), self._theirs(target, max(0.0, -lead))
            ended = await asyncio.gather(ours, theirs, return_exceptions=True)  # both are at their end then
            if failed := next((each for each in ended if isinstance(each, BaseException)), None):
                raise failed
            if ended[0]:
                self.refused += 1
            elif await self._is_ours_there(target):
                self.lost += 1
            self.done += 1
            aim.ended(refused=bool(ended[0]))
        except S3Error:
            return
        finally:
            await self.folder.abort_all(target)

    async def _ours(self, write: Write, delay_seconds: float) -> bool:
        """Write with the condition; return whether it was refused."""
        await asyncio.sleep(delay_seconds)
        try:
            await write()
        except PreconditionFailed:
            return True
        except S3Error as error:
            if error.code not in _CONFLICTS:
                raise
            return True
        return False

    async def _theirs(self, target: Location, delay_seconds: float) -> None:
        await asyncio.sleep(delay_seconds)
        await self.folder.at_once.put(target, OCCUPANT_BODY)

    async def _is_ours_there(self, target: Location) -> bool:
        found = await self.folder.find(target)
        return found is None or found.size_bytes != len(OCCUPANT_BODY)  # None: theirs is not there, though stored
