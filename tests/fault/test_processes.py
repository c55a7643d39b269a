"""Several processes share a table: the promises are those of one, whichever of them is killed or told to stop."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest

import sketchmigrate
from tests import tool
from tests.fault.promises import LEGACY, World, make_world, rows_of
from tests.patience import wait_until
from tests.servers import s3_faults

if TYPE_CHECKING:
    import subprocess

    from tests.servers.databases import Database
    from tests.servers.postgres_fault_proxy import PostgresFaultProxy
    from tests.servers.s3_fault_proxy import S3FaultProxy
    from tests.servers.stores import Store

ROWS = 120
TWO = ("--processes", "2", "-p", "1", "-b", "10")
SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture
def wide(database: Database, rclone_store: Store, tmp_path: Path) -> World:
    """A world of more rows, which are several ranges of thirty."""
    return make_world(database, rclone_store, tmp_path, legacy_rows=ROWS)


def start(world: World, proxy: S3FaultProxy | None, *flags: str, **more: object) -> subprocess.Popen[str]:
    store = world.store if proxy is None else world.store.via(proxy.endpoint_url)
    return world.start(*TWO, *flags, store=store, range_rows=30, **more)  # type: ignore[arg-type]  # passed on as it is


def log_of(world: World) -> str:
    (run,) = world.runs.iterdir()
    return (run / "migrate.log").read_text()


def pid_of(world: World, worker: str) -> int:
    """Return a worker's process; it has said so when it joined."""
    found = re.search(rf"{worker} joined: process (\d+) on ", log_of(world))
    assert found is not None, log_of(world)
    return int(found[1])


def worker_of_row(world: World, row: int) -> str:
    """Return the worker that has a row on record."""
    (run,) = world.runs.iterdir()
    for file in run.glob("ledger-*.sqlite"):
        with closing(sqlite3.connect(file)) as ledger:
            if ledger.execute("SELECT 1 FROM flip WHERE key = ?", [row]).fetchone():
                return file.stem.removeprefix("ledger-")
    raise AssertionError(f"no worker has row {row} on record")


def check_rolled_back(world: World) -> None:
    """Undo every run: each row is as it was."""
    back = world.migrate(command=("rollback", "--all", "runs"))
    assert back.code == 0, back.err
    assert back.outcomes == {"restored": len(world.before.legacy_paths)}
    assert rows_of(world.database) == world.before.rows


def test_two_processes_do_what_one_does(wide: World) -> None:
    one = wide.migrate("--dry-run")
    dry = wide.finish(start(wide, None, "--dry-run"))
    assert (dry.code, dry.outcomes) == (one.code, one.outcomes) == (0, {"migrated": ROWS})
    assert wide.check_promises() == 0
    for run in wide.runs.iterdir():
        for file in run.iterdir():
            file.unlink()
        run.rmdir()
    done = wide.finish(start(wide, None))
    assert done.code == 0, done.err
    assert done.document.keys() == (one.document.keys() - {"findings"}) | {"no_clobber", "no_clobber_reason"}
    assert (done.outcomes, done.document["objects_copied"]) == ({"migrated": ROWS}, ROWS - 1)
    wide.check_finished()
    (run,) = wide.runs.iterdir()
    assert {file.name for file in run.glob("ledger*.sqlite")} == {
        "ledger.sqlite",
        "ledger-worker-1.sqlite",
        "ledger-worker-2.sqlite",
    }
    again = wide.finish(start(wide, None))
    assert (again.code, again.document["scanned"]) == (0, 0)
    check_rolled_back(wide)


def test_entries_that_need_a_person_are_told_once_with_their_reasons(wide: World) -> None:
    for row in (3, 50, 118):  # of different ranges
        wide.store.client.delete_object(Bucket=wide.store.legacy_bucket, Key=wide.before.legacy_paths[row])
    done = wide.finish(start(wide, None))
    assert done.code == 1
    assert done.outcomes == {"migrated": ROWS - 3, "missing": 3}
    assert sorted(done.reasons) == [3, 50, 118]
    assert done.document["passes"] == 2
    (run,) = wide.runs.iterdir()
    assert len((run / "problems.csv").read_text().splitlines()) == 4


def test_the_limit_holds_for_all_together(wide: World) -> None:
    done = wide.finish(start(wide, None, "-l", "45"))
    assert (done.code, done.outcomes, done.document["rows_left"]) == (1, {"migrated": 45}, True)
    assert wide.check_promises() == 45
    rest = wide.finish(start(wide, None, "-l", str(ROWS)))
    assert (rest.code, rest.outcomes, rest.document["rows_left"]) == (0, {"migrated": ROWS - 45}, False)
    wide.check_finished()


