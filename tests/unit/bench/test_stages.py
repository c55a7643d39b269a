"""A profile's samples go to the stage that called for them."""

from __future__ import annotations

from benchmarks.profiling.stages import read_stages

LOOP = "<module> (sketch_migrate.py:22);run_job (sketchmigrate/cli/job.py:104);run (asyncio/runners.py:118)"
SEND = "Exchange.perform (sketchmigrate/s3/exchange.py:100);Connection.send (sketchmigrate/s3/wire/transport.py:80)"
IMPORT = "_find_and_load (<frozen importlib._bootstrap>:1176);<module> (sketchmigrate/migration/runner.py:9)"


def shares(*lines: str) -> dict[str, int]:
    return {stage.name: stage.samples for stage in read_stages(lines)}


def test_the_innermost_frame_of_a_stage_has_the_sample() -> None:
    assert shares(f"{LOOP};{SEND} 7") == {"write, send, receive, parse": 7}


def test_a_library_counts_for_who_called_it() -> None:
    digest = "sign (sketchmigrate/s3/wire/sigv4.py:70);_hmac (sketchmigrate/s3/wire/sigv4.py:120);update (hashlib.py:1)"
    assert shares(f"{LOOP};{SEND};{digest} 3") == {"sign": 3}


def test_the_loop_has_what_nothing_else_called_for() -> None:
    assert shares(f"{LOOP} 5", f"{LOOP};_run_once (asyncio/base_events.py:1) 2") == {"event loop": 7}


def test_imports_are_the_start_whatever_they_import() -> None:
    assert shares(f"{LOOP};{IMPORT} 4") == {"start: imports": 4}
    assert read_stages([f"{LOOP};{IMPORT} 4"])[0].functions == {"<module> (migration/runner.py)": 4}


def test_idle_threads_do_not_count() -> None:
    assert shares("_bootstrap (threading.py:1002);_worker (concurrent/futures/thread.py:81) 900") == {}


def test_most_samples_come_first() -> None:
    lines = [f"{LOOP} 1", f"{LOOP};{SEND} 2", f"{LOOP};record_flips (sketchmigrate/ledger/sqlite/writer.py:107) 3"]
    assert list(shares(*lines)) == ["ledger", "write, send, receive, parse", "event loop"]
