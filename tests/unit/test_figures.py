"""What a migration measures of itself, and what becomes of it in a ledger."""

from __future__ import annotations

import pytest

from sketchmigrate.ledger.figures import FIGURES, RunFigures, figures_in
from sketchmigrate.migration.figures import Moment, reckon
from sketchmigrate.migration.flip_size import FlipSize
from sketchmigrate.migration.flipping import FlipControl

IDLE = Moment(0.0, 1_000), Moment(4.0, 3_000)
"""Others write 500 bytes a second."""
BEGAN, ENDED = Moment(10.0, 6_000), Moment(12.0, 57_000)


def control(*flips: tuple[int, float]) -> FlipControl:
    found = FlipControl(FlipSize(0.02))
    for at, (rows, seconds) in enumerate(flips):
        found.took(rows, seconds, float(at))
    return found


def test_what_others_write_is_taken_off() -> None:
    found = reckon(IDLE, BEGAN, ENDED, 100, [control((16, 0.004), (32, 0.008)), control((3, 0.003))])
    assert found == RunFigures(100, 2.0, 50_000, 5.0, 17.0)
    assert found.wal_bytes_a_row == 500
    assert figures_in(found.noted()) == found


def test_the_time_in_which_it_was_stopped_counts_for_no_rate() -> None:
    found = reckon(IDLE, BEGAN, ENDED, 100, [], stopped_seconds=1.5)
    assert found is not None
    assert (found.seconds, found.rows_per_second, found.wal_bytes) == (0.5, 200, 50_000)
    assert reckon(IDLE, BEGAN, ENDED, 100, [], stopped_seconds=2.0) is None


def test_what_is_not_known_is_left_out() -> None:
    alone = reckon((None, None), BEGAN, ENDED, 100, [control()])
    assert alone == RunFigures(100, 2.0, 51_000, None, None)
    assert reckon(IDLE, None, ENDED, 100, []) is None
    assert reckon(IDLE, BEGAN, None, 100, []) is None
    assert reckon(IDLE, BEGAN, ENDED, 0, []) is None
    busy = reckon((Moment(8.0, 0), Moment(9.0, 6_000)), BEGAN, Moment(11.0, 7_000), 100, [])
    assert busy is not None
    assert busy.wal_bytes == 0, "others wrote more before than in all meanwhile"


@pytest.mark.parametrize(
    "noted", [None, "", "[]", '{"flips": 1}', '{"flips": 1, "seconds": 2, "more": 3}', '{"flips": 0, "seconds": 0}']
)
def test_what_a_ledger_says_otherwise_is_no_figure(noted: str | None) -> None:
    assert figures_in({} if noted is None else {FIGURES: noted}) is None
