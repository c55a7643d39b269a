"""The ledger's real statements on databases in memory, which outlive the process that wrote them."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.core.reason import OVERWRITTEN, ReasonKind
from sketchmigrate.ledger import PastFiles, PastFlip, SqliteLedger
from sketchmigrate.ledger.merging import LAST_NUMBER
from sketchmigrate.ledger.sqlite.reader import LedgerFile
from sketchmigrate.ledger.sqlite.writer import SCHEMA
from tests.simulation.world import production_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

    from sketchmigrate.core.reference import Key
    from sketchmigrate.ledger import Flip
    from tests.simulation.world import World


DISK_SLOW_SECONDS = 15
"""Longer than a transaction is kept open for the ledger's sake."""


class SimulatedLedger(SqliteLedger):
    """One run's, on a disk that may be full."""

    def __init__(self, world: World, command: str, no_clobber: str = "") -> None:
        directory = Path(f"/runs/{len(world.ledgers)}")
        super().__init__(directory / "ledger.sqlite", description={"command": command, "no_clobber": no_clobber})
        self.directory = directory
        self._world = world
        self._is_open = False
        self._thread_is_free = asyncio.Lock()
        self._said: dict[int, str] = {}  # the path of each row about which it has a word
        self.is_rollback = command == "rollback"
        world.ledgers.append(self)

    async def _call(self, work: Callable[[], object]) -> object:  # type: ignore[override] # as generic as its uses here
        if not self._is_open:
            return work()
        await self._world.step("ledger")
        done = await asyncio.shield(self._in_turn(work))  # it is done also where the caller is tired of waiting
        await self._world.step("ledger's reply")
        return done

    def _in_turn(self, work: Callable[[], object]) -> asyncio.Task[object]:
        """Do one thing after the other, as the ledger's thread does."""

        async def do() -> object:
            async with self._thread_is_free:
                fault = self._world.fault("disk full", "disk slow")
                if fault == "disk full":
                    raise RunDirectoryError("the disk is full")
                if fault == "disk slow":
                    await asyncio.sleep(DISK_SLOW_SECONDS)
                return work()

        return asyncio.create_task(do())

    def locked_keys(self) -> set[int]:
        """Return the keys of the rows that are on record as locked."""
        return {key for (key,) in self._database.execute("SELECT key FROM locked")}

    async def __aexit__(self, *_: object) -> None:
        self._is_open = False

    def _open(self) -> None:
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.executescript(SCHEMA)
        self._insert("INSERT INTO run", list(self._description.items()))
        self._is_open = True

    def _insert_flips(self, flips: Sequence[Flip], unix_time: float) -> None:
        super()._insert_flips(flips, unix_time)
        self._world.on_record |= {(int(str(each.key)), each.old_path, each.new_path) for each in flips}
        self._forget_words({int(str(each.key)): each.old_path for each in flips})

    def _insert(self, into: str, rows: Sequence[tuple[object, ...]]) -> None:
        super()._insert(into, rows)
        if "INTO not_flipped" in into:
            self._forget_words({int(str(row[0])): str(row[1]) for row in rows})
            self._said |= {int(str(row[0])): str(row[1]) for row in rows}
            told = {production_path(str(row[1])): str(row[3]) for row in rows if _is_report(str(row[3]))}
            self._world.reported |= told.keys()
            self._world.asserted |= {
                path for path, reason in told.items() if reason != ReasonKind.PERHAPS_REPLACED_UNSEEN
            }

    def _forget_words(self, paths: dict[int, str]) -> None:
        """Note what the ledger does not deny any more: it has one word on each row, the latest."""
        for key, path in paths.items():
            if (before := self._said.get(key, path)) != path and before.startswith("image/"):
                self._world.no_more_denied.add((key, production_path(before)))

    async def settle_copies(self, keys: Iterable[Key]) -> None:
        """Strike out, and note which rows were not set to the new path by then: what comes later is not noticed."""
        struck_out = list(keys)
        for key, new_path in self._database.execute("SELECT key, new_path FROM unsettled").fetchall():
            if key in struck_out and self._world.rows.get(key) != new_path:
                self._world.looked_at.add((key, new_path))
        await super().settle_copies(struck_out)

    def close(self) -> None:
        """Forget it."""
        if hasattr(self, "_database"):
            self._database.close()

    def past(self) -> SimulatedPastRun:
        """Return it as a later run sees it."""
        return SimulatedPastRun(self.directory, self._database)


def _is_report(reason: str) -> bool:
    return reason in OVERWRITTEN


class SimulatedPastRun(PastFiles):
    """The same database, being read."""

    def __init__(self, directory: Path, database: sqlite3.Connection) -> None:
        super().__init__(directory)
        self._files = [SimulatedFile(self.path, database)]

    async def newest_first(self, *, source: int | None = None, page_flips: int = 3) -> AsyncIterator[list[PastFlip]]:
        """Yield the flips, as the real one does from a thread."""
        flips = [flip for _, flip in self._files[0].page(LAST_NUMBER, 10**6, source=source)]
        for first in range(0, len(flips), page_flips):
            yield flips[first : first + page_flips]


class SimulatedFile(LedgerFile):
    """The one database of a run."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        super().__init__(path)
        self._database = database
        self._describe()


def past_runs(world: World, first: Path | None) -> Iterator[PastFiles]:
    """Yield all runs until now, the oldest first, after the one with the directory ``first``."""
    for ledger in sorted(world.ledgers, key=lambda each: each.directory != first):
        yield ledger.past()