def test_what_a_limit_leaves_of_a_range_begins_behind_what_was_taken_up(
    wide: World, postgres_proxy: PostgresFaultProxy
) -> None:
    """Both workers are there when the only range is handed out, so that it is lent half of the limit at a time."""
    wide.store.client.delete_object(Bucket=wide.store.legacy_bucket, Key=wide.before.legacy_paths[3])

    def both_have_joined() -> None:
        wait_until(lambda: log_of(wide).count(" joined: process ") == 2, "both workers are there")

    postgres_proxy.act_at("OFFSET", both_have_joined)  # which looks whether the range is too large
    done = wide.finish(wide.start(*TWO, "-l", "20", database=wide.database.via(postgres_proxy.port)))
    assert postgres_proxy.hits["act"] == 1
    assert done.outcomes == {"migrated": 19, "missing": 1}, done.err
    assert list(done.reasons) == [3]


def test_what_is_said_of_each_entry_is_said_once(wide: World) -> None:
    done = wide.finish(start(wide, None, "-v"))
    assert done.code == 0
    keys = re.findall(r"^migrated +avatars id=(\d+) ", done.err, re.MULTILINE)
    assert sorted(map(int, keys)) == sorted(wide.before.legacy_paths)
    assert re.search(r"INFO +worker-[12]: migrated +avatars id=1 ", log_of(wide))


def test_a_killed_worker_is_replaced_and_each_reference_counted_once(wide: World, s3_proxy: S3FaultProxy) -> None:
    """Its second iteration is flipped and not told; of the third, some objects are copied."""
    s3_proxy.on(s3_faults.stall(after_server=True), operation="copy", key="avatar-2[5-9].png$")
    process = start(wide, s3_proxy)
    s3_proxy.wait_for_hit("stall")
    wait_until_flipped(wide, range(11, 21))
    victim = worker_of_row(wide, 11)
    os.kill(pid_of(wide, victim), signal.SIGKILL)
    s3_proxy.clear()
    s3_proxy.release()
    done = wide.finish(process)
    assert done.code == 0, done.err
    assert done.outcomes == {"migrated": ROWS}
    assert done.document["objects_copied"] >= ROWS - 7  # what was copied and never recorded is found in place
    assert f"{victim} was lost" in done.err
    assert "worker-3 joined" in log_of(wide)
    wide.check_finished()
    check_rolled_back(wide)


def wait_until_flipped(world: World, rows: range) -> None:
    """Wait for rows that are flipped by now, or are just being."""
    wait_until(
        lambda: not any((world.database.paths()[row] or "").startswith(LEGACY) for row in rows), "they are flipped"
    )


def test_a_range_that_kills_its_workers_ends_the_run(wide: World, s3_proxy: S3FaultProxy) -> None:
    s3_proxy.on(s3_faults.stall(), operation="copy", key="avatar-5.png$")
    process = wide.start(*TWO, store=wide.store.via(s3_proxy.endpoint_url))  # in one range
    while process.poll() is None:  # a worker may be at work before it is in the log
        for worker in re.findall(r"(worker-\d+) joined", log_of(wide)) if s3_proxy.hits["stall"] else []:
            with suppress(ProcessLookupError):
                os.kill(pid_of(wide, worker), signal.SIGKILL)
        time.sleep(0.05)
    done = wide.finish(process)
    assert done.code == 4
    message = done.document["error"]["message"]
    assert message.startswith(
        "the range from the first key on to the last one was begun 5 times, and each time its wor"
    )
    wide.check_promises()
    s3_proxy.clear()
    s3_proxy.release()
    wide.check_resumed()


SOURCE = str(Path(sketchmigrate.__file__).parents[1])
GROWING = """
import sys
from sketchmigrate.cli.main import main
from sketchmigrate.migration import growth
growth.LOOK_SECONDS = growth.FULL_SECONDS = 0.1
growth.FULL_SHARE = 0.0
growth.IDLE_CORE = -100.0
sys.exit(main(["sketch_migrate.py", *sys.argv[1:]]))
"""


