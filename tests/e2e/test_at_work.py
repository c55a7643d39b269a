"""A second run over the same table says that one is at work: by its connections, by its directory, behind a pooler."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.e2e.site import check_refused
from tests.patience import at_rest
from tests.servers.pgbouncer import pgbouncer, why_not
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import stall
from tests.tool import run_directories

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.site import Site
    from tests.servers.databases import Databases

PATHS = [f"image/{number:02}.png" for number in range(1, 21)]
AT_WORK = "is at work over the same table"
BEHIND_A_POOLER = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.fixture(params=["direct", pytest.param("pooled", marks=BEHIND_A_POOLER)])
def filled(request: pytest.FixtureRequest, site: Site) -> Iterator[Site]:
    """A site with twenty legacy avatars, whose database is reached directly or by pgbouncer."""
    site.fill(PATHS)
    if request.param == "direct":
        yield site
        return
    with pgbouncer(site.database, "transaction") as port:
        yield site.at(database=site.database.via(port))


@contextmanager
def at_work(site: Site) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A run that has flipped some rows, and waits for one of its copies."""
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(stall(), operation="copy", key="^avatar/18.png$")
        process = site.at(store=site.store.via(s3.endpoint_url)).start("-y -b 5 -p 1")
        try:
            s3.wait_for_hit("stall")
            yield process, site.last_run()
        finally:
            process.kill()
            process.communicate()


def elsewhere(site: Site) -> Site:
    """The same site, worked on from another folder, as from another machine."""
    folder = site.folder / "elsewhere"
    folder.mkdir()
    return replace(site, folder=folder)


def test_it_is_said_with_y_however_the_database_is_reached_and_not_where_nothing_is_set(
    filled: Site, site: Site
) -> None:
    """Both runs name another host, and behind a pooler another port."""
    with at_work(filled) as (_, run):
        done = site.at(database=replace(site.database, host="localhost")).run("-y -l 3")
        assert f"Warning: the run {run.name} {AT_WORK} (it goes on by runs/{run.name}" in done.err, done
        for quiet in ("-d -l 3", "-s", "plan"):
            assert AT_WORK not in filled.run(quiet).err
    assert AT_WORK not in filled.run("-y").err, "it is over, whatever the pooler keeps"


def test_from_another_machine_the_connections_tell(site: Site) -> None:
    site.fill(PATHS)
    other = elsewhere(site)
    with at_work(site) as (_, run):
        done = other.run("-y -l 3")
        assert f"Warning: the run {run.name} is connected to this database (" in done.err, done
        assert "it is not below RUN_DIR" in done.err
    assert "is connected to" not in other.run("-y -l 3").err


@BEHIND_A_POOLER
def test_so_they_do_behind_a_pooler_of_sessions(site: Site) -> None:
    site.fill(PATHS)
    with pgbouncer(site.database, "session", application_name_add_host=1) as port:
        pooled = site.at(database=site.database.via(port))
        other = elsewhere(pooled)
        with at_work(pooled) as (_, run):
            assert f"Warning: the run {run.name} is connected to this database (" in other.run("-y -l 3").err


@BEHIND_A_POOLER
def test_where_a_pooler_gives_its_connections_away_a_common_ledger_tells(site: Site, databases: Databases) -> None:
    site.fill(PATHS)
    with databases.fresh() as ledger, pgbouncer(site.database, "transaction") as port:
        url = f"postgresql://{ledger.user}:{ledger.password}@{ledger.host}:{ledger.port}/{ledger.name}"
        pooled = site.at(database=site.database.via(port)).with_environ(SKETCH_LEDGER_URL=url)
        assert pooled.run("ledger init").code == 0
        other = elsewhere(pooled)
        with at_work(pooled) as (_, run):
            said = other.run("-y -l 3").err
            assert f"Warning: the run {run.name} {AT_WORK} (it goes on by run {run.name} in the ledger at" in said


def test_it_is_asked_before_anything_is_written(site: Site) -> None:
    site.fill(PATHS)
    with at_work(site) as (_, run):
        before = at_rest(site.facts)  # of the run's batch only one copy waits
        asked = site.on_a_terminal("--no-progress")
        asked.expect(r"Go on\? \[yes/no\]")
        said = " ".join(str(asked.before).split())
        assert f"Note: the run {run.name} {AT_WORK}" in said
        assert "Two runs at once do the same work twice" in said
        asked.sendline("no")
        asked.expect("Nothing was changed.")
        asked.wait()
        assert asked.exitstatus == 1
        assert site.facts() == before


def test_one_over_another_table_or_database_is_none_of_ours(site: Site) -> None:
    site.fill(PATHS)
    site.database.execute("CREATE TABLE others AS SELECT * FROM avatars")
    site.database.execute("ALTER TABLE others ADD PRIMARY KEY (id)")
    with at_work(site):
        done = site.with_environ(SKETCH_DB_TABLE="others").run("-y -l 3")
        assert done.code == 1
        assert "at work" not in done.err
        assert "is connected to" not in done.err


def test_a_rollback_of_one_that_a_lock_does_not_tell_of_is_refused_while_it_is_in_a_transaction(site: Site) -> None:
    """As one is whose directory was copied from another machine."""
    site.fill(PATHS)
    assert site.run("-y").code == 0
    run = site.last_run()
    before = site.facts()
    with site.database.connect() as connection:
        connection.execute(f"SET application_name = 'sketch-migrate {run.name}'")
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM avatars")
        for which in (str(run), "--all runs"):
            refused = site.run(f"rollback -y {which}")
            check_refused(refused, 1, f"runs/{run.name} is still going on", "is in a transaction")
        assert site.facts() == before
        connection.execute("COMMIT")
        assert site.run(f"rollback -y {run}").code == 0
    assert len(run_directories(site.folder)) == 4
