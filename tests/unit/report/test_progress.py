"""What progress says, decided from figures and a clock that the test turns."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import datetime

import pytest
from rich.console import Console

from sketchmigrate.core.outcome import Tally
from sketchmigrate.report.bar import drawn
from sketchmigrate.report.progress import EverySoOften, Figures, Pace, Progress, duration, line


class Clock:
    """A monotonic clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Read the clock."""
        return self.now


def shown(figures: Figures, width: int = 80) -> list[str]:
    """Return the bar's lines on a terminal without colours."""
    screen = io.StringIO()
    Console(file=screen, width=width, force_terminal=True, color_system=None).print(drawn(figures))
    return screen.getvalue().splitlines()


TROUBLED = Tally(migrated=12_000, missing=3, failed=1)


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        (Figures(), "0 rows"),
        (Figures(0, 20_000), "0 of 20,000 rows, 0 %"),
        (
            Figures(12_500, 20_000, TROUBLED, "", 2500.0),
            "12,500 of 20,000 rows, 62 %, 2,500 rows/s, 0:03 left; missing 3, failed 1",
        ),
        (Figures(5, 0, Tally(migrated=5), "", 1.0), "5 rows, 1 rows/s"),
        (Figures(50, 200, rows_per_second=10.0, unit="objects"), "50 of 200 objects, 25 %, 10 objects/s, 0:15 left"),
        (Figures(30, 20, Tally(migrated=30), "", 10.0), "30 rows, 10 rows/s"),
        (Figures(1, -1, Tally(migrated=1)), "1 rows"),
        (Figures(20, 20, Tally(migrated=20), "", 10.0), "20 of 20 rows, 100 %, 10 rows/s"),
        (Figures(19, 20, Tally(migrated=19), "", 10.0), "19 of 20 rows, 95 %, 10 rows/s, 0:01 left"),
        (Figures(199_999, 200_000), "199,999 of 200,000 rows, 99 %"),
        (Figures(3, 10, Tally(conflict=3), "database is away"), "3 of 10 rows, 30 %; conflict 3; database is away"),
        (Figures(1, 10**9, Tally(migrated=1), "", 0.01), "1 of 1,000,000,000 rows, 0 %, 0 rows/s"),
        (
            Figures(3, 10, rows_per_second=2.0, streamed_bytes=1_500_000_000, bytes_per_second=31e6),
            "3 of 10 rows, 1.5 GB, 30 %, 2 rows/s, 31.0 MB/s, 0:04 left",
        ),
        (Figures(10, 100, rows_per_second=2.0, finished_last=80), "10 of 100 rows, 10 %, 2 rows/s, 0:05 left"),
        (Figures(40, 100, rows_per_second=2.0, finished_last=80), "40 of 100 rows, 40 %, 2 rows/s"),
        (Figures(3, 10, Tally(missing=1), "", None, "s3 (503)"), "3 of 10 rows, 30 %; missing 1; limit: s3 (503)"),
    ],
)
def test_the_plain_line(figures: Figures, said: str) -> None:
    assert line(figures) == said


def test_the_bar_is_one_line_while_all_is_well() -> None:
    (only,) = shown(Figures(12_500, 20_000, Tally(migrated=12_500), "", 2500.0))
    assert only.startswith("12,500 of 20,000 rows ━")
    assert only.endswith(" 62 % 2,500 rows/s 0:03 left")
    assert len(only) == 80


def test_the_bar_says_below_what_is_wrong_and_what_it_waits_for() -> None:
    top, below = shown(Figures(12_500, 20_000, TROUBLED, "database is away, waiting", 2500.0))
    assert top.startswith("12,500 of 20,000 rows ━")
    assert below.rstrip() == "missing 3, failed 1  database is away, waiting"


def test_the_bar_says_below_what_limits_the_run() -> None:
    _, below = shown(Figures(5, 20, Tally(migrated=4, failed=1), "", 1.0, "this machine"))
    assert below.rstrip() == "failed 1  limit: this machine"


def test_what_limits_is_the_newest_word() -> None:
    progress = Progress(100, Clock(), on_update=lambda: None)
    for word in ("database", "s3 (latency)"):
        progress.limit(word)
    assert progress.figures.limited_by == "s3 (latency)"


def test_the_bar_stays_in_its_lines_whatever_the_figures() -> None:
    figures = Figures(399_000_000, 400_000_000, TROUBLED, "waiting " * 30, 1.5)
    lines = shown(figures)
    assert [len(text) <= 80 for text in lines] == [True, True]
    assert lines[0].startswith("399,000,000 of 400,000,000 rows")
    assert lines[1].rstrip().endswith("…")


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    pace = Pace(0.0)
    for second in range(1, 101):
        pace.add(float(second), 100 * second)
    for second in range(101, 201):
        pace.add(float(second), 10_000 + 10 * (second - 100))
    assert pace.per_second(200.0) == pytest.approx(10.0)


