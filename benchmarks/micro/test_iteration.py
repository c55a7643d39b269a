"""One iteration over fakes that answer at once: what is left is the tool's own work on a row."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import uvloop
from tests.mappings import mapping_of, source_of
from tests.sides import sides_of

from sketchmigrate.core.clock import SYSTEM
from sketchmigrate.core.outcome import Outcome, Result
from sketchmigrate.core.reference import Reference
from sketchmigrate.migration.breaker import Breaker
from sketchmigrate.migration.copier import Copier
from sketchmigrate.migration.flip_size import FlipSize
from sketchmigrate.migration.flipping import FlipControl, Flipping
from sketchmigrate.migration.iteration import Iteration
from sketchmigrate.migration.pace import Pace
from sketchmigrate.migration.planning import Forward, SourceTable
from sketchmigrate.migration.stop import Stop
from sketchmigrate.postgres.limits import Limits
from sketchmigrate.postgres.references import References
from sketchmigrate.postgres.row_key import RowKey
from sketchmigrate.postgres.table import Table
from sketchmigrate.s3 import CopyResult, S3Client
from sketchmigrate.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from pytest_benchmark.fixture import BenchmarkFixture

    from sketchmigrate.core.objects import Location
    from sketchmigrate.ledger import Flip, Ledger
    from sketchmigrate.postgres.session import Session

BATCH = 500
REFERENCES = [Reference(number, f"image/avatar-{number:07}.png") for number in range(BATCH)]


class Store:
    """Confirms every copy; asked for a size it says nothing new."""

    concurrency = 128

    async def copy(self, _source: Location, _target: Location) -> CopyResult:
        return CopyResult("d41d8cd98f00b204e9800998ecf8427e", 2048)

    def retrying(self, _seconds: float) -> Store:
        """Return the client with another patience, which is the same here."""
        return self


class Record:
    """Takes every flip for written."""

    async def record_flips(self, flips: Sequence[Flip], *, unix_time: float) -> None:
        assert len(flips) == BATCH
        assert unix_time


TABLE = Table(("avatars",), RowKey.of("id", "bigint"), "path")


class Cursor:
    """Updates every row that it is asked to."""

    async def execute(self, _statement: object, parameters: list[list[Any]]) -> Cursor:
        self._rows = len(parameters[0])
        return self

    async def fetchone(self) -> tuple[Any, ...]:
        return self._rows, None, None, None, None


class Connection:
    """Gives such a cursor; it is the session as well."""

    clock = SYSTEM
    limits = Limits.usual(Settings())

    def cursor(self, *, binary: bool) -> Cursor:
        assert binary
        return Cursor()

    async def run(self, work: Callable[[Connection], Awaitable[object]], *, doing: str, **_: object) -> object:
        assert doing
        return await work(self)


async def check_access() -> None:
    """The store can be used."""


@asynccontextmanager
async def iteration() -> AsyncIterator[Iteration]:
    options: dict[str, Any] = {"overwrite": True, "dry_run": False, "stop": Stop()}
    control = FlipControl(FlipSize(target_seconds=10))
    source = SourceTable(source_of(Settings()), TABLE, mapping_of(), control)
    async with Copier(sides_of(cast("S3Client", Store())), check_access, **options) as copier:
        stop = Stop()
        yield Iteration(
            planner=Forward(source),
            source=source,
            copier=copier,
            ledger=cast("Ledger", Record()),
            flipping=Flipping(
                references=References(cast("Session", Connection()), TABLE),
                ledger=cast("Ledger", Record()),
                control=source.control,
                breaker=Breaker(100),
                stop=stop,
                pace=Pace(stop),
                settings=Settings(),
                source=source.source,
            ),
            dry_run=False,
        )


async def run_once() -> list[Result]:
    results: list[Result] = []
    async with iteration() as made:
        await made.run(REFERENCES, results)
    return results


def test_iteration(benchmark: BenchmarkFixture) -> None:
    loop = uvloop.new_event_loop()
    assert {result.outcome for result in loop.run_until_complete(run_once())} == {Outcome.MIGRATED}
    benchmark.extra_info.update(what="an iteration over fakes, a row", operations=BATCH)
    benchmark.pedantic(lambda: loop.run_until_complete(run_once()), rounds=50, warmup_rounds=5)
    loop.close()
