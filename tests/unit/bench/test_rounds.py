"""Who takes part in a round of the benchmark."""

from __future__ import annotations

from benchmarks.contestants.contest import Turn
from benchmarks.figures import BY_PATTERN, BY_ROWS, CEILING, RCLONE, SCRIPT, TOOL
from benchmarks.rounds import participants

FIRST = [
    Turn(BY_PATTERN, "rclone", 200_000, 100, 1.0, 1000, lost=150_000, was_ended=True),
    Turn(BY_ROWS, "rclone", 200_000, 120, 1.0, 1000, lost=0),
]


def test_all_take_part_in_the_first_round_of_a_small_table_and_the_slowest_in_no_other() -> None:
    first, second = (participants([], 20_000, number, full=False) for number in (0, 1))
    assert {TOOL, CEILING, RCLONE, SCRIPT, BY_ROWS, BY_PATTERN} < first
    assert first - second == {SCRIPT}
    assert participants([], 20_000, 1, full=True) == first


def test_a_large_table_has_the_tool_and_the_faster_s5cmd_after_its_first_round() -> None:
    assert participants([], 200_000, 0, full=False) == {TOOL, CEILING, BY_ROWS, BY_PATTERN}
    assert participants(FIRST, 200_000, 1, full=False) == {TOOL, BY_ROWS}, "what it has brought counts, not its time"
    assert participants([], 200_000, 1, full=False) == {TOOL}
    assert SCRIPT not in participants(FIRST, 200_000, 1, full=True)
