"""How far a run is, and in which words that is said: a bar on a terminal has the same as a plain line elsewhere. Pure.

The run calls ``Progress.update`` as often as it likes: it only keeps the newest figures. Drawing is done by whoever
shows them (see ``terminal`` and ``bar``), at its own pace.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.outcome import WORDS_NEEDING_A_PERSON, Tally
from sketchmigrate.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

PACE_WINDOW_SECONDS = 30.0
"""The rate is that of the last half minute: it follows a change, and one slow batch does not make it jump."""

_SAMPLE_SECONDS = 0.5
_MOST_HOURS_SHOWN = 1000
_LONG_SECONDS = 300
"""From this on it is said when it will be done, and how long it has gone on."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What is shown at one moment. ``total_rows`` None is unknown, ``rows_per_second`` None not yet known.

    Where something else than rows is counted, ``unit`` names it. ``taken`` of at most ``limit`` references were taken
    up, None where there is no limit. ``again`` counts the rows of a further pass, None in the first one.
    ``streamed_bytes`` of objects have passed through this machine and are stored. A run that ``is_stopped`` goes on by
    itself, and nobody knows when. ``standstill`` says for what a run without progress waits, where nothing else does,
    and ``follows`` how near a run that goes on is to its end. ``finished_last`` rows come last, and an earlier run is
    likely to have finished them: they take no time to speak of. It has gone on for ``elapsed_seconds``, and it is
    ``now``, in Unix time; both are 0 where nobody says so.
    """

    rows_done: int = 0
    total_rows: int | None = None
    tally: Tally = field(default_factory=Tally)
    note: str = ""
    rows_per_second: float | None = None
    limited_by: str = ""
    unit: str = "rows"
    taken: int = 0
    limit: int | None = None
    again: int | None = None
    streamed_bytes: int = 0
    bytes_per_second: float | None = None
    is_stopped: bool = False
    standstill: str = ""
    follows: str = ""
    finished_last: int = 0
    elapsed_seconds: float = 0.0
    now: float = 0.0

    @property
    def knows_total(self) -> bool:
        """Whether the total is known, and was not estimated too low."""
        return bool(self.total_rows) and self.rows_done <= (self.total_rows or 0)

    @property
    def fraction(self) -> float | None:
        """Done part of the rows, or of the limit where that comes first; None where neither is known."""
        of_rows = [self.rows_done / self.total_rows] if self.total_rows and self.knows_total else []
        of_limit = [min(1.0, self.taken / self.limit)] if self.limit else []
        return max(of_rows + of_limit, default=None)

    @property
    def seconds_left(self) -> float | None:
        """Time that the rest takes at this rate, or None where nobody knows: a further pass is as fast as it reads."""
        if not self.rows_per_second or self.again is not None or self.is_stopped:
            return None
        rows = (self.total_rows or 0) - self.rows_done - self.finished_last
        left = [max(0, rows)] if self.total_rows and self.knows_total else []
        left += [max(0, self.limit - self.taken)] if self.limit else []
        return min(left) / self.rows_per_second if left else None


class Progress:
    """The newest figures of a run. ``clock`` is monotonic, in seconds; ``unix_time`` is that of the day.

    ``on_update`` is called after every update, so it must be cheap.
    """

    def __init__(
        self,
        total_rows: int | None,
        clock: Callable[[], float],
        *,
        on_update: Callable[[], None],
        unit: str = "rows",
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._unix_time = clock, unix_time
        self._began = began = clock()
        self._on_update = on_update
        self._figures = Figures(total_rows=total_rows, unit=unit)
        self._pace, self._bytes_pace = Pace(began), Pace(began)

    def bound(self, limit: int | None) -> None:
        """Take over how many references are taken up at most; None: all."""
        self._figures = replace(self._figures, limit=limit)

    def expect_finished(self, rows: int) -> None:
        """Take over that so many rows come last, and are likely finished."""
        self._figures = replace(self._figures, finished_last=rows)

    def update(
        self,
        rows_done: int,
        tally: Tally,
        total_rows: int | None = None,
        *,
        taken: int | None = None,
        again: int | None = None,
    ) -> None:
        """Take over the counts of the whole run so far; ``total_rows`` where a better estimate is known.

        What is done never gets less: where a worker's range is redone it stays for a while. ``taken`` are the
        references that count for the limit, unless all do; ``again`` are the rows of a further pass.
        """
        before = self._figures
        total = before.total_rows if total_rows is None else total_rows
        # not rows_done: rows that a resumed run only passes say nothing about the time that the others take
        self._pace.add(self._clock(), tally.scanned)
        self._figures = replace(
            before,
            rows_done=max(rows_done, before.rows_done),
            tally=tally,
            total_rows=total,
            taken=max(before.taken, tally.scanned if taken is None else taken),
            again=again,
        )
        self._on_update()

    def reach(self, done: int, total: int | None) -> None:
        """Take over how much was read, listed or counted so far, which has no outcomes; ``total`` None is unknown.

        What is done never gets less: a listing that is made again has to come up to what was listed before.
        """
        done = max(done, self._figures.rows_done)
        self._pace.add(self._clock(), done)
        self._figures = replace(self._figures, rows_done=done, total_rows=total)
        self._on_update()

    def streamed(self, more_bytes: int) -> None:
        """Take over that so many more bytes of objects have passed through this machine."""
        streamed_bytes = self._figures.streamed_bytes + more_bytes
        self._bytes_pace.add(self._clock(), streamed_bytes)
        self._figures = replace(self._figures, streamed_bytes=streamed_bytes)
        self._on_update()

    def limit(self, word: str, *, is_stopped: bool = False) -> None:
        """Take over what limits the run now, or has stopped it; an empty word says nothing.

        It comes in regularly, also while nothing is done: so a line is due in time.
        """
        if (word, is_stopped) != (self._figures.limited_by, self._figures.is_stopped):
            self._figures = replace(self._figures, limited_by=word, is_stopped=is_stopped)
        self._on_update()

    def wait(self, text: str) -> None:
        """Show what the run is waiting for, which was said already; an empty text clears it."""
        if text or self._figures.note:
            self._figures = replace(self._figures, note=printable(text))
        self._on_update()

    def follow(self, text: str) -> None:
        """Show how near a run that goes on is to its end; an empty text clears it."""
        self._figures = replace(self._figures, follows=printable(text))
        self._on_update()

    def stand_still(self, text: str) -> None:
        """Show for what a run without progress waits; an empty text clears it."""
        if text != self._figures.standstill:
            self._figures = replace(self._figures, standstill=printable(text))
        self._on_update()

    @property
    def figures(self) -> Figures:
        """What is to be shown now."""
        now = self._clock()
        rows_per_second, bytes_per_second = self._pace.per_second(now), self._bytes_pace.per_second(now)
        return replace(
            self._figures,
            rows_per_second=rows_per_second,
            bytes_per_second=bytes_per_second,
            elapsed_seconds=now - self._began,
            now=self._unix_time(),
        )


class Pace:
    """Rows, or bytes, per second over the last ``PACE_WINDOW_SECONDS``, from samples half a second apart."""

    def __init__(self, started: float) -> None:
        self._samples: deque[tuple[float, int]] = deque([(started, 0)])
        self._newest = (started, 0)

    def add(self, now: float, done: int) -> None:
        """Note that so many are done by now."""
        self._newest = (now, done)
        if now - self._samples[-1][0] >= _SAMPLE_SECONDS:
            self._samples.append(self._newest)
            while len(self._samples) > 2 and now - self._samples[1][0] >= PACE_WINDOW_SECONDS:  # noqa: PLR2004 - two make a span
                self._samples.popleft()

    def per_second(self, now: float) -> float | None:
        """Return the rate, which falls while nothing comes; None before the first ones."""
        then, done_then = self._samples[0]
        done, elapsed = self._newest[1] - done_then, now - then
        return done / elapsed if done > 0 and elapsed > 0 else None


class EverySoOften:
    """True once in every ``period_seconds``, on a clock that is passed in; not at the very start."""

    def __init__(self, period_seconds: float, now: float) -> None:
        self._period_seconds = period_seconds
        self._due = now + period_seconds

    def is_due(self, now: float) -> bool:
        """Whether it is time again; if so, the next time is a period from now."""
        if now < self._due:
            return False
        self._due = now + self._period_seconds
        return True


class Words(NamedTuple):
    """What is said of figures, part by part; empty where there is nothing to say."""

    done: str
    percent: str
    rate: str
    time_left: str
    finish: str
    elapsed: str
    again: str
    trouble: str
    note: str
    limit: str
    follows: str


def words(figures: Figures) -> Words:
    """Put figures into words. Nobody knows the time that is left while something is waited for."""
    note = figures.note or figures.standstill
    unit, fraction, rate = figures.unit, figures.fraction, figures.rows_per_second
    of_total = f" of {figures.total_rows:,}" if figures.knows_total else ""
    of_limit = f", {figures.taken:,} of at most {figures.limit:,} taken up" if figures.limit else ""
    of_bytes = f", {_decimal(figures.streamed_bytes)}" if figures.streamed_bytes else ""
    rates = ["" if rate is None else f"{rate:,.0f} {unit}/s"]
    rates += ["" if figures.bytes_per_second is None else f"{_decimal(figures.bytes_per_second)}/s"]
    counts = [(word, getattr(figures.tally, word)) for word in WORDS_NEEDING_A_PERSON]
    return Words(
        done=f"{figures.rows_done:,}{of_total} {unit}{of_limit}{of_bytes}",
        percent="" if fraction is None else f"{int(100 * fraction)} %",
        rate=", ".join(filter(None, rates)),
        time_left="" if note else _left(figures.seconds_left),
        finish="" if note else _finish(figures.seconds_left, figures.now),
        elapsed=duration(figures.elapsed_seconds) if figures.elapsed_seconds >= 1 else "",
        again="" if figures.again is None or note or figures.follows else f"looking again: {figures.again:,} {unit}",
        trouble=", ".join(f"{word} {count:,}" for word, count in counts if count),
        note=note,
        limit=f"limit: {figures.limited_by}" if figures.limited_by and not note else "",
        follows=figures.follows,
    )


def _decimal(count: float) -> str:
    from rich.filesize import decimal  # noqa: PLC0415 - help and version go without rich

    return decimal(int(count))


def _left(seconds: float | None) -> str:
    """Say how long it will take; never that it takes no time, as long as there is something left."""
    if not seconds or seconds > _MOST_HOURS_SHOWN * 3600:
        return ""
    return f"{duration(max(1.0, seconds))} left"


def _finish(seconds: float | None, now: float) -> str:
    """Say when it will be done by the clock, where that is a while."""
    if not seconds or not now or not _LONG_SECONDS <= seconds <= _MOST_HOURS_SHOWN * 3600:
        return ""
    return f"done {_clock_time(now + seconds, now)}"


def _clock_time(at: float, now: float) -> str:
    """Say when that is in this machine's time zone: the day as well, where it is another."""
    then, today = datetime.fromtimestamp(at).astimezone(), datetime.fromtimestamp(now).astimezone()
    return then.strftime("%H:%M" if then.date() == today.date() else "%d %b %H:%M")


def line(figures: Figures) -> str:
    """Say it in one plain line: ``12,500 of 20,000 rows, 62 %, 4,321 rows/s, 0:02 left; limit: database``."""
    said = words(figures)
    elapsed = f"{said.elapsed} elapsed" if figures.elapsed_seconds >= _LONG_SECONDS else ""
    first = ", ".join(
        part for part in (said.done, said.percent, said.rate, elapsed, said.time_left, said.finish) if part
    )
    return "; ".join(part for part in (first, said.again, said.trouble, said.note, said.limit, said.follows) if part)


def duration(seconds: float) -> str:
    """Write a duration as ``0:07``, ``12:34`` or ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
