"""How a run went, made of its samples: nothing of what was counted is lost or counted twice."""

from __future__ import annotations

import pytest

from sketchmigrate.core.sample import LATENCY_BOUNDS_MS, Sample
from sketchmigrate.report.limits import BATCHES, DATABASE, ERRORS, LATENCY, REFUSALS
from sketchmigrate.report.page.charts import charts_of
from sketchmigrate.report.page.series import MOST_POINTS, Course, limit_of, percentile, refusals

BEGIN = 1_796_000_000.0


def _course(count: int, step: float = 1.0, **more: object) -> Course:
    return Course(tuple(Sample(BEGIN + step * at, {"migrated": 3 * at}, **more) for at in range(1, count + 1)))  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 2, 7, MOST_POINTS, MOST_POINTS + 1, 1441])
def test_rates_add_up_to_what_was_counted(count: int) -> None:
    course = _course(count, 2.0)
    rates = course.rate(lambda sample: sample.rows["migrated"] if sample.rows else 0)
    assert len(rates) <= MOST_POINTS
    total = sum((rate or 0) * each.seconds for each, (_, rate) in zip(course.intervals, rates, strict=True))
    assert total == pytest.approx(3 * count)
    assert sum(phase.seconds for phase in course.phases) == pytest.approx(course.seconds)


def test_counts_that_begin_anew_are_not_negative() -> None:
    course = Course((Sample(BEGIN, {"migrated": 50}), Sample(BEGIN + 1, {"migrated": 4})))
    assert [rate for _, rate in course.rate(lambda sample: sample.rows.get("migrated", 0))] == [50, 4]


def test_phases_are_as_long_as_what_held_the_run_back() -> None:
    limits = [LATENCY] * 3 + [REFUSALS] * 4 + ["paused by ada"] * 2 + [LATENCY]
    samples = [Sample(BEGIN + at, {}, limit=limit, is_stopped="paused" in limit) for at, limit in enumerate(limits)]
    course = Course(tuple(samples))
    assert [(each.limit, each.seconds, each.is_trouble) for each in course.phases] == [
        (LATENCY, 3.0, False), (REFUSALS, 4.0, True), ("paused by ada", 2.0, True), (LATENCY, 1.0, False)
    ]  # fmt: skip
    assert course.limited() == [(LATENCY, 4.0, 0.0), (REFUSALS, 4.0, 0.0), ("paused by ada", 2.0, 2.0)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ""),
        (REFUSALS, REFUSALS),
        (ERRORS, ERRORS),
        (BATCHES, BATCHES),
        (DATABASE, DATABASE),
        ("paused by ada on host-1", "paused by ada on host-1"),
        ("MAX_ROWS_PER_SECOND, 500 rows/s", "MAX_ROWS_PER_SECOND"),
        ("SCHEDULE pauses the run until Mon 08:00 UTC", "SCHEDULE"),
        ("database: walreceiver is 12 s behind (limit 10 s), stopped", "database (standby)"),
        (
            "database: coming back from MAX_LOCK_WAITERS, at most 7 rows/s",
            "database (coming back)",
        ),
        (
            "database: 2.5 sessions wait for rows of ours (limit 2), at most 9 rows/s",
            "database (lock waiters)",
        ),
        ("database: 20.0 MB of WAL a second (limit 9.0 MB), stopped", "database (WAL)"),
        ("the database is away, for 12 s by now", "database (away)"),
        ("the store has not answered for 31 s", "s3 (no answer)"),
        ("(odd)", "other"),
    ],
)
def test_what_is_particular_of_a_moment_is_left_out(text: str, told: str) -> None:
    assert limit_of(text) == told


def test_percentiles_are_within_their_class() -> None:
    classes = [0] * (len(LATENCY_BOUNDS_MS) + 1)
    assert percentile(classes, 0.5) is None
    classes[4] = 100  # 10 to 20 ms
    assert percentile(classes, 0.5) == pytest.approx(15)
    assert percentile(classes, 0.99) == pytest.approx(19.9)
    classes[-1] = 100
    assert percentile(classes, 0.99) == LATENCY_BOUNDS_MS[-1], "how much longer nobody knows"


def test_only_what_is_made_again_is_a_refusal() -> None:
    counts = {"200": 9, "404": 8, "412": 7, "429": 1, "500": 2, "503": 4, "none": 16}
    assert refusals(Sample(BEGIN, {}, {"CopyObject": counts})) == 23


def test_percentiles_over_time_have_gaps_where_nothing_was_answered() -> None:
    classes = [0] * 4 + [10] + [0] * 9
    latency = {"CopyObject": tuple(classes)}
    course = Course(tuple(Sample(BEGIN + at, {}, latency=latency) for at in range(3)))
    assert [value is None for _, value in course.percentile(0.5)] == [False, True, True]


def test_rows_that_were_there_already_are_not_called_moved() -> None:
    rows = {"migrated": 5, "already": 900, "superseded": 90, "failed": 2}
    course = Course((Sample(1_000.0, {}), Sample(1_001.0, rows)))
    (chart,) = (each for each in charts_of(course) if each.name == "rows")
    assert chart.about == "At most 5 rows a second were moved, and at most 2 a second turned out to need a person."
