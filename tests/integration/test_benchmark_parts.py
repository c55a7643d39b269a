"""The benchmarks' own parts on real servers: who loses objects or rows is found out, and use is measured."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import signal
import socket
import struct
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from benchmarks import objects
from benchmarks.application import Order, felt_during
from benchmarks.contestants import tool
from benchmarks.contestants.contest import Contestant, Site, Turn
from benchmarks.contestants.rclone import Rclone
from benchmarks.figures import FAR_AWAY, LARGE_OBJECTS
from benchmarks.measurements.cost import measure_cost
from benchmarks.measurements.end_to_end import Tuned, take_turn
from benchmarks.measurements.shapes import FORMS, measure_shapes
from benchmarks.measurements.start import EMPTY_RUN, PAGE, PRINTING, measure_starts
from benchmarks.measurements.trees import compare_trees
from benchmarks.micro import test_iteration
from benchmarks.processes import ROOT, CommandFailed, measured, succeeded
from benchmarks.servers.responding import responding_pair, responding_store
from benchmarks.servers.stores import BenchStore, store_pair
from benchmarks.servers.table import Table

from sketchmigrate.core.objects import Location
from sketchmigrate.core.outcome import Outcome
from sketchmigrate.migration.keeping import SAMPLE_OBJECTS
from sketchmigrate.s3 import CredentialSource, S3Client, S3Config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.servers.databases import Database
    from tests.servers.stores import StoreServer

ROWS = 40


@dataclass(frozen=True, slots=True)
class Careless:
    """Copies all but the last objects, and sets all rows but the last two."""

    lost: int
    name: str = "careless"
    choices: Sequence[int] = (1,)
    sets_rows: bool = True

    def migrate(self, site: Site, parallelism: int) -> Turn:
        """Do most of it."""
        site.store.copy_all(site.rows - self.lost, 4 * parallelism)
        site.table.database.execute(
            "UPDATE avatars SET path = 'avatar/' || substr(path, 7) WHERE id <= %s", site.rows - 2
        )
        return Turn(self.name, site.store.name, site.rows, seconds=1, cpu_seconds=1, peak_kib=1, lost=0)


def test_the_iteration_that_is_timed_migrates_its_batch() -> None:
    results = asyncio.run(test_iteration.run_once())
    assert [result.outcome for result in results] == [Outcome.MIGRATED] * test_iteration.BATCH


@pytest.mark.parametrize(("lost", "found"), [(0, 2), (1, 2), (5, 5)])
def test_lost_objects_and_rows_are_found_out(rclone: StoreServer, database: Database, lost: int, found: int) -> None:
    store, table = BenchStore(rclone), Table(database)
    client = rclone.client()
    before = {each["Name"] for each in client.list_buckets()["Buckets"]}  # of other tests
    store.store_objects(ROWS)
    try:
        careless: Contestant = Careless(lost)
        assert take_turn(Tuned(careless, 1), store, table, ROWS).lost == found
        buckets = {each["Name"] for each in client.list_buckets()["Buckets"]}
        assert buckets - before == {objects.LEGACY_BUCKET}, "the turn's own bucket is gone"
    finally:
        for number in range(1, ROWS + 1):
            client.delete_object(Bucket=objects.LEGACY_BUCKET, Key=objects.LEGACY_PREFIX + objects.name(number))
        client.delete_bucket(Bucket=objects.LEGACY_BUCKET)
        client.close()


def test_the_responder_lets_the_tool_migrate_and_counts_what_it_asks(database: Database) -> None:
    table = Table(database)
    with responding_store(tls=True) as store:
        for flags in (("-yw",), ("-y",)):
            cost = measure_cost(store, table, 2_000, flags)
            assert 2_000 <= cost.requests["CopyObject"] <= 2_010  # those beyond are the probe's
            sampled = 2 * SAMPLE_OBJECTS / 2_000  # looks at what copies do not keep, which a table of any size has
            assert cost.requests_per_object - sampled < 1.05
            assert cost.received_bytes > 2_000 * 300
    assert table.legacy_rows() == 0


@pytest.mark.parametrize("name", ["x-amz-copy-source", "X-Amz-Copy-Source"])
def test_the_responder_knows_a_copy_as_each_peer_spells_it(name: str) -> None:
    with responding_store() as store:
        connection = http.client.HTTPConnection(store.server.endpoint_url.removeprefix("http://"))
        with contextlib.closing(connection):
            connection.request("PUT", "/production/avatar/a.png", headers={name: "/legacy/image/a.png"})
            assert b"<CopyObjectResult>" in connection.getresponse().read()
        assert store.counted().requests == {"CopyObject": 1}


def test_a_responder_far_away_goes_on_when_somebody_leaves_without_the_reply() -> None:
    """As a peer does whose turn was ended; those who came after it were never answered."""
    with responding_store(latency_ms=200) as store:
        address = store.server.endpoint_url.removeprefix("http://")
        for leaves in (True, False):
            connection = http.client.HTTPConnection(address, timeout=10)
            with contextlib.closing(connection):
                connection.request("HEAD", "/production/avatar/a.png")
                if leaves:
                    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    assert connection.getresponse().status == 404
        assert store.counted().requests == {"HeadObject": 2}


@pytest.mark.parametrize("contestant", [tool.OVERWRITING, Rclone(choices=(8,))], ids=lambda each: each.name)
def test_objects_are_streamed_from_one_responder_to_another(database: Database, contestant: Contestant) -> None:
    """Each with its own bytes, as both compare what they read with what a listing or a look tells."""
    with responding_pair(ROWS, latency_ms=5) as store:
        turn = take_turn(Tuned(contestant, 8), store, Table(database), ROWS)
        assert (turn.lost, turn.said, turn.store) == (0, "", FAR_AWAY)
        with store.fresh_production(ROWS) as fresh:
            assert fresh.lost(ROWS) == ROWS, "the next one begins with nothing"


def test_large_objects_are_put_and_counted(seaweed: StoreServer, database: Database) -> None:
    with store_pair(2, lambda: contextlib.nullcontext(seaweed), size_bytes=2**20) as store:
        assert take_turn(Tuned(tool.OVERWRITING, 0), store, Table(database), 2).lost == 0
        assert store.name == LARGE_OBJECTS
        with store.fresh_production(2) as fresh:
            fresh.server.client().put_object(Bucket=fresh.production_bucket, Key="avatar/avatar-0000001.png", Body=b"x")
            assert fresh.lost(2) == 2, "of another size is lost"


def test_rows_of_each_shape_are_migrated_by_turns(database: Database) -> None:
    table = Table(database)
    order = []
    with responding_store() as store:
        for number in (1, 2):
            for cost in islice(measure_shapes(store, table, 100, number), len(FORMS) // number):
                order.append(cost.form)
                assert cost.cpu_seconds > 0
                ((left,),) = database.execute("SELECT count(*) FROM avatars WHERE path::text LIKE '%image/%'")
                assert left == 0
    names = [form.name for form in FORMS]
    assert order == [*names, *names[:1:-1]], "the second round, of which this is a half, goes the other way"


def test_each_start_costs_something(rclone: StoreServer, database: Database) -> None:
    store, table = BenchStore(rclone), Table(database)
    client = rclone.client()
    store.store_objects(0)
    table.fill(0)
    try:
        with store.fresh_production(0) as fresh:
            starts = {each.what: each.cpu_seconds for each in measure_starts(fresh, table)}
    finally:
        client.delete_bucket(Bucket=objects.LEGACY_BUCKET)
        client.close()
    assert set(starts) == {*PRINTING, EMPTY_RUN, PAGE}
    assert all(starts[each] > 0 for each in (*PRINTING, EMPTY_RUN)), "the page's is a difference"


def test_the_cpu_time_of_a_server_is_that_of_all_its_processes(database: Database) -> None:
    """A backend's work is counted while it runs, and after it has ended."""
    table = Table(database)
    before = table.server_cpu_seconds()
    with database.connect() as connection:
        connection.execute("SELECT count(md5(n::text)) FROM generate_series(1, 300000) AS n")
        during = table.server_cpu_seconds()
    assert during - before > 0.02
    assert table.server_cpu_seconds() >= during


