"""The application lives on while its table is migrated: what it writes stays, and no row is ever without its object."""

from __future__ import annotations

import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.fault.promises import LEGACY, PRODUCTION, World, content_of, make_world, production_path
from tests.servers import s3_faults

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from tests.servers.databases import Database
    from tests.servers.s3_fault_proxy import S3FaultProxy
    from tests.servers.stores import Store

ROWS = 240
TAKEN = range(101, 111)  # a new avatar under the row's production key, and the row says so: before the tool looks
CONFLICT = range(111, 121)  # the same, but the row does not say so
CHURNED = range(121, ROWS + 1)
UPSERT = "INSERT INTO avatars VALUES (%s, %s, 'user') ON CONFLICT (id) DO UPDATE SET path = excluded.path"


@dataclass
class Application:
    """Writes as applications do: an object first, then the row. It remembers what it wrote."""

    world: World
    connection: psycopg.Connection[tuple[Any, ...]]
    rows: dict[int, str | None] = field(default_factory=dict)
    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    number: int = 0

    def put(self, bucket: str, key: str) -> None:
        """Store a new avatar."""
        self.number += 1
        body = f"avatar {self.number} of the application".encode()
        self.world.store.put_all(bucket, {key: body})
        self.objects[bucket, key] = body

    def set_path(self, key: int, path: str) -> None:
        """Let a row point at a new avatar; the row may be new."""
        self.connection.execute(UPSERT, [key, path])
        self.rows[key] = path

    def new_avatar(self, key: int) -> None:
        """Store a new avatar as the new version does, under a production key."""
        path = f"{PRODUCTION}new-{key}-{self.number}.png"
        self.put(self.world.store.production_bucket, path)
        self.set_path(key, path)

    def old_avatar(self, key: int) -> None:
        """Store a new avatar as an old version does, under a legacy key."""
        path = f"{LEGACY}old-{key}-{self.number}.png"
        self.put(self.world.store.legacy_bucket, path)
        self.set_path(key, path)

    def delete(self, key: int) -> None:
        """Delete a row; its object stays."""
        self.connection.execute("DELETE FROM avatars WHERE id = %s", [key])
        self.rows[key] = None

    def live(self, stopping: threading.Event) -> None:
        """Change, add and delete rows in no order, until told to stop."""
        dice = random.Random(7)
        new_keys = itertools.count(1000)
        while not stopping.is_set():
            act = dice.choice([self.new_avatar, self.old_avatar, self.delete])
            key = dice.choice(CHURNED) if act == self.delete or dice.random() < 0.5 else next(new_keys)
            act(key)


def observe(world: World, stopping: threading.Event) -> int:
    """Pick rows and look for the object that each one names, until told to stop; return how many were found."""
    client = world.store.server.client()
    buckets = {LEGACY: world.store.legacy_bucket, PRODUCTION: world.store.production_bucket}
    found = 0
    with world.database.connect() as connection:
        for key in itertools.cycle(range(1, ROWS + 1)):
            if stopping.is_set():
                return found
            path = path_of(connection, key)
            while path is not None:
                try:
                    client.head_object(Bucket=buckets[path.partition("/")[0] + "/"], Key=path)
                    found += 1
                    break
                except ClientError:
                    before, path = path, path_of(connection, key)
                    assert path != before, f"row {key} points at {path}, and nothing is there"
    raise AssertionError


def path_of(connection: psycopg.Connection[tuple[Any, ...]], key: int) -> str | None:
    """Return a row's path; None if there is no such row."""
    row = connection.execute("SELECT path FROM avatars WHERE id = %s", [key]).fetchone()
    return row[0] if row else None


@pytest.mark.parametrize("processes", [1, 2])
def test_what_a_live_application_writes_is_never_lost(
    database: Database, rclone_store: Store, s3_proxy: S3FaultProxy, tmp_path: Path, processes: int
) -> None:
    world = make_world(database, rclone_store, tmp_path, legacy_rows=ROWS)
    expected = {key: production_path(path) for key, path in world.before.legacy_paths.items()}
    production = rclone_store.production_bucket
    stop_writing, stop_observing = threading.Event(), threading.Event()
    with database.connect() as connection, ThreadPoolExecutor() as threads, ExitStack() as at_the_end:
        at_the_end.callback(stop_writing.set)
        at_the_end.callback(stop_observing.set)
        application = Application(world, connection)
        s3_proxy.on(s3_faults.stall(), operation="copy", times=processes)
        s3_proxy.on(s3_faults.delay(0.03), operation="copy")  # a store that takes its time
        store = rclone_store.via(s3_proxy.endpoint_url)
        flags = ("-p", "2", "-b", "20", "--processes", str(processes))
        process = world.start(*flags, store=store, max_concurrency=2, range_rows=ROWS // 2)
        s3_proxy.wait_for_hit("stall", processes)  # all rows were read, and the first objects are being copied
        for key in (*TAKEN, *CONFLICT):
            application.put(production, expected[key])
            if key in TAKEN:
                application.set_path(key, expected[key])
        writing = threads.submit(application.live, stop_writing)
        observing = threads.submit(observe, world, stop_observing)
        s3_proxy.release()
        s3_proxy.wait_for_requests(180, "copy")
        stop_writing.set()  # or the tool might find new legacy rows for ever
        writing.result()
        for key in range(1, 11):  # they were migrated long ago: the user has another avatar under the same key
            assert path_of(connection, key) == expected[key]
            application.put(production, expected[key])
        run = world.finish(process)
        stop_observing.set()
        assert observing.result() > ROWS

    assert run.code == 1, run.err
    assert sorted(run.reasons) == list(CONFLICT)
    assert run.outcomes["conflict"] == len(CONFLICT)
    assert run.outcomes["already"] == len(TAKEN)
    assert run.outcomes["superseded"] > 0, "the application changed nothing under the tool's hands"
    assert run.outcomes.keys() == {"migrated", "already", "superseded", "conflict"}
    for (bucket, key), body in application.objects.items():
        assert rclone_store.body(bucket, key) == body, f"the application's {key} was overwritten"
    rows = database.paths()
    for key in CONFLICT:
        expected[key] = world.before.legacy_paths[key]
    for key, path in application.rows.items():
        if path is None:
            assert key not in rows
        elif path.startswith(LEGACY):  # the tool has migrated it, like any other
            assert rows[key] == production_path(path)
            body = application.objects[rclone_store.legacy_bucket, path]
            assert rclone_store.body(production, rows[key] or "") == body
        else:
            assert rows[key] == path
    untouched = expected.keys() - application.rows.keys()
    assert {key: rows[key] for key in untouched} == {key: expected[key] for key in untouched}
    legacy = content_of(rclone_store, rclone_store.legacy_bucket)
    assert legacy.items() >= world.before.legacy.items()
