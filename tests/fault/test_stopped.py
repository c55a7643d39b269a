"""SIGSTOP: the tool stands still for longer than anybody waits for it, and then goes on as if nothing had been.

Five minutes, made seconds by shorter limits: meanwhile the server ends its open transaction and the application takes
the row it wants, the store closes what is idle, and all time limits of the tool itself are over.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.fault.points import Point
from tests.fault.scenes import COMMANDS

if TYPE_CHECKING:
    from tests.fault.stage import Stage

STATEMENT_TIMEOUT_MS = 300
"""The server's limit for a transaction that stands idle, as the tool sets it. Its own is three times that and 5 s."""

TOO_LONG_SECONDS = 6.5

LONGEST_HOLD_SECONDS = 4.0
"""A row is held for a second by a tool that stands still; the rest is that machines are slow."""


def stop(stage: Stage) -> None:
    """Stop the tool, and wait until it stands still."""
    assert stage.process is not None
    os.kill(stage.process.pid, signal.SIGSTOP)
    _, status = os.waitpid(stage.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


def go_on(stage: Stage) -> None:
    assert stage.process is not None
    os.kill(stage.process.pid, signal.SIGCONT)


def pids(stage: Stage) -> set[int]:
    """Return the server's processes that serve the tool."""
    rows = stage.scene.world.database.execute(
        "SELECT pid FROM pg_stat_activity"
        " WHERE application_name LIKE 'sketch-migrate%' AND datname = current_database()"
    )
    return {pid for (pid,) in rows}


@pytest.mark.parametrize("stage", COMMANDS, indirect=True)
def test_stopped_within_a_transaction(stage: Stage) -> None:
    """The server has done the UPDATE, and waits for a COMMIT. The application waits for a row of it.

    A rollback's COMMIT is on its way by then: the server goes on by itself, and nothing has to be cut.
    """
    database = stage.scene.world.database
    row = stage.scene.rows_of_iteration(2)[5]
    before: set[int] = set()
    stopped = threading.Event()

    def act() -> None:
        stop(stage)
        before.update(pids(stage))  # right then: a second later the server has ended the one that is to be cut
        stopped.set()

    stage.at(Point.UPDATE_SENT, act)
    process = stage.start(statement_timeout_ms=STATEMENT_TIMEOUT_MS, s3_timeout_seconds=1)
    assert stopped.wait(30)
    began = time.monotonic()
    stage.scene.take(row)  # returns when the server has ended the tool's transaction
    assert time.monotonic() - began < LONGEST_HOLD_SECONDS
    cut = before - pids(stage)
    assert bool(cut) is (stage.scene.command != "rollback")
    if not cut:
        stage.scene.taken = 0  # the row was set back by then
    stage.s3.close_idle()
    assert stage.s3.hits["idle_closed"] > 0
    threading.Event().wait(TOO_LONG_SECONDS if stage.scene.command == "migrate" else 0)  # its own limits pass as well
    go_on(stage)
    stage.check_done(process)
    assert not database.execute("SELECT FROM pg_stat_activity WHERE pid = ANY(%s)", list(cut))


@pytest.mark.parametrize("stage", COMMANDS, indirect=True)
@pytest.mark.parametrize("point", [Point.COPIED, Point.COMMIT_UNANSWERED])
def test_stopped_before_it_knows_what_was_done(stage: Stage, point: Point) -> None:
    """A copy or a COMMIT is done, its reply on the way; then all connections are cut, and nobody can tell it."""

    def act() -> None:
        stop(stage)
        stage.postgres.cut_all()

    stage.at(point, act)
    process = stage.start(statement_timeout_ms=STATEMENT_TIMEOUT_MS, s3_timeout_seconds=1)
    stage.postgres.wait_for_hit("cut_all")
    while pids(stage):
        assert process.poll() is None
    stage.s3.close_idle()
    assert stage.s3.hits["idle_closed"] > 0
    go_on(stage)
    stage.check_done(process)
