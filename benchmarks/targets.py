"""The targets: ratios within one execution, on two cores with the servers on the same machine. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import calibration, figures
from benchmarks.figures import (
    FAR,
    FAR_AWAY,
    FRESH,
    LARGE,
    LARGE_COUNT,
    LARGE_OBJECTS,
    LARGEST,
    LOOKED_AT,
    PAIRS,
    PUTTING,
    RCLONE,
    S5CMD,
    SCRIPT,
    SMALL,
    TIMES,
    TO_CEPH,
    TO_SEAWEED,
)
from benchmarks.measurements.application import APART, SITUATIONS
from benchmarks.measurements.looks import STATUS, VERIFY
from benchmarks.measurements.scale import FOUR, LATENCY_MS, TWO, TWO_DASK
from benchmarks.measurements.shapes import JSONB, URL
from benchmarks.measurements.start import EMPTY_RUN, PRINTING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.application import Felt
    from benchmarks.results import Results


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the table. ``find`` returns the measured value, None where that was not measured."""

    what: str
    limit: float
    unit: str
    find: Callable[[Results], float | None]
    at_least: bool = True
    measurement: str = ""
    """Which one finds it, where it holds on some machines only."""

    @property
    def is_of_one_machine(self) -> bool:
        """Whether it holds on a machine like that on which it was set, and is no ratio."""
        return self.limit > 0 and self.unit in {"µs", "s", "MB", "million/s"}


