"""From one store into another, with faults on both, a live application, and kill -9: the promises hold."""

from __future__ import annotations

import os
import random
import secrets
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests import tool
from tests.fault.application import ROWS, Application, observe
from tests.fault.promises import LEGACY, content_of, make_world, production_path, rows_of
from tests.servers import s3_faults
from tests.servers.pairs import PairOfStores
from tests.servers.s3_fault_proxy import S3FaultProxy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fault.promises import World
    from tests.servers.databases import Database
    from tests.servers.s3_faults import Fault
    from tests.servers.stores import Store

KILLS = 3
PAUSE_SECONDS = 0.05
"""Between two acts of the application, and two looks at what it sees: the runs last for seconds."""
SHARE = 0.05
"""So many of the requests of a kind are struck by each of its faults."""

READING: tuple[Fault, ...] = (
    s3_faults.status(503),
    s3_faults.reset_before(),
    s3_faults.reset_within(),
    s3_faults.reply_lost(),
    s3_faults.flipped_reply(),
)
WRITING: tuple[Fault, ...] = (s3_faults.status(503), s3_faults.status(500, forwarded=True), s3_faults.reply_lost())
DESCRIBED = {"ContentType": "image/png", "CacheControl": "max-age=60"}

FLIPPED = s3_faults.flipped_request()
"""Not on rclone's server, which stores what it then refuses for its checksum: where we are killed in between, that is a
conflict for a person."""


@pytest.mark.parametrize(
    ("one", "other"), [pytest.param("moto", "ceph", marks=pytest.mark.ceph), ("seaweed", "rclone")]
)
def test_killed_again_and_again_beside_an_application(
    one: str, other: str, database: Database, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    seed = os.environ.get("KILL_SEED") or secrets.token_hex(4)
    print(f"KILL_SEED={seed}")  # noqa: T201 - shown where the test fails
    dice = random.Random(seed)
    pair = PairOfStores.of(*(request.getfixturevalue(f"{name}_store") for name in (one, other)))
    world = make_world(database, pair, tmp_path, legacy_rows=ROWS)
    described = describe_some(world, pair.legacy)
    expected = {key: production_path(path) for key, path in world.before.legacy_paths.items()}
    stop_writing, stop_observing = threading.Event(), threading.Event()
    with (
        S3FaultProxy(pair.legacy.endpoint_url, seed=dice.randrange(2**32)) as legacy,
        S3FaultProxy(pair.endpoint_url, seed=dice.randrange(2**32)) as production,
        database.connect() as connection,
        ThreadPoolExecutor() as threads,
        ExitStack() as at_the_end,
    ):
        at_the_end.callback(stop_writing.set)
        at_the_end.callback(stop_observing.set)
        for fault in READING:
            legacy.on(fault, operation="get", key="^image/", times=None, probability=SHARE)
        writing_faults: tuple[Fault, ...] = WRITING if other == "rclone" else (*WRITING, FLIPPED)
        for fault in writing_faults:
            production.on(fault, operation="put", key="^avatar/", times=None, probability=SHARE)
        store = pair.by_way_of(legacy=legacy.endpoint_url, production=production.endpoint_url)
        application = Application(world, connection, pause_seconds=PAUSE_SECONDS)
        writing = threads.submit(application.live, stop_writing)
        observing = threads.submit(observe, world, stop_observing, pause_seconds=PAUSE_SECONDS)
        for _ in range(KILLS):
            kill_in_the_middle(world, store, production, dice)
        stop_writing.set()  # or the tool might find new legacy rows for ever
        writing.result()
        run = world.migrate(store=store)
        stop_observing.set()
        assert observing.result() > 0
        struck = legacy.hits + production.hits
    assert run.code == 0, run.err
    assert run.document["transfer"] == "streamed"
    assert {fault.name for fault in (*READING, *writing_faults)} <= struck.keys(), "each fault has happened"
    check(world, application, expected)
    theirs, moved = {name for _, name in application.objects}, set(database.paths().values())
    ours = [path for path in described if production_path(path) in moved and not {path, production_path(path)} & theirs]
    assert ours, "the application has not stored all of these anew"
    for path in ours:
        found = pair.client.head_object(Bucket=pair.production_bucket, Key=production_path(path))
        assert {name: found[name] for name in DESCRIBED} == DESCRIBED
        assert {name.lower(): value for name, value in found["Metadata"].items() if name != "Mtime"} == {"owner": "7"}
    environ = {**database.environ(), **pair.environ()}
    verified = tool.run("verify", "--deep", "--metadata", environ=environ, cwd=tmp_path)
    assert verified.code == 0, verified
    back = world.migrate(command=("rollback", "--all", "runs"))
    assert back.code in {0, 1}, back.err  # 1: what the application changed since
    untouched = expected.keys() - application.rows.keys()
    now = rows_of(database)
    assert {key: now[key] for key in untouched} == {key: world.before.rows[key] for key in untouched}


def describe_some(world: World, legacy: Store) -> list[str]:
    """Give some legacy objects content headers and metadata, and return their keys: bytes and rows stay.

    One that is in production already, and has none there, would be a conflict. So would another type of content, which
    SeaweedFS reads off the bytes and rclone off the name: it is made the same.
    """
    there = {path for path in world.before.legacy if production_path(path) in world.before.production}
    for path in there:
        told = world.store.client.head_object(Bucket=world.store.production_bucket, Key=production_path(path))
        body = legacy.client.get_object(Bucket=legacy.legacy_bucket, Key=path)["Body"].read()
        legacy.client.put_object(Bucket=legacy.legacy_bucket, Key=path, Body=body, ContentType=told["ContentType"])
    some = sorted({*world.before.legacy_paths.values()} & {*world.before.legacy} - there)[:10]
    for path in some:
        place = {"Bucket": legacy.legacy_bucket, "Key": path}
        body = legacy.client.get_object(**place)["Body"].read()
        legacy.client.put_object(**place, Body=body, **DESCRIBED, Metadata={"owner": "7"})
    return some


def kill_in_the_middle(world: World, store: PairOfStores, production: S3FaultProxy, dice: random.Random) -> None:
    """Start a run, and kill it when it has put some objects."""
    process = world.start("-p", "2", "-b", "15", store=store, max_concurrency=4)
    production.wait_for_requests(production.count("put") + dice.randint(1, ROWS // (KILLS + 2)), "put")
    time.sleep(dice.uniform(0, 0.02))
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it had ended before it was killed"
    process.communicate()


def check(world: World, application: Application, expected: dict[int, str]) -> None:
    """Check that nothing of the application's is lost, and that all else is where it belongs, byte for byte."""
    pair = world.store
    for (bucket, name), body in application.objects.items():
        assert pair.body(bucket, name) == body, f"the application's {name} was overwritten"
    rows = world.database.paths()
    for key, path in application.rows.items():
        moved = production_path(path) if path is not None and path.startswith(LEGACY) else path
        assert rows.get(key) == moved, f"row {key}"
    untouched = expected.keys() - application.rows.keys()
    assert {key: rows[key] for key in untouched} == {key: expected[key] for key in untouched}
    legacy, production = content_of(pair, pair.legacy_bucket), content_of(pair, pair.production_bucket)
    assert legacy.items() >= world.before.legacy.items()
    for path in filter(None, rows.values()):
        if (source := path.replace("avatar/", LEGACY, 1)) in legacy and path.startswith("avatar/"):
            assert production[path] == legacy[source], f"{path} has other bytes"
