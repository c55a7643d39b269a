"""Which charts a page has, in their order, and what each says in a sentence. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from sketchmigrate.core.outcome import WORDS_NEEDING_A_PERSON
from sketchmigrate.core.plural import counted
from sketchmigrate.report.page.chart import Band, Chart, Line
from sketchmigrate.report.page.scale import highest, milliseconds, number, size, time_after
from sketchmigrate.report.page.series import PLAIN, refusals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sketchmigrate.core.sample import Sample
    from sketchmigrate.report.page.series import Course

STOPPED, TROUBLED = "stopped", "troubled"
_TONES = ("one", "two", "three", "four", "five", "six")
NOTHING_KNOWN = "nothing seen to"


class Held(NamedTuple):
    """What held the run back: for how long, which part of the time in percent, how long of it it was stopped."""

    name: str
    seconds: float
    percent: float
    stopped_seconds: float
    tone: str


class Segment(NamedTuple):
    """A time on the strip: where it begins and how wide it is, in percent, and what is said of it."""

    begin: float
    width: float
    tone: str
    title: str


def charts_of(course: Course, *, is_back: bool = False) -> list[Chart]:
    """Return the charts of a run that has a record, all over the same time."""
    return _shaded(course, [_rows(course, is_back=is_back), _flight(course), _latency(course), _refusals(course)])


def vitals_of(course: Course) -> list[Chart]:
    """Return the charts of what the database felt over that time, as far as it could be seen."""
    return _shaded(course, _vitals(course))


def _shaded(course: Course, charts: Sequence[Chart | None]) -> list[Chart]:
    bands = bands_of(course)
    return [replace(chart, bands=bands) for chart in charts if chart is not None]


def bands_of(course: Course) -> list[Band]:
    """Return the times in which the run was stopped, or held back by more than what always holds one back."""
    return [
        Band(each.begin, each.end, _said(each.limit, each.begin, each.end), STOPPED if each.is_stopped else TROUBLED)
        for each in course.phases
        if each.is_trouble
    ]


def held_by(course: Course) -> list[Held]:
    """Return what held the run back, the longest first."""
    total = course.seconds or 1.0
    return [
        Held(limit or NOTHING_KNOWN, seconds, 100 * seconds / total, stopped, _tone(course, limit))
        for limit, seconds, stopped in course.limited()
    ]


def strip_of(course: Course) -> list[Segment]:
    """Return the same over time."""
    total = course.seconds or 1.0
    return [
        Segment(
            round(100 * each.begin / total, 2),
            round(max(100 * each.seconds / total, 0.2), 2),
            STOPPED if each.is_stopped else _tone(course, each.limit),
            _said(each.limit or NOTHING_KNOWN, each.begin, each.end),
        )
        for each in course.phases
    ]


def _tone(course: Course, limit: str) -> str:
    """Return the colour of what held it back: trouble is warm, the others are cool."""
    ranked = [each for each, *_ in course.limited()]
    if limit == "":
        return "none"
    if all(each.is_stopped for each in course.phases if each.limit == limit):
        return STOPPED
    if limit in PLAIN:
        return f"cool-{1 + [each for each in ranked if each in PLAIN and each].index(limit) % 3}"
    return f"warm-{1 + [each for each in ranked if each not in PLAIN].index(limit) % 3}"


def _said(limit: str, begin: float, end: float) -> str:
    return f"{limit}, from {time_after(begin)} to {time_after(end)}"


def _moved(sample: Sample) -> float:
    return sample.rows.get("migrated", 0) + sample.rows.get("restored", 0)


def _in_need(sample: Sample) -> float:
    return sum(count for word, count in sample.rows.items() if word in WORDS_NEEDING_A_PERSON)


def _rows(course: Course, *, is_back: bool) -> Chart:
    moved, in_need = course.rate(_moved), course.rate(_in_need)
    about = f"At most {number(highest(moved))} rows a second were {'set back' if is_back else 'moved'}"
    if worst := highest(in_need):
        about += f", and at most {number(worst)} a second turned out to need a person"
    lines = [
        Line("set back" if is_back else "moved", moved, "one", is_area=True),
        Line("need a person", in_need, "bad"),
    ]
    return Chart("rows", "Rows", "rows a second", f"{about}.", course.seconds, lines if worst else lines[:1])


def _flight(course: Course) -> Chart | None:
    flight, window = course.level(lambda each: each.in_flight), course.level(lambda each: each.window)
    if not highest(flight) and not highest(window):
        return None
    about = f"At most {number(highest(flight))} requests were in flight, where {number(highest(window))} were allowed."
    lines = [Line("in flight", flight, "one", is_area=True), Line("allowed at once", window, "quiet")]
    return Chart("flight", "Requests in flight", "requests", about, course.seconds, lines, is_whole=True)


def _latency(course: Course) -> Chart | None:
    parts = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    lines = [
        Line(name, course.percentile(part), tone)
        for (name, part), tone in zip(parts.items(), ("one", "two", "three"), strict=True)
    ]
    if not any(value is not None for _, value in lines[0].points):
        return None
    worst = highest(lines[2].points)
    about = f"At its worst, 99 of 100 replies came within {milliseconds(worst)}. The scale is logarithmic."
    return Chart(
        "latency", "Latency of S3", "time of a reply", about, course.seconds, lines, is_log=True, write=milliseconds
    )


def _refusals(course: Course) -> Chart | None:
    if not any(each.replies for each in course.samples):
        return None
    refused = course.rate(refusals)
    most, total = highest(refused), refusals(course.samples[-1])
    again = f"at most {number(most)} a second; each was made again."
    about = f"{counted(total, 'request was', 'requests were')} refused or got no reply, {again}"
    if not total:
        about = "No request was refused, and each got a reply."
    lines = [Line("refused", refused, "bad", is_area=True)]
    return Chart("refusals", "Refusals", "requests a second", about, course.seconds, lines)


def _vitals(course: Course) -> list[Chart | None]:
    seconds = course.seconds

    def of(name: str) -> list[tuple[float, float | None]]:
        return course.level(lambda each: getattr(each.vitals, name))

    found: list[Chart | None] = []
    if course.knows(lambda each: each.vitals.lag_seconds):
        lag = of("lag_seconds")
        about = f"The standby that was farthest behind was at most {number(highest(lag))} s behind."
        found.append(Chart("lag", "Standby behind", "seconds", about, seconds, [Line("behind", lag, "two")]))
    elif course.knows(lambda each: each.vitals.lag_bytes):
        lag = of("lag_bytes")
        about = f"The standby that was farthest behind was at most {size(highest(lag))} behind."
        found.append(Chart("lag", "Standby behind", "bytes", about, seconds, [Line("behind", lag, "two")], write=size))
    if course.knows(lambda each: each.vitals.wal_bytes_per_second):
        wal = of("wal_bytes_per_second")
        about = f"The database wrote at most {size(highest(wal))} of WAL a second, all its users together."
        lines = [Line("WAL", wal, "two", is_area=True)]
        found.append(Chart("wal", "WAL of the database", "bytes a second", about, seconds, lines, write=size))
    if course.knows(lambda each: each.vitals.slot_wal_bytes):
        slot = of("slot_wal_bytes")
        about = f"A replication slot kept at most {size(highest(slot))} of WAL."
        found.append(Chart("slot", "Kept by a slot", "bytes", about, seconds, [Line("WAL", slot, "two")], write=size))
    if course.knows(lambda each: each.vitals.lock_waiters):
        waiters = of("lock_waiters")
        about = "No session was seen to wait for rows of ours."
        if most := round(highest(waiters)):
            about = f"At most {counted(most, 'session', 'sessions')} waited for rows of ours at once."
        lines = [Line("waiting", waiters, "bad", is_area=True)]
        title = "Sessions that wait for us"
        found.append(Chart("waiters", title, "sessions", about, seconds, lines, is_whole=True))
    if course.knows(lambda each: each.vitals.transactions_per_second):
        work = of("transactions_per_second")
        about = f"At most {number(highest(work))} transactions a second ended, all users together."
        found.append(
            Chart("work", "Transactions of the database", "a second", about, seconds, [Line("ended", work, "two")])
        )
    return found
