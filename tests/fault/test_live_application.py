"""The application lives on while its table is migrated: what it writes stays, and no row is ever without its object."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.fault.application import CONFLICT, ROWS, TAKEN, Application, observe, path_of
from tests.fault.promises import LEGACY, content_of, make_world, production_path
from tests.servers import s3_faults

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.databases import Database
    from tests.servers.s3_fault_proxy import S3FaultProxy
    from tests.servers.stores import Store


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
