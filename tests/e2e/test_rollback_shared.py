"""``rollback --processes`` and ``--cluster``: the rows and the counts are those of one process, whoever is killed."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import body_of
from tests.fault.governed import fill, flipped, log_of
from tests.patience import wait_until
from tests.tool import finish

if TYPE_CHECKING:
    from tests.e2e.site import Site
    from tests.tool import Finished

ROWS = 1_200
GONE, CHANGED, BACK = 7, 11, 13
"""Rows whose legacy object is gone, that the application has changed since, and that it has set back itself."""

SHARED = ("--processes 2", "--cluster local:2")


def image(number: int) -> str:
    return f"image/{number}.png"


def outcomes(done: Finished) -> dict[str, int]:
    """The outcomes that are not 0."""
    return {word: count for word, count in json.loads(done.out)["outcomes"].items() if count}


def migrate(site: Site) -> None:
    """Migrate all rows, by two runs."""
    assert site.run(f"-y -l {ROWS // 2}").code == 1
    assert site.run("-y").code == 0


@pytest.fixture
def migrated_site(site: Site) -> Site:
    """A site whose rows are all migrated. They share few objects: what is claimed is of rows alone."""
    fill(site, ROWS)
    migrate(site)
    return site


@pytest.mark.parametrize("flags", SHARED)
def test_rows_and_counts_are_those_of_one_process(site: Site, flags: str) -> None:
    site.fill([image(number) for number in range(1, ROWS + 1)])
    migrate(site)
    site.store.delete_all(site.store.legacy_bucket, [image(GONE)])
    site.store.put_all(site.store.production_bucket, {"avatar/new.png": body_of("avatar/new.png")})
    site.database.execute("UPDATE avatars SET path = 'avatar/new.png' WHERE id = %s", CHANGED)
    site.database.execute("UPDATE avatars SET path = %s WHERE id = %s", image(BACK), BACK)
    expected = {"restored": ROWS - 3, "missing": 1, "superseded": 1, "already": 1}
    alone = site.run("rollback --all runs -d --json")
    assert outcomes(alone) == expected
    done = site.run(f"rollback --all runs -y --json {flags}")
    assert (done.code, outcomes(done)) == (1, expected), done
    rows = site.database.paths()
    assert rows.pop(GONE) == f"avatar/{GONE}.png"
    assert rows.pop(CHANGED) == "avatar/new.png"
    assert rows == {number: image(number) for number in rows}
    assert len(list(site.last_run().glob("ledger-*.sqlite"))) == 2, "both have set rows"
    again = site.run("rollback --all runs -y --json")
    assert outcomes(again) == {"already": ROWS - 2, "missing": 1, "superseded": 1}


def test_a_limit_is_kept_to_and_the_rest_is_left_for_the_next(migrated_site: Site) -> None:
    site = migrated_site
    first = site.run("rollback --all runs -y --json --processes 2 -l 500")
    assert (first.code, outcomes(first)["restored"]) == (1, 500)
    assert flipped(site.database) == ROWS - 500
    second = site.run("rollback --all runs -y --json --processes 2")
    assert (second.code, outcomes(second)) == (0, {"restored": ROWS - 500, "already": 500})


def test_only_the_rows_that_are_meant_go_back(migrated_site: Site) -> None:
    site = migrated_site
    done = site.run("rollback --all runs -y --json --processes 2 --key-from 100 --key-until 899")
    assert (done.code, outcomes(done)) == (0, {"restored": 800})
    assert flipped(site.database) == ROWS - 800


def test_a_killed_worker_is_replaced_and_each_row_counted_once(migrated_site: Site) -> None:
    site = migrated_site
    process = site.start("rollback --all runs -y --json --processes 2 -b 10 --max-rows-per-second 300")
    wait_until(lambda: flipped(site.database) < ROWS - 200, "rows are set back")
    victim = re.search(r"(worker-\d) joined: process (\d+) on ", log_of(site))
    assert victim is not None
    os.kill(int(victim[2]), signal.SIGKILL)
    assert site.run("ctl set MAX_ROWS_PER_SECOND=0").code == 0
    done = finish(process)
    assert f"{victim[1]} was lost" in done.err
    assert (done.code, outcomes(done)) == (0, {"restored": ROWS}), done
    assert flipped(site.database) == 0
    # what it has set back is on record, so that it can be migrated and set back again
    assert site.run("-y").code == 0
    assert outcomes(site.run(f"rollback runs/{site.last_run().name} -y --json --processes 2")) == {"restored": ROWS}


def test_a_stop_ends_it_and_the_next_goes_on(migrated_site: Site) -> None:
    site = migrated_site
    process = site.start("rollback --all runs -y --json --processes 2 -b 10 --max-rows-per-second 300")
    wait_until(lambda: flipped(site.database) < ROWS - 100, "rows are set back")
    process.send_signal(signal.SIGTERM)
    stopped = finish(process)
    assert stopped.code == 128 + signal.SIGTERM
    restored = outcomes(stopped)["restored"]
    assert flipped(site.database) == ROWS - restored
    rest = site.run("rollback --all runs -y --json --processes 2")
    assert (rest.code, outcomes(rest)["restored"]) == (0, ROWS - restored)
