"""The cutover gauge: what came lately, when the last one came, and since when nothing has."""

from __future__ import annotations

from sketchmigrate.migration.cutover import CutoverGauge


def test_rows_count_for_a_minute_and_an_hour_and_the_quiet_begins_anew() -> None:
    gauge = CutoverGauge(100)
    assert gauge.quiet_seconds(160) == 60
    assert gauge.words(160, 3, 540) == (
        "following: 3 rows left; new legacy rows: 0 in the last minute, 0 in the last hour, none yet; next full pass in"
        " 9:00"
    )
    gauge.found(200, 4)
    gauge.found(230, 0)
    gauge.found(250, 2)
    assert gauge.quiet_seconds(260) == 10
    assert (gauge.within(255, 60), gauge.within(261, 60), gauge.within(311, 60)) == (6, 2, 0)
    assert gauge.within(261, 3600) == 6
    assert "2 in the last minute, 6 in the last hour, the last 0:11 ago" in gauge.words(261, 0, 0)
    assert gauge.within(200 + 3601, 3600) == 2
    assert gauge.within(250 + 3601, 3600) == 0
    assert gauge.as_json(4000) == {
        "seconds": 3900,
        "new_rows": 6,
        "new_rows_last_minute": 0,
        "new_rows_last_hour": 0,
        "seconds_since_last": 3750,
    }
