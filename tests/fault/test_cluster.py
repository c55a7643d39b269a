"""A Dask cluster shares a table: scheduler and workers on machines of their own, any of which is killed or cut off.

The workers outlive the tests, as they do in real life; whoever misses one starts another.
``CLUSTER_ROWS=20000 scripts/test tests/fault/test_cluster.py`` has more rows than the usual ones.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from tests import tool
from tests.fault.application import Application, observe
from tests.fault.promises import LEGACY, check_set_back, make_world, production_path, rows_of
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.servers import s3_faults
from tests.servers.dask_servers import dask_servers
from tests.servers.postgres_fault_proxy import PostgresFaultProxy
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from sketchmigrate.demo.servers import PostgresServer
    from tests.fault.promises import Run, World
    from tests.servers.dask_servers import DaskServers
    from tests.servers.databases import Database, Databases
    from tests.servers.stores import Store, StoreServer

ROWS = int(os.environ.get("CLUSTER_ROWS", "240"))
WORKERS = 2
PAUSE_SECONDS = 0.05
"""Between two acts of the application, and two looks at what it sees: a worker takes seconds to come."""
RANGE_ROWS = max(40, ROWS // 60)
CLUSTER_SECONDS = PATIENCE_SECONDS + ROWS / 20

pytestmark = [pytest.mark.xdist_group("dask"), pytest.mark.timeout(60 + 3 * CLUSTER_SECONDS)]
# who flipped what, as the database saw it
AUDIT = (
    "CREATE TABLE audit (id bigint, path text)",
    """CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO audit VALUES (NEW.id, NEW.path); RETURN NULL; END $$""",
    """CREATE TRIGGER note AFTER UPDATE ON avatars FOR EACH ROW
    WHEN (OLD.path LIKE 'image/%%' AND current_setting('application_name') LIKE 'sketch-migrate%%')
    EXECUTE FUNCTION note()""",
)


@pytest.fixture(scope="module")
def cluster(
    postgres: PostgresServer, rclone: StoreServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DaskServers]:
    """A scheduler. The credentials are in its workers' environment."""
    environ = {
        "AWS_ACCESS_KEY_ID": rclone.access_key,
        "AWS_SECRET_ACCESS_KEY": rclone.secret_key,
        "SKETCH_DB_USER": postgres.user,
        "SKETCH_DB_PASS": postgres.password,
        "SKETCH_LEDGER_USER": postgres.user,
        "SKETCH_LEDGER_PASS": postgres.password,
    }
    with dask_servers(tmp_path_factory.mktemp("dask"), environ) as servers:
        yield servers


@dataclass(frozen=True, slots=True)
class Site:
    """A world that the machines of a cluster reach, by proxies, and its ledger."""

    world: World
    ledger: Database
    cluster: DaskServers
    s3: S3FaultProxy
    postgres: PostgresFaultProxy
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *flags: str) -> subprocess.Popen[str]:
        """Start a migration on the cluster. There are as many requests at once as workers: one for each."""
        here = replace(self.world.database, host=self.postgres.host, port=self.postgres.port)
        store = self.world.store.via(self.s3.endpoint_url)
        cluster = ("--cluster", self.cluster.address, "-p", "1", "-b", "10")
        self.started.append(
            self.world.start(
                *cluster, *flags, database=here, store=store, range_rows=RANGE_ROWS, max_concurrency=WORKERS
            )
        )
        return self.started[-1]

    def attempts(self) -> list[tuple[str, int, bool]]:
        """Return the attempts of first passes in their order: worker, range, whether the attempt has ended."""
        return [
            (worker, number, has_ended)
            for worker, number, has_ended in self.ledger.execute(
                "SELECT worker, range, ended_at IS NOT NULL FROM sketch_ledger.attempt"
                " WHERE worker <> '' AND pass = 1 ORDER BY number"
            )
        ]

    def ends_of(self, number: int) -> list[bool]:
        """Return of each attempt at a range of a first pass whether it has ended."""
        return [has_ended for _, of_range, has_ended in self.attempts() if of_range == number]

    def log(self) -> str:
        """Return the log of the newest run."""
        return (tool.run_directories(self.world.cwd)[-1] / "migrate.log").read_text()

    def finish(self, process: subprocess.Popen[str]) -> Run:
        """Wait for a migration that comes to its end, and check that it counted what the database saw."""
        run = self.world.finish(process, timeout_seconds=CLUSTER_SECONDS)
        ((flipped,),) = self.world.database.execute("SELECT count(*) FROM audit")
        assert run.outcomes["migrated"] == flipped, run.err
        return run

    def undo(self) -> subprocess.Popen[str]:
        """Start to undo every run."""
        return self.world.start(command=("rollback", "--all", "runs"))

    def check_rolled_back(self) -> None:
        """Undo every run: each row is as it was. Those that were killed have been silent for a minute by then."""
        self.ledger.execute("UPDATE sketch_ledger.run SET alive_at = alive_at - interval '61 s'")
        back = self.world.finish(self.undo(), timeout_seconds=CLUSTER_SECONDS)
        assert back.code == 0, back.err
        check_set_back(self.world.database, self.world.store, self.world.before)


