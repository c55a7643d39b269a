"""When further processes are started: a core full for long, and another one idle."""

from __future__ import annotations

import pytest

from sketchmigrate.migration.growth import FULL_SECONDS, Growth, Look


def wanted(*, share: float, load: float, cores: int, seconds: float = FULL_SECONDS) -> int:
    """Look every five seconds at a process that uses this share of a core."""
    growth, looks = Growth(Look(0.0, 0.0, load, cores)), 1
    for number in range(1, round(seconds / 5) + 1):
        looks = growth.processes(Look(5.0 * number, 5.0 * number * share, load, cores))
    return looks


@pytest.mark.parametrize(
    ("load", "cores", "processes"),
    [(1.1, 2, 2), (1.0, 1, 1), (2.0, 2, 1), (1.5, 2, 1), (1.0, 8, 8), (0.2, 8, 8), (4.0, 8, 5), (9.0, 8, 1)],
)
def test_idle_cores_are_used_once_one_is_full(load: float, cores: int, processes: int) -> None:
    assert wanted(share=0.95, load=load, cores=cores) == processes


def test_a_core_that_is_not_full_is_enough() -> None:
    assert wanted(share=0.8, load=1.0, cores=8) == 1


def test_a_short_run_is_left_alone() -> None:
    assert wanted(share=1.0, load=1.0, cores=8, seconds=FULL_SECONDS - 5) == 1


def test_it_has_to_be_full_all_the_time() -> None:
    growth = Growth(Look(0.0, 0.0, 1.0, 8))
    cpu_seconds = [5.0, 10.0, 15.0, 15.5, 20.5, 25.5, 30.5, 35.5]
    assert [growth.processes(Look(5.0 * number, cpu, 1.0, 8)) for number, cpu in enumerate(cpu_seconds, 1)] == [1] * 8
