"""Whence a plan's rate is, and what bounds it."""

from __future__ import annotations

import math

import pytest

from sketchmigrate.core.reference import Reference
from sketchmigrate.inspect.estimate import bound, caps_noted, limit_of, prefix_limit, seconds_on_aws
from sketchmigrate.migration.room import too_little_room, value_bytes
from sketchmigrate.report.limits import RATE
from sketchmigrate.settings import Settings
from tests.mappings import mapping_of


@pytest.mark.parametrize(
    ("noted", "words", "throttled"),
    [
        ({}, "not on record", False),
        ({"limited_by": ""}, "nothing was seen to limit", False),
        ({"limited_by": "database"}, "limited by database", False),
        ({"limited_by": "s3 (503)"}, "limited by s3 (503)", True),
        ({"limited_by": RATE, "max_requests_per_second": "5"}, f"{RATE} (MAX_REQUESTS_PER_SECOND=5)", True),
        ({"max_requests_per_second": "5"}, "capped (MAX_REQUESTS_PER_SECOND=5)", True),  # and it was killed
    ],
)
def test_a_throttled_run_is_told_from_a_measurement(noted: dict[str, str], words: str, throttled: bool) -> None:
    told, is_throttled = limit_of(noted)
    assert words in told
    assert is_throttled is throttled


def test_a_cap_bounds_the_rate_and_is_noted() -> None:
    capped = Settings(max_requests_per_second=5)
    assert bound(capped)[0] == 2.5
    assert "MAX_REQUESTS_PER_SECOND (5)" in bound(capped)[1]
    assert caps_noted(capped) == {"max_requests_per_second": "5"}
    slowest = Settings(max_requests_per_second=5, max_rows_per_second=2)
    assert bound(slowest) == (2, "MAX_ROWS_PER_SECOND (2) allows no more")
    assert bound(Settings())[0] == math.inf
    assert caps_noted(Settings()) == {}


def test_one_prefix_bears_so_much_in_the_first_hours() -> None:
    assert prefix_limit(1000, 1000) == 3500
    assert prefix_limit(0, 1000) == 5500  # nothing to copy: looks alone
    assert prefix_limit(500, 1000) == 5500
    assert seconds_on_aws(1000, 1000.0, 3500.0) == 1.0
    assert seconds_on_aws(3500, 7000.0, 3500.0) == 1.0
    three_hours = 3 * 3600
    assert seconds_on_aws(3500 * three_hours + 7000, 7000.0, 3500.0) == three_hours + 1


def test_a_ledger_that_does_not_fit_is_told_with_the_figures(tmp_path: object) -> None:
    sample = [mapping_of().move(Reference(number, f"image/{number}")) for number in (1, 234)]
    assert value_bytes(sample) == 2 * 8 + 1
    assert value_bytes([]) == 0
    error = too_little_room(tmp_path, 2_000_000, 30_000, 1_500_000)  # type: ignore[arg-type] # only printed
    assert error is not None
    assert error.exit_code == 4
    assert "30,000 rows need 2.0 MB" in error.message
    assert "1.5 MB free" in error.message
    assert too_little_room(tmp_path, 1_500_000, 30_000, 1_500_000) is None  # type: ignore[arg-type] # as above
