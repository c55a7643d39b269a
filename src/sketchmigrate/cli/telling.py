"""Tells others of a run: metrics, events, NOTIFY_COMMAND. What is not asked for is not imported."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sketchmigrate import __version__
from sketchmigrate.core.errors import MetricsRefused
from sketchmigrate.migration.standstill import mark_of
from sketchmigrate.report.events import (
    BEGAN,
    Changes,
    entry_event,
    is_problem,
    order_event,
    problem_event,
    progress_event,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sketchmigrate.core.outcome import Result
    from sketchmigrate.core.sample import Sample
    from sketchmigrate.migration.tuning import Tuning
    from sketchmigrate.report.event_stream import EventStream
    from sketchmigrate.report.metrics import RunCollector
    from sketchmigrate.report.metrics_server import MetricsFile
    from sketchmigrate.report.notify import Notifier
    from sketchmigrate.report.progress import Progress
    from sketchmigrate.report.terminal import Terminal
    from sketchmigrate.settings import Options


class Telling:
    """Tells of one run, as far as its options ask for it. ``is_back``: it is a rollback."""

    def __init__(self, events: EventStream | None, notifier: Notifier | None, *, is_back: bool) -> None:
        self._events, self._notifier, self._is_back = events, notifier, is_back
        self._changes = Changes()

    @property
    def wants_results(self) -> bool:
        """Whether what became of rows is to be told."""
        return self._events is not None

    @property
    def wants_samples(self) -> bool:
        """Whether the run is to be looked at."""
        return self._events is not None or self._notifier is not None

    def take(self, sample: Sample, progress: Progress) -> None:
        """Tell how far it is, and what has changed."""
        figures = progress.figures
        for event in self._changes.look(figures):
            if self._events is not None:
                self._events.put(event)
            if self._notifier is not None and (event["event"], event["change"]) == ("stalled", BEGAN):
                self._notifier.tell(event)
        if self._events is not None:
            self._events.put(progress_event(sample, figures, is_back=self._is_back))

    def results(self, source: str, results: Iterable[Result], *, is_verbose: bool) -> None:
        """Tell what became of rows; without ``-v`` only of those that need a person."""
        if self._events is None:
            return
        for result in results:
            if is_verbose:
                self._events.put(entry_event(result, source, is_back=self._is_back))
            if is_problem(result):
                self._events.put(problem_event(result, source, is_back=self._is_back))

    def ordered(self, by: str, order: str) -> None:
        """Tell what somebody has ordered."""
        if self._events is not None:
            self._events.put(order_event(by, order))


class Metrics:
    """The metrics of a run, over HTTP and in a file, as its options say.

    Raises ``MetricsRefused`` where it cannot be made.
    """

    def __init__(self, options: Options, tuning: Tuning, *, command: str, run: str) -> None:
        from sketchmigrate.report.metrics import Reading, RunCollector  # noqa: PLC0415 - few runs need prometheus_client
        from sketchmigrate.report.metrics_server import MetricsFile, registry_of, serve  # noqa: PLC0415 - as above

        self._tuning = tuning
        self._mark: object = None
        self._collector: RunCollector = RunCollector(Reading(__version__, command, run, time.time()))
        registry = registry_of(self._collector)
        self.where = ""
        if options.metrics:
            host, _, port = options.metrics.rpartition(":")
            server = serve(registry, host.strip("[]"), int(port))
            self.where = f"http://{host}:{server.server_port}/metrics"
        self._file: MetricsFile | None = None
        if options.metrics_file:
            path = Path(options.metrics_file)
            if path.exists() and not path.is_file():
                raise MetricsRefused(f"--metrics-file: {path} is no file", hint="It is replaced as a whole each time.")
            self._file = MetricsFile(path, registry, time.monotonic())

    def take(self, sample: Sample, progress: Progress) -> None:
        """Show a sample from now on."""
        figures, before = progress.figures, self._collector.reading
        mark = mark_of(figures)
        moved = mark != self._mark and self._mark is not None
        self._mark = mark
        told = self._tuning.present.shown
        self._collector.reading = replace(
            before,
            progress_at=sample.at if moved else before.progress_at,
            sample=sample,
            limits={
                name: float(value)
                for name, value in told.items()
                if name.startswith("MAX_") and isinstance(value, int | float) and value
            },
            rows_passed=figures.rows_done,
            rows_expected=figures.total_rows if figures.knows_total else None,
        )
        if self._file is not None:
            self._file.look(time.monotonic())

    def close(self) -> None:
        """Say that the run is over, and write the file a last time."""
        self._collector.reading = replace(self._collector.reading, is_running=False)
        if self._file is not None:
            self._file.close()


def metrics_of(options: Options, tuning: Tuning, terminal: Terminal, *, command: str, run: str) -> Metrics | None:
    """Return the metrics of a run, None where none are asked for. Raises ``MetricsRefused``."""
    if not (options.metrics or options.metrics_file):
        return None
    metrics = Metrics(options, tuning, command=command, run=run)
    if metrics.where:
        terminal.message(f"Metrics: {metrics.where}")
    return metrics
