"""Every fault of store and database, and kill -9, at every point of an iteration, in every command that writes.

In each cell the application writes as well, at that point. Each cell proves that its fault happened, that the promises
hold (``promises.py``), that what the application wrote stayed, and that the command, or the next one, gets to its end;
where the command itself got there, it counted exactly what it did.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.fault.points import (
    COPIED_AGAIN_AT_ONCE,
    OF_ALL,
    OF_REPAIR,
    Point,
    requests_at,
    rows_done_at,
)
from tests.fault.scenes import COMMANDS
from tests.servers import s3_faults as faults

if TYPE_CHECKING:
    from tests.fault.stage import Stage
    from tests.servers.databases import Database

TIMES = 5
"""Requests that a fault of the store strikes: half an iteration, so that repetitions fail as well."""

BEFORE: dict[str, faults.Fault] = {
    "503": faults.status(503),
    "500": faults.status(500),
    "reset": faults.reset_before(),
    "silence": faults.stall(),
}
BEFORE_COPY: dict[str, faults.Fault] = BEFORE | {
    "503 with Retry-After": faults.status(503, retry_after="1"),
    "error inside 200": faults.error_inside_200(),
    "throttled inside 200": faults.error_inside_200("SlowDown"),
    "truncated XML": faults.truncated_200(),
    "empty reply": faults.empty_200(),
}
AFTER: dict[str, faults.Fault] = {
    "503": faults.status(503, forwarded=True),
    "500": faults.status(500, forwarded=True),
    "reset": faults.reply_lost(),
    "reset within the reply": faults.reset_within(),
    "reset after the reply": faults.reset_after(),
    "silence": faults.stall(after_server=True),
}
AFTER_COPY: dict[str, faults.Fault] = AFTER | {
    "error inside 200": faults.error_inside_200(forwarded=True),
    "throttled inside 200": faults.error_inside_200("SlowDown", forwarded=True),
    "truncated XML": faults.truncated_200(forwarded=True),
    "empty reply": faults.empty_200(forwarded=True),
}
SLOW_DOWN = {"503": BEFORE["503"]}
OF_EACH_KIND = ("503", "reset", "silence", "error inside 200", "truncated XML")
"""A repair copies with the same client as a migration, and then it is one: it need not go through every variant."""

# What strikes the very requests that make the point; elsewhere the store fails from the point on.
AT_REQUESTS: dict[tuple[str, Point], dict[str, faults.Fault]] = {
    ("migrate", Point.COPYING): BEFORE_COPY,
    ("migrate", Point.COPIED): AFTER_COPY,
    ("rollback", Point.COPYING): BEFORE,
    ("rollback", Point.COPIED): AFTER,
    ("repair", Point.COPYING_AGAIN): {name: BEFORE_COPY[name] for name in OF_EACH_KIND},
    ("repair", Point.COPIED_AGAIN): {name: AFTER_COPY[name] for name in OF_EACH_KIND},
    ("repair", Point.RECORDED): SLOW_DOWN,
    ("repair", Point.COPYING): SLOW_DOWN,
    ("repair", Point.COPIED): {"503": AFTER["503"]},
    **{(command, Point.COMMITTED): SLOW_DOWN for command in COMMANDS},
}
CUT, ENDED, TURNED_AWAY = "connections cut", "sessions ended by an administrator", "new connections turned away"
# A rollback has the sessions of a migration: what an administrator ends is tried where its flip is under way.
OF_THE_DATABASE = [
    *(("migrate", point, name) for point in OF_ALL for name in (CUT, ENDED)),
    *((command, point, CUT) for command in ("rollback", "repair") for point in OF_ALL),
    ("rollback", Point.UPDATE_SENT, ENDED),
    ("rollback", Point.COMMIT_UNANSWERED, ENDED),
    *((command, point, TURNED_AWAY) for command in COMMANDS for point in (Point.ALL_COPIED, Point.COMMIT_UNANSWERED)),
]


def points_of(command: str) -> tuple[Point, ...]:
    return OF_REPAIR if command == "repair" else OF_ALL


def cells(chosen: list[tuple[str, Point, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("stage", "point", "fault"), chosen, indirect=["stage"])


@cells([(command, point, name) for (command, point), named in AT_REQUESTS.items() for name in named])
def test_the_store_fails_requests(stage: Stage, point: Point, fault: str) -> None:
    struck = AT_REQUESTS[stage.scene.command, point][fault]
    passing = COPIED_AGAIN_AT_ONCE if point is Point.RECORDED else 0
    chosen = requests_at(stage.scene, point, stage.postgres)
    stage.s3.on(struck, skip=passing, times=TIMES, when=chosen)
    stage.at(point, lambda: None)
    stage.check_done(stage.start(s3_timeout_seconds=1 if fault == "silence" else 60))
    assert stage.s3.hits[struck.name] == TIMES
    if fault == "silence":
        stage.s3.release()  # the late requests arrive now, and change nothing
        stage.scene.check_finished()


@cells([(command, point, "503") for command in COMMANDS for point in OF_ALL if (command, point) not in AT_REQUESTS])
def test_the_store_fails_from_then_on(stage: Stage, point: Point, fault: str) -> None:
    struck = BEFORE[fault]
    stage.at(point, lambda: stage.s3.on(struck, times=TIMES))
    stage.check_done(stage.start())
    assert stage.s3.hits[struck.name] == TIMES


@cells(OF_THE_DATABASE)
def test_the_database_is_cut_off(stage: Stage, point: Point, fault: str) -> None:
    ended: list[bool] = []

    def act() -> None:
        if fault == ENDED:
            ended.extend(end_sessions(stage.scene.world.database))
            return
        if fault == TURNED_AWAY:
            stage.postgres.turn_away()
        stage.postgres.cut_all()

    stage.at(point, act)
    process = stage.start()
    if fault == TURNED_AWAY:
        stage.postgres.wait_for_hit("turned_away", 2)
        stage.postgres.resume()
    stage.check_done(process)
    assert any(ended) or stage.postgres.hits["cut_all"] > 0


def end_sessions(database: Database) -> list[bool]:
    """End the tool's sessions as an administrator does; return what became of each."""
    rows = database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name LIKE 'sketch-migrate%' AND datname = current_database()"
    )
    return [ended for (ended,) in rows]


@cells([(command, point, "kill -9") for command in COMMANDS for point in points_of(command)])
def test_killed(stage: Stage, point: Point, fault: str) -> None:
    scene = stage.scene
    reached: list[int] = []

    def act() -> None:
        stage.kill()
        reached.append(scene.check_promises())

    stage.at(point, act)
    process = stage.start()
    process.communicate()
    assert process.returncode == -signal.SIGKILL, f"{fault} came too late"
    scene.check_promises()  # what was on its way has arrived
    again = scene.finish(scene.start())
    assert again.code == 0, again.err
    assert reached == [len(rows_done_at(scene, point))]
    scene.check_finished()