def test_two_checkouts_take_turns(database: Database) -> None:
    said: list[str] = []
    found = compare_trees(Table(database), ROOT, 1_000, 2, said.append)
    assert [line.split()[0] for line in said] == ["other", "this", "this", "other"]
    assert found.rates.count == found.cpu.count == 2
    assert 0 < found.rates.least <= found.rates.most


def test_a_refusing_responder_tells_how_often_it_refused(database: Database) -> None:
    table = Table(database)
    table.fill(600)
    with responding_store(requests_per_second=300) as store, tempfile.TemporaryDirectory() as home:
        succeeded(tool.run(Site(store, table, 600, Path(home)), "-yw"), "the tool")
        counted = store.counted()
    assert sum(counted.accepted.values()) == sum(counted.requests.values()) >= 600
    assert max(counted.accepted.values()) <= 300 * 1.1
    assert table.legacy_rows() == 0


async def test_a_prefix_that_a_responder_limits_gets_a_lane_named_by_both_places() -> None:
    with responding_store(prefix_limits=((b"/avatar/slow/", 100),)) as store:
        server = store.server
        source = CredentialSource.static(server.access_key, server.secret_key)

        async def copy(client: S3Client, name: str) -> None:
            legacy = Location("sketch-legacy-s3", f"image/{name}")
            await client.copy(legacy, Location(store.production_bucket, f"avatar/{name}"))

        async with S3Client(S3Config(endpoint_url=server.endpoint_url), source) as client:
            names = [f"{'slow' if number % 10 == 0 else 'fast'}/{number}.png" for number in range(3000)]
            await asyncio.gather(*(copy(client, name) for name in names))
            lanes = client._exchange.limiter.lanes  # noqa: SLF001 - the claim is about them
        counted = store.counted()
    assert list(lanes) == ["s3://sketch-legacy-s3/image/slow/ to s3://sketch-production-s3/avatar/slow/"]
    assert counted.requests["CopyObject"] == 3000
    assert sum(counted.refused.values()) > 0


