"""``report``: what changes rows leaves a page about itself, and it can be made again, whichever way the run ended."""

from __future__ import annotations

import html
import json
import re
import signal
import sqlite3
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.core.sample import Sample
from sketchmigrate.ledger.samples import pack_sample
from tests.e2e.site import check_refused
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import stall
from tests.tool import finish

if TYPE_CHECKING:
    from tests.e2e.site import Site

PATHS = [f"image/{number:02}.png" for number in range(1, 21)]


class _Texts(HTMLParser):
    """Gathers what a person reads, and every address and script that a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.addresses: list[str] = []
        self.scripts = 0
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag."""
        self._hidden += tag == "style"
        self.scripts += tag == "script" or any(name.startswith("on") for name, _ in attrs)
        self.addresses += [
            value or "" for name, value in attrs if name in {"src", "href", "action", "data", "xlink:href"}
        ]

    def handle_endtag(self, tag: str) -> None:
        """Take note of its end."""
        self._hidden -= tag == "style"

    def handle_data(self, data: str) -> None:
        """Take note of a text."""
        if not self._hidden and data.strip():
            self.texts.append(" ".join(data.split()))


def read(page: Path) -> _Texts:
    """Read a page as its reader does; it refers to nothing outside itself."""
    text = page.read_text(encoding="utf-8")
    assert len(text.encode()) < 1_000_000
    parser = _Texts()
    parser.feed(text)
    assert parser.scripts == 0
    assert all(each.startswith("#") or each == "data:," for each in parser.addresses), parser.addresses
    assert "url(" not in text
    assert "@import" not in text
    return parser


def table(found: _Texts, first: str, count: int) -> list[str]:
    """Return so many texts behind one."""
    place = found.texts.index(first)
    return found.texts[place + 1 : place + 1 + count]


@pytest.fixture
def kept(ledgers_kept: Site) -> Site:
    """A site with twenty avatars that leaves pages, whose ledgers are in files or in a database."""
    ledgers_kept.fill(PATHS, without_object=[PATHS[0]])
    return ledgers_kept.with_environ(SKETCH_REPORT="yes")


def test_what_changes_rows_and_plan_and_verify_leave_a_page(kept: Site) -> None:
    assert kept.run("plan").code == 1
    page = read(kept.last_run() / "report.html")
    assert "19 rows are to be migrated, 19 objects to be copied." in " ".join(page.texts)
    migrated = kept.run("-y -b 7")
    assert migrated.code == 1
    assert migrated.err.endswith(f"Report: runs/{kept.last_run().name}/report.html\n"), "after the summary"
    page = read(kept.last_run() / "report.html")
    document = json.loads((kept.last_run() / "result.json").read_text())
    assert document["outcomes"]["migrated"] == 19
    assert table(page, "rows migrated", 3) == ["19", "need a person", "1"]
    assert table(page, "missing", 3) == ["1", "5.0 %", "there is no legacy object"]
    assert "Put the object in its place in the legacy bucket, or mend the row." in page.texts
    assert f"s3://{kept.store.legacy_bucket}/image/" in page.texts
    assert table(page, "Typed", 1) == ["sketch-migrate -y -b 7"]
    assert ".png" in page.texts
    migration = kept.last_run()
    assert kept.run("verify").code == 1
    page = read(kept.last_run() / "report.html")
    certificate = (kept.last_run() / "certificate.txt").read_text()
    assert " ".join(certificate.split()) in page.texts
    assert table(page, "Problems, and what to do next", 3)[1:] == ["1", "legacy, and its object does not exist"]
    assert kept.run(f"rollback -y {migration}").code == 0
    page = read(kept.last_run() / "report.html")
    assert table(page, "rows set back", 1) == ["19"]
    assert "Done" in page.texts


def test_what_changes_nothing_leaves_none(site: Site) -> None:
    site.fill(PATHS[:2])
    site = site.with_environ(SKETCH_REPORT="yes")
    for flags in ("-s", "-d", "manifest", "-y --report no"):
        site.run(flags)
        assert not (site.last_run() / "report.html").exists(), flags
    check_refused(site.with_environ(SKETCH_DB_TABLE="no_such_table").run("-y"), 3, "no_such_table")
    assert not (site.last_run() / "report.html").exists(), "nothing had begun"


