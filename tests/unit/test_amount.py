"""What the question says of how much there is to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sketchmigrate.inspect.amount import amount_lines, reckon_amount
from sketchmigrate.inspect.estimate import Rate
from sketchmigrate.settings import Settings

SETTINGS = Settings(db_name="x")


@pytest.mark.parametrize(
    ("legacy_rows", "limit", "rows"), [(5_000, 0, 5_000), (5_000, 100, 100), (50, 100, 50), (None, 100, None)]
)
def test_a_limit_bounds_what_is_taken_up(legacy_rows: int | None, limit: int, rows: int | None) -> None:
    assert reckon_amount(legacy_rows, limit, 10.0, None, SETTINGS, on_aws=False).rows == rows


def test_it_says_bytes_time_and_money() -> None:
    measured = Rate(2_000.0, "measured by run x")
    lines = list(amount_lines(reckon_amount(1_000_000, 0, 2_048.0, measured, SETTINGS, on_aws=True)))
    assert lines == [
        "about 1,000,000 rows by a sample, and their objects, some 2.0 GB",
        "8:20 at 2,000 rows a second (measured by run x)",
        "2,000,000 requests, about 5.40 USD at AWS's price of us-east-1",
    ]


def test_a_cap_is_the_rate_where_it_is_less_than_what_was_measured() -> None:
    capped = replace(SETTINGS, max_rows_per_second=500.0)
    lines = list(amount_lines(reckon_amount(1_000, 0, None, Rate(2_000.0, "measured"), capped, on_aws=False)))
    assert lines[0] == "about 1,000 rows by a sample, and their objects"
    assert lines[1] == "0:02 at 500 rows a second (MAX_ROWS_PER_SECOND (500) allows no more)"


def test_what_a_sample_does_not_tell_is_said() -> None:
    (line,) = amount_lines(reckon_amount(None, 0, None, None, SETTINGS, on_aws=True))
    assert "plan --full counts them" in line