@pytest.fixture
def site(
    cluster: DaskServers, databases: Databases, database: Database, rclone_store: Store, tmp_path: Path
) -> Iterator[Site]:
    """A world with a ledger in a database of its own, and all the workers."""
    while len(cluster.workers) < WORKERS:
        cluster.start_worker()
    world = make_world(database, rclone_store, tmp_path, legacy_rows=ROWS)
    for statement in AUDIT:
        database.execute(statement)
    s3, to_postgres = S3FaultProxy(rclone_store.endpoint_url), PostgresFaultProxy(database.port)
    s3.host = to_postgres.host = cluster.network.address
    with databases.fresh() as ledger, s3, to_postgres:
        environ = {
            "SKETCH_LEDGER_URL": f"postgresql://{to_postgres.host}:{to_postgres.port}/{ledger.name}",
            "SKETCH_LEDGER_USER": ledger.user,
            "SKETCH_LEDGER_PASS": ledger.password,
        }
        made = tool.run("ledger", "init", environ=environ, cwd=tmp_path)
        assert made.code == 0, made.err
        made_site = Site(replace(world, environ=environ, ledger_database=ledger), ledger, cluster, s3, to_postgres)
        yield made_site
        for process in made_site.started:  # that of a test that failed
            process.kill()


def test_workers_killed_and_added_while_the_application_lives_on(site: Site) -> None:
    """One more is there, which has no right on S3: it is named, and given no work."""
    world, cluster = site.world, site.cluster
    guest = cluster.start_worker({"AWS_SECRET_ACCESS_KEY": "another"})
    stop_writing, stop_observing = threading.Event(), threading.Event()
    with world.database.connect() as connection, ThreadPoolExecutor() as threads, ExitStack() as at_the_end:
        at_the_end.callback(cluster.kill_worker, guest)
        at_the_end.callback(stop_writing.set)
        at_the_end.callback(stop_observing.set)
        application = Application(world, connection, pause_seconds=PAUSE_SECONDS)
        site.s3.on(s3_faults.stall(), operation="copy", times=WORKERS)
        site.s3.on(s3_faults.delay(0.02), operation="copy", times=240)
        process = site.start()
        site.s3.wait_for_hit("stall", WORKERS)  # all are at work
        (victim, lost_range, _), *_ = site.attempts()
        cluster.kill_worker(victim)
        newcomer = cluster.start_worker()
        writing = threads.submit(application.live, stop_writing)
        observing = threads.submit(observe, world, stop_observing, pause_seconds=PAUSE_SECONDS)
        wait_until(lambda: newcomer in {worker for worker, *_ in site.attempts()}, f"{newcomer} is at work")
        site.s3.release()  # the others could leave it nothing before it is there
        stop_writing.set()  # or the tool might find new legacy rows for ever
        writing.result()
        run = site.finish(process)
        stop_observing.set()
        assert observing.result() > 0

    assert run.code == 0, run.err
    assert run.outcomes.keys() <= {"migrated", "already", "superseded"}
    assert f"{victim} was lost" in run.err
    assert site.ends_of(lost_range) == [False, True]
    assert f"{guest} cannot be given work: ListObjectsV2 s3://{world.store.legacy_bucket}: Sig" in run.err, run.err
    assert guest not in {worker for worker, *_ in site.attempts()}
    store = world.store
    for (bucket, name), body in application.objects.items():
        assert store.body(bucket, name) == body, f"the application's {name} was overwritten"
    rows = world.database.paths()
    for key, path in application.rows.items():
        moved = production_path(path) if path is not None and path.startswith(LEGACY) else path
        assert rows.get(key) == moved
    untouched = world.before.legacy_paths.keys() - application.rows.keys()
    assert {rows[key] for key in untouched} == {production_path(world.before.legacy_paths[key]) for key in untouched}
    back = world.finish(site.undo(), timeout_seconds=CLUSTER_SECONDS)
    assert back.code in {0, 1}  # 1: what the application changed since
    now = rows_of(world.database)
    assert {key: now[key] for key in untouched} == {key: world.before.rows[key] for key in untouched}


