"""The page of figures says what was measured, also of those who lost something."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from benchmarks.application import Felt
from benchmarks.arguments import MEASUREMENTS
from benchmarks.contestants.contest import Turn
from benchmarks.figures import LARGE_OBJECTS
from benchmarks.measurements.application import Beside
from benchmarks.measurements.pace import Pace
from benchmarks.measurements.paired import Paired
from benchmarks.measurements.scale import ONE, TWO, Shared
from benchmarks.measurements.shapes import CLASSIC, URL, ShapeCost
from benchmarks.measurements.start import EMPTY_RUN, Start
from benchmarks.report.scale import scale_document
from benchmarks.report.summary import BEGIN, END, between_marks, felt_summary, summary
from benchmarks.report.tables import document, spread, table
from benchmarks.results import Execution, Results
from benchmarks.targets import SCALE_TARGETS, judge


def test_a_peer_that_lost_objects_is_shown_with_how_many() -> None:
    turns = [
        Turn("sketch-migrate -w", "rclone", 1000, 0.5, 0.05, 70_000, lost=0),
        Turn("s5cmd run + UPDATE", "rclone", 1000, 1.0, 0.9, 40_000, lost=12, parallelism=128),
    ]
    results = Results("default", turns=turns)
    page = document(results, judge(results))
    assert "| 1,000 | s5cmd run + UPDATE | 128 | 988 | 2.02 × | 911 | 41 | 12 |" in page  # noqa: RUF001 # times
    assert "## Parts" not in page  # nothing was measured there


def test_an_execution_that_was_interrupted_names_what_is_left_and_how_it_came_about() -> None:
    first = Execution("scripts/bench", {"python": "3.11"}, 28.5, [each for each in MEASUREMENTS if each != "looks"])
    second = Execution("scripts/bench --resume", {"python": "3.13"}, 60.0)
    results = Results("default", [first, second])
    page = document(results, [])
    assert "- python 3.11; a turn of a bare loop takes 28.5 ns. `scripts/bench`: end-to-end, ceiling, far" in page
    assert "python 3.13" not in page, "nothing is measured there yet"
    assert "Not measured yet: `looks`. `scripts/bench --resume` goes on with them." in page
    second.measured.append("looks")
    page = document(results, [])
    assert "- python 3.13; a turn of a bare loop takes 60.0 ns. `scripts/bench --resume`: looks." in page
    assert "Not measured" not in page


def test_a_peer_whose_turn_was_ended_has_lost_nothing() -> None:
    turns = [
        Turn("sketch-migrate -w", "rclone", 200_000, 50, 10, 70_000, lost=0),
        Turn("s5cmd run + UPDATE", "rclone", 200_000, 100.4, 90, 40_000, lost=68_306, parallelism=256, was_ended=True),
    ]
    results = Results("default", turns=turns)
    assert "| 1,312 | 3.05 × | 683 | 41 | ended after 100 s |" in document(results, judge(results))  # noqa: RUF001 # times
    assert "lost" not in summary(results)


def test_few_rows_a_second_are_told_with_digits() -> None:
    turn = Turn("sketch-migrate -w", LARGE_OBJECTS, 64, 12.8, 6.4, 220_000, lost=0)
    page = document(Results("default", turns=[turn]), [])
    assert "## End to end: 64 MiB each, from rclone serve s3 to SeaweedFS, streamed" in page
    assert "| 64 | sketch-migrate -w | own choice | 5.00 | 1.00 × | 100,000 | 225 | 0 |" in page  # noqa: RUF001 # times


def test_rounds_of_one_pace_are_one_line() -> None:
    paces = [Pace(50, False, 0, 512, rate, 0, 0.3) for rate in (9000, 10_000, 9500)]  # noqa: FBT003 # seven fields
    paces.insert(1, Pace(50, False, 0, 0, 9900, 100, 0.4))  # noqa: FBT003
    results = Results("default", paces=paces)
    lines = [line for line in document(results, judge(results)).splitlines() if "| any |" in line]
    assert lines == [
        "| 50 | no | any | fixed 512 | 9,500 (9,000–10,000) | 0.00 (0.00–0.00) | 0.30 |",  # noqa: RUF001 # a range
        "| 50 | no | any | its own choice | 9,900 | 1.00 | 0.40 |",
    ]


def test_a_shape_is_shown_beside_the_classic_rows_whichever_was_measured_first() -> None:
    classic = ShapeCost(CLASSIC.name, 1, rows=1000, seconds=0.5, cpu_seconds=0.05, server_cpu_seconds=0.01)
    shapes = [replace(classic, form=URL.name, cpu_seconds=0.06, server_cpu_seconds=0.02), classic]
    results = Results("default", shapes=shapes)
    page = document(results, judge(results))
    assert (
        "| the classic settings | 1,000 | 2,000 | 50.0 | 1.00 | 10.0 | 1.00 |\n"
        "| `url` | 1,000 | 2,000 | 60.0 | 1.20 | 20.0 | 2.00 |\n"
    ) in page
    assert json.loads(json.dumps(results.as_json()))["shapes"][0]["form"] == "`url`"


def test_a_single_value_has_no_spread() -> None:
    assert spread([1234.4]) == "1,234"
    assert spread([1, 3, 2], 1) == "2.0 (1.0–3.0)"  # noqa: RUF001 # a range


def test_a_table_without_rows_is_empty() -> None:
    assert table(("a", "b"), []) == ""
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n|---|---|\n| 1 | 2 |"


def test_the_readme_gets_the_table_between_its_marks_and_keeps_the_rest() -> None:
    results = Results("default", turns=[Turn("sketch-migrate -w", "rclone", 1000, 0.5, 0.05, 70_000, lost=0)])
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    new = between_marks(text, summary(results))
    assert new == f"before\n{BEGIN}\n{summary(results)}\n{END}\nafter\n"
    assert "| sketch-migrate -w | 2,000 | 50 |" in new
    with pytest.raises(ValueError, match="no marks"):
        between_marks("before\nafter\n", "")


def test_what_an_application_feels_is_shown_for_both_halves_of_the_pairs() -> None:
    alone = Felt(1000, 0.5, 1, 2, p999_ms=5, longest_ms=8, deadlocks=0, writes=1200, lost=0)
    during = replace(alone, longest_ms=5000, deadlocks=2, lost=1)
    pairs = [
        Beside("quiet", alone, each, 4.0, 0, migrated=1000, left=7, stall=None) for each in (alone, during, during)
    ]
    results = Results("default", applications=pairs)
    page = document(results, judge(results))
    numbers = "0.5 (0.5–0.5) | 1.0 (1.0–1.0) | 2.0 (2.0–2.0) | 5 (5–5)"  # noqa: RUF001 # a range
    assert f"| quiet | alone | {numbers} | 8 (8–8) | 0 | 0 of 3,600 |  |" in page  # noqa: RUF001 # a range
    assert f"| quiet | beside a run | {numbers} | 5,000 (8–5,000) | 4 | 2 of 3,600 | 7 (7–7) |" in page  # noqa: RUF001
    assert felt_summary(results).splitlines()[2:] == [
        "| quiet | alone | 0.5 | 1.0 | 2.0 | 8.0 |",
        "| quiet | beside a run | 0.5 | 1.0 | 2.0 | 5,000.0 |",
    ]


def test_limits_that_hold_nothing_back_are_shown_beside_none() -> None:
    without = Paired(1, is_bare=True, rows=1000, seconds=0.5, cpu_seconds=0.05)
    runs = [without, replace(without, is_bare=False, seconds=0.625, cpu_seconds=0.055)]
    results = Results("default", governed=runs)
    page = document(results, judge(results))
    assert (
        "| none | 1,000 | 2,000 |  | 50.0 |  |\n| those of every day | 1,000 | 1,600 | 0.80 | 55.0 | 1.10 |\n"
    ) in page


def test_what_listeners_cost_is_shown_beside_none() -> None:
    alone = Paired(1, is_bare=True, rows=1000, seconds=0.5, cpu_seconds=0.05)
    runs = [alone, replace(alone, is_bare=False, seconds=0.625, cpu_seconds=0.055)]
    results = Results("default", observed=runs)
    page = document(results, judge(results))
    assert "| none | 1,000 | 2,000 |  | 50.0 |  |\n| all | 1,000 | 1,600 | 0.80 | 55.0 | 1.10 |\n" in page


def test_starts_are_shown_with_the_time_of_each() -> None:
    starts = [Start("-h", 0.1), Start("-h", 0.12), Start("-h", 0.11), Start(EMPTY_RUN, 0.5)]
    page = document(Results("default", starts=starts), [])
    assert f"| -h | 0.110 (0.100–0.120) |\n| {EMPTY_RUN} | 0.500 |\n" in page  # noqa: RUF001 - a range


def test_a_rollback_is_shown_by_ways() -> None:
    one = Shared(ONE.name, 1, 50, 16, 1000, 5, 4, cpu_seconds=0.2, peak_kib=60_000, server_share=0.02)
    two = replace(one, way=TWO.name, workers=2, seconds=4, working_seconds=2)
    results = Results("default", rollbacks=[one, two])
    page = document(results, judge(results))
    assert "| 2 processes | 1,000 | 250 | 1.25 | 500 | 2.00 | 200 | 61 | 0.02 |" in page
    assert "## Rollback" not in document(Results("default"), [])


def test_several_processes_are_shown_beside_one_whole_and_at_work() -> None:
    one = Shared(ONE.name, 1, 50, 16, 1000, 5, 4, cpu_seconds=0.2, peak_kib=60_000, server_share=0.02)
    two = Shared(TWO.name, 2, 50, 16, 1000, 4, 2, cpu_seconds=0.3, peak_kib=60_000, server_share=0.04)
    results = Results("default", shared=[one, two])
    page = scale_document(results, judge(results, SCALE_TARGETS))
    assert "## Behind 50 ms" in page
    assert "| 2 processes | 1,000 | 250 | 1.25 | 500 | 2.00 | 300 | 61 | 0.04 |" in page
    assert "answers at once" not in page
