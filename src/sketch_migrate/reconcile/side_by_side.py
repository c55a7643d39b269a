"""Several requests awaited side by side."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from sketch_migrate.errors import MigrateError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

T = TypeVar("T")


async def all_of(works: Sequence[Coroutine[object, object, T]]) -> list[T]:
    """Await all of them; the first ``MigrateError`` ends the others. The client bounds the requests in flight."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except* MigrateError as failures:
        raise failures.exceptions[0] from failures
    return [task.result() for task in tasks]
