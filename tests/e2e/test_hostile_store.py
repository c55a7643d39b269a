"""A store that means harm, or is broken: nothing is done on a stranger's word, and the run ends with a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.site import check_refused
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import Answer, status

if TYPE_CHECKING:
    from tests.e2e.site import Site


def test_no_row_is_flipped_on_the_word_of_another_host(site: Site) -> None:
    """The other host is a store that would carry the copies out."""
    site.fill([f"image/{number}.png" for number in range(20)])
    before = site.facts()
    with S3FaultProxy(site.store.endpoint_url) as there, S3FaultProxy(site.store.endpoint_url) as s3:
        location = f"http://localhost:{there.port}/"
        s3.on(Answer("redirect", 307, b"", {"Location": location}), operation="copy", skip=3)
        done = site.at(store=site.store.via(s3.endpoint_url)).run("-y", "--no-clobber", "check-first")
        assert s3.hits["redirect"] > 0
        assert there.requests == []
    assert done.code == 3, done
    assert "not followed" in done.err
    assert s3.endpoint_url in done.err
    assert f"localhost:{there.port}" in done.err
    assert "Traceback" not in done.err
    after = site.facts()
    assert len(after.production) <= 3
    flipped = {row for row, path in after.rows.items() if path != before.rows[row]}
    assert {after.rows[row] for row in flipped} <= after.production.keys()


def test_a_redirect_to_another_host_ends_every_command_before_it_begins(untouched_site: Site) -> None:
    with S3FaultProxy(untouched_site.store.endpoint_url) as s3:
        s3.on(Answer("redirect", 301, b"", {"Location": "http://store.example.com/"}))
        done = untouched_site.at(store=untouched_site.store.via(s3.endpoint_url)).run("-y")
        assert s3.hits["redirect"] > 0
    check_refused(done, 3, s3.endpoint_url, "store.example.com", "not followed")
    assert "S3_ENDPOINT_URL" in done.err
    assert "not allowed" not in done.err


def test_a_store_that_asks_for_minutes_before_the_run_is_not_waited_for(untouched_site: Site) -> None:
    with S3FaultProxy(untouched_site.store.endpoint_url) as s3:
        s3.on(status(503, retry_after="300"), operation="list")
        done = untouched_site.at(store=untouched_site.store.via(s3.endpoint_url)).run("-y")
        assert s3.hits["status_503"] == 1
    check_refused(done, 4, "SlowDown", "made by the fault proxy", "wait 300 s")
