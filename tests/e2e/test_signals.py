"""SIGINT and SIGTERM: once finishes what is in flight, twice stops at once, and the next run ends the job."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pexpect
import pytest

from tests.e2e.site import body_of, counts
from tests.servers.postgres_fault_proxy import PostgresFaultProxy
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import stall, status
from tests.tool import finish

if TYPE_CHECKING:
    import subprocess

    from tests.e2e.site import Facts, Site

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
PATHS = [f"image/{number}.png" for number in range(1, 21)]
ALL_FLIPPED = {number: f"avatar/{number}.png" for number in range(1, 21)}


@pytest.fixture
def filled(site: Site) -> Site:
    """Twenty legacy avatars."""
    site.fill(PATHS)
    return site


def wait_until_said(process: subprocess.Popen[str], word: str) -> None:
    """Read stderr up to a line with the word."""
    assert process.stderr is not None
    said = []
    while line := process.stderr.readline():
        said.append(line)
        if word in line:
            return
    raise AssertionError(f"it ended and said {said}")


def check_consistent(site: Site, before: Facts) -> int:
    """Each row is legacy as it was, or flipped with its object in production; return how many are flipped."""
    after = site.facts()
    assert after.legacy == before.legacy
    there = site.production_bodies()
    for key, path in after.rows.items():
        assert path in {before.rows[key], ALL_FLIPPED[key]}
    flipped = [path for key, path in after.rows.items() if path == ALL_FLIPPED[key]]
    for path in flipped:
        assert path is not None
        assert there[path] == body_of(path)
    return len(flipped)


def check_resumed(site: Site, *, left: int) -> None:
    """Another run ends the job, and takes up only what was left."""
    done = site.run("-yt -b 5")
    assert (done.code, done.counts["migrated"], done.counts["scanned"]) == (0, left, left), done
    assert done.tech_status == "tech_status 20,20,0,20,20"
    assert site.database.paths() == ALL_FLIPPED
    assert site.production_bodies() == {path: body_of(path) for path in ALL_FLIPPED.values()}


@SIGNALS
def test_once_finishes_what_is_in_flight_and_flips_it(filled: Site, number: signal.Signals) -> None:
    before = filled.facts()
    with S3FaultProxy(filled.store.endpoint_url) as s3:
        s3.on(stall(), operation="copy", key="^avatar/7.png$")
        process = filled.at(store=filled.store.via(s3.endpoint_url)).start("-y -b 5 -p 1")
        s3.wait_for_hit("stall")
        s3.wait_for_requests(10, "copy")  # the whole second batch is in flight
        process.send_signal(number)
        wait_until_said(process, "Stopping")
        s3.release()
        done = finish(process)
        assert s3.count("copy") == 10
    assert (done.code, done.counts) == (128 + number, counts(migrated=10, copied=10)), done
    assert f"Stopped by {number.name}." in done.out
    assert "Run the same command again: it goes on where this run stopped." in done.out
    assert check_consistent(filled, before) == 10
    check_resumed(filled, left=10)


@SIGNALS
def test_several_iterations_in_flight_are_all_flipped(filled: Site, number: signal.Signals) -> None:
    before = filled.facts()
    with S3FaultProxy(filled.store.endpoint_url) as s3:
        s3.on(stall(), operation="copy", times=15)
        process = filled.at(store=filled.store.via(s3.endpoint_url)).start("-yw -b 5 -p 3 --json")
        s3.wait_for_hit("stall", 15)
        process.send_signal(number)
        wait_until_said(process, "Stopping")
        s3.release()
        done = finish(process)
    document = json.loads(done.out)
    assert done.code == document["exit_code"] == 128 + number
    assert document["stopped_by_signal"] == number
    assert (document["outcomes"]["migrated"], document["scanned"], document["rows_left"]) == (15, 15, True)
    assert check_consistent(filled, before) == 15
    check_resumed(filled, left=5)


@SIGNALS
def test_twice_stops_at_once_while_a_copy_hangs(filled: Site, number: signal.Signals) -> None:
    before = filled.facts()
    with S3FaultProxy(filled.store.endpoint_url) as s3:
        s3.on(stall(), operation="copy", key="^avatar/(8|9|10).png$")  # of the second batch, whatever is sent again
        process = filled.at(store=filled.store.via(s3.endpoint_url)).start("-y -b 5 -p 1")
        s3.wait_for_hit("stall", 3)
        process.send_signal(number)
        wait_until_said(process, "Stopping")
        process.send_signal(number)
        done = finish(process)
        assert s3.hits["stall"] == 3  # nobody released them
        assert check_consistent(filled, before) == 5
    assert done.code == 128 + number, done
    assert "Nothing is lost" in done.err
    assert "Traceback" not in done.err + done.out
    check_resumed(filled, left=15)


@SIGNALS
def test_twice_stops_at_once_while_the_flip_hangs(filled: Site, number: signal.Signals) -> None:
    before = filled.facts()
    with PostgresFaultProxy(filled.database.port) as postgres:
        postgres.stall_at(r"^\s*WITH free", skip=1)
        process = filled.at(database=filled.database.via(postgres.port)).start("-y -b 5 -p 1")
        postgres.wait_for_hit("stall")
        process.send_signal(number)
        wait_until_said(process, "Stopping")
        process.send_signal(number)
        done = finish(process)
        assert check_consistent(filled, before) == 5
    assert done.code == 128 + number, done
    assert "Traceback" not in done.err + done.out
    check_resumed(filled, left=15)


def test_once_ends_the_wait_for_a_store_that_fails(filled: Site) -> None:
    """What cannot be finished is left for the next run: nobody wants to wait five minutes after Ctrl-C."""
    before = filled.facts()
    with S3FaultProxy(filled.store.endpoint_url) as s3:
        s3.on(status(503, retry_after="200"), operation="copy", key="avatar/1[0-9]")
        process = filled.at(store=filled.store.via(s3.endpoint_url)).start("-y -b 20 -p 1")
        s3.wait_for_hit("status_503", 10)
        s3.wait_for_requests(20, "copy")
        process.send_signal(signal.SIGINT)
        done = finish(process)
    assert (done.code, done.counts) == (130, counts(migrated=10, copied=10)), done
    assert check_consistent(filled, before) == 10
    check_resumed(filled, left=10)


@pytest.mark.parametrize("flags", ["-s", "-y", "-d"])
def test_a_signal_before_anything_was_begun(filled: Site, flags: str) -> None:
    before = filled.facts()
    with S3FaultProxy(filled.store.endpoint_url) as s3:
        s3.on(stall(), operation="list")
        process = filled.at(store=filled.store.via(s3.endpoint_url)).start(flags)
        s3.wait_for_hit("stall")
        process.send_signal(signal.SIGINT)
        done = finish(process)
    assert done.code == 130
    assert "Traceback" not in done.err
    assert filled.facts() == before


def test_a_dry_run_is_stopped_by_one(filled: Site) -> None:
    before = filled.facts()
    with S3FaultProxy(filled.store.endpoint_url) as s3:
        s3.on(stall(), operation="head", key="image/7.png", skip=1)  # the first is of the sample before it
        process = filled.at(store=filled.store.via(s3.endpoint_url)).start("-dv -b 5 -p 1")
        s3.wait_for_hit("stall")
        process.send_signal(signal.SIGINT)
        wait_until_said(process, "Stopping")
        s3.release()
        done = finish(process)
    assert done.code == 130, done
    assert 5 <= done.counts["scanned"] <= 10
    assert filled.facts() == before


def test_control_c_at_the_question(filled: Site) -> None:
    before = filled.facts()
    terminal = filled.on_a_terminal("")
    terminal.expect(r"\[yes/no\] ")
    terminal.sendintr()
    terminal.expect("\r\nerror: interrupted before anything was changed\r\n")
    assert (terminal.before or "").strip() == "^C"
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert terminal.exitstatus == 130
    assert filled.facts() == before
