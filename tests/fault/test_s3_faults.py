"""The store, or the way to it, fails for long: nothing is lost, and the counts stay exact.

Faults that pass, in every command and at every point: ``test_matrix``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.fault.promises import ROWS, World, make_world
from tests.servers import s3_faults as faults
from tests.servers.s3_faults import PASSING, PASSING_ON_COPY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.databases import Database
    from tests.servers.http1 import S3Request
    from tests.servers.s3_fault_proxy import S3FaultProxy
    from tests.servers.stores import Store


def in_the_run(world: World) -> Callable[[S3Request], bool]:
    """Choose requests for what the run brings into production, not those of the checks before it."""
    return lambda request: request.bucket == world.store.production_bucket and "/done-" not in request.key


@pytest.mark.parametrize("operation", ["head", "copy"])
def test_a_third_of_the_requests_fails_in_some_way(world: World, s3_proxy: S3FaultProxy, operation: str) -> None:
    chosen = PASSING if operation == "head" else PASSING_ON_COPY
    for fault in chosen.values():
        s3_proxy.on(fault, operation=operation, probability=0.3 / len(chosen), when=in_the_run(world))
    run = world.migrate(store=world.store.via(s3_proxy.endpoint_url))
    assert len(s3_proxy.hits) > 3
    assert run.code == 0, run.err
    assert run.outcomes == {"migrated": ROWS}
    world.check_finished()


def test_a_server_that_answers_503_for_a_while_is_waited_out(world: World, s3_proxy: S3FaultProxy) -> None:
    s3_proxy.on(faults.status(503), when=lambda _: s3_proxy.count("copy") > 20)
    process = world.start(store=world.store.via(s3_proxy.endpoint_url))
    s3_proxy.wait_for_hit("status_503", 60)
    s3_proxy.clear()
    run = world.finish(process)
    assert run.code == 0, run.err
    assert run.outcomes == {"migrated": ROWS}
    world.check_finished()


@pytest.mark.parametrize(
    ("fault", "code", "sentence"),
    [
        (faults.status(503), 4, "SlowDown"),
        (faults.reset_before(), 3, "closed the connection"),
        (faults.stall(), 3, "did not answer in time"),
    ],
    ids=["503", "reset", "silent"],
)
def test_a_server_that_stays_dead_ends_the_run_with_a_clear_sentence(
    world: World, s3_proxy: S3FaultProxy, fault: faults.Fault, code: int, sentence: str
) -> None:
    s3_proxy.on(fault, when=lambda _: s3_proxy.count("copy") > 30)
    run = world.migrate(store=world.store.via(s3_proxy.endpoint_url), s3_timeout_seconds=0.5, s3_retry_seconds=1)
    assert s3_proxy.hits[fault.name] > 0
    assert run.code == code, run.err
    assert sentence in run.document["error"]["message"]
    assert "un the command again" in run.document["error"]["hint"]
    assert world.check_promises() < ROWS
    s3_proxy.release()
    world.check_resumed()


def test_a_right_revoked_in_the_middle_ends_the_run(
    database: Database, rclone_store: Store, s3_proxy: S3FaultProxy, tmp_path: Path
) -> None:
    world = make_world(database, rclone_store, tmp_path, legacy_rows=900)
    s3_proxy.on(faults.status(403, "AccessDenied"), when=lambda _: s3_proxy.count("copy") > 60)
    run = world.migrate(store=rclone_store.via(s3_proxy.endpoint_url))
    assert run.code == 3, run.err
    assert "not allowed to" in run.document["error"]["message"]
    assert "AccessDenied" in run.document["error"]["message"]
    assert not run.document["error"]["hint"], "which right is lacking, the store does not say"
    assert s3_proxy.hits["status_403"] < 450, "it went on as if it were the objects' fault"
    assert 0 < world.check_promises() < 300
    world.check_resumed()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.status(500), "InternalError"),
        (faults.error_inside_200(), "InternalError"),
        (faults.error_inside_200("AccessDenied"), "AccessDenied"),
        (faults.status(403, "AccessDenied"), "AccessDenied"),
        (faults.error_inside_200("InvalidObjectState"), "InvalidObjectState"),
        (faults.truncated_200(), "status 200, but"),
        (faults.reset_before(), "closed the connection"),
    ],
    ids=["500", "error inside 200", "refused inside 200", "403", "archived", "truncated XML", "reset"],
)
def test_one_object_that_always_fails_stops_no_other(
    world: World, s3_proxy: S3FaultProxy, fault: faults.Fault, reason: str
) -> None:
    s3_proxy.on(fault, operation="copy", key="avatar-7[.]png")
    run = world.migrate(store=world.store.via(s3_proxy.endpoint_url), s3_retry_seconds=1)
    assert s3_proxy.hits[fault.name] > 0
    assert run.code == 1, run.err
    assert run.outcomes == {"migrated": ROWS - 1, "failed": 1}
    assert list(run.reasons) == [8]
    assert reason in run.reasons[8]
    assert world.check_promises() == ROWS - 1
    s3_proxy.clear()
    world.check_resumed()


def test_the_last_object_that_fails_is_what_limits_the_run(
    database: Database, rclone_store: Store, s3_proxy: S3FaultProxy, tmp_path: Path
) -> None:
    """Three rows are one batch: most iterations have ended, and the database has nothing to do."""
    world = make_world(database, rclone_store, tmp_path, legacy_rows=3)
    s3_proxy.on(faults.status(500), operation="copy", key="avatar-2[.]png")
    run = world.migrate(store=rclone_store.via(s3_proxy.endpoint_url), s3_retry_seconds=7)
    assert s3_proxy.hits["status_500"] > 1
    assert run.outcomes == {"migrated": 2, "failed": 1}
    words = re.findall(r"; limit: (.*)", run.err)
    assert words
    assert set(words) == {"s3 (errors)"}, run.err


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(507, "XMinioStorageFull"),
        faults.status(403, "QuotaExceeded"),
        faults.status(413, "EntityTooLarge", message="Upload exceeds quota."),
    ],
    ids=["MinIO", "Ceph", "Swift"],
)
def test_a_store_that_is_full_ends_the_run_at_once_with_its_own_words(
    world: World, s3_proxy: S3FaultProxy, fault: faults.Answer
) -> None:
    s3_proxy.on(fault, operation="copy", when=lambda _: s3_proxy.count("copy") > 30)
    run = world.migrate(store=world.store.via(s3_proxy.endpoint_url))
    assert s3_proxy.hits[fault.name] > 0
    assert run.code == 4, run.err
    assert s3_proxy.count("copy") < 30 + ROWS, "each row was tried again and again"
    assert s3_proxy.struck[0][1].key in run.document["error"]["message"]
    assert "quota" in run.document["error"]["hint"]
    assert "failed" not in run.outcomes
    world.check_promises()
    s3_proxy.clear()
    world.check_resumed()


def test_a_store_that_refuses_30_percent_of_whatever_it_gets_is_not_asked_once_a_second(
    database: Database, rclone_store: Store, s3_proxy: S3FaultProxy, tmp_path: Path
) -> None:
    """With 5 % of resets. At one request a second it would not end within the minute that is waited for it."""
    world = make_world(database, rclone_store, tmp_path, legacy_rows=400)
    s3_proxy.on(faults.status(503), probability=0.3, when=in_the_run(world))
    s3_proxy.on(faults.reset_before(), probability=0.05 / 0.7, when=in_the_run(world))
    run = world.migrate(store=rclone_store.via(s3_proxy.endpoint_url))
    assert s3_proxy.hits["status_503"] > 100
    assert s3_proxy.hits["reset_before"] > 10
    assert run.code == 0, run.err
    assert run.outcomes == {"migrated": 400}
    world.check_finished()
