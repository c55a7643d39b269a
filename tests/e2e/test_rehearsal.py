"""The first thousand rows are a rehearsal: what their run measures takes the place of what a plan assumes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.fault.governed import fill, wal_bytes

if TYPE_CHECKING:
    from tests.e2e.site import Site

ROWS = 2_400


def estimate(site: Site) -> dict[str, Any]:
    done = site.run("plan --json")
    assert done.code == 0, done
    found: dict[str, Any] = json.loads(done.out)["estimate"]
    return found


def test_a_plan_reckons_with_what_the_rehearsal_measured(site: Site) -> None:
    fill(site, ROWS)
    before = estimate(site)
    assert (before["rows_per_second"], before["flip_ms"]) == (1000, None)
    assert before["wal_bytes"] < before["wal_bytes_most"]
    site.database.execute("CHECKPOINT")
    wal_before = wal_bytes(site.database)
    assert site.run("-y -l 600 --max-rows-per-second 400").code == 1
    wal_of_run = wal_bytes(site.database) - wal_before
    measured = estimate(site)
    assert 200 < measured["rows_per_second"] <= 600 * 400 / (600 - 256), "as allowed; what comes last is not waited for"
    assert "with 600 rows, which was" in measured["rate_from"]
    assert "MAX_ROWS_PER_SECOND" in measured["rate_from"]
    assert measured["wal_bytes"] == measured["wal_bytes_most"]
    assert 0.5 < measured["wal_bytes"] / (3 * wal_of_run) < 1.5, "1 800 rows are left, three times as many"
    assert measured["flip_ms"] > 0
    assert 1 <= measured["flip_rows"] <= 400
    told = site.run("plan").out
    assert "by what that run has measured a row" in told
    assert f"{measured['flip_ms']:g} ms for {measured['flip_rows']:g} rows" in told
