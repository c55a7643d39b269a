"""Ledgers in a database, as a person uses them: made, filled, listed, and read back by the other commands."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import psycopg
import pytest

from sketchmigrate.demo.process import free_port
from tests.e2e.site import check_refused, counts
from tests.servers.proxy_thread import ProxyThread

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from tests.e2e.site import Site
    from tests.servers.databases import Database, Databases

SEVERAL = ("", "--processes 2 --range-rows 2")


@pytest.fixture
def ledger(databases: Databases) -> Iterator[Database]:
    """A database for ledgers."""
    with databases.fresh() as fresh:
        yield fresh


@pytest.fixture
def kept(site: Site, ledger: Database) -> Site:
    """A site whose ledgers are to be there; the password is in the URL, which the environment alone may have."""
    url = f"postgresql://{ledger.user}:{ledger.password}@{ledger.host}:{ledger.port}/{ledger.name}"
    site.fill([*(f"image/{number}.png" for number in range(1, 8)), "image/gone.png"], without_object=["image/gone.png"])
    return site.with_environ(SKETCH_LEDGER_URL=url)


def test_tables_are_needed_and_made(kept: Site) -> None:
    check_refused(kept.run("-y"), 3, "has no tables for a ledger")
    made = kept.run("ledger init")
    assert (made.code, made.err) == (0, "")
    assert kept.run("ledger init").out == made.out
    assert kept.run("ledger list").out == "No run is on record.\n"


def test_what_is_printed_for_an_administrator_makes_all_that_a_limited_role_needs(kept: Site, ledger: Database) -> None:
    role = ledger.make_user()
    printed = kept.run(f"ledger init --print --role {role.user}")
    assert printed.code == 0
    with psycopg.connect(ledger.conninfo, autocommit=True) as connection:
        connection.execute(printed.out.encode())
    url = f"postgresql://{ledger.host}:{ledger.port}/{ledger.name}"
    limited = kept.with_environ(SKETCH_LEDGER_URL=url, SKETCH_LEDGER_USER=role.user, SKETCH_LEDGER_PASS=role.password)
    assert limited.run("-y").counts["migrated"] == 7
    granted = json.loads(kept.run("grants migrate --json", "--role", role.user).out)["commands"]["migrate"]
    assert "\n".join(granted["ledger_sql"]) in printed.out


@pytest.mark.parametrize("flags", SEVERAL)
def test_every_command_reads_the_ledger_that_is_there(kept: Site, ledger: Database, flags: str) -> None:
    before = kept.facts()
    assert kept.run("ledger init").code == 0
    done = kept.run(f"-y {flags}")
    assert done.code == 1, done
    assert done.counts == counts(migrated=7, missing=1, copied=7)
    run = kept.last_run()
    assert {file.name for file in run.iterdir()} == {
        *("ledger.json", "migrate.log", "problems.csv", "run.json", "result.json", "run.lock")
    }
    assert run.name in kept.run("ledger list").out
    verified = kept.run("verify --json")
    assert json.loads(verified.out)["passed"] is False, "one object is missing"
    back = kept.run(f"rollback runs/{run.name} -y")
    assert (back.code, back.counts["restored"]) == (0, 7), back
    assert kept.facts().rows == before.rows
    said = "".join(file.read_text() for file in kept.folder.glob("runs/*/*") if file.suffix in {".log", ".json"})
    assert ledger.password not in said + done.out + done.err


def test_a_run_whose_directory_is_gone_is_rolled_back_by_its_name(kept: Site) -> None:
    assert kept.run("ledger init").code == 0
    kept.run("-y")
    name = kept.last_run().name
    shutil.rmtree(kept.folder / "runs")
    assert kept.run(f"rollback {name} -y").counts["restored"] == 7
    check_refused(kept.run("rollback 20200101T000000Z-nobody-000000 -y"), 2, "there is no run", "in the ledger at")


def test_a_password_is_taken_from_the_environment_alone(kept: Site) -> None:
    refused = kept.run("-y", "--ledger-url", "postgresql://me:secret-word@ledger.example.com/sketch")
    check_refused(refused, 2, "--ledger-url", "must hold no password")
    assert "secret-word" not in refused.err


def test_a_cluster_without_a_ledger_for_all_is_refused_before_anything(site: Site) -> None:
    site.fill(["image/1.png"])
    check_refused(site.run("-y --cluster tcp://127.0.0.1:1"), 2, "--cluster needs a ledger that the workers on all")


def test_a_cluster_that_is_not_there_is_said_so(kept: Site) -> None:
    assert kept.run("ledger init").code == 0
    done = kept.run("-y --cluster tcp://127.0.0.1:1")
    assert done.code == 3, done
    assert "error: no Dask scheduler at tcp://127.0.0.1:1: " in done.err
    assert "Traceback" not in done.err


def test_a_local_cluster_does_with_files(site: Site) -> None:
    site.fill([f"image/{number}.png" for number in range(1, 8)])
    done = site.run("-y --cluster local:2 --range-rows 2")
    assert (done.code, done.counts) == (0, counts(migrated=7, copied=7)), done
    assert "Workers: Dask at tcp://127.0.0.1:" in done.err
    assert ", dashboard http://127.0.0.1:" in done.err
    assert {"ledger.sqlite", "ledger-worker-0.sqlite"} <= {file.name for file in site.last_run().iterdir()}
    back = site.run(f"rollback runs/{site.last_run().name} -y")
    assert back.counts["restored"] == 7


class Listener(ProxyThread):
    """What a foreign ``ledger.json`` names: it takes note of whoever connects."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take note, and say nothing."""
        self._record("connection")
        await reader.read()
        writer.close()


