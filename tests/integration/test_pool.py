"""The process pool by itself: who cannot be given work says why, and who dies at once is not replaced for ever."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from sketch_migrate.cluster.pool import ProcessPool
from sketch_migrate.cluster.task import Message, Unfit
from sketch_migrate.cluster.worker import RangeAssignment, RangeWorkplace
from sketch_migrate.errors import ClusterError, DatabaseUnreachable
from sketch_migrate.ledger import FolderPlace
from sketch_migrate.settings import Options, Settings

if TYPE_CHECKING:
    from pathlib import Path


NOWHERE = Settings(db_host="127.0.0.1", db_port=1)


@dataclass(frozen=True)
class Deadly(FolderPlace):
    """A place that kills who is told of it."""

    def __setstate__(self, _: object) -> None:
        os._exit(9)


async def heard_first(assignment: RangeAssignment, processes: int) -> tuple[Message, int]:
    """Begin, and return the first message, and how many members there are by then."""
    heard: asyncio.Queue[Message] = asyncio.Queue()
    async with ProcessPool(processes) as pool:
        await pool.begin(assignment, heard.put_nowait)
        message = await asyncio.wait_for(heard.get(), 60)
        assert pool.workers == frozenset()
        return message, pool.members


async def test_a_worker_without_a_route_to_the_database_says_so(tmp_path: Path) -> None:
    message, members = await heard_first(RangeAssignment("run", NOWHERE, Options(), FolderPlace(tmp_path)), 1)
    assert isinstance(message, Unfit)
    assert (message.worker, type(message.reason), members) == ("worker-1", DatabaseUnreachable, 0)


async def test_processes_that_die_at_once_are_not_replaced_for_ever(tmp_path: Path) -> None:
    message, members = await heard_first(RangeAssignment("run", NOWHERE, Options(), Deadly(tmp_path)), 1)
    assert isinstance(message, Unfit)
    assert isinstance(message.reason, ClusterError)
    assert (message.worker, members) == ("worker-3", 0)


def test_another_version_is_named_before_anything_is_tried(tmp_path: Path) -> None:
    class Deaf:
        worker = "worker-7"

        def send(self, message: Message) -> None:
            raise AssertionError(message)

        def on_orders(self, take: object) -> None:
            raise AssertionError(take)

    assignment = RangeAssignment("run", NOWHERE, Options(), FolderPlace(tmp_path), version="0.0.9")
    workplace = RangeWorkplace(assignment, Deaf())
    with pytest.raises(ClusterError, match=r"worker-7 has version .*, the run was started by 0\.0\.9"):
        workplace.open()
    workplace.close()
