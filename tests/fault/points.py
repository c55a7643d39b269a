"""The points of an iteration, as the two proxies see them: what is to happen there, happens there."""

from __future__ import annotations

import re
import threading
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING

from tests.fault.scenes import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fault.scenes import Scene
    from tests.servers.http1 import S3Request
    from tests.servers.postgres_fault_proxy import PostgresFaultProxy
    from tests.servers.s3_fault_proxy import Hook, S3FaultProxy

UPDATE = r"^\s*WITH free"
COPIED_AGAIN_AT_ONCE = 8


class Point(StrEnum):
    """A moment of the second iteration, for a repair of the second one that migrates; or of its copying again.

    For a rollback, which copies nothing, the look at the legacy object is what the copy is for the others.
    """

    COPYING_AGAIN = "before copying again"
    COPIED_AGAIN = "copied again, reply lost"
    RECORDED = "copied again, on record"
    COPYING = "before the copy"
    COPIED = "copied, reply lost"
    ALL_COPIED = "after the copy"
    LEDGER_WRITTEN = "ledger written"
    UPDATE_SENT = "UPDATE sent"
    UPDATE_DONE = "UPDATE done, COMMIT not there"
    COMMIT_UNANSWERED = "COMMIT unanswered"
    COMMITTED = "after COMMIT"


OF_ALL = tuple(Point)[3:]
OF_REPAIR = tuple(Point)
BEFORE_ANY_FLIP = {Point.COPYING_AGAIN, Point.COPIED_AGAIN, Point.RECORDED}

# Which of the requests makes the point (0: the last one), and whether the server has done it.
_REQUESTS = {
    Point.COPYING_AGAIN: (1, False),
    Point.COPIED_AGAIN: (1, True),
    Point.RECORDED: (COPIED_AGAIN_AT_ONCE + 1, False),
    Point.COPYING: (1, False),
    Point.COPIED: (1, True),
    Point.ALL_COPIED: (0, True),
    Point.COMMITTED: (1, False),
}
# Which statement of the transaction that flips makes the point, and whether the server has done it.
_STATEMENTS = {
    Point.LEDGER_WRITTEN: (UPDATE, False),
    Point.UPDATE_SENT: (UPDATE, True),
    Point.UPDATE_DONE: (r"\bCOMMIT$", False),
    Point.COMMIT_UNANSWERED: (r"\bCOMMIT$", True),
}
_AT_ONCE = _STATEMENTS | {Point.UPDATE_SENT: (r"^SET LOCAL statement_timeout = 0$", False)}
"""A rollback's flips, which no copy without a condition precedes: nothing is answered before all of it is done. What
follows the UPDATE may be kept back all the same."""


def rows_done_at(scene: Scene, point: Point) -> set[int]:
    """Return the rows that are on the other side at the point, but for those that the application then wrote."""
    iterations = dict.fromkeys(BEFORE_ANY_FLIP, 0) | {Point.COMMIT_UNANSWERED: 2, Point.COMMITTED: 2}
    done = {row for number in range(1, iterations.get(point, 1) + 1) for row in scene.rows_of_iteration(number)}
    return done & scene.before.legacy_paths.keys()


def requests_at(scene: Scene, point: Point, postgres: PostgresFaultProxy) -> Callable[[S3Request], bool]:
    """Return what tells the requests among which a point is found: those that bring an object or, for a rollback, look.

    The checks before the first iteration may look at the same objects.
    """
    operation = "head" if scene.command == "rollback" else "copy"
    keys = keys_at(scene, point)
    copying_again = point in BEFORE_ANY_FLIP

    def chosen(request: S3Request) -> bool:
        begun = copying_again or any(re.match(UPDATE, statement) for statement in list(postgres.statements))
        return begun and request.operation == operation and request.key in keys

    return chosen


def keys_at(scene: Scene, point: Point) -> frozenset[str]:
    """Return the keys of these requests."""
    if point in BEFORE_ANY_FLIP:
        return scene.keys_of(range(1, 11))
    return scene.keys_of(scene.rows_of_iteration(3 if point is Point.COMMITTED else 2))


def call_at(
    point: Point, act: Callable[[], object], scene: Scene, s3: S3FaultProxy, postgres: PostgresFaultProxy
) -> None:
    """Call ``act`` when the point is reached for the first time; the tool comes no further until it returns."""
    if point in _STATEMENTS:
        pattern, done = (_AT_ONCE if scene.command == "rollback" else _STATEMENTS)[point]
        postgres.act_at(pattern, act, after=UPDATE, skip=1, after_server=done)
        return
    number, done = _REQUESTS[point]
    copied_already = scene.command != "rollback"  # one of the second iteration's objects: make_world's halfway
    hook = _at_request(number or BATCH - copied_already, requests_at(scene, point, postgres), act)
    if done:
        s3.after_reply = hook
    else:
        s3.before_request = hook


def _at_request(number: int, chosen: Callable[[S3Request], bool], act: Callable[[], object]) -> Hook:
    """Return a hook that acts at that one of the chosen requests, and only then."""
    numbers, lock = count(1), threading.Lock()

    def hook(request: S3Request) -> None:
        if chosen(request):
            with lock:
                mine = next(numbers) == number
            if mine:
                act()

    return hook
