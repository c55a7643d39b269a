"""SCHEDULE: a run goes on at the hours that are allowed, at the rate that is, and waits at others until it may."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import check_refused
from tests.fault.governed import check_stands_still, fill, flipped, wait_until_logged
from tests.patience import wait_until
from tests.tool import finish

if TYPE_CHECKING:
    from tests.e2e.site import Site

ROWS = 600
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def scheduled(site: Site, *entries: str) -> None:
    """Write a settings file with a schedule."""
    (site.folder / "sketch-migrate.toml").write_text(f"SCHEDULE = [{', '.join(entries)}]\n")


def test_a_plan_reckons_with_its_hours(site: Site) -> None:
    fill(site, ROWS)
    scheduled(site, "{ rows_per_second = 0.01 }")
    found = json.loads(site.run("plan --json --config sketch-migrate.toml").out)
    ends = datetime.fromisoformat(found["estimate"]["scheduled_end"])
    assert timedelta(seconds=99 * ROWS) < ends - datetime.now(UTC) < timedelta(seconds=101 * ROWS)
    assert f"SCHEDULE    begun now, it ends {ends.date()}" in site.run("plan --config sketch-migrate.toml").out


def test_a_run_waits_outside_its_hours_and_obeys_a_stop(site: Site) -> None:
    fill(site, ROWS)
    in_two_days = datetime.now(UTC) + timedelta(days=2)
    scheduled(site, f'{{ days = "{DAYS[in_two_days.weekday()]}" }}')
    process = site.start("-y --json --config sketch-migrate.toml")
    log = wait_until_logged(site, process, "The run waits: SCHEDULE pauses the run until")
    until = f"{in_two_days:%a} 00:00 UTC"
    assert (
        f"SCHEDULE pauses the run until {until}. It goes on by itself then; sketch-migrate ctl set SCHEDULE=none" in log
    )
    assert check_stands_still(site.database, seconds=0.5) == 0
    status = json.loads(site.run("ctl status --json").out)["status"]
    assert (status["state"], status["limit"]) == ("waiting", f"SCHEDULE pauses the run until {until}")
    site.run("ctl stop")
    assert finish(process).code == 128 + signal.SIGTERM
    process = site.start("-y --json --config sketch-migrate.toml")
    wait_until(lambda: site.run("ctl set SCHEDULE=none").code == 0, "the schedule is lifted")
    assert finish(process).code == 0
    assert flipped(site.database) == ROWS


def test_an_entry_may_have_a_rate_of_its_own(site: Site) -> None:
    fill(site, ROWS)
    scheduled(site, '{ days = "mon,tue,wed,thu,fri,sat,sun", rows_per_second = 300 }')
    done = site.run("-y --json --config sketch-migrate.toml --processes 2 --range-rows 300")
    assert (done.code, flipped(site.database)) == (0, ROWS)
    (limited,) = json.loads(done.out)["governor"]["limited_by"]
    assert (limited["setting"], limited["what"]) == ("SCHEDULE", "SCHEDULE, 300 rows/s")


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ('{ from = "25:00", until = "06:00" }', "entry 1: from: '25:00' must be a time of the day"),
        ('{ from = "22:00" }', "entry 1: from and until go together"),
        ('{ days = "someday" }', "entry 1: days: 'someday' must be days of the week"),
        ("{ rows_per_second = -1 }", "entry 1: rows_per_second: "),
        ('{ hours = "1-2" }', "entry 1: hours: there is none; there are from, until, days, rows_per_second"),
        ("1", "it must be a list of entries"),
    ],
)
def test_a_bad_entry_is_named(site: Site, entry: str, names: str) -> None:
    scheduled(site, entry)
    check_refused(site.run("-y --config sketch-migrate.toml"), 2, "sketch-migrate.toml:1", names)
    scheduled(site, "{ }")
    check_refused(
        site.run("-y --config sketch-migrate.toml --schedule-time-zone Middle/Earth"),
        2,
        "'Middle/Earth' is not a time zone",
    )