def _at_most(
    what: str, limit: float, unit: str, find: Callable[[Results], float | None], measurement: str = ""
) -> Target:
    return Target(what, limit, unit, find, at_least=False, measurement=measurement)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target, what was measured, and whether that meets it; ``met`` is None where that is not judged."""

    what: str
    wanted: str
    measured: str
    met: bool | None


def judge(results: Results, targets: Sequence[Target] | None = None) -> list[Verdict]:
    """Hold the results against targets: without any, against all but those of ``--scale``."""
    asked = TARGETS if targets is None else targets
    return [_verdict(each, each.find(results), judged=_holds_there(each, results)) for each in asked]


def _holds_there(target: Target, results: Results) -> bool:
    """Whether a target holds on the machine on which it was measured."""
    loop_ns = results.loop_ns(target.measurement)
    return not target.is_of_one_machine or not loop_ns or calibration.is_alike(loop_ns)


def _verdict(target: Target, value: float | None, *, judged: bool) -> Verdict:
    wanted = f"{'≥' if target.at_least else '≤'} {target.limit:g} {target.unit}".rstrip()
    if value is None:
        return Verdict(target.what, wanted, "not measured", None)
    measured = f"{value:.5g} {target.unit}".rstrip()
    if not judged:
        return Verdict(target.what, wanted, f"{measured}, on a machine of another speed", None)
    met = value >= target.limit if target.at_least else value <= target.limit
    return Verdict(target.what, wanted, measured, met)


_FELT_FIGURES: dict[str, Callable[[Felt], float]] = {
    "p99.9": lambda felt: felt.p999_ms,
    "longest UPDATE": lambda felt: felt.longest_ms,
}
_APPLICATION = (
    _at_most(
        f"application's p99 beside a run, {APART.name}, vs alone",
        2,
        TIMES,
        figures.times_alone(lambda felt: felt.p99_ms),
    ),
    _at_most(
        f"application's longest UPDATE beside a run, {APART.name}, more than alone",
        20,
        "ms",
        figures.felt_more(APART, lambda felt: felt.longest_ms),
    ),
    Target(
        "rows a second meanwhile",
        2_000,
        "",
        lambda results: figures.median_of(pair.rows_per_second for pair in figures.pairs_apart(results)),
    ),
    *(
        _at_most(f"application's {figure} beside a run, more than alone: {situation.name}", 50, "ms", find)
        for situation in SITUATIONS
        for figure, find in ((name, figures.felt_more(situation, of)) for name, of in _FELT_FIGURES.items())
    ),
    _at_most(
        "deadlocks that hit the application, in the worst run",
        0,
        "",
        figures.in_the_worst(lambda pair: pair.during.deadlocks),
    ),
    _at_most(
        "writes of the application that were lost, in the worst run",
        0,
        "",
        figures.in_the_worst(lambda pair: pair.during.lost),
    ),
    _at_most("rows left that nobody held, by the worst run", 0, "", figures.in_the_worst(lambda pair: pair.left)),
    _at_most("flips while the ledger stalls", 0, "", figures.in_the_stall(lambda stall: stall.flipped)),
    _at_most("locks held while the ledger stalls", 0, "s", figures.in_the_stall(lambda stall: stall.locked_seconds)),
)
TARGETS = (
    Target("vs the fastest s5cmd + UPDATE, rclone, -w, 20 000", 2.6, TIMES, figures.times_fastest(S5CMD, SMALL)),
    Target("vs the fastest s5cmd + UPDATE, rclone, -w, 200 000", 2.8, TIMES, figures.times_fastest(S5CMD, LARGE)),
    Target("vs s5cmd + UPDATE behind 20 ms, 20 000", 4, TIMES, figures.times_fastest(S5CMD, SMALL, FAR)),
    Target("vs s5cmd + UPDATE behind 20 ms, 200 000", 4, TIMES, figures.times_fastest(S5CMD, LARGE, FAR)),
    Target("vs the boto3 script behind 20 ms, 200 000", 25, TIMES, figures.times_of(SCRIPT, LARGE, FAR)),
    Target("share of the server's ceiling, rclone, 200 000", 80, "%", figures.ceiling_share(FRESH)),
    Target("share of the server's ceiling, Ceph RGW", 92, "%", figures.ceiling_share("ceph")),
    Target("share of the server's ceiling, SeaweedFS", 92, "%", figures.ceiling_share("seaweed")),
    Target("streamed to SeaweedFS vs rclone copy + UPDATE", 1.9, TIMES, figures.times_of(RCLONE, SMALL, TO_SEAWEED)),
    Target("streamed to Ceph RGW vs rclone copy + UPDATE", 1.7, TIMES, figures.times_of(RCLONE, SMALL, TO_CEPH)),
    Target("share of bare GETs and PUTs, to SeaweedFS", 85, "%", figures.ceiling_share(TO_SEAWEED, PAIRS)),
    Target("share of bare GETs and PUTs, to Ceph RGW", 85, "%", figures.ceiling_share(TO_CEPH, PAIRS)),
    Target("streamed behind 20 ms vs rclone copy + UPDATE", 5, TIMES, figures.times_of(RCLONE, SMALL, FAR_AWAY)),
    Target(
        "64 objects of 64 MiB vs rclone copy + UPDATE", 1, TIMES, figures.times_of(RCLONE, LARGE_COUNT, LARGE_OBJECTS)
    ),
    _at_most(
        "most memory with these: STREAM_MEMORY and 100 MB",
        228,
        "MB",
        figures.streaming_peak_mb,
        measurement="streamed-large",
    ),
    _at_most(
        "client CPU a migrated row, plain",
        35,
        "µs",
        figures.of_costs(lambda cost: cost.cpu_us_per_row),
        measurement="cost",
    ),
    _at_most(
        "client CPU a migrated row, TLS",
        50,
        "µs",
        figures.of_costs(lambda cost: cost.cpu_us_per_row, tls=True),
        measurement="cost",
    ),
    _at_most("CPU a row, conditional copy vs -w", 1.05, TIMES, figures.times_overwriting),
    _at_most(
        "client CPU a row, conditional put of 2 KiB",
        110,
        "µs",
        figures.of_costs(lambda cost: cost.cpu_us_per_row, how=" ".join(PUTTING)),
        measurement="cost",
    ),
    _at_most(
        "peak memory, 10 000 000 rows vs 1 000 000", 1.03, TIMES, figures.times_smaller(lambda cost: cost.peak_kib)
    ),
    Target("rows a second, the same", 0.95, TIMES, figures.times_smaller(lambda cost: cost.rows / cost.seconds)),
    _at_most(
        "ledger a row, paths of 25 characters", 110, "B", figures.of_costs(lambda cost: cost.ledger_bytes_per_row)
    ),
    _at_most("S3 requests of each object more, -w", 1.002, "", figures.requests_more("-yw")),
    _at_most("S3 requests of each object more, conditional copy", 1.002, "", figures.requests_more("-y")),
    _at_most("client CPU a row, a URL vs a classic one", 1.3, TIMES, figures.times_classic(URL)),
    _at_most("client CPU a row, jsonb vs a classic one", 2, TIMES, figures.times_classic(JSONB)),
    _at_most(
        "first flip of 1 000 000 rows, after work began", 0.5, "s", figures.first_flip_seconds, measurement="first-flip"
    ),
    _at_most(
        "first new flip of a resumed run, 9 of 10 done, after work began",
        1,
        "s",
        figures.resumed_seconds,
        measurement="first-flip",
    ),
    Target("passing finished rows, of 10 000 000", 3, "million/s", figures.passed_millions, measurement="first-flip"),
    _at_most("peak memory at 1 000 000 rows", 120, "MB", figures.peak_mb(LARGEST), measurement="cost"),
    _at_most("its growth from 100 000 rows", 5, "%", figures.growth_percent),
    Target("own pace behind 50 ms vs best fixed concurrency", 90, "%", figures.own_pace_percent),
    Target("used of a store that refuses what is too much", 90, "%", figures.used_percent),
    _at_most("refused by it, after 10 s", 2, "%", figures.refused_percent),
    Target("pace in each turn of 10, 200, 10 ms vs best fixed concurrency", 90, "%", figures.changing_percent),
    Target("used of prefixes with limits of their own", 90, "%", figures.least_of_bound_percent),
    Target(
        "listing CPU a key, boto3 vs ours",
        8,
        TIMES,
        lambda results: figures.median_of(each.cpu_ratio for each in results.listings),
    ),
    Target(
        "listing behind 50 ms, 8 ranges vs one",
        6,
        TIMES,
        lambda results: figures.median_of(each.ranges_ratio for each in results.listings),
    ),
    _at_most(
        f"verify of {LOOKED_AT:,} references",
        150,
        "s",
        figures.of_looks(VERIFY, lambda look: look.seconds),
        measurement="looks",
    ),
    _at_most(
        "its memory, all processes",
        600,
        "MB",
        figures.of_looks(VERIFY, lambda look: look.memory_bytes / 1e6),
        measurement="looks",
    ),
    _at_most(
        "its disk in RUN_DIR",
        1200,
        "MB",
        figures.of_looks(VERIFY, lambda look: look.disk_bytes / 1e6),
        measurement="looks",
    ),
    _at_most(
        f"status of {LOOKED_AT:,} rows",
        30,
        "s",
        figures.of_looks(STATUS, lambda look: look.seconds),
        measurement="looks",
    ),
    _at_most(
        "its memory, all processes",
        150,
        "MB",
        figures.of_looks(STATUS, lambda look: look.memory_bytes / 1e6),
        measurement="looks",
    ),
    *_APPLICATION,
    _at_most("slower for limits that hold nothing back", 2, "%", figures.slower_for_limits_percent),
    _at_most("slower for metrics and events", 1, "%", figures.slower_for_listeners_percent),
    Target("rollback by two processes vs one, 50 ms away", 1.5, TIMES, figures.rollback_gain),
    _at_most(
        "CPU of what only prints: -h, --version", 0.12, "s", figures.start_seconds(tuple(PRINTING)), measurement="start"
    ),
    _at_most("CPU of a run over an empty table", 0.35, "s", figures.start_seconds((EMPTY_RUN,)), measurement="start"),
)

SCALE_TARGETS = (
    Target("2 processes vs one, 50 ms, 16 connections each", 1.8, TIMES, figures.gain_of(TWO, LATENCY_MS)),
    Target("4 processes vs one, 50 ms, 16 connections each", 3.4, TIMES, figures.gain_of(FOUR, LATENCY_MS)),
    Target("2 Dask workers vs one process, the same", 1.8, TIMES, figures.gain_of(TWO_DASK, LATENCY_MS)),
    Target("2 processes vs one, on a fast store", 1, TIMES, figures.gain_of(TWO, 0)),
    Target("share of what two cores allow, 2 processes, fast store", 90, "%", figures.share_of_two_cores),
)
