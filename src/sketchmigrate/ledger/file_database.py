"""A database in one file of RUN_DIR, on a thread of its own, so that a fsync never holds up the event loop."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self, TypeVar

from sketchmigrate.core.errors import RunDirectoryError
from sketchmigrate.ledger.disk import disk_hint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

T = TypeVar("T")


class FileDatabase(ABC):
    """Opened and closed as an async context manager. ``what`` it is, for messages; ``error`` is its library's own."""

    def __init__(self, what: str, path: Path, error: type[Exception]) -> None:
        self._what, self._path = what, path
        self._errors = (error, OSError)
        self._thread = ThreadPoolExecutor(max_workers=1)

    async def __aenter__(self) -> Self:
        await self._call(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._call(self._close)
        finally:
            self._thread.shutdown(wait=True)

    @abstractmethod
    def _open(self) -> None:
        """Open the file, on the thread."""

    @abstractmethod
    def _close(self) -> None:
        """Close it, on the thread."""

    async def _call(self, work: Callable[[], T]) -> T:
        """Do the work on the thread; shielded, so that a cancelled caller leaves nothing half done.

        Raises ``RunDirectoryError``.
        """

        def guarded() -> T:
            try:
                return work()
            except self._errors as error:
                reason = str(error).split("\n", 1)[0]
                text = f"{self._what} {self._path} cannot be used: {reason}"
                raise RunDirectoryError(text, hint=disk_hint(error)) from error

        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, guarded))
