"""Metrics, events and the command that is told of a run, by runs that have someone to tell."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.fault.governed import fill, flipped, log_of
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.tool import finish

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.e2e.site import Site

ROWS = 3_000
SCHEMA = Path(__file__).parents[2] / "docs" / "events.schema.json"


@cache
def validator() -> Any:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def events_in(text: str) -> list[dict[str, Any]]:
    """The events of one run, each as the schema has it, in the order of their numbers, the last of them its end."""
    events = [json.loads(line) for line in text.splitlines()]
    for event in events:
        validator().validate(event)
    assert [event["number"] for event in events] == [*range(1, len(events) + 1)]
    assert [event["event"] for event in events].index("finished") == len(events) - 1
    return events


def of_kind(events: Iterable[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == kind]


def series_in(text: str) -> dict[str, float]:
    return {
        each.name.removeprefix("sketch_migrate_")
        + "".join(f" {value}" for _, value in sorted(each.labels.items())): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def test_below_a_low_cap_progress_moves_each_second_and_not_with_each_full_batch(filled: Site) -> None:
    done = filled.run("-yw", "-b", "500", "--events", "-", "--max-rows-per-second", "5")
    assert done.code == 0, done.err
    rows = [event["outcomes"].get("migrated", 0) for event in of_kind(events_in(done.out), "progress")]
    assert len([count for count in sorted(set(rows)) if 0 < count < 20]) >= 2, rows


def scraped(site: Site) -> dict[str, float]:
    """What a scraper reads of the newest run."""
    wait_until(lambda: "Metrics: http" in log_of(site), "the run says where its metrics are")
    (address,) = re.findall(r"Metrics: (http://127\.0\.0\.1:\d+/metrics)", log_of(site))
    with urllib.request.urlopen(address) as reply:  # noqa: S310 - our own
        return series_in(reply.read().decode())


@pytest.fixture
def filled(site: Site) -> Site:
    """A few rows, each with its object."""
    site.fill([f"image/{number}.png" for number in range(20)])
    return site


@pytest.fixture
def many(site: Site) -> Site:
    """Rows that share few objects."""
    fill(site, ROWS)
    return site


def test_metrics_of_several_processes_never_get_less_when_one_is_killed(many: Site) -> None:
    file, events = many.folder / "run.prom", many.folder / "events.jsonl"
    flags = f"-y --metrics 0 --metrics-file {file} --events {events} --max-rows-per-second 600"
    process = many.start(f"{flags} --processes 2 --range-rows 300 --log-format json")
    wait_until(lambda: flipped(many.database) > 300, "the run flips")
    wait_until(lambda: scraped(many).get("rows_total migrated", 0.0) > 0, "a scraper sees it")
    first = scraped(many)
    assert first["limit MAX_ROWS_PER_SECOND"] == 600
    assert first["running"] == 1
    joined = [
        int(entry["text"].split()[3])
        for entry in map(json.loads, log_of(many).splitlines())
        if " joined: " in entry["text"]
    ]
    os.kill(joined[0], signal.SIGKILL)
    wait_until(lambda: flipped(many.database) > 1_500, "it goes on")
    wait_until(lambda: scraped(many)["rows_total migrated"] > first["rows_total migrated"], "the metrics go on")
    second = scraped(many)
    counts = [name for name in first if "_total" in name or "_bucket" in name or "_count" in name]
    assert all(second.get(name, 0.0) >= first[name] for name in counts)
    assert second["requests_window"] > 0
    done = finish(process)
    assert done.code == 0, done

    last = series_in(file.read_text())
    assert (last["running"], last["rows_total migrated"]) == (0, ROWS)
    copies = {name: count for name, count in last.items() if name.startswith("requests_total CopyObject")}
    assert sum(copies.values()) > 0
    assert last["request_duration_seconds_count CopyObject"] == sum(copies.values()) - copies.get(
        "requests_total CopyObject none", 0
    )
    assert last["ledger_bytes"] > 0
    told = of_kind(events_in(events.read_text()), "progress")
    assert len(told) > 3
    for before, after in pairwise(told):
        for operation, replies in before["sample"]["replies"].items():
            for status, count in replies.items():
                assert after["sample"]["replies"][operation][status] >= count
        assert all(after["sample"]["rows"][word] >= count for word, count in before["sample"]["rows"].items())
    assert told[-1]["sample"]["rows"]["migrated"] == ROWS
    assert told[-1]["sample"]["in_flight"] == 0


def test_a_port_that_is_taken_ends_a_run_before_anything_is_written(filled: Site) -> None:
    before = filled.facts()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = filled.run(f"-y --metrics {port} --events {filled.folder / 'events'}")
    assert done.code == 3
    assert f"--metrics: cannot listen on 127.0.0.1:{port}: Address already in use" in done.err
    assert "Traceback" not in done.err
    assert filled.facts() == before
    (*_, finished) = events_in((filled.folder / "events").read_text())
    assert (finished["exit_code"], finished["error"]["type"]) == (3, "MetricsRefused")


def test_a_metrics_file_that_cannot_be_written_is_a_warning(filled: Site) -> None:
    done = filled.run("-y --metrics-file gone/run.prom")
    assert done.err.count("--metrics-file gone/run.prom cannot be written: No such file or directory") == 1
    assert done.counts["migrated"] > 0


def test_events_on_stdout_leave_the_report_to_stderr(site: Site) -> None:
    site.fill([f"image/{number}.png" for number in range(30)] + ["image/"], without_object=["image/7.png", "image/"])
    site.store.put_all(site.store.production_bucket, {"avatar/9.png": b"something else"})
    done = site.run("-yv --events -")
    assert done.code == 1
    events = events_in(done.out)
    assert events[0]["event"] == "started"
    assert events[0]["run"] == site.last_run().name
    assert "migrated" in done.err
    entries, problems = of_kind(events, "entry"), of_kind(events, "problem")
    assert len(entries) == 31
    assert {(event["outcome"], event["path"]) for event in problems} == {
        ("missing", "image/7.png"),
        ("conflict", "image/9.png"),
        ("failed", "image/"),
    }
    finished = events[-1]
    assert (finished["exit_code"], finished["needs_a_person"], finished["outcomes"]["migrated"]) == (1, 3, 28)
    assert of_kind(events, "progress")[-1]["outcomes"] == finished["outcomes"]
    assert site.run("-y --events - --json").code == 2


def test_problems_are_told_by_workers_too_and_without_v_nothing_else(site: Site) -> None:
    site.fill([f"image/{number}.png" for number in range(400)], without_object=["image/7.png", "image/333.png"])
    events = site.folder / "events"
    assert site.run(f"-y --processes 2 --range-rows 100 --events {events}").code == 1
    told = events_in(events.read_text())
    assert {event["path"] for event in of_kind(told, "problem")} == {"image/7.png", "image/333.png"}
    assert not of_kind(told, "entry")
    assert site.run(f"rollback {site.last_run()} -y --events {site.folder / 'back'}").code == 0
    back = events_in((site.folder / "back").read_text())
    assert (back[0]["command"], back[-1]["outcomes"]["restored"]) == ("rollback", 398)


def test_orders_limits_and_a_stop_are_told(many: Site) -> None:
    events = many.folder / "events"
    process = many.start(f"-y --max-rows-per-second 300 --events {events}")
    wait_until(lambda: flipped(many.database) > 0, "the run flips")
    wait_until(lambda: '"MAX_ROWS_PER_SECOND"' in events.read_text(), "the cap is told")
    assert many.run("ctl pause").code == 0
    wait_until(lambda: '"limit": "pause"' in events.read_text(), "the pause is told")
    assert many.run("ctl stop").code == 0
    assert finish(process).code == 128 + signal.SIGTERM
    told = events_in(events.read_text())
    assert [event["order"] for event in of_kind(told, "order")] == ["pause", "stop"]
    assert re.fullmatch(r"\w+ \(process \d+\)", of_kind(told, "order")[0]["by"])
    limits = [(event["change"], event["limit"]) for event in of_kind(told, "limit")]
    assert ("began", "MAX_ROWS_PER_SECOND") in limits
    assert ("ended", "MAX_ROWS_PER_SECOND") in limits
    assert ("began", "pause") in limits
    assert told[-1]["exit_code"] == 128 + signal.SIGTERM


@pytest.mark.parametrize("reader", ["gone", "asleep"])
def test_a_reader_that_is_gone_or_asleep_holds_no_run_up(many: Site, reader: str) -> None:
    process = many.start("-yv -b 100 --events -")
    assert process.stdout is not None
    assert process.stderr is not None
    said: list[str] = []
    listening = threading.Thread(target=lambda: said.append(process.stderr.read() if process.stderr else ""))
    listening.start()
    if reader == "gone":
        process.stdout.close()
    assert process.wait(PATIENCE_SECONDS) == 0, said
    listening.join()
    assert flipped(many.database) == ROWS
    assert said[0].count("Warning: --events: stdout cannot be written as it should") == 1, said
    process.stdout.close()
    process.stderr.close()


def test_an_error_before_the_work_is_the_last_event_too(filled: Site) -> None:
    events = filled.folder / "events"
    done = filled.with_environ(SKETCH_DB_PASS="wrong", SKETCH_DB_NAME="nowhere").run(f"-y --events {events}")
    assert done.code == 3
    finished = events_in(events.read_text())[-1]
    assert (finished["exit_code"], finished["outcomes"]) == (3, None)
    assert finished["error"]["message"] in done.err
    wrong = filled.run(f"-y --events {filled.folder / 'wrong'} --max-lock-waiters many")
    assert wrong.code == 2
    assert [event["event"] for event in events_in((filled.folder / "wrong").read_text())] == ["finished"]


# -- the command that is told


def notify(site: Site, code: str = "") -> tuple[Site, Path]:
    """Return the site with a command that writes down what it is told, and where."""
    told, script = site.folder / "told", site.folder / "tell.py"
    script.write_text(
        f"import os, sys\nopen({str(told)!r}, 'a').write(sys.stdin.read())\n"
        f"assert not [each for each in os.environ if each.startswith(('SKETCH_', 'AWS_SE', 'PG'))]\n{code}\n"
    )
    return site.with_environ(SKETCH_NOTIFY_COMMAND=shlex.join([sys.executable, str(script)])), told


def test_a_command_is_told_of_the_end_and_of_what_needs_a_person(site: Site) -> None:
    site.fill(["image/1.png", "image/2.png"])
    site.store.put_all(site.store.production_bucket, {"avatar/2.png": b"something else"})
    telling, told = notify(site)
    assert telling.run("-y").code == 1
    events = [json.loads(line) for line in told.read_text().splitlines()]
    assert [event["event"] for event in events] == ["needs_a_person", "finished"]
    for event in events:
        assert (event["run"], event["command"]) == (site.last_run().name, "migrate")
        assert (event["needs_a_person"], event["exit_code"]) == (1, 1)
    told.unlink()
    assert telling.run("-d").code == 1
    assert telling.run("-s").code == 0
    assert not told.exists()
    repaired = telling.run("repair -y")
    assert [json.loads(line)["command"] for line in told.read_text().splitlines()] == ["repair"] * 2, repaired


def test_a_command_that_fails_changes_no_exit_code(filled: Site) -> None:
    telling, _ = notify(filled, "sys.exit('no such channel')")
    done = telling.run("-y --json")
    plain = json.loads(done.out)
    assert done.code == plain["exit_code"]
    assert "ended with exit status 1: no such channel" in done.err
    wrong = filled.with_environ(SKETCH_NOTIFY_COMMAND="tell 'us").run("-y")
    assert wrong.code == 2
    assert "NOTIFY_COMMAND" in wrong.err
    assert "No closing quotation" in wrong.err


# -- what it costs who does not want it


def test_without_these_flags_nothing_of_it_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from sketchmigrate.cli.main import main\n"
        "try:\n    main(['sketch-migrate', *sys.argv[1:]])\nexcept SystemExit:\n    pass\n"
        "print([each for each in ('prometheus_client', 'sketchmigrate.report.event_stream',"
        " 'sketchmigrate.report.notify') if each in sys.modules], file=sys.stderr)"
    )
    for flags in (["-h"], ["-y", "--db-port", "1", "--db-host", "127.0.0.1", "--run-dir", str(tmp_path)]):
        done = subprocess.run(
            [sys.executable, "-c", code, *flags], check=True, capture_output=True, text=True, cwd=tmp_path
        )
        assert done.stderr.splitlines()[-1] == "[]"


def test_a_metrics_file_takes_the_place_of_a_file_alone(site: Site) -> None:
    site.fill(["image/1.png"])
    done = site.run("-y --metrics-file /dev/null")
    assert done.code == 3, done
    assert "/dev/null is no file" in done.err
    assert Path("/dev/null").is_char_device()
    assert site.database.paths() == {1: "image/1.png"}
