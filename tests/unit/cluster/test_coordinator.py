"""What becomes of ranges whose worker was lost and may still be at work, under a limit."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self, cast

from sketchmigrate.cluster.coordinator import Coordinator, PassRange
from sketchmigrate.cluster.range_worker import RangeDone, RangeTask
from sketchmigrate.core.errors import WorkerLost
from sketchmigrate.core.outcome import Tally
from sketchmigrate.core.reference import KeyRange
from sketchmigrate.migration.breaker import Breaker
from sketchmigrate.migration.stop import Stop
from sketchmigrate.settings import Options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HALVES = [KeyRange(None, 10), KeyRange(10, None)]


class LosesTheFirst:
    """One worker, cut off with its first range, and back for all others: it migrates as much as it is lent."""

    where = "here"
    workers = frozenset({"w"})
    members = 1

    def __init__(self) -> None:
        self.ranges: list[KeyRange] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""

    async def begin(self, *_: object) -> None:
        """It is there already."""

    def publish(self, _orders: object) -> None:
        """It hears none."""

    async def run(self, task: RangeTask) -> RangeDone:
        """Lose the first range, and migrate the others up to their limit."""
        self.ranges.append(task.key_range)
        if len(self.ranges) == 1:
            raise WorkerLost("w", "cut off", is_certain=False)
        return RangeDone("w", 1, 1, Tally(migrated=task.limit or 0), is_whole=False, seconds=0, peak_bytes=0)


class WithoutADatabase(Coordinator):
    """Knows its ranges, and counts what the workers say."""

    async def _cut(self) -> list[KeyRange]:
        return HALVES

    async def _trim(self, pass_range: PassRange) -> None:
        pass_range.is_trimmed = True

    async def _count(self) -> Tally:
        return self._pass.tally_done

    async def _make_durable(self, counted: Tally) -> None:
        pass

    async def _is_anything_left(self) -> bool:
        return True


@asynccontextmanager
async def no_session() -> AsyncIterator[None]:
    yield


async def test_what_a_lost_worker_was_lent_is_not_taken_for_done() -> None:
    engine = LosesTheFirst()
    site: Any = SimpleNamespace(database=SimpleNamespace(session=no_session), settings=SimpleNamespace(range_rows=100))
    audience: Any = SimpleNamespace(
        **dict.fromkeys(
            ("new_pass", "progress_of_all", "limited_by", "waits_for", "held_up", "entries", "say"), lambda *_: None
        )
    )
    coordinator = WithoutADatabase(
        cast("Any", engine),
        cast("Any", SimpleNamespace(options=Options(limit=1))),
        site=site,
        ledger=cast("Any", None),
        stop=Stop(),
        audience=audience,
        settling=cast("Any", SimpleNamespace(strategy=None)),
        breaker=Breaker(20),
    )
    finished = await coordinator.migrate()
    assert finished.tally == Tally(migrated=1)
    assert finished.rows_left
    assert engine.ranges[1] in {*HALVES, KeyRange(None, None)}
