"""A right is taken away in the middle: a clear sentence, nothing harmed; given back, the next run gets to the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fault.points import Point
from tests.fault.scenes import COMMANDS
from tests.servers import s3_faults

if TYPE_CHECKING:
    from tests.fault.stage import Stage

DENIED = s3_faults.status(403, "AccessDenied")
RIGHTS = [(command, right) for command in COMMANDS for right in ("UPDATE (path)", "SELECT")]
MOMENTS = [*((command, Point.COPYING) for command in COMMANDS), ("repair", Point.COPYING_AGAIN)]


@pytest.mark.parametrize(("stage", "right"), RIGHTS, indirect=["stage"])
def test_a_right_in_the_database(stage: Stage, right: str) -> None:
    database = stage.scene.world.database
    limited = database.make_user("SELECT ON avatars", "UPDATE (path) ON avatars")
    stage.at(Point.LEDGER_WRITTEN, lambda: database.execute(f"REVOKE {right} ON avatars FROM {limited.user}"))
    named = f"user {limited.user} lacks the privilege {right.partition(' ')[0]} on column "
    stage.check_refused(stage.start(user=limited), named)
    assert stage.postgres.hits["act"] == 1
    database.execute(f"GRANT {right} ON avatars TO {limited.user}")
    again = stage.scene.finish(stage.start(user=limited))
    assert again.code == 0, again.err
    stage.scene.check_finished()


@pytest.mark.parametrize(("stage", "point"), MOMENTS, indirect=["stage"])
def test_every_right_in_the_store(stage: Stage, point: Point) -> None:
    stage.at(point, lambda: stage.s3.on(DENIED))
    stage.check_refused(stage.start(), "AccessDenied", hint=False)  # which right it is, the store does not say
    assert 0 < stage.s3.hits[DENIED.name] < 60, "it went on as if it were the objects' fault"
    stage.s3.clear()
    again = stage.scene.finish(stage.start())
    assert again.code == 0, again.err
    stage.scene.check_finished()