def test_the_rate_falls_while_nothing_comes() -> None:
    pace = Pace(0.0)
    assert pace.per_second(5.0) is None
    pace.add(10.0, 1000)
    assert pace.per_second(10.0) == pytest.approx(100.0)
    assert pace.per_second(20.0) == pytest.approx(50.0)


def test_the_rate_keeps_few_samples_however_many_updates_come() -> None:
    pace = Pace(0.0)
    for number in range(100_000):
        pace.add(number / 1000, number)
    assert len(pace._samples) <= 63  # noqa: SLF001 - that memory stays small is the claim
    assert pace.per_second(100.0) == pytest.approx(1000.0, rel=0.01)


def test_every_so_often_is_due_once_a_period() -> None:
    often = EverySoOften(5.0, 100.0)
    assert [often.is_due(now) for now in (100.0, 104.9, 105.0, 105.1, 109.9, 110.0, 130.0, 131.0)] == [
        False, False, True, False, False, True, True, False,
    ]  # fmt: skip


def without_times(figures: Figures) -> Figures:
    return replace(figures, elapsed_seconds=0.0, now=0.0)


NOON = datetime(2026, 3, 14, 12).astimezone().timestamp()
LONG = Figures(1_000_000, 300_000_000, rows_per_second=4_000.0, elapsed_seconds=285.0, now=NOON)


def test_a_long_run_says_since_when_and_until_when() -> None:
    assert line(LONG) == "1,000,000 of 300,000,000 rows, 0 %, 4,000 rows/s, 20:45:50 left, done 15 Mar 08:45"
    later = replace(LONG, total_rows=9_000_000, elapsed_seconds=3_600.0)
    assert line(later) == "1,000,000 of 9,000,000 rows, 11 %, 4,000 rows/s, 1:00:00 elapsed, 33:20 left, done 12:33"


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (120, "1,000,000 of 300,000,000 rows 0 % 4,000 rows/s 4:45 20:45:50 left done 15 Mar 08:45"),
        (84, "1,000,000 of 300,000,000 rows 0 % 4,000 rows/s 20:45:50 left"),
        (56, "1,000,000 of 300,000,000 rows 0 % 20:45:50 left"),
        (44, "1,000,000 of 300,000,000 rows 0 %"),
        (30, "1,000,000 of 300,000,000 … 0 %"),
    ],
)
def test_a_narrow_screen_gets_less_and_no_part_of_a_number(columns: int, said: str) -> None:
    screen = Console(width=columns, file=io.StringIO(), force_terminal=False)
    with screen.capture() as capture:
        screen.print(drawn(LONG))
    (only,) = capture.get().splitlines()
    assert len(only) <= columns
    assert re.sub(r"[━╸╺ ]+", " ", only).strip() == said


@pytest.mark.parametrize(
    ("figures", "colour"),
    [
        (replace(LONG, tally=Tally(migrated=9)), "green"),
        (replace(LONG, tally=Tally(migrated=9, failed=1)), "red"),
        (replace(LONG, note="database is away"), "yellow"),
        (replace(LONG, is_stopped=True), "yellow"),
    ],
)
def test_the_bar_has_the_colour_of_its_state(figures: Figures, colour: str) -> None:
    codes = {"red": "\x1b[31m━", "green": "\x1b[32m━", "yellow": "\x1b[33m━"}
    screen = Console(width=100, file=io.StringIO(), force_terminal=True, color_system="standard")
    with screen.capture() as capture:
        screen.print(drawn(replace(figures, rows_done=200_000_000)))
    assert [name for name, code in codes.items() if code in capture.get()] == [colour]


def test_update_keeps_the_newest_figures_and_a_better_total() -> None:
    clock, updates = Clock(), list[int]()
    progress = Progress(100, clock, on_update=lambda: updates.append(1))
    clock.now += 2.0
    progress.update(10, Tally(migrated=10))
    assert without_times(progress.figures) == Figures(10, 100, Tally(migrated=10), "", 5.0, taken=10)
    progress.update(20, Tally(migrated=20), total_rows=50)
    progress.update(30, Tally(migrated=30))
    assert without_times(progress.figures) == Figures(30, 50, Tally(migrated=30), "", 15.0, taken=30)
    assert progress.figures.elapsed_seconds == 2.0
    assert len(updates) == 3


def test_a_wait_is_shown_until_it_is_over_without_control_characters() -> None:
    shown: list[str] = []
    progress = Progress(100, Clock(), on_update=lambda: shown.append(progress.figures.note))
    progress.wait("away\x1b[2J")
    assert shown == [r"away\x1b[2J"]
    progress.wait("")
    assert progress.figures.note == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03"), (90_000, "25:00:00")],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_what_has_no_outcomes_is_counted_too() -> None:
    clock = Clock()
    progress = Progress(None, clock, on_update=lambda: None, unit="objects")
    clock.now += 2
    progress.reach(3000, None)
    assert line(progress.figures) == "3,000 objects, 1,500 objects/s"
    progress.reach(3000, 6000)
    assert line(progress.figures) == "3,000 of 6,000 objects, 50 %, 1,500 objects/s, 0:02 left"