def test_of_a_dry_run_one_can_be_made(site: Site) -> None:
    site.fill(PATHS[:2])
    for flags, told in (("-d", "2 rows would be migrated"), ("-y", "2 rows were migrated")):
        assert site.run(flags).code == 0
        assert site.run("report", site.last_run().name).code == 0
        assert told in " ".join(read(site.last_run() / "report.html").texts)
    assert site.run("rollback -d", str(site.last_run())).code == 0
    assert site.run("report", site.last_run().name).code == 0
    assert "2 rows would be set back" in " ".join(read(site.last_run() / "report.html").texts)


def test_a_page_that_cannot_be_made_is_a_warning(site: Site) -> None:
    """A folder is where it should be: the exit status, the summary and the document stay."""
    site.fill(PATHS[:2])
    site = site.with_environ(SKETCH_REPORT="yes")
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(stall(), operation="copy", key="^avatar/02.png$")
        process = site.at(store=site.store.via(s3.endpoint_url)).start("-y --json")
        s3.wait_for_hit("stall")
        (site.last_run() / "report.html" / "in-the-way").mkdir(parents=True)
        s3.clear()
        s3.release()
        done = finish(process)
    assert done.code == 0, done
    assert json.loads(done.out)["outcomes"]["migrated"] == 2
    assert "Warning: the page about this run could not be made: " in done.err
    assert "Traceback" not in done.err
    assert "Warning: the page about this run could not be made" in (site.last_run() / "migrate.log").read_text()


def test_the_page_of_a_killed_run_is_made_and_of_one_that_goes_on(kept: Site) -> None:
    with S3FaultProxy(kept.store.endpoint_url) as s3:
        s3.on(stall(), operation="copy", key="^avatar/18.png$")
        process = kept.at(store=kept.store.via(s3.endpoint_url)).start("-y -b 5 -p 1")
        s3.wait_for_hit("stall")
        run = kept.last_run()
        live = kept.start("report --live")
        page = run / "report.html"
        assert live.stdout is not None
        assert live.stdout.readline().startswith(f"Report: runs/{run.name}/report.html, made anew every 5 s.")
        assert 'http-equiv="refresh" content="5"' in page.read_text()
        assert "Going on" in read(page).texts
        if kept.settings.get("SKETCH_LEDGER_URL"):
            live.send_signal(signal.SIGINT)
            assert finish(live).code == 130
        process.send_signal(signal.SIGKILL)
        finish(process)
        if not kept.settings.get("SKETCH_LEDGER_URL"):
            assert finish(live).code == 0, "it ends with the run"
    assert 'http-equiv="refresh"' not in page.read_text()
    made = kept.run("report", run.name, "-o", "again.html")
    assert (made.code, made.out) == (0, "Report: again.html\n")
    page = kept.folder / "again.html"
    told = " ".join(read(page).texts)
    if not kept.settings.get("SKETCH_LEDGER_URL"):  # in a database it counts as going on for a minute
        assert "Killed" in told
    assert re.search(r"1[45] rows were (migrated)", told), told


def test_numbers_of_the_page_are_those_of_the_ledger(site: Site) -> None:
    site.fill(PATHS, without_object=[PATHS[0]])
    assert site.run("-y").code == 1
    run = site.last_run()
    begin = 1_796_000_000
    with closing(sqlite3.connect(run / "ledger.sqlite")) as database, database:
        database.execute("DELETE FROM sample")  # the run's own
        for second in range(100):
            limit = "s3 (503)" if 20 <= second < 50 else "paused by <b>ada</b>" if 50 <= second < 60 else "s3 (latency)"
            counts = {"CopyObject": {"200": 10 * second, "503": max(0, min(second, 50) - 20)}}
            sample = Sample(begin + second, {"migrated": 7 * second}, counts, limit=limit, is_stopped=50 <= second < 60)
            database.execute("INSERT OR REPLACE INTO sample VALUES (?, ?)", (begin + second, pack_sample(sample)))
    assert site.run("report", run.name).code == 0
    page = read(run / "report.html")
    assert table(page, "s3 (503)", 3) == ["30 s", "30.0 %", "\N{EN DASH}"]
    assert table(page, "paused by <b>ada</b>", 3) == ["10 s", "10.0 %", "10 s"]
    assert table(page, "CopyObject", 2) == ["1,020", "200: 990, 503: 30"]
    assert "1,020 requests, of which 30 were refused or got no reply." in " ".join(page.texts)
    assert "30 requests were refused or got no reply, at most 1 a second; each was made again." in page.texts
    assert "At most 7 rows a second were moved." in page.texts


