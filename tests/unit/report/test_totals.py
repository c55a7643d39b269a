"""What the bar takes for the whole: the planner's estimate, then what the pass before has passed."""

from __future__ import annotations

from typing import Any, cast

import pytest

from sketch_migrate.cli.observer import Observer, Parts
from sketch_migrate.model import Tally
from sketch_migrate.report.progress import Progress, line
from sketch_migrate.settings import Options


def made(estimate: int | None) -> tuple[Observer, Progress]:
    """Return an observer of a run over a table with this estimate."""
    progress = Progress(estimate, lambda: 0.0, on_update=lambda: None)
    site: Any = None
    terminal = cast("Any", type("Nobody", (), {"message": lambda *_: None})())
    return Observer(site, Options(), terminal, progress), progress


def test_past_the_estimate_nobody_knows_the_total() -> None:
    observer, progress = made(100)
    observer.new_pass(1)
    observer.observe(90, Tally(), [])
    assert line(progress.figures) == "90 of 100 rows, 90 %"
    observer.observe(20, Tally(), [])
    assert line(progress.figures) == "110 rows"


@pytest.mark.parametrize("estimate", [None, 100, 1_000_000])
def test_a_further_pass_is_as_long_as_the_one_before(estimate: int | None) -> None:
    observer, progress = made(estimate)
    observer.new_pass(1)
    observer.observe(110, Tally(), [])
    observer.new_pass(2)
    observer.observe(11, Tally(), [])
    assert line(progress.figures) == "11 of 110 rows, 10 %"


def test_so_it_is_with_the_sum_of_several_workers() -> None:
    observer, progress = made(None)
    observer.new_pass(1)
    observer.progress_of_all(50, Tally())
    assert line(progress.figures) == "50 rows"
    observer.new_pass(2)
    observer.progress_of_all(25, Tally())
    assert line(progress.figures) == "25 of 50 rows, 50 %"


def test_a_pass_that_passed_nothing_says_nothing_of_the_next() -> None:
    observer, progress = made(100)
    observer.new_pass(1)
    observer.new_pass(2)
    observer.observe(50, Tally(), [])
    assert line(progress.figures) == "50 of 100 rows, 50 %"


def test_a_status_adds_rows_to_the_objects_of_both_sides() -> None:
    progress = Progress(None, lambda: 0.0, on_update=lambda: None, unit="objects and rows")
    parts = Parts(progress)
    parts.tell("legacy", 10, 50)
    parts.tell("rows", 20, None)
    assert line(progress.figures) == "30 objects and rows"
    parts.tell("rows", 25, 90)
    assert line(progress.figures) == "35 of 140 objects and rows, 25 %"
