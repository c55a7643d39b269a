"""Two writes are aimed at the same moment, however far the store is and however much its line trembles."""

from __future__ import annotations

import random
from statistics import median

import pytest

from sketchmigrate.s3.probe.race import LEAST_RACES, Aim


@pytest.mark.parametrize("later_seconds", [0.0, 0.004, -0.03])
@pytest.mark.parametrize("jitter_seconds", [0.0, 0.001])
def test_most_races_are_close_ones(later_seconds: float, jitter_seconds: float) -> None:
    """``later_seconds`` is the lead with which both come at the same moment."""
    dice = random.Random(1)
    aim = Aim()
    misses = []
    for _ in range(LEAST_RACES):
        miss = aim.next_lead(dice.uniform(-1, 1)) - later_seconds + dice.uniform(-1, 1) * jitter_seconds
        misses.append(abs(miss))
        aim.ended(refused=miss > 0)
    assert median(misses) < 0.0005 + jitter_seconds
