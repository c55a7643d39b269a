"""``--follow``: a migration goes on with what the application still writes, and ends when nothing new has come."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

from tests.e2e.site import body_of, check_refused
from tests.fault.governed import flipped, log_of, wait_until_logged
from tests.patience import wait_until
from tests.tool import finish

if TYPE_CHECKING:
    from tests.e2e.site import Site

OLD = [f"image/{number:03}.png" for number in range(40)]


def add(site: Site, row: int, path: str) -> None:
    """A row as an application of before the cutover stores it: the object first."""
    site.store.put_all(site.store.legacy_bucket, {path: body_of(path)})
    site.database.execute("INSERT INTO avatars (id, path) VALUES (%s, %s)", row, path)


def follows(site: Site) -> str:
    """How near the run says that the application is to its cutover, as far as it answers."""
    done = site.run("ctl status --json")
    return str(json.loads(done.out)["status"]["follows"]) if done.code == 0 else ""


def test_what_the_application_writes_is_migrated_until_it_writes_no_more(site: Site) -> None:
    """A row with a new key is found by the look behind the last one, and one with an old key by a full pass."""
    site.fill(OLD, without_object=[OLD[7]])
    process = site.start("-y --json --follow --follow-every 4s --until-quiet 4s --processes 2 --range-rows 10")
    wait_until(lambda: "following: 1 row left" in follows(site), "what was there is migrated")
    add(site, 5_000, "image/new.png")
    add(site, -5, "image/old-key.png")
    done = finish(process)
    assert done.code == 1, done  # for the one without an object
    document = json.loads(done.out)
    assert document["outcomes"] | {"migrated": 41, "missing": 1} == document["outcomes"]
    assert flipped(site.database) == 41
    follow = document["follow"]
    assert (follow["new_rows"], follow["new_rows_last_hour"]) == (2, 2)
    assert follow["seconds_since_last"] >= 4
    assert site.run("-y").code == 1
    assert site.run(f"rollback -y runs/{site.last_run().name}").code == 0


def test_a_row_that_comes_before_its_object_is_tried_again(site: Site) -> None:
    """In the look behind it is missing, in the next full pass there; and it counts once."""
    site.fill(OLD)
    process = site.start("-y --json --follow --follow-every 3s --until-quiet 3s")
    wait_until(lambda: "following: 0 rows left" in follows(site), "what was there is migrated")
    site.database.execute("INSERT INTO avatars (id, path) VALUES (5000, 'image/late.png')")
    wait_until(lambda: "following: 1 row left" in follows(site), "it is found without its object")
    site.store.put_all(site.store.legacy_bucket, {"image/late.png": body_of("image/late.png")})
    done = finish(process)
    assert done.code == 0, done
    document = json.loads(done.out)
    assert (document["outcomes"]["migrated"], document["outcomes"]["missing"]) == (41, 0)
    assert (document["problems"], flipped(site.database)) == ([], 41)


def test_a_writer_that_never_rests_is_followed_at_the_pace_that_was_set(site: Site) -> None:
    """Full passes come when they are due and not one behind the other, however much is new."""
    site.fill(OLD)
    process = site.start("-y --json --follow --follow-every 1h")
    rows = 0
    while "following" not in follows(site):
        add(site, 5_000 + (rows := rows + 1), f"image/new-{rows}.png")
    for _ in range(20):
        add(site, 5_000 + (rows := rows + 1), f"image/new-{rows}.png")
        time.sleep(0.02)
    wait_until(lambda: flipped(site.database) == 40 + rows, "the looks behind the last key find them")
    assert "Pass 2" not in log_of(site)
    process.send_signal(signal.SIGINT)
    document = json.loads(finish(process).out)
    assert document["outcomes"]["migrated"] == 40 + rows
    assert document["follow"]["new_rows"] >= 20


def test_it_goes_on_until_it_is_stopped(site: Site) -> None:
    site.fill(OLD)
    process = site.start("-y --json --follow --follow-every 1h")
    wait_until(lambda: "following: 0 rows left" in follows(site), "what was there is migrated")
    add(site, 5_000, "image/new.png")
    wait_until_logged(site, process, "Behind the last key there were 1 new legacy rows.")
    wait_until(lambda: flipped(site.database) == 41, "it is set")
    process.send_signal(signal.SIGINT)
    done = finish(process, timeout_seconds=20)
    assert done.code == 128 + signal.SIGINT
    assert json.loads(done.out)["outcomes"]["migrated"] == 41


def test_what_does_not_go_together_is_said(untouched_site: Site) -> None:
    site = untouched_site
    for flags, names in (
        ("--follow -l 5", ("--follow", "-l")),
        ("--follow -d", ("--follow", "-d")),
        ("--until-quiet 5m", ("--until-quiet", "--follow")),
        ("--follow --follow-every soon", ("'soon' is not a time",)),
    ):
        check_refused(site.run(f"-y {flags}"), 2, *names)
