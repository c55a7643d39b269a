"""What a run shows as metrics of Prometheus: the newest sample as families. Pure.

Names begin with ``sketch_migrate_`` and end in their unit, as "Metric and label naming" of Prometheus has it; what only
grows ends in ``_total``. What nobody can see is left out, which is another thing than 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.registry import Collector

from sketchmigrate.core.sample import LATENCY_BOUNDS_MS
from sketchmigrate.report.limits import limit_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

    from sketchmigrate.core.sample import Sample

PREFIX = "sketch_migrate_"

_LE = (*(f"{bound / 1_000:g}" for bound in LATENCY_BOUNDS_MS), "+Inf")


@dataclass(frozen=True, slots=True)
class Reading:
    """What there is to show. ``progress_at`` is when the run last moved, Unix time; ``limits`` are those of settings.

    ``rows_passed`` of ``rows_expected`` (None: nobody knows) rows were passed.
    """

    version: str
    command: str
    run: str
    progress_at: float
    sample: Sample | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    rows_passed: int = 0
    rows_expected: int | None = None
    is_running: bool = True


class RunCollector(Collector):
    """Shows the newest ``reading`` to whoever asks, on whatever thread."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading

    def collect(self) -> Iterator[Metric]:
        """Yield the families of the newest reading."""
        return families(self.reading)


def families(reading: Reading) -> Iterator[Metric]:
    """Yield all metrics of a reading."""
    told = {"version": reading.version, "command": reading.command, "run": reading.run}
    yield InfoMetricFamily(PREFIX[:-1], "The tool and its run", value=told)
    yield _gauge("running", "Whether the run goes on: a file stays when it is over", reading.is_running)
    yield _gauge("last_progress_timestamp_seconds", "When the run last moved, in Unix time", reading.progress_at)
    yield _gauge("rows_passed", "Rows of the table that were passed", reading.rows_passed)
    if reading.rows_expected is not None:
        yield _gauge("rows_expected", "Rows of the table, as far as is known", reading.rows_expected)
    limits = GaugeMetricFamily(
        f"{PREFIX}limit", "Limits of the settings, in the unit of each; none is absent", labels=["setting"]
    )
    for setting, value in reading.limits.items():
        limits.add_metric([setting], value)
    yield limits
    if reading.sample is not None:
        yield from _of_sample(reading.sample)


def _of_sample(sample: Sample) -> Iterator[Metric]:
    yield _counter("rows", "Rows by what became of them", "outcome", sample.rows)
    requests = CounterMetricFamily(
        f"{PREFIX}requests",
        "S3 requests by operation and HTTP status; none: no reply came",
        labels=["operation", "status"],
    )
    for operation, counts in sample.replies.items():
        for status, count in counts.items():
            requests.add_metric([operation, status], count)
    yield requests
    yield _durations(sample)
    yield _gauge("requests_in_flight", "S3 requests that wait for their reply", sample.in_flight)
    yield _gauge("requests_window", "S3 requests that may be in flight at once", sample.window)
    stored = CounterMetricFamily(f"{PREFIX}stored_bytes", "Bytes of objects that went through this machine")
    stored.add_metric([], sample.stored_bytes)
    yield stored
    if sample.ledger_bytes is not None:
        yield _gauge("ledger_bytes", "Size of the ledger's files", sample.ledger_bytes)
    limited = GaugeMetricFamily(f"{PREFIX}limited", "What limits the run now; nothing: absent", labels=["by"])
    if name := limit_name(sample.limit):
        limited.add_metric([name], 1)
    yield limited
    yield _gauge("stopped", "Whether nothing moves for that", sample.is_stopped)
    yield from _of_vitals(sample)


def _durations(sample: Sample) -> Metric:
    family = HistogramMetricFamily(
        f"{PREFIX}request_duration_seconds", "Time from a request to its reply", labels=["operation"]
    )
    for operation, classes in sample.latency.items():
        sums = list(accumulate(classes))
        family.add_metric([operation], list(zip(_LE, sums, strict=True)), None)
        family.add_sample(f"{family.name}_count", {"operation": operation}, sums[-1])
    return family


def _of_vitals(sample: Sample) -> Iterator[Metric]:
    vitals = sample.vitals
    shown = {
        "replica_lag_seconds": ("How long the worst standby has been behind", vitals.lag_seconds),
        "replica_lag_bytes": ("How many bytes of WAL the worst standby is behind", vitals.lag_bytes),
        "slot_wal_bytes": ("WAL that the worst replication slot keeps", vitals.slot_wal_bytes),
        "wal_bytes_per_second": ("WAL that the server writes", vitals.wal_bytes_per_second),
        "lock_waiters": ("Sessions that wait for rows of ours", vitals.lock_waiters),
        "database_sessions": ("Sessions of the database", vitals.sessions),
        "database_transactions_per_second": ("Transactions of the database", vitals.transactions_per_second),
    }
    for name, (about, value) in shown.items():
        if value is not None:
            yield _gauge(name, about, value)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}{name}", about, value=value)


def _counter(name: str, about: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"{PREFIX}{name}", about, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family
