"""A run that goes on is not set back: it would only set the rows again. Once it is over, however, it is."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sketchmigrate.ledger.sqlite.lock import hold_run
from tests.e2e.site import check_refused
from tests.patience import at_rest
from tests.servers.s3_fault_proxy import S3FaultProxy
from tests.servers.s3_faults import stall

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.site import Site
    from tests.servers.databases import Databases

PATHS = [f"image/{number:02}.png" for number in range(1, 21)]
FLAGS = ("-y -b 5 -p 1", "-y -b 5 -p 1 --processes 2 --range-rows 10")


@pytest.fixture
def earlier(site: Site) -> Path:
    """The directory of a run that has migrated five of twenty avatars."""
    site.fill(PATHS)
    assert site.run("-y -l 5").code == 1
    return site.last_run()


@contextmanager
def going_on(site: Site, flags: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A run that has flipped some rows, and waits for one of its copies."""
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(stall(), operation="copy", key="^avatar/18.png$")
        process = site.at(store=site.store.via(s3.endpoint_url)).start(flags)
        try:
            s3.wait_for_hit("stall")
            yield process, site.last_run()
        finally:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("flags", FLAGS)
def test_it_is_refused_until_the_run_is_over_or_killed(site: Site, earlier: Path, flags: str) -> None:
    with going_on(site, flags) as (process, run):
        before = at_rest(site.facts)
        assert sum(path != PATHS[key - 1] for key, path in before.rows.items()) >= 5, "it has flipped some"
        for which in (["-y", str(run)], ["-d", str(run)], ["-y", "--all", "runs"], ["-d", "--all", "runs"]):
            refused = site.run("rollback", *which)
            check_refused(refused, 1, f"runs/{run.name} is still going on", f"runs/{run.name}/run.lock")
        assert site.facts() == before, "nothing is set back"
        back = site.run("rollback -y", str(earlier))
        assert back.code == 0, back  # that one is over
        process.kill()
        process.wait()
    done = site.run("rollback -y --all runs")
    assert done.code == 0, done
    assert list(site.database.paths().values()) == PATHS


@pytest.mark.usefixtures("earlier")
def test_with_a_ledger_in_a_database_its_last_sign_tells(site: Site, databases: Databases) -> None:
    with databases.fresh() as ledger:
        url = f"postgresql://{ledger.user}:{ledger.password}@{ledger.host}:{ledger.port}/{ledger.name}"
        kept = site.with_environ(SKETCH_LEDGER_URL=url)
        assert kept.run("ledger init").code == 0
        with going_on(kept, "-y -b 5 -p 1") as (_, run):
            before = at_rest(site.facts)
            for which in (str(run), "--all runs"):
                refused = kept.run(f"rollback -y {which}")
                check_refused(refused, 1, f"runs/{run.name} is still going on: the ledger heard of it")
            assert site.facts() == before
        # killed: only the silence tells that it is over
        assert kept.run("rollback -y --all runs").code == 1
        ledger.execute("UPDATE sketch_ledger.run SET alive_at = alive_at - interval '60 s'")
        done = kept.run("rollback -y --all runs")
        assert done.code == 0, done
    assert list(site.database.paths().values()) == PATHS


def test_no_manifest_is_made_while_it_goes_on(site: Site) -> None:
    site.fill(PATHS)
    with going_on(site, FLAGS[0]) as (_, run):
        assert site.run("verify").code == 1
        check_refused(site.run("manifest"), 1, f"the run runs/{run.name} is still going on", "run.lock")
    assert site.run("manifest").code == 0, "what it had flipped when verify read the rows is still so"


def test_a_dry_run_that_goes_on_stands_in_nobodys_way(site: Site, earlier: Path) -> None:
    with S3FaultProxy(site.store.endpoint_url) as s3:
        s3.on(stall(), operation="head", key="^avatar/18.png$")
        process = site.at(store=site.store.via(s3.endpoint_url)).start("-d")
        s3.wait_for_hit("stall")
        assert (site.last_run() / "run.lock").exists()
        assert site.last_run() != earlier
        done = site.run("rollback -y --all runs")
        process.kill()
        process.communicate()
    assert done.code == 0, done
    assert list(site.database.paths().values()) == PATHS


def test_a_run_that_only_makes_its_ledger_stands_in_nobodys_way(site: Site) -> None:
    """What it is about is not known yet, and it has set no row. By its own name it is refused all the same."""
    site.fill(PATHS)
    assert site.run("-y").code == 0
    begins = site.last_run().with_name("20990101-000000-beginning")
    begins.mkdir()
    (site.folder / begins / "ledger.sqlite").touch()
    with hold_run(site.folder / begins):
        check_refused(site.run("rollback -y", str(begins)), 1, f"runs/{begins.name} is still going on")
        done = site.run("rollback -y --all runs")
        assert done.code == 0, done
    assert list(site.database.paths().values()) == PATHS
