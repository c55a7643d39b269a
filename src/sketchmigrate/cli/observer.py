"""What the iterations and the listings report, turned into progress and, with ``-v``, a line for each entry."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sketchmigrate.core.outcome import Result, Tally
from sketchmigrate.migration.sampling import Seen
from sketchmigrate.postgres.waits import Held, merged
from sketchmigrate.report.entries import entry_lines
from sketchmigrate.report.limits import GOVERNOR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sketchmigrate.cli.telling import Telling
    from sketchmigrate.core.sample import Felt
    from sketchmigrate.core.traffic import Told
    from sketchmigrate.migration.site import Site
    from sketchmigrate.report.progress import Progress
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.settings import Options


@dataclass(slots=True)
class Observer:
    """Turns what the iterations report into progress and, with ``-v``, a line for each entry.

    ``is_back``: they are of a rollback, in which rows that hold something else than the ledger do not count for the
    limit.
    """

    site: Site
    options: Options
    terminal: Terminal
    progress: Progress
    rows: int = 0
    total_rows: int | None = None
    tally: Tally = field(default_factory=Tally)
    held: list[Held] = field(default_factory=list)
    limits: Counter[str] = field(default_factory=Counter)
    is_back: bool = False
    passed: int = 0
    by_the_database: str = ""
    is_stopped: bool = False
    seen: Seen = field(default_factory=Seen)
    telling: Telling | None = None

    @property
    def limit(self) -> str:
        """What limited the run most of the time, in a word; empty where nothing was seen to."""
        return self.limits.most_common(1)[0][0] if self.limits else ""

    def __post_init__(self) -> None:
        self.progress.bound(self.options.limit or None)

    def new_pass(self, number: int) -> None:
        """Begin a pass. A further one looks at the rows again, and what was done stays done."""
        self.passed = max(self.passed, self.rows)
        self.total_rows = self.passed or self.total_rows
        self.rows = 0
        if number > 1:
            self.terminal.message(f"Pass {number}: looking for rows that were added meanwhile.", logging.DEBUG)

    def resumes(self, rows_before: int) -> None:
        """Take note that about so many rows come last in this pass, and are likely finished."""
        self.progress.expect_finished(rows_before)

    def begin_again(self) -> None:
        """Forget how far a pass was that is left: it did not come to its end, and tells nothing of the next one."""
        self.rows = 0

    def say(self, text: str, level: int = logging.INFO) -> None:
        """Show what is to be told between the entries."""
        self.terminal.message(text, level)

    def progress_of_all(self, rows: int, tally: Tally) -> None:
        """Take over the sum of what several workers report of this pass, and of the whole run."""
        self.rows, self.tally = max(rows, self.rows), tally
        self._show()

    def limited_by(self, word: str) -> None:
        """Take over what limits most of the workers, where it is not the database that limits all of them."""
        self.progress.limit(self.by_the_database or word, is_stopped=self.is_stopped)
        if word:
            self.limits[GOVERNOR if self.by_the_database else word] += 1

    def governed(self, text: str, *, is_stopped: bool) -> None:
        """Take over what the database limits the run by, with its figures, and whether that has stopped it."""
        self.by_the_database, self.is_stopped = text, is_stopped
        if text:
            self.progress.limit(text, is_stopped=is_stopped)

    def felt(self, vitals: Felt) -> None:
        """Take over what the database feels."""
        self.seen.vitals = vitals

    def exchanged(self, told: Told) -> None:
        """Take over a worker's traffic with the stores."""
        self.seen.crew.hear(told)

    def left(self, worker: str) -> None:
        """Take note that a worker has gone: nothing is in flight there any more."""
        self.seen.crew.left(worker)

    def waits_for(self, text: str) -> None:
        """Show what holds the run up in the database."""
        self.progress.wait(text)

    def follows(self, text: str) -> None:
        """Show how near the application is to its cutover; empty where it is not followed."""
        self.progress.follow(text)

    def stands_still(self, text: str) -> None:
        """Show for what a run without progress waits, if that is so."""
        self.progress.stand_still(text)

    def streamed(self, more_bytes: int) -> None:
        """Take over that so many more bytes of objects have passed through this machine, or another worker's."""
        self.progress.streamed(more_bytes)

    def held_up(self, waits: Iterable[Held]) -> None:
        """Take note of what has held other processes up."""
        self.held = merged((*self.held, *waits))

    def entries(self, worker: str, source: int, results: Iterable[Result]) -> None:
        """Show results, each a line or two. The log has the worker's name beside them, if it is another process."""
        self._tell(source, results)
        for result in results if self.site.tuning.is_verbose else ():
            for line in entry_lines(result, self.site.sources[source].source, dry_run=self.options.dry_run):
                self.terminal.entry(line, by=worker)

    def observe(self, source: int, rows: int, tally: Tally, results: list[Result]) -> None:
        """Take note of rows of a source that were passed, and of what became of those that were legacy."""
        self.rows += rows
        self.tally += tally
        if self.site.tuning.is_verbose:
            self.entries("", source, results)
        elif tally.needing_a_person:
            self._tell(source, results)
        self._show()

    def _tell(self, source: int, results: Iterable[Result]) -> None:
        if self.telling is not None and self.telling.wants_results:
            name = self.site.sources[source].source.name
            self.telling.results(name, results, is_verbose=self.site.tuning.is_verbose)

    def _show(self) -> None:
        tally = self.tally
        taken = tally.scanned - tally.already - tally.superseded if self.is_back else tally.scanned
        again = self.rows if self.passed else None
        self.progress.update(max(self.rows, self.passed), tally, self.total_rows, taken=taken, again=again)


@dataclass(slots=True)
class Parts:
    """Adds up how far the listings of the two sides are, and a count of the rows, for one bar."""

    progress: Progress
    found: dict[str, tuple[int, int | None]] = field(default_factory=dict)

    def tell(self, part: str, number: int, expected: int | None) -> None:
        """Take note of how many entries of a part were found, and how many there may be, where that is known."""
        self.found[part] = number, expected
        guesses = [guess for _, guess in self.found.values()]
        total = sum(guess for guess in guesses if guess is not None)
        self.progress.reach(sum(count for count, _ in self.found.values()), None if None in guesses else total)
