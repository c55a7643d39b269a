"""``ctl``: a run that goes on is asked how it stands, paused, changed and stopped, from another process."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.site import check_refused
from tests.fault.governed import check_stands_still, fill, flipped, log_of, wait_until_logged
from tests.patience import wait_until
from tests.tool import finish

if TYPE_CHECKING:
    import subprocess

    from tests.e2e.site import Site
    from tests.tool import Finished

ROWS = 3_000
SLOW = "-y --json --max-rows-per-second 300"
TWO_PROCESSES = f"{SLOW} --processes 2 --range-rows 500"


def ctl(site: Site, order: str) -> Finished:
    return site.run(f"ctl {order}")


def answer(site: Site, order: str) -> dict[str, Any]:
    """What an order came to."""
    done = site.run(f"ctl {order} --json")
    assert done.code == 0, done
    return dict(json.loads(done.out))


def begin(site: Site, flags: str = SLOW) -> subprocess.Popen[str]:
    """Start a run, and wait until it has set rows."""
    process = site.start(flags)
    wait_until(lambda: flipped(site.database) > 0, "the run flips")
    return process


def check_all_migrated(process: subprocess.Popen[str]) -> None:
    done = finish(process)
    assert done.code == 0, done
    assert json.loads(done.out)["outcomes"]["migrated"] == ROWS


@pytest.fixture
def slow_site(site: Site) -> Site:
    """Rows that share few objects: what a run takes is up to its caps."""
    fill(site, ROWS)
    return site


@pytest.mark.parametrize("flags", [SLOW, TWO_PROCESSES], ids=["one process", "two"])
def test_a_run_is_paused_goes_on_and_is_changed(slow_site: Site, flags: str) -> None:
    site = slow_site
    process = begin(site, flags)
    status = answer(site, "status")["status"]
    assert (status["state"], status["pid"], status["run"]) == ("running", process.pid, site.last_run().name)
    assert (status["settings"]["MAX_ROWS_PER_SECOND"], status["changes"]) == (300, [])

    assert "Paused." in ctl(site, "pause").out
    assert 0 < check_stands_still(site.database, seconds=2.0) < ROWS
    paused = answer(site, "status")["status"]
    assert paused["state"] == "paused"
    assert re.fullmatch(r"\w+ \(process \d+\)", paused["paused_by"])
    assert f"limit: paused by {paused['paused_by']}" in paused["line"]
    assert "paused already" in ctl(site, "pause").out

    told = answer(site, "set MAX_ROWS_PER_SECOND=0 p=7 b=100")
    assert told["status"]["changes"] == ["MAX_ROWS_PER_SECOND=0", "p=7", "b=100"]
    assert told["status"]["state"] == "paused"
    check_stands_still(site.database, seconds=0.5)
    assert "goes on" in ctl(site, "resume").out
    check_all_migrated(process)
    log = log_of(site)
    for order in ("pause", "set MAX_ROWS_PER_SECOND=0 p=7 b=100", "resume"):
        assert re.search(rf"Order of \w+ \(process \d+\): {re.escape(order)}\.", log)
    assert re.search(r"The run waits: paused by \w+ \(process \d+\)\. sketch-migrate ctl resume goes on\.", log)
    assert not (site.last_run() / "ctl.sock").exists()


@pytest.mark.parametrize("flags", [SLOW, TWO_PROCESSES], ids=["one process", "two"])
def test_a_paused_run_obeys_a_stop(slow_site: Site, flags: str) -> None:
    site = slow_site
    process = begin(site, flags)
    ctl(site, "pause")
    before = check_stands_still(site.database, seconds=0.5)
    assert "stops" in ctl(site, "stop").out
    done = finish(process, timeout_seconds=20)
    assert done.code == 128 + signal.SIGTERM, done
    assert json.loads(done.out)["outcomes"]["migrated"] == flipped(site.database) == before
    again = site.run("-y --json")
    assert (again.code, json.loads(again.out)["outcomes"]["migrated"]) == (0, ROWS - before)


def test_a_run_is_stopped_at_once(slow_site: Site) -> None:
    process = begin(slow_site)
    assert "at once" in ctl(slow_site, "stop --now").out
    done = finish(process, timeout_seconds=20)
    assert done.code == 128 + signal.SIGTERM, done
    assert "stopped at once" in done.err
    assert slow_site.run("-y").code == 0


def test_iterations_become_more_and_fewer(slow_site: Site) -> None:
    """Told by the sessions that the run has at the database."""
    site = slow_site
    connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'sketch-migrate%%'"

    def sessions() -> int:
        return int(site.database.execute(connected)[0][0])

    process = begin(site, f"{SLOW} -p 2 -b 20")
    before = sessions()
    ctl(site, "set p=9")
    wait_until(lambda: sessions() >= before + 6, "there are more iterations")
    ctl(site, "set p=1 MAX_ROWS_PER_SECOND=1000")
    wait_until(lambda: sessions() <= before - 1, "there are fewer")
    ctl(site, "set p=3 MAX_ROWS_PER_SECOND=0")
    check_all_migrated(process)


def test_each_entry_is_shown_from_an_order_on(slow_site: Site) -> None:
    site = slow_site
    process = begin(site, f"{SLOW} --processes 2 --range-rows 500")
    assert "-> avatar/" not in log_of(site).replace("'", "")
    ctl(site, "set verbose=yes")
    wait_until_logged(site, process, "-> 'avatar/")
    ctl(site, "set verbose=no MAX_ROWS_PER_SECOND=0")
    check_all_migrated(process)


def test_a_bad_change_changes_nothing(slow_site: Site) -> None:
    site = slow_site
    process = begin(site)
    for change, name in (
        ("MAX_ROWS_PER_SECOND=fast", "MAX_ROWS_PER_SECOND (ctl set)"),
        ("MAX_ROW_PER_SECOND=5", "did you mean MAX_ROWS_PER_SECOND?"),
        ("p=0", "p (ctl set)"),
        ("DB_HOST=elsewhere", "DB_HOST cannot be changed"),
        ("p=5 MAX_BANDWIDTH=-1", "MAX_BANDWIDTH (ctl set)"),
    ):
        check_refused(ctl(site, f"set {change}"), 2, name)
    status = answer(site, "status")["status"]
    assert (status["changes"], status["settings"]["p"], status["settings"]["MAX_ROWS_PER_SECOND"]) == ([], 4, 300)
    check_refused(ctl(site, "set"), 2, "NAME=VALUE")
    check_refused(ctl(site, "sleep"), 2, "sleep")
    check_refused(ctl(site, "pause --now"), 2, "--now")
    ctl(site, "stop --now")
    finish(process)


def test_watching_shows_a_line_a_second_until_the_run_ends(slow_site: Site) -> None:
    site = slow_site
    process = begin(site)
    watching = site.start("ctl watch --json")
    wait_until_logged(site, process, "of 3,000 rows")
    ctl(site, "set MAX_ROWS_PER_SECOND=1000")
    check_all_migrated(process)
    watched = finish(watching)
    assert watched.code == 0, watched
    seen = [json.loads(line) for line in watched.out.splitlines()]
    assert len(seen) >= 2
    assert [each["rows_done"] for each in seen] == sorted(each["rows_done"] for each in seen)
    assert "has ended" in watched.err


def test_who_still_listens_at_the_end_is_hung_up_on(slow_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    process = begin(slow_site)
    monkeypatch.chdir(slow_site.last_run())
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect("ctl.sock")
        peer.sendall(b'{"order": "stop"}\n')
        done = finish(process)
        assert "Traceback" not in done.err
        assert peer.makefile("rb").readlines()[1:] == []


def test_a_signal_puts_the_status_on_record(slow_site: Site) -> None:
    process = begin(slow_site)
    os.kill(process.pid, signal.SIGUSR1)
    log = wait_until_logged(slow_site, process, "Can be set")
    assert re.search(r"State +running", log)
    ctl(slow_site, "set MAX_ROWS_PER_SECOND=0")
    check_all_migrated(process)


def test_that_signal_ends_nothing(slow_site: Site) -> None:
    process = slow_site.start("-y --json --processes 2 --range-rows 500")
    wait_until(lambda: bool(list(slow_site.folder.glob("runs/*"))), "the tool itself has begun, and not only Python")
    while process.poll() is None:
        os.kill(process.pid, signal.SIGUSR1)
        time.sleep(0.01)
    check_all_migrated(process)


def test_which_run_is_meant(slow_site: Site) -> None:
    site = slow_site
    check_refused(ctl(site, "status"), 3, "no run goes on below")
    assert site.run("-y -l 1").code == 1
    ended = site.last_run()
    check_refused(ctl(site, f"pause {ended}"), 3, ended.name)
    check_refused(ctl(site, "status no-such-run"), 3, "no-such-run")
    first = begin(site)
    other = site.start(SLOW)
    wait_until(lambda: len(list(site.folder.glob("runs/*/ctl.sock"))) == 2, "two take orders")
    names = sorted(each.parent.name for each in site.folder.glob("runs/*/ctl.sock"))
    check_refused(ctl(site, "pause"), 2, *names)
    for name in names:
        assert answer(site, f"stop --now {name}")["status"]["run"] == name
    assert {finish(each).code for each in (first, other)} == {128 + signal.SIGTERM}


def test_a_killed_run_leaves_a_socket_that_nobody_answers(slow_site: Site) -> None:
    process = begin(slow_site)
    process.kill()
    finish(process)
    socket_left = slow_site.last_run() / "ctl.sock"
    assert socket_left.is_socket()
    check_refused(ctl(slow_site, f"status {slow_site.last_run()}"), 3, "takes no orders")
    check_refused(ctl(slow_site, "status"), 3, "no run goes on")
    assert slow_site.run("-y").code == 0


def test_the_socket_is_private_and_its_path_may_be_long(slow_site: Site) -> None:
    folder = "f" * 120
    site = slow_site.with_environ(SKETCH_RUN_DIR=folder)
    process = begin(site)
    (made,) = site.folder.glob(f"{folder}/*/ctl.sock")
    assert len(str(made)) > 107
    assert stat.S_IMODE(made.stat().st_mode) & 0o077 == 0
    assert answer(site, "stop --now")["status"]["state"] == "stopping"
    finish(process)


def test_what_is_no_order_is_refused(slow_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes by the socket, the run goes on."""
    site = slow_site
    process = begin(site)
    monkeypatch.chdir(site.last_run())  # the path of a socket may not be long
    with socket.socket(socket.AF_UNIX) as peer, socket.socket(socket.AF_UNIX) as endless:
        endless.connect("ctl.sock")
        endless.sendall(b"x" * 70_000)
        peer.connect("ctl.sock")
        lines = peer.makefile("rwb")
        for sent in ("nonsense", "[1]", '{"order": ["pause"]}', '{"order": "set", "changes": "p=1"}', "{}"):
            lines.write(sent.encode() + b"\n")
            lines.flush()
            assert set(json.loads(lines.readline())["error"]) == {"message", "hint"}
    assert answer(site, "status")["status"]["state"] == "running"
    ctl(site, "set MAX_ROWS_PER_SECOND=0")
    check_all_migrated(process)


def test_a_rollback_takes_orders(slow_site: Site) -> None:
    site = slow_site
    assert site.run("-y").code == 0
    process = site.start(f"rollback runs/{site.last_run().name} -y --json -b 20 --max-rows-per-second 300")
    wait_until(lambda: flipped(site.database) < ROWS, "the rollback flips")
    ctl(site, "pause")
    set_back = ROWS - check_stands_still(site.database, seconds=0.5)
    assert 0 < set_back < ROWS
    assert 0 < answer(site, "status")["status"]["outcomes"]["restored"] <= set_back
    ctl(site, "set MAX_ROWS_PER_SECOND=0")
    ctl(site, "resume")
    done = finish(process)
    assert done.code == 0, done
    assert flipped(site.database) == 0
