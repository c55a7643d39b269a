"""A run of the past, read newest flip first: the ledger in its directory, and those of its workers beside it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from sketchmigrate.core.errors import UsageError
from sketchmigrate.core.keys import key_order
from sketchmigrate.ledger.contract import PAGE_FLIPS, source_names, values_of
from sketchmigrate.ledger.directory import LEDGER_NAME
from sketchmigrate.ledger.merging import in_order
from sketchmigrate.ledger.sqlite.lock import LOCK_NAME, is_held
from sketchmigrate.ledger.sqlite.reader import LedgerFile
from sketchmigrate.ledger.sqlite.workers import WORKER_FILES
from sketchmigrate.ledger.values import is_full

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path
    from types import TracebackType

    from sketchmigrate.core.keys import StoredKey
    from sketchmigrate.core.outcome import ProblemGroup
    from sketchmigrate.core.sample import Sample
    from sketchmigrate.ledger.contract import OpenUpload, PastFlip, RecordedFlip, UnsettledCopy


class PastFiles:
    """The ledgers in a run's directory, open for reading as one. A context manager; nothing is written beside them.

    ``description`` is what the run noted of itself, ``flips`` how many it set out to make, ``last_flip_at`` the Unix
    time of the last, or 0. Every method raises ``RunDirectoryError``, and opening one that is not there ``UsageError``.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / LEDGER_NAME
        self._files: list[LedgerFile] = []
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        if not self.path.is_file():
            hint = "Give the directory of a run: it is named at the beginning of the run's output, and in its log."
            raise UsageError(f"{self.directory} holds no {LEDGER_NAME}", hint=hint)
        paths = [self.path, *sorted(self.directory.glob(WORKER_FILES))]
        with ExitStack() as opened:
            self._files = [opened.enter_context(LedgerFile(path)) for path in paths]
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    @property
    def description(self) -> dict[str, str]:
        """What the run noted of itself."""
        return self._files[0].description

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of its sources."""
        return source_names(self.description)

    @property
    def flips(self) -> int:
        """How many flips it set out to make."""
        return sum(file.flips for file in self._files)

    @property
    def last_flip_at(self) -> float:
        """The Unix time of the last, or 0."""
        return max(file.last_flip_at for file in self._files)

    def goes_on(self) -> str:
        """Return what tells that the run is not over; empty where it is, as far as can be told."""
        return f"it holds the lock of {self.directory / LOCK_NAME}" if is_held(self.directory) else ""

    async def newest_first(
        self, *, source: int | None = None, page_flips: int = PAGE_FLIPS
    ) -> AsyncIterator[list[PastFlip]]:
        """Yield all flips in pages, the newest first, but those that did not come about as the run noted itself."""
        async for page in in_order(self._files, page_flips, source=source):
            yield page

    async def oldest_first(
        self, *, source: int | None = None, page_flips: int = PAGE_FLIPS
    ) -> AsyncIterator[list[PastFlip]]:
        """Yield the same in the order in which they were written."""
        async for page in in_order(self._files, page_flips, source=source, forwards=True):
            yield page

    def stored_otherwise(self, after: StoredKey | None, count: int, *, source: int = 0) -> list[PastFlip]:
        """Return flips, by key, for which the database stored another path, which the run committed."""
        pages = [file.stored_otherwise(after, count, source=source) for file in self._files]
        return sorted({each.key: each for page in pages for each in page}.values(), key=_order)[:count]

    def unsettled(self, after: StoredKey | None, count: int, *, source: int = 0) -> list[UnsettledCopy]:
        """Return references, by key, whose object this run copied without a condition and whose row it did not set."""
        pages = [file.unsettled(after, count, source=source) for file in self._files]
        found = sorted({each.key: each for page in pages for each in page}.values(), key=_order)[:count]
        cut_at = [_order(page[-1]) for page in pages if page and is_full(map(values_of, page))]
        return [each for each in found if all(_order(each) <= last for last in cut_at)]  # type: ignore[operator]  # keys of one column are of one type

    def flips_of(self, keys: Iterable[StoredKey], *, source: int = 0) -> list[RecordedFlip]:
        """Return the flips of these keys."""
        among = list(keys)
        return [flip for file in self._files for flip in file.flips_of(among, source=source)]

    def reported_overwritten(self, keys: Iterable[StoredKey], *, source: int = 0) -> set[StoredKey]:
        """Return those of the keys whose object this run has reported as possibly overwritten."""
        among = list(keys)
        return {key for file in self._files for key in file.reported_overwritten(among, source=source)}

    def uploads(self) -> tuple[list[OpenUpload], set[str]]:
        """Return the uploads that this run has begun, and the ids of those that it knows to have ended."""
        found = [file.uploads() for file in self._files]
        return [each for begun, _ in found for each in begun], {each for _, ended in found for each in ended}

    def samples(self) -> list[Sample]:
        """Return how the run stood at one moment after the other, the oldest first."""
        return self._files[0].samples()

    def problem_groups(self) -> tuple[ProblemGroup, ...]:
        """Return how many references need a person, by reason."""
        return self._files[0].problem_groups()

    def newest_objects(self, count: int) -> list[tuple[str, int | None]]:
        """Return what the newest flips set rows to, but for long values, and the size of the object if it is known."""
        return [each for file in self._files for each in file.newest_objects(count)]


def _order(what: PastFlip | UnsettledCopy) -> int | str:
    return key_order(what.key)
