"""A person's caps bound the tool, and its progress says so."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from tests.e2e.site import counts
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import stall
from tests.tool import finish

if TYPE_CHECKING:
    from tests.e2e.site import Site
    from tests.servers.http1 import S3Request


def test_no_more_copies_are_under_way_than_the_cap_allows(site: Site) -> None:
    site.fill([f"image/{number}.png" for number in range(20)])
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(stall(), operation="copy", times=3)
        process = site.at(store=site.store.via(s3.endpoint_url)).start("-yw --max-concurrency 3")
        s3.wait_for_hit("stall", 3)
        assert s3.count("copy") == 3
        s3.release()
        done = finish(process)
    assert (done.code, done.counts) == (0, counts(migrated=20, copied=20)), done


def test_a_rate_is_kept_to_and_named_as_what_limits(site: Site) -> None:
    """Longer than the five seconds after which the first line of progress is due."""
    site.fill([f"image/{number}.png" for number in range(280)])
    done = site.with_environ(SKETCH_MAX_REQUESTS_PER_SECOND="40").run("-yw -b 20")
    assert (done.code, done.counts) == (0, counts(migrated=280, copied=280)), done
    assert "limit: MAX_REQUESTS_PER_SECOND" in done.err
    log = (site.last_run() / "migrate.log").read_text()
    assert "limit: MAX_REQUESTS_PER_SECOND" in log


def test_a_rate_is_kept_to_by_all_processes_together(site: Site) -> None:
    site.fill([f"image/{number}.png" for number in range(60)])
    moments: list[float] = []

    def note(_request: S3Request) -> bool:
        moments.append(time.monotonic())
        return False

    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(stall(), operation="copy", when=note)
        flags = "-yw --processes 2 -p 1 -b 10 --range-rows 10 --max-requests-per-second 30"
        done = site.at(store=site.store.via(s3.endpoint_url)).run(flags)
    assert (done.code, done.counts) == (0, counts(migrated=60, copied=60)), done
    log = (site.last_run() / "migrate.log").read_text()
    assert all(re.search(rf"{worker} passed \d+ rows", log) for worker in ("worker-1", "worker-2"))
    assert moments[-1] - moments[0] >= 0.9 * (60 - 2) / 30  # if each kept to that rate for itself, half of it


def test_caps_that_make_no_sense_are_refused_before_anything(untouched_site: Site) -> None:
    for flag, value in (("--max-bandwidth", "fast"), ("--max-requests-per-second", "-3"), ("--max-concurrency", "0")):
        done = untouched_site.run(f"-y {flag}={value}")
        assert done.code == 2, done
        assert flag in done.err
