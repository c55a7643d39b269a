"""Takes a sample of a run once a second, and hands it to whoever listens: the record, the metrics, the events."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sketchmigrate.core.sample import Felt, Sample
from sketchmigrate.core.traffic import Crew
from sketchmigrate.migration.watch import RegularLook
from sketchmigrate.report.run_status import outcomes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from sketchmigrate.report.progress import Figures, Progress
    from sketchmigrate.sides import Sides

EVERY_SECONDS = 1.0

LEDGER_FILES = "ledger*.sqlite*"
"""In the directory of a run: its own, those of its workers, and what SQLite keeps beside each."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Seen:
    """What only others see of a run: the traffic of its workers, and what the database feels."""

    crew: Crew = field(default_factory=Crew)
    vitals: Felt = field(default_factory=Felt)


class Counts:
    """Rows by outcome, none of which ever gets less: what a lost worker had told stays, until it is done again."""

    def __init__(self) -> None:
        self._most: dict[str, int] = {}

    def of(self, figures: Figures, *, is_back: bool) -> dict[str, int]:
        """Return the counts by outcome, of a rollback (``is_back``) in its own words."""
        for word, count in outcomes_of(figures.tally, is_back=is_back).items():
            self._most[word] = max(count, self._most.get(word, 0))
        return dict(self._most)


def ledger_bytes(run: Path) -> int | None:
    """Return the size of the ledger's files in the directory of a run, None where there are none."""
    sizes = []
    for path in run.glob(LEDGER_FILES):
        try:
            sizes.append(path.stat().st_size)
        except OSError:  # SQLite has removed it meanwhile
            continue
    return sum(sizes) if sizes else None


class Sampler(RegularLook):
    """Takes samples as long as the context lasts, and a last one at its end. An async context manager.

    ``run`` is the run's directory. Each of the ``listeners`` must be quick; one that fails is dropped, with a warning.
    """

    def __init__(
        self,
        sides: Sides,
        progress: Progress,
        seen: Seen,
        listeners: Sequence[Callable[[Sample], None]],
        *,
        run: Path,
        is_back: bool,
    ) -> None:
        super().__init__(EVERY_SECONDS)
        self._sides, self._progress, self._seen = sides, progress, seen
        self._listeners = list(listeners)
        self._run, self._is_back = run, is_back
        self._counts = Counts()

    def _begin(self) -> None:
        if self._listeners:
            super()._begin()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        self._look()

    def _look(self) -> None:
        if not self._listeners:
            return
        sample = self._sample()
        for listener in tuple(self._listeners):
            try:
                listener(sample)
            except Exception as error:  # noqa: BLE001 - who listens must not end a run
                self._listeners.remove(listener)
                name = getattr(listener, "__qualname__", repr(listener))
                log.warning("%s takes no more samples of the run: %s: %s", name, type(error).__name__, error)

    def _sample(self) -> Sample:
        figures, seen = self._progress.figures, self._seen
        traffic = self._sides.traffic + seen.crew.traffic
        return Sample(
            at=time.time(),
            rows=self._counts.of(figures, is_back=self._is_back),
            replies=traffic.replies,
            latency=traffic.latency,
            in_flight=traffic.in_flight,
            window=traffic.window,
            stored_bytes=traffic.stored_bytes,
            ledger_bytes=ledger_bytes(self._run),
            limit=figures.note or figures.standstill or figures.limited_by,
            is_stopped=figures.is_stopped or bool(figures.standstill),
            vitals=seen.vitals,
        )
