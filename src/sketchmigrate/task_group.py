"""Several things awaited side by side, where who waits sees an error as who waits for one of them would.

An ``except*`` that raises would do, but for Python below 3.11.4 (Debian 12 has 3.11.2), which wraps what it raises into
another group.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from sketchmigrate.core.errors import MigrateError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence

T = TypeVar("T")


@asynccontextmanager
async def task_group(*kinds: type[Exception]) -> AsyncIterator[asyncio.TaskGroup]:
    """Open a group whose first failure ends the others, and is raised itself, with its own cause.

    That is if all that failed are of these ``kinds`` (``MigrateError`` unless given); else all are raised, in a group.
    """
    first: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        expected, others = failures.split(kinds or (MigrateError,))
        if expected is None or others is not None:
            raise
        first = _first_of(expected)
    if first is not None:
        raise first


async def all_of(works: Sequence[Coroutine[object, object, T]]) -> list[T]:
    """Await all of them, and return their results in this order; the first ``MigrateError`` ends the others."""
    async with task_group() as group:
        tasks = [group.create_task(work) for work in works]
    return [task.result() for task in tasks]


def _first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first