def test_runs_are_compared(site: Site) -> None:
    site.fill(PATHS, without_object=[PATHS[0]])
    assert site.run("-y -l 5").code == 1
    one = site.last_run().name
    assert site.run("-y", "--lock-timeout-ms", "321").code == 1
    other = site.last_run().name
    made = site.run("report --json", one, other)
    assert json.loads(made.out)["report"] == "runs/comparison.html"
    page = read(site.folder / "runs" / "comparison.html")
    assert table(page, "migrated", 2) == ["4", "15"]
    assert table(page, "LOCK_TIMEOUT_MS", 2) == ["default", "321"]
    assert {one, other} <= set(page.texts)


def test_a_run_that_is_not_there_is_named(site: Site) -> None:
    (site.folder / "runs").mkdir()
    check_refused(site.run("report no-such-run"), 3, "there is no run 'no-such-run'")
    check_refused(site.run("report --live"), 3, "no run goes on below")
    check_refused(site.run("report"), 2, "name a run")
    check_refused(site.run("report --live a b"), 2, "--live takes one run")
    site.fill(PATHS[:1])
    assert site.run("-y").code == 0
    check_refused(site.run("report -o no/such/folder.html", site.last_run().name), 4, "no/such/folder.html")


def test_names_that_are_html_stay_text(site: Site) -> None:
    hostile = ["image/<script>alert(1)</script>.png", "image/\"'><img src=x>.png", "image/\u202eevil.<b>"]
    site.fill(hostile, without_object=hostile)
    site = site.with_environ(SKETCH_REPORT="yes")
    assert site.run("verify").code == 1
    page = read(site.last_run() / "report.html")
    told = " ".join(page.texts)
    assert "<script>alert(1)</script>" in told
    assert "\u202e" not in told
    assert html.unescape("\\u202eevil") in told


@pytest.mark.parametrize("output", ["-", "/dev/null", "."])
def test_a_page_takes_the_place_of_a_file_alone(site: Site, output: str) -> None:
    site.fill(PATHS)
    assert site.run("-y").code == 0
    done = site.run("report", site.last_run().name, "-o", output)
    assert done.code == 4, done
    assert "is no file" in done.err
    assert Path("/dev/null").is_char_device()
    assert [each.name for each in site.folder.iterdir() if each.name.startswith(".")] == []


def test_a_page_is_led_nowhere_by_what_lies_beside_it(site: Site) -> None:
    site.fill(PATHS)
    assert site.run("-y").code == 0
    precious = site.folder / "precious"
    precious.write_text("of somebody else")
    (site.folder / "page.html.new").symlink_to(precious)
    (site.folder / "page.html").symlink_to(precious)
    assert site.run("report", site.last_run().name, "-o", "page.html").code == 0
    assert precious.read_text() == "of somebody else"
    page = site.folder / "page.html"
    assert (page.is_symlink(), page.stat().st_mode & 0o777) == (False, 0o600)


@pytest.mark.parametrize("garbage", [b"no database at all" * 1_000, b""], ids=["garbage", "nothing"])
def test_a_record_that_cannot_be_read_is_not_called_done(site: Site, garbage: bytes) -> None:
    site.fill(PATHS)
    assert site.run("-y").code == 0
    run = site.last_run()
    (run / "result.json").unlink()
    (run / "ledger.sqlite").write_bytes(garbage)
    assert site.run("report", run.name).code == 0
    page = (run / "report.html").read_text()
    assert "its record cannot be read" in page
    assert "nothing to do" not in page
