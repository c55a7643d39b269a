"""``runs``: every run is on record, with what was started, by whom, and how it ended."""

from __future__ import annotations

import getpass
import json
import shutil
import signal
import socket
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from sketchmigrate import __version__
from tests.e2e.site import check_refused
from tests.e2e.sources_site import UNUSED
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import stall
from tests.tool import finish

if TYPE_CHECKING:
    from tests.e2e.site import Site
    from tests.servers.databases import Databases

PATHS = [f"image/{number:02}.png" for number in range(1, 21)]
SECRET = "a-secret-that-nobody-shall-read"


def runs_of(site: Site) -> list[dict[str, Any]]:
    """What ``runs`` has, the oldest first."""
    done = site.run("runs --json")
    assert done.code == 0, done
    document = json.loads(done.out)
    assert document["exit_code"] == 0
    found: list[dict[str, Any]] = document["runs"]
    return found


@pytest.fixture
def kept(ledgers_kept: Site) -> Site:
    """A site with twenty avatars, whose ledgers are in files or in a database."""
    ledgers_kept.fill(PATHS, without_object=[PATHS[0]])
    return ledgers_kept


def test_each_command_that_has_a_directory_is_on_record(kept: Site) -> None:
    site = kept.with_environ(SKETCH_LOCK_TIMEOUT_MS="321")
    assert site.run("runs").out == "No run is on record.\n"
    assert site.run("plan").code == 1
    assert site.run("-y -b 7").code == 1
    migration = site.last_run()
    assert site.run("verify").code == 1
    assert site.run(f"rollback -y {migration}").code == 0
    check_refused(site.with_environ(SKETCH_DB_TABLE="no_such_table").run("-y"), 3, "no_such_table")
    plan, migrated, verify, rollback, refused = runs_of(site)
    commands = [run["command"] for run in (plan, migrated, verify, rollback, refused)]
    assert commands == ["plan", "migrate", "verify", "rollback", "migrate"]
    for run in (plan, migrated, verify, rollback, refused):
        assert (run["state"], run["version"]) == ("finished", __version__)
        assert (run["host"], run["user"]) == (socket.gethostname(), getpass.getuser())
        assert run["seconds"] > 0
    assert (migrated["typed"], migrated["exit_code"], migrated["rows"]) == (["-y", "-b", "7"], 1, 20)
    assert migrated["outcomes"] == {**dict.fromkeys(migrated["outcomes"], 0), "migrated": 19, "missing": 1}
    assert rollback["outcomes"]["restored"] == 19
    assert (plan["rows"], plan["outcomes"], plan["ledger"]) == (None, {}, None)
    assert refused["exit_code"] == 3
    assert "no_such_table" in refused["error"]
    listed = site.run("runs").out
    line = next(line for line in listed.splitlines() if line.startswith(migration.name))
    assert line.split()[1:3] == ["finished", "migrate"]
    assert "exit 1, 19 migrated, 1 missing" in line
    log = migration.joinpath("migrate.log").read_text()
    assert f"sketch-migrate {__version__} -y -b 7, by {getpass.getuser()} on {socket.gethostname()}, process " in log
    assert "LOCK_TIMEOUT_MS=321" in log


def test_what_applied_is_shown_and_no_secret(kept: Site) -> None:
    site = kept.with_environ(SKETCH_LOCK_TIMEOUT_MS="321", AWS_SESSION_TOKEN=SECRET)
    assert site.run("-y -l 5").code == 1
    for which in (str(site.last_run()), site.last_run().name):
        shown = site.run("runs show", which)
        assert shown.code == 0, shown
        assert "Typed       sketch-migrate -y -l 5\n" in shown.out
        assert "\n  LOCK_TIMEOUT_MS = 321\n" in shown.out
    document = json.loads(site.run("runs show --json", site.last_run().name).out)
    assert document["settings"]["LOCK_TIMEOUT_MS"] == 321
    assert document["settings"]["DB_PATH_COLUMN"] == "path", "defaults as well"
    passwords = [value for name, value in site.settings.items() if "PASS" in name or "SECRET" in name]
    files = [file.read_bytes() for file in site.last_run().iterdir()]
    for secret in (SECRET, *filter(None, passwords)):
        assert secret.encode() not in b"".join(files)
    check_refused(site.run("runs show 20200101T000000Z-nobody-000000"), 2, "there is no run '20200101T000000Z-nobody")


