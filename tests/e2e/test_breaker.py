"""A table that refuses flip after flip ends the run soon, instead of having everything copied first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.fault.governed import fill

if TYPE_CHECKING:
    from tests.e2e.site import Site

ROWS = 1_500


@pytest.mark.parametrize("processes", [1, 2])
def test_a_check_that_refuses_all_rows_ends_the_run(site: Site, processes: int) -> None:
    if processes == 1:  # each has an object of its own
        names = [f"image/avatar-{number:05}.png" for number in range(ROWS)]
        site.database.create_avatars(names)
        site.store.put_all(site.store.legacy_bucket, dict.fromkeys(names, b"picture"))
    else:
        fill(site, ROWS)
    site.database.execute("ALTER TABLE avatars ADD CHECK (path LIKE 'image/%')")
    done = site.run(f"-y --no-trial --json -b 100 -p 2 --processes {processes}")
    assert done.code == 1, done
    said = json.loads(done.out)
    assert said["error"]["type"] == "TooManyFailed"
    assert "SQLSTATE 23514" in said["error"]["message"]
    assert "MAX_FAILED_PERCENT (20)" in said["error"]["hint"]
    most = 1_300 if processes == 1 else ROWS  # a second process is heard of once a second
    assert 1_000 <= said["outcomes"]["failed"] <= most, said
    assert said["rows_left"] is True
    assert len(site.facts().production) <= most
    assert all(path and path.startswith("image/") for path in site.database.paths().values())


def test_a_share_of_refused_rows_ends_it_too_unless_it_is_allowed(site: Site) -> None:
    fill(site, ROWS)
    site.database.execute("ALTER TABLE avatars ADD CHECK (path LIKE 'image/%' OR id % 4 <> 0)")
    done = site.run("-y --no-trial -b 100 -p 2 --processes 1")
    assert done.code == 1, done
    assert "flips failed (SQLSTATE 23514" in done.err
    assert done.counts["scanned"] < 1_500
    allowed = site.run("-y --no-trial -b 500 -p 2 --processes 1 --max-failed-percent 100")
    assert (allowed.code, allowed.counts["failed"]) == (1, ROWS // 4), allowed
    assert "MAX_FAILED_PERCENT" not in allowed.err
