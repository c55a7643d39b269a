"""How the samples of a run are kept in its ledger: one a second at first, fewer the longer it goes on.

There is a sample for each slot of so many seconds. Where there would be too many, the slots get twice as long and every
second sample is dropped: the record of a day is no longer than that of half an hour. What is kept is written every few
seconds, so a kill loses no more than these.
"""

from __future__ import annotations

import asyncio
import json
import logging
import zlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from sketchmigrate.core.errors import MigrateError
from sketchmigrate.core.sample import Sample
from sketchmigrate.task_group import task_group

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence

log = logging.getLogger(__name__)

MOST_SAMPLES = 1440
"""A packed sample has some 400 bytes: less than 1 MB with all that a database needs besides."""

WRITE_SECONDS = 5.0
LAST_SECONDS = 5.0
"""So long the last samples may take to be written, at the end of a run: then they are left out."""


def pack_sample(sample: Sample) -> bytes:
    """Return a sample as a ledger keeps it."""
    return zlib.compress(json.dumps(sample.as_json(), separators=(",", ":")).encode())


def samples_of(rows: Iterable[Sequence[bytes]]) -> list[Sample]:
    """Return the samples of a ledger's rows, in their order; those that cannot be read are left out."""
    found = []
    for (packed,) in rows:
        try:
            found.append(Sample.of_json(json.loads(zlib.decompress(packed))))
        except (zlib.error, ValueError, KeyError, TypeError, AttributeError):
            log.debug("A sample in the ledger cannot be read: it is left out.")
    return found


class Thinning:
    """Which samples are kept, by their seconds. Pure. ``slot_seconds`` is how far apart they are by now."""

    def __init__(self, most: int = MOST_SAMPLES) -> None:
        self.slot_seconds = 1
        self._most = most
        self._kept: dict[int, int] = {}  # the second of the sample that is kept of each slot

    def takes(self, second: int) -> bool:
        """Take over a sample, unless its slot has one."""
        slot = second // self.slot_seconds
        is_new = slot not in self._kept
        self._kept.setdefault(slot, second)
        return is_new

    def forgotten(self) -> set[int]:
        """Return the seconds of the samples that are dropped now: there are none while there are not too many."""
        if len(self._kept) <= self._most:
            return set()
        before = set(self._kept.values())
        self.slot_seconds *= 2
        self._kept = {second // self.slot_seconds: second for second in sorted(before, reverse=True)}
        return before - set(self._kept.values())


class SampleLedger(Protocol):
    """Where samples are written: see ``contract.WholeLedger``."""

    async def record_samples(self, samples: Mapping[int, bytes], forgotten: Collection[int] = ()) -> None:
        """Write samples of the run by their second, packed, and strike others out by theirs."""


class _Keeping:
    """Holds the samples that are to be written next."""

    def __init__(self, ledger: SampleLedger) -> None:
        self._ledger = ledger
        self._thinning = Thinning()
        self._waiting: dict[int, Sample] = {}
        self._forgotten: set[int] = set()
        self._last: Sample | None = None
        self._failed = False

    def take(self, sample: Sample) -> None:
        """Take over a sample. Nothing is written here, or waited for."""
        second = int(sample.at)
        self._last = sample
        if self._thinning.takes(second):
            self._waiting[second] = sample
            for each in self._thinning.forgotten():
                self._waiting.pop(each, None)
                self._forgotten.add(each)

    async def go_on(self) -> None:
        """Write what is waiting, every few seconds."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self._write()

    async def end(self) -> None:
        """Write what is left, with the last sample, which tells what the run came to."""
        if self._last is not None:
            self._waiting[int(self._last.at)] = self._last
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self._write()
        except TimeoutError:
            log.warning("The last samples of how the run went are not in its ledger, which did not answer.")

    async def _write(self) -> None:
        if not self._waiting:
            return
        waiting, forgotten = dict(self._waiting), set(self._forgotten)
        packed = {second: pack_sample(sample) for second, sample in waiting.items()}
        try:
            await self._ledger.record_samples(packed, forgotten - packed.keys())
        except MigrateError as error:  # those who write flips are stopped by it where it lasts
            level = logging.DEBUG if self._failed else logging.WARNING
            log.log(level, "How the run goes cannot be written into its ledger: %s", error)
            self._failed = True
            return
        self._forgotten -= forgotten
        self._waiting = {second: each for second, each in self._waiting.items() if waiting.get(second) is not each}


@asynccontextmanager
async def keep_samples(ledger: SampleLedger) -> AsyncIterator[Callable[[Sample], None]]:
    """Return what is to be told each sample of a run, as long as the context lasts: its ledger keeps them."""
    keeping = _Keeping(ledger)
    try:
        async with task_group() as group:
            writing = group.create_task(keeping.go_on())
            try:
                yield keeping.take
            finally:
                writing.cancel()
    finally:
        await keeping.end()
