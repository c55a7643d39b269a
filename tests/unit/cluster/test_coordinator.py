"""What becomes of a limit: where a worker is lost and may still be at work, and where two begin at once."""

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
from sketchmigrate.migration.tuning import Tuning
from sketchmigrate.settings import Options, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sketchmigrate.migration.runner import Finished

HALVES = [KeyRange(None, 10), KeyRange(10, None)]


class Workers:
    """They migrate as much as they are lent. With ``loses_first`` one is cut off with the first range, and is back."""

    where = "here"

    def __init__(self, *names: str, loses_first: bool = False) -> None:
        self.workers = frozenset(names)
        self.members = len(names)
        self.tasks: list[RangeTask] = []
        self._loses_first = loses_first

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""

    async def begin(self, *_: object) -> None:
        """They are there already."""

    def publish(self, _orders: object) -> None:
        """They hear none."""

    async def run(self, task: RangeTask) -> RangeDone:
        """Lose the first range perhaps, and migrate the others up to their limit."""
        self.tasks.append(task)
        if len(self.tasks) == 1 and self._loses_first:
            raise WorkerLost("w", "cut off", is_certain=False)
        return RangeDone("w", 1, 1, Tally(migrated=task.limit or 0), rest=task.key_range, seconds=0, peak_bytes=0)


class WithoutADatabase(Coordinator):
    """Knows its ranges, and counts what the workers say."""

    async def _cut(self) -> list[tuple[int, KeyRange]]:
        return [(0, half) for half in HALVES]

    async def _trim(self, pass_range: PassRange) -> None:
        pass_range.is_trimmed = True

    async def _count(self) -> list[Tally]:
        return [self._pass.tally_done]

    async def _make_durable(self, counted: Tally) -> None:
        pass

    async def _is_anything_left(self) -> bool:
        return True


@asynccontextmanager
async def no_session() -> AsyncIterator[None]:
    yield


async def migrated(engine: Workers) -> Finished:
    """Migrate one reference, which is the limit."""
    site: Any = SimpleNamespace(
        database=SimpleNamespace(session=no_session),
        settings=SimpleNamespace(range_rows=100),
        sources=("the one",),
        tuning=Tuning(Settings(), Options()),
    )
    audience: Any = SimpleNamespace(
        **dict.fromkeys(
            ("new_pass", "progress_of_all", "limited_by", "waits_for", "held_up", "entries", "say", "left"),
            lambda *_: None,
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
    return await coordinator.migrate()


async def test_what_a_lost_worker_was_lent_is_not_taken_for_done() -> None:
    engine = Workers("w", loses_first=True)
    finished = await migrated(engine)
    assert finished.tally == Tally(migrated=1)
    assert finished.rows_left
    assert engine.tasks[1].key_range in {*HALVES, KeyRange(None, None)}


async def test_nobody_is_given_work_when_nothing_of_the_limit_is_left() -> None:
    engine = Workers("v", "w")
    finished = await migrated(engine)
    assert finished.tally == Tally(migrated=1)
    assert finished.rows_left
    assert [task.limit for task in engine.tasks] == [1], "two places were free, and two ranges waited"
