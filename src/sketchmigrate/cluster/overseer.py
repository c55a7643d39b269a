"""What is common to those who have parts of a run's work done by workers: what each reports, and what is shown of it.

A part is done by one worker at a time. One whose worker was lost is begun again.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from sketchmigrate.cluster.dispatcher import Dispatcher
from sketchmigrate.cluster.engine import Left
from sketchmigrate.cluster.range_worker import RangeProgress
from sketchmigrate.core.outcome import Tally
from sketchmigrate.migration.breaker import FlipCounts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from sketchmigrate.cluster.engine import Engine, Message
    from sketchmigrate.cluster.range_worker import RangeDone
    from sketchmigrate.core.outcome import Result
    from sketchmigrate.core.traffic import Told
    from sketchmigrate.migration.breaker import Breaker
    from sketchmigrate.migration.site import Site
    from sketchmigrate.migration.stop import Stop
    from sketchmigrate.postgres.waits import Held


class Audience(Protocol):
    """Where the coordinator reports what goes on."""

    def new_pass(self, number: int) -> None:
        """Begin a pass."""

    def progress_of_all(self, rows: int, tally: Tally) -> None:
        """Show the rows that this pass has passed, and what is done in the whole run."""

    def limited_by(self, word: str) -> None:
        """Show what limits most of the workers, in a word; empty for nothing known."""

    def waits_for(self, text: str) -> None:
        """Show what holds the run up in the database; empty for nothing."""

    def streamed(self, more_bytes: int) -> None:
        """Take over that so many more bytes of objects have passed through a worker."""

    def exchanged(self, told: Told) -> None:
        """Take over what a worker tells of its traffic."""

    def left(self, worker: str) -> None:
        """Take note that a worker has gone."""

    def held_up(self, waits: Iterable[Held]) -> None:
        """Take note of what has held workers up, and how long in all."""

    def entries(self, worker: str, source: int, results: tuple[Result, ...]) -> None:
        """Show new results, for ``-v``."""

    def say(self, text: str, level: int = logging.INFO) -> None:
        """Tell something; ``level`` is that of ``logging``."""


@dataclass(slots=True, eq=False, kw_only=True)
class Part:
    """A part of a ``source``'s work, how often it was lost, and the flips of its attempt of which the breaker knows."""

    number: int
    source: int
    losses: int = 0
    flips_heard: FlipCounts = field(default_factory=FlipCounts)


PartOfKind = TypeVar("PartOfKind", bound=Part)


@dataclass(slots=True)
class Pass(Generic[PartOfKind]):
    """One pass: parts that wait, those that are at work with what they reported last, and what is done."""

    number: int
    waiting: deque[PartOfKind]
    at_work: dict[PartOfKind, RangeProgress | None] = field(default_factory=dict)
    done: list[tuple[PartOfKind, RangeDone]] = field(default_factory=list)
    rows_done: int = 0
    tally_done: Tally = field(default_factory=Tally)
    last_number: int = 0

    def numbered(self) -> int:
        """Return the number for a new part."""
        self.last_number += 1
        return self.last_number

    def heard(self, progress: RangeProgress) -> PartOfKind | None:
        """Take over what a part reports, and return it if it is at work."""
        for part in self.at_work:
            if progress.pass_number == self.number and progress.number == part.number:
                self.at_work[part] = progress
                return part
        return None

    def rows_and_tally(self) -> tuple[int, Tally]:
        """Add up what is done and what is reported."""
        rows, tally = self.rows_done, self.tally_done
        for progress in self.at_work.values():
            if progress is not None:
                rows, tally = rows + progress.rows, tally + progress.tally
        return rows, tally

    def tallies_done(self, sources: int) -> list[Tally]:
        """Return the tallies of what is done, by source, as workers have returned them."""
        tallies = [Tally() for _ in range(sources)]
        for part, done in self.done:
            tallies[part.source] += done.tally
        return tallies

    def waits_for(self) -> str:
        """Return what holds one of those at work up in the database; empty for nothing."""
        return next((progress.waits_for for progress in self.at_work.values() if progress and progress.waits_for), "")

    def limited_by(self) -> str:
        """Return what limits most of those at work, as far as they know."""
        words = Counter(progress.limited_by for progress in self.at_work.values() if progress and progress.limited_by)
        return words.most_common(1)[0][0] if words else ""


class Overseer(Generic[PartOfKind]):
    """Hears what workers say of the parts of a pass, shows the sum, and tells the breaker of their flips."""

    def __init__(self, engine: Engine, site: Site, *, stop: Stop, audience: Audience, breaker: Breaker) -> None:
        self._engine, self._site = engine, site
        self._stop, self._audience, self._breaker = stop, audience, breaker
        self._dispatcher = Dispatcher(engine, stop, say=audience.say, hear=self._hear)
        self._pass: Pass[PartOfKind] = Pass(0, deque())
        self._tallies = [Tally() for _ in site.sources]  # of the passes before
        self._heard: set[str] = set()  # the workers that have told of their traffic

    @property
    def _tally(self) -> Tally:
        return sum(self._tallies, Tally())

    def govern(self, rows_per_second: float) -> None:
        """Have the workers together flip no more rows a second."""
        self._dispatcher.govern(rows_per_second)

    def _tell_changes(self) -> None:
        self._dispatcher.change(self._site.tuning.changes)

    def _take_note(self, part: PartOfKind, done: RangeDone) -> None:
        """Take note of an attempt that ended."""
        self._note_flips(part, done.flips)
        self._audience.held_up(done.held_up)
        self._hear_traffic(done.told)
        self._pass.rows_done += done.rows
        self._pass.tally_done += done.tally
        self._pass.done.append((part, done))

    def _hear(self, message: Message) -> None:
        if isinstance(message, Left):
            self._audience.left(message.worker)
        elif isinstance(message, RangeProgress):
            if message.results:
                self._audience.entries(message.worker, message.source, message.results)
            self._audience.held_up(message.held_up)
            self._hear_traffic(message.told)
            if message.streamed_bytes:
                self._audience.streamed(message.streamed_bytes)
            if (part := self._pass.heard(message)) is not None:
                self._note_flips(part, message.flips)
            self._show()

    def _hear_traffic(self, told: Told | None) -> None:
        if told is not None:
            self._heard.add(told.worker)
            self._audience.exchanged(told)

    @asynccontextmanager
    async def _crew(self) -> AsyncIterator[None]:
        """Have all workers be gone at the end: nothing is in flight then, and nothing may be."""
        try:
            yield
        finally:
            for worker in self._heard:
                self._audience.left(worker)

    def _note_flips(self, part: PartOfKind, flips: FlipCounts) -> None:
        """Tell the breaker what is new of a part's flips."""
        new, part.flips_heard = flips.since(part.flips_heard), flips
        if error := self._breaker.note(new.flipped, new.failed):
            self._stop.by_error(error)

    def _show(self) -> None:
        rows, tally = self._pass.rows_and_tally()
        self._audience.limited_by(self._pass.limited_by())
        self._audience.waits_for(self._pass.waits_for())
        self._audience.progress_of_all(rows, self._tally + tally)