def test_one_that_runs_is_told_from_one_that_was_stopped_and_one_that_was_killed(site: Site) -> None:
    site.fill(PATHS)
    states = {}
    for number in (signal.SIGTERM, signal.SIGKILL):
        with S3FaultProxy(site.store.endpoint_url) as s3:
            s3.on(stall(), operation="copy", key="^avatar/18.png$")
            process = site.at(store=site.store.via(s3.endpoint_url)).start("-y -b 5 -p 1")
            s3.wait_for_hit("stall")
            run = runs_of(site)[-1]
            assert (run["state"], run["exit_code"], run["run"]) == ("running", None, site.last_run().name)
            assert run["rows"] >= 0
            process.send_signal(number)
            if number == signal.SIGTERM:
                s3.clear()
                s3.release()
            finish(process)
        run = runs_of(site)[-1]
        states[number] = run["state"], run["exit_code"]
        site.database.execute("UPDATE avatars SET path = 'image/18.png' WHERE id = 18")
        site.store.delete_all(site.store.production_bucket, ["avatar/18.png"])
    assert states == {signal.SIGTERM: ("stopped", 143), signal.SIGKILL: ("killed", None)}


def test_in_a_database_it_is_seen_from_a_machine_that_has_no_directory(site: Site, databases: Databases) -> None:
    site.fill(PATHS)
    with databases.fresh() as ledger:
        url = f"postgresql://{ledger.user}:{ledger.password}@{ledger.host}:{ledger.port}/{ledger.name}"
        kept = site.with_environ(SKETCH_LEDGER_URL=url)
        assert kept.run("ledger init").code == 0
        assert kept.run("-y").code == 0
        name = kept.last_run().name
        shutil.rmtree(kept.folder / "runs")
        (run,) = runs_of(kept)
        assert (run["run"], run["directory"], run["state"], run["exit_code"]) == (name, None, "finished", 0)
        assert (run["typed"], run["user"], run["rows"]) == (["-y"], getpass.getuser(), 20)
        ledger.execute(
            "UPDATE sketch_ledger.run SET about = about - 'result' - 'ended', alive_at = now() - interval '61 s'"
        )
        assert runs_of(kept)[0]["state"] == "killed"
        ledger.execute("UPDATE sketch_ledger.run SET alive_at = now()")
        assert runs_of(kept)[0]["state"] == "running"


def test_what_earlier_versions_did_not_note_is_left_out(site: Site) -> None:
    site.fill(PATHS)
    assert site.run("-y").code == 0
    run = site.last_run()
    run.joinpath("run.json").unlink()
    with closing(sqlite3.connect(run / "ledger.sqlite")) as ledger, ledger:
        ledger.execute(
            "DELETE FROM run WHERE name IN ('invoked', 'typed', 'host', 'user', 'pid', 'settings', 'result')"
        )
    (found,) = runs_of(site)
    assert (found["state"], found["command"], found["rows"]) == ("finished", "migrate", 20)
    assert (found["host"], found["user"], found["typed"], found["exit_code"]) == (None, None, None, None)
    assert "Command     migrate\n" in site.run("runs show", run.name).out


def test_a_ledger_that_cannot_be_read_is_said_and_hides_no_other_run(site: Site) -> None:
    site.fill(PATHS)
    assert site.run("-y -l 5").code == 1
    damaged = site.last_run()
    assert site.run("-y").code == 0
    for part in damaged.glob("ledger.sqlite*"):
        part.write_bytes(b"no database at all" * 100)
    one, other = runs_of(site)
    assert "ledger.sqlite" in one["unread"]
    assert (one["state"], one["rows"], other["unread"], other["rows"]) == ("finished", None, None, 15)


def test_the_places_of_its_moves_are_shown(site: Site) -> None:
    site.fill(PATHS)
    legacy, production = f"s3://{site.store.legacy_bucket}", f"s3://{site.store.production_bucket}"
    moves = ", ".join(
        f'{{ legacy = "{legacy}/{old}/", production = "{production}/{new}/" }}'
        for old, new in (("image", "avatar"), ("cover", "front"))
    )
    (site.folder / "moves.toml").write_text(f"MOVES = [{moves}]\n")
    run = site.with_environ(**UNUSED)
    assert run.run("-y --config moves.toml").code == 0
    places = f"{legacy}/image/, {legacy}/cover/", f"{production}/avatar/, {production}/front/"
    assert f"About       avatars, {' to '.join(places)}\n" in run.run("runs show", run.last_run().name).out
    shown = json.loads(run.run("runs show --json", run.last_run().name).out)
    assert (shown["legacy"], shown["production"]) == places
    migrated = run.last_run()
    assert run.run("report", migrated.name).code == 0
    page = (migrated / "report.html").read_text()
    assert all(place in page for place in places)


def test_a_dry_run_is_not_told_as_if_it_had_changed_rows(kept: Site) -> None:
    assert kept.run("-d").code == 1
    listed = kept.run("runs").out.splitlines()[-1]
    assert "dry run: 19 migrated, 1 missing" in listed
    assert "dry run: 19 migrated" in kept.run("runs", "show", kept.last_run().name).out