@pytest.mark.parametrize("is_set", [False, True], ids=["no LEDGER_URL", "LEDGER_URL"])
def test_no_file_below_run_dir_makes_a_command_connect_anywhere(site: Site, ledger: Database, is_set: bool) -> None:
    """Neither one that somebody put there, nor one that is stale or broken; and none of them blocks a command."""
    site.fill(["image/1.png", "image/2.png"])
    if is_set:
        url = f"postgresql://{ledger.user}:{ledger.password}@{ledger.host}:{ledger.port}/{ledger.name}"
        site = site.with_environ(SKETCH_LEDGER_URL=url)
        assert site.run("ledger init").code == 0
    else:
        site = site.with_environ(SKETCH_LEDGER_PASS="hidden-secret")
    assert site.run("-yl 1").code == 1
    with Listener() as listener:
        foreign = site.folder / "runs" / "20260101T000000Z-them-000000"
        broken = site.folder / "runs" / "20260102T000000Z-them-000000"
        for directory, text in (
            (foreign, json.dumps({"url": f"postgresql://u:hidden@127.0.0.1:{listener.port}/x", "run": foreign.name})),
            (broken, "{"),
        ):
            directory.mkdir()
            (directory / "ledger.json").write_text(text)
        named = (
            f"{foreign.relative_to(site.folder)}/ledger.json names the ledger of run {foreign.name} at postgresql://"
        )
        for command, code in (("plan", 0), ("-y", 0), ("verify", 0), ("repair -y", 0), ("rollback -y --all runs", 1)):
            done = site.run(command)
            assert done.code == code, done
            assert named in done.err, done
            assert done.err.count("it is left alone") == 2, done
            assert "hidden" not in done.err + done.out
        assert set(site.facts().rows.values()) == {"image/1.png", "image/2.png"}
        check_refused(site.run("rollback -y", str(foreign)), 2, foreign.name, "there is no run" if is_set else named)
        assert not listener.hits


def test_a_ledger_that_is_not_there_ends_each_command_at_once_and_is_named(kept: Site) -> None:
    assert kept.run("ledger init").code == 0
    kept.run("-yl 1")
    run = str(kept.last_run())
    url = f"postgresql://127.0.0.1:{free_port()}/ledgers"
    gone = kept.with_environ(SKETCH_LEDGER_URL=url, SKETCH_S3_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}")
    before = kept.facts()
    for command in ("-y", "-d", "plan", "verify", "repair -y", f"rollback -y {run}", "ledger init", "ledger list"):
        done = gone.run(command)
        check_refused(done, 3, "nothing listens where the ledger's database should be")
        assert done.err.count("ledger's database") == 1, "the store was not asked, and no word is said twice"
        assert "waiting up to" not in done.err
    assert kept.with_environ(SKETCH_LEDGER_URL=url).run("-s").code == 0, "the status needs no ledger"
    assert kept.facts() == before


def test_a_ledger_that_refuses_us_or_takes_no_writes_is_told_at_once_and_once(kept: Site, ledger: Database) -> None:
    assert kept.run("ledger init").code == 0
    stranger = kept.with_environ(SKETCH_LEDGER_USER="nobody_here", SKETCH_LEDGER_PASS="wrong")
    refused = stranger.run("-y")
    check_refused(refused, 3, f"({ledger.host}:{ledger.port}/{ledger.name})")
    assert refused.err.split("error: ")[1].splitlines()[0].count("ledger") == 1
    ledger.execute(f'ALTER DATABASE "{ledger.name}" SET default_transaction_read_only = on')
    check_refused(kept.run("-y"), 3, "the ledger's database takes no writes")
    assert kept.run("plan").code == 1, "which only reads it"