def test_a_run_that_outgrows_its_core_goes_on_with_others(wide: World, s3_proxy: S3FaultProxy) -> None:
    """Here any core is full at the second look; the rows done until then are not counted again."""
    s3_proxy.on(s3_faults.stall(), operation="copy", key="avatar-5.png$")
    wide.store.client.delete_object(Bucket=wide.store.legacy_bucket, Key=wide.before.legacy_paths[3])
    environ = {**wide.database.environ(), **wide.store.via(s3_proxy.endpoint_url).environ(), "PYTHONPATH": SOURCE}
    flags = ("-y", "--json", "-p", "1", "-b", "10", "--range-rows", "30")
    process = tool.start(*flags, environ=environ, cwd=wide.cwd, program=("-c", GROWING))
    s3_proxy.wait_for_hit("stall")
    time.sleep(0.5)  # it looks ten times a second
    s3_proxy.release()
    done = wide.finish(process)
    assert "One core is full, and others are idle: going on with" in done.err
    assert (done.code, done.outcomes) == (1, {"migrated": ROWS - 1, "missing": 1}), done.err
    assert list(done.reasons) == [3]
    assert "worker-1 joined" in log_of(wide)


def test_the_coordinator_killed_ends_its_workers_and_the_next_run_finishes(wide: World, s3_proxy: S3FaultProxy) -> None:
    s3_proxy.on(s3_faults.stall(), operation="copy", key="avatar-[2-9]5.png$")
    process = start(wide, s3_proxy)
    s3_proxy.wait_for_hit("stall", 2)
    process.kill()
    process.communicate(timeout=30)  # the pipe closes when the last of its processes has ended
    wide.check_promises()
    s3_proxy.clear()
    s3_proxy.release()
    again = wide.finish(start(wide, None))
    assert again.code == 0, again.err
    wide.check_finished()
    assert wide.migrate(command=("rollback", "--all", "runs")).code == 0
    assert rows_of(wide.database) == wide.before.rows


@SIGNALS
def test_once_finishes_the_iterations_of_all(wide: World, s3_proxy: S3FaultProxy, number: signal.Signals) -> None:
    s3_proxy.on(s3_faults.stall(), operation="copy", key="avatar-(5|35).png$")  # one of the first batch of two ranges
    process = start(wide, s3_proxy)
    s3_proxy.wait_for_hit("stall", 2)
    process.send_signal(number)
    wait_until_said(process, "Stopping")
    s3_proxy.release()
    done = wide.finish(process)
    assert (done.code, done.document["stopped_by_signal"]) == (128 + number, number), done.err
    assert done.outcomes == {"migrated": 20}
    assert done.document["rows_left"]
    assert wide.check_promises() == 20
    wide.check_resumed()


def test_control_c_reaches_every_process_and_only_the_first_one_minds(wide: World, s3_proxy: S3FaultProxy) -> None:
    s3_proxy.on(s3_faults.stall(), operation="copy", key="avatar-(5|35).png$")
    environ = {**wide.database.environ(), **wide.store.via(s3_proxy.endpoint_url).environ(), "SKETCH_RANGE_ROWS": "30"}
    terminal = tool.on_a_terminal("-y", "--no-progress", *TWO, environ=environ, cwd=wide.cwd)
    s3_proxy.wait_for_hit("stall", 2)
    terminal.sendintr()
    terminal.expect("Stopping: finishing what is under way")
    s3_proxy.release()
    terminal.expect(r"Stopped by SIGINT\. What was in flight has been finished\.")
    terminal.expect(r"migrated +20 ")
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert terminal.exitstatus == 130
    assert "was lost" not in log_of(wide)
    assert wide.check_promises() == 20


@SIGNALS
def test_twice_stops_all_at_once(wide: World, s3_proxy: S3FaultProxy, number: signal.Signals) -> None:
    s3_proxy.on(s3_faults.stall(), operation="copy", key="avatar-(5|35).png$")
    process = start(wide, s3_proxy)
    s3_proxy.wait_for_hit("stall", 2)
    process.send_signal(number)
    wait_until_said(process, "Stopping")
    process.send_signal(number)
    done = wide.finish(process)  # nobody released the copies
    assert done.code == 128 + number, done.err
    assert "Nothing is lost" in done.err
    assert wide.check_promises() == 0
    s3_proxy.release()
    wide.check_resumed()


def wait_until_said(process: subprocess.Popen[str], word: str) -> None:
    """Read stderr up to a line with the word."""
    assert process.stderr is not None
    while line := process.stderr.readline():
        if word in line:
            return
    raise AssertionError(f"it ended and never said {word}")