def test_a_worker_cut_off_works_on_beside_the_one_that_redoes_its_range(site: Site) -> None:
    if not site.cluster.network.can_be_cut:
        pytest.skip("cutting a machine off takes network namespaces, and those take root")
    site.s3.on(s3_faults.stall(), operation="copy", key="avatar-2[05].png$")  # of the first range, whoever has it
    process = site.start()
    site.s3.wait_for_hit("stall")
    ((twin, *_),) = [attempt for attempt in site.attempts() if attempt[1] == 1]
    site.cluster.cut_off(twin)
    site.s3.wait_for_hit("stall", 2)  # the other one is as far
    assert f"{twin} was lost" in site.log()
    site.s3.clear()
    site.s3.release()
    wait_until(lambda: site.ends_of(1) == [True, True], "both come to the end")
    run = site.finish(process)
    assert (run.code, run.outcomes) == (0, {"migrated": ROWS}), run.err
    site.cluster.kill_worker(twin)
    flips = site.ledger.execute(
        "SELECT key FROM sketch_ledger.flip GROUP BY key HAVING count(DISTINCT attempt) > 1 ORDER BY key"
    )
    assert flips, "only one of them set out to flip"
    site.world.check_finished()
    site.check_rolled_back()


def test_the_coordinator_killed_and_started_again(site: Site) -> None:
    site.s3.on(s3_faults.stall(), operation="copy", skip=30, times=WORKERS)
    process = site.start()
    site.s3.wait_for_hit("stall", WORKERS)
    process.kill()
    process.communicate()
    assert 0 < site.world.check_promises() < ROWS
    site.s3.release()
    again = site.world.finish(
        site.start(), timeout_seconds=CLUSTER_SECONDS
    )  # the workers finish what they had begun, beside it
    assert again.code == 0, again.err
    site.world.check_finished()
    site.check_rolled_back()


def test_the_scheduler_killed_and_started_again(site: Site) -> None:
    site.s3.on(s3_faults.stall(), operation="copy", skip=30, times=WORKERS)
    process = site.start()
    site.s3.wait_for_hit("stall", WORKERS)
    site.cluster.kill_scheduler()
    run = site.world.finish(process, timeout_seconds=CLUSTER_SECONDS)
    assert (run.code, run.document["error"]["type"]) == (3, "ClusterUnreachable"), run.err
    assert "is gone" in run.document["error"]["message"]
    assert 0 < site.world.check_promises() < ROWS
    site.s3.release()
    site.cluster.start_scheduler()
    site.cluster.start_worker()  # one is enough to end it
    again = site.world.finish(site.start(), timeout_seconds=CLUSTER_SECONDS)
    assert again.code == 0, again.err
    site.world.check_finished()
    site.check_rolled_back()
