"""What the bar takes for the whole: the planner's estimate, then what the pass before has passed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from sketchmigrate.cli.observer import Observer, Parts
from sketchmigrate.core.outcome import Tally
from sketchmigrate.report.limits import GOVERNOR
from sketchmigrate.report.progress import Progress, line
from sketchmigrate.settings import Options


def made(estimate: int | None, *, limit: int = 0, is_back: bool = False) -> tuple[Observer, Progress]:
    """Return an observer of a run over a table with this estimate, and its progress after ten seconds."""
    ticks = iter([0.0])
    progress = Progress(estimate, lambda: next(ticks, 10.0), on_update=lambda: None)
    site: Any = SimpleNamespace(tuning=SimpleNamespace(is_verbose=False))
    terminal = cast("Any", type("Nobody", (), {"message": lambda *_: None})())
    return Observer(site, Options(limit=limit), terminal, progress, is_back=is_back), progress


def test_past_the_estimate_nobody_knows_the_total() -> None:
    observer, progress = made(100)
    observer.new_pass(1)
    observer.observe(0, 90, Tally(), [])
    assert line(progress.figures) == "90 of 100 rows, 90 %"
    observer.observe(0, 20, Tally(), [])
    assert line(progress.figures) == "110 rows"


@pytest.mark.parametrize("estimate", [None, 100, 1_000_000])
def test_a_further_pass_takes_nothing_back(estimate: int | None) -> None:
    observer, progress = made(estimate)
    observer.new_pass(1)
    observer.observe(0, 110, Tally(), [])
    observer.new_pass(2)
    observer.observe(0, 11, Tally(), [])
    assert line(progress.figures) == "110 of 110 rows, 100 %; looking again: 11 rows"
    observer.observe(0, 100, Tally(), [])  # one was added
    assert line(progress.figures) == "111 rows; looking again: 111 rows"


def test_so_it_is_with_the_sum_of_several_workers() -> None:
    observer, progress = made(None)
    observer.new_pass(1)
    observer.progress_of_all(50, Tally())
    assert line(progress.figures) == "50 rows"
    observer.new_pass(2)
    observer.progress_of_all(25, Tally())
    assert line(progress.figures) == "50 of 50 rows, 100 %; looking again: 25 rows"


def test_a_range_that_is_redone_takes_nothing_back() -> None:
    observer, progress = made(4100)
    observer.new_pass(1)
    observer.progress_of_all(3764, Tally(migrated=3000))
    observer.progress_of_all(2400, Tally(migrated=2000))
    assert line(progress.figures).startswith("3,764 of 4,100 rows, 91 %")
    observer.progress_of_all(4100, Tally(migrated=4000))
    observer.new_pass(2)
    observer.progress_of_all(2400, Tally(migrated=4000))
    observer.progress_of_all(1000, Tally(migrated=4000))
    assert line(progress.figures).startswith("4,100 of 4,100 rows, 100 %")
    assert line(progress.figures).endswith("; looking again: 2,400 rows")


def test_a_pass_that_others_take_over_takes_nothing_back() -> None:
    """One process was not enough: what it has passed is passed once more, and was done all the same."""
    observer, progress = made(100)
    observer.new_pass(1)
    observer.observe(0, 60, Tally(), [])
    observer.rows = 0
    observer.new_pass(2)
    observer.progress_of_all(20, Tally())
    assert line(progress.figures) == "60 of 100 rows, 60 %"
    observer.progress_of_all(70, Tally())
    assert line(progress.figures) == "70 of 100 rows, 70 %"


def test_the_time_that_is_left_knows_the_limit() -> None:
    observer, progress = made(1_000_000, limit=500)
    observer.observe(0, 500, Tally(migrated=100), [])
    assert line(progress.figures) == ("500 of 1,000,000 rows, 100 of at most 500 taken up, 20 %, 10 rows/s, 0:40 left")
    observer, progress = made(None, limit=500)
    observer.observe(0, 500, Tally(migrated=400), [])
    assert line(progress.figures) == "500 rows, 400 of at most 500 taken up, 80 %, 40 rows/s, 0:02 left"


def test_a_limit_beyond_the_table_says_nothing() -> None:
    observer, progress = made(100, limit=500)
    observer.observe(0, 50, Tally(migrated=50), [])
    assert line(progress.figures) == "50 of 100 rows, 50 of at most 500 taken up, 50 %, 5 rows/s, 0:10 left"


def test_rows_that_a_rollback_leaves_do_not_count_for_the_limit() -> None:
    observer, progress = made(1000, limit=100, is_back=True)
    observer.observe(0, 300, Tally(already=280, migrated=20), [])
    assert "20 of at most 100 taken up, 30 %" in line(progress.figures)


def test_a_pass_that_passed_nothing_says_nothing_of_the_next() -> None:
    observer, progress = made(100)
    observer.new_pass(1)
    observer.new_pass(2)
    observer.observe(0, 50, Tally(), [])
    assert line(progress.figures) == "50 of 100 rows, 50 %"


def test_a_status_adds_rows_to_the_objects_of_both_sides() -> None:
    progress = Progress(None, lambda: 0.0, on_update=lambda: None, unit="objects and rows")
    parts = Parts(progress)
    parts.tell("legacy", 10, 50)
    parts.tell("rows", 20, None)
    assert line(progress.figures) == "30 objects and rows"
    parts.tell("rows", 25, 90)
    assert line(progress.figures) == "35 of 140 objects and rows, 25 %"


def test_what_the_database_limits_goes_before_what_was_seen_here_and_nobody_knows_when_a_stopped_run_goes_on() -> None:
    observer, progress = made(100)
    observer.observe(0, 50, Tally(migrated=50), [])
    observer.limited_by("this machine")
    assert line(progress.figures) == "50 of 100 rows, 50 %, 5 rows/s, 0:10 left; limit: this machine"
    slowed, stopped = (
        "database: standby-2 is 7 s behind, at most 5 rows/s",
        "database: standby-2 is 14 s behind, stopped",
    )
    observer.governed(slowed, is_stopped=False)
    observer.limited_by("this machine")
    assert line(progress.figures).endswith(f"0:10 left; limit: {slowed}")
    observer.governed(stopped, is_stopped=True)
    assert line(progress.figures) == f"50 of 100 rows, 50 %, 5 rows/s; limit: {stopped}"
    observer.limited_by("this machine")
    observer.limited_by("this machine")
    assert line(progress.figures) == f"50 of 100 rows, 50 %, 5 rows/s; limit: {stopped}"
    assert observer.limit == GOVERNOR
    observer.governed("", is_stopped=False)
    observer.limited_by("this machine")
    assert line(progress.figures).endswith("0:10 left; limit: this machine")