def test_an_application_feels_a_wait_and_finds_a_lost_write(database: Database) -> None:
    """A row of each writer is held for half a second, and one write is taken back behind its back."""
    table = Table(database)
    table.fill(2_000)
    database.execute("ALTER TABLE avatars ADD COLUMN seen bigint NOT NULL DEFAULT 0")

    def hold_and_take_back() -> None:
        with database.connect() as connection, connection.transaction():
            connection.execute("SELECT FROM avatars WHERE id <= 1000 FOR UPDATE")
            time.sleep(0.5)
            connection.execute(
                "UPDATE avatars SET seen = seen - 1 WHERE id = (SELECT min(id) FROM avatars WHERE seen > 0)"
            )

    order = Order(database.conninfo, 2_000)
    quiet, _ = felt_during(order, lambda: time.sleep(0.5))
    table.fill(2_000)
    database.execute("ALTER TABLE avatars ADD COLUMN seen bigint NOT NULL DEFAULT 0")
    disturbed, _ = felt_during(order, hold_and_take_back)
    assert (quiet.lost, quiet.deadlocks) == (0, 0)
    assert quiet.writes > 10
    assert quiet.p50_ms <= quiet.p95_ms <= quiet.p99_ms <= quiet.p999_ms <= quiet.longest_ms
    assert disturbed.longest_ms > 400
    assert disturbed.lost == 1
    with pytest.raises(CommandFailed, match="the application cannot begin"):
        felt_during(Order(database.conninfo.replace(database.name, "nowhere"), 1), lambda: None)


def test_use_is_that_of_the_command_and_its_children() -> None:
    child = "import hashlib; hashlib.pbkdf2_hmac('sha256', b'a', b'b', 300_000)"
    parent = f"import subprocess, sys; held = bytearray(64_000_000); subprocess.run([sys.executable, '-c', {child!r}])"
    usage = succeeded(measured([sys.executable, "-c", parent], environ={}), "the parent")
    assert usage.cpu_seconds > 0.02
    assert 64_000 <= usage.peak_kib <= 160_000
    with pytest.raises(CommandFailed, match="ended with 3"):
        succeeded(measured([sys.executable, "-c", "import sys; sys.exit(3)"], environ={}), "the command")


def test_a_command_that_takes_too_long_is_ended_with_its_processes_and_says_so(tmp_path: Path) -> None:
    grandchild = f"import time; time.sleep(3); open({str(tmp_path / 'went on')!r}, 'w').close()"
    command = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {grandchild!r}]); time.sleep(60)"
    ended = measured([sys.executable, "-c", command], environ={}, timeout_seconds=1)
    assert (ended.timed_out, ended.exit_code) == (True, -signal.SIGKILL)
    time.sleep(3)
    assert not (tmp_path / "went on").exists()
    assert not measured([sys.executable, "-c", "pass"], environ={}, timeout_seconds=60).timed_out
