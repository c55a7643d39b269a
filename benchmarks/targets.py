"""The targets: ratios within one execution, on two cores with the servers on the same machine. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.contestants import customary, generator, pairs, rclone, s5cmd, tool
from benchmarks.measurements.application import APART, SITUATIONS
from benchmarks.measurements.pace import COMPARED_LATENCY_MS
from benchmarks.measurements.paired import times_bare
from benchmarks.measurements.scale import FOUR, LATENCY_MS, ONE, TWO, TWO_DASK
from benchmarks.measurements.shapes import JSONB, URL
from benchmarks.spread import Spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.application import Felt
    from benchmarks.measurements.application import Beside, Situation, Stall
    from benchmarks.measurements.cost import Cost
    from benchmarks.measurements.scale import Way
    from benchmarks.measurements.shapes import Form
    from benchmarks.results import Results

TOOL, CEILING = tool.OVERWRITING.name, generator.BareCopies().name
BY_ROWS, SCRIPT = s5cmd.ByRows().name, customary.Customary().name
RCLONE, PAIRS = rclone.Rclone().name, pairs.BarePairs().name
TO_SEAWEED, TO_CEPH = "rclone to seaweed", "rclone to ceph"
FAR_AWAY, LARGE_OBJECTS = "responder to responder", "rclone to seaweed, large objects"
LARGE_COUNT = 64
TIMES = "times"
SMALL, LARGE, LARGEST = 20_000, 200_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the table. ``find`` returns the measured value, None where that was not measured."""

    what: str
    limit: float
    unit: str
    find: Callable[[Results], float | None]
    at_least: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target, what was measured, and whether that meets it; ``met`` is None where nothing was measured."""

    what: str
    wanted: str
    measured: str
    met: bool | None


def judge(results: Results, targets: Sequence[Target] | None = None) -> list[Verdict]:
    """Hold the results against targets: without any, against all but those of ``--scale``."""
    return [_verdict(target, target.find(results)) for target in (TARGETS if targets is None else targets)]


def _verdict(target: Target, value: float | None) -> Verdict:
    wanted = f"{'≥' if target.at_least else '≤'} {target.limit:g} {target.unit}".rstrip()
    if value is None:
        return Verdict(target.what, wanted, "not measured", None)
    met = value >= target.limit if target.at_least else value <= target.limit
    return Verdict(target.what, wanted, f"{value:.5g} {target.unit}".rstrip(), met)


def _times(peer: str, rows: int, store: str = "rclone") -> Callable[[Results], float | None]:
    """Tell how many times a peer's rate the tool's is, on rclone's server or another store."""

    def find(results: Results) -> float | None:
        ratios = results.times(TOOL, peer, store, rows)
        return ratios.median if ratios else None

    return find


def _ceiling_share(store: str, ceiling: str = CEILING) -> Callable[[Results], float | None]:
    """Tell the tool's rate in percent of the ceiling's, with the largest table that both were measured on."""

    def find(results: Results) -> float | None:
        for rows in reversed(results.sizes(store)):
            shares = results.times(TOOL, ceiling, store, rows)
            if shares is not None:
                return 100 * shares.median
        return None

    return find


def _cost(of: Callable[[Cost], float], *, how: str = "-yw", tls: bool = False) -> Callable[[Results], float | None]:
    """Take a figure of the runs on the responder with the largest table: the process's start weighs least there."""

    def find(results: Results) -> float | None:
        costs = [cost for cost in results.costs if cost.how == how and cost.tls == tls]
        rows = max((cost.rows for cost in costs), default=0)
        return _median(of(cost) for cost in costs if cost.rows == rows)

    return find


def _times_classic(form: Form) -> Callable[[Results], float | None]:
    """Tell how many times the client's CPU for a classic row one of another form takes."""

    def find(results: Results) -> float | None:
        ratios = results.times_classic(form.name, lambda cost: cost.cpu_us_per_row)
        return ratios.median if ratios else None

    return find


def _peak_mb(rows: int) -> Callable[[Results], float | None]:
    return lambda results: _median(
        cost.peak_kib * 1024 / 1e6 for cost in results.costs if cost.rows == rows and cost.how == "-yw" and not cost.tls
    )


def _streaming_peak_mb(results: Results) -> float | None:
    """Tell the most memory that the tool took while it streamed large objects, in any turn."""
    turns = results.turns_of(TOOL, LARGE_OBJECTS, LARGE_COUNT)
    return max((turn.peak_kib * 1024 / 1e6 for turn in turns), default=None)


def _growth_percent(results: Results) -> float | None:
    few, many = _peak_mb(LARGEST // 10)(results), _peak_mb(LARGEST)(results)
    return 100 * (many / few - 1) if few and many else None


def _first_flip(results: Results) -> float | None:
    return _median(flip.since_work_seconds for flip in results.first_flips if flip.rows == LARGEST)


def _own_pace_percent(results: Results) -> float | None:
    """Tell the tool's own pace behind 50 ms in percent of the best fixed concurrency's."""
    behind = [
        pace for pace in results.paces if pace.latency_ms == COMPARED_LATENCY_MS and not (pace.tls or pace.allowed)
    ]
    medians = {
        concurrency: Spread.of(pace.per_second for pace in behind if pace.concurrency == concurrency).median
        for concurrency in {pace.concurrency for pace in behind}
    }
    own = medians.pop(0, None)
    return 100 * own / max(medians.values()) if own is not None and medians else None


def _used_percent(results: Results) -> float | None:
    return _median(100 * pace.per_second / pace.allowed for pace in results.paces if pace.allowed)


def _refused_percent(results: Results) -> float | None:
    return _median(100 * pace.refused_share for pace in results.paces if pace.allowed)


def _changing_percent(results: Results) -> float | None:
    """Tell the own pace in percent of the best fixed concurrency's, in the worst turn of the store."""
    own = [each.per_second for each in results.changing if not each.concurrency]
    fixed = [each.per_second for each in results.changing if each.concurrency]
    if not own or not fixed:
        return None
    turns = range(len(own[0]))
    best = [max(each[turn] for each in fixed) for turn in turns]
    return min(100 * Spread.of(each[turn] for each in own).median / best[turn] for turn in turns)


def _least_of_bound_percent(results: Results) -> float | None:
    """Tell what was used of what prefixes with limits of their own allow, in the worst order of rows."""
    return min((100 * pace.per_second / pace.bound for pace in results.prefixes), default=None)


def _gain(way: Way, latency_ms: int) -> Callable[[Results], float | None]:
    """Tell how many times as fast as one process others are, whole processes compared."""

    def find(results: Results) -> float | None:
        ours, one = (_median(run.rows_per_second for run in results.shared_by(each, latency_ms)) for each in (way, ONE))
        return ours / one if ours and one else None

    return find


def _times_alone(of: Callable[[Felt], float]) -> Callable[[Results], float | None]:
    """Tell how many times a figure of an application alone it is beside a run, each on its core, pair by pair."""
    return lambda results: _median(of(pair.during) / of(pair.alone) for pair in _apart(results))


def _apart(results: Results) -> list[Beside]:
    return [pair for pair in results.applications if pair.situation == APART.name]


def _slower_for_limits_percent(results: Results) -> float | None:
    """Tell how much slower a run with limits that hold nothing back is than one without, pair by pair."""
    times = times_bare(results.governed, lambda run: run.rows_per_second)
    return 100 * (1 - times.median) if times else None


def _slower_for_listeners_percent(results: Results) -> float | None:
    """Tell how much slower a run of which others are told is than one of which nobody is, pair by pair."""
    times = times_bare(results.observed, lambda run: run.rows_per_second)
    return 100 * (1 - times.median) if times else None


def _rollback_gain(results: Results) -> float | None:
    """Tell how many times as fast as one process two set rows back, whole processes compared, pair by pair."""
    one, two = ([run for run in results.rollbacks if run.way == way.name] for way in (ONE, TWO))
    return _median(ours.rows_per_second / alone.rows_per_second for ours, alone in zip(two, one, strict=False))


def _felt_more(situation: Situation, of: Callable[[Felt], float]) -> Callable[[Results], float | None]:
    """Tell by how much a figure of an application is more beside a run than alone, pair by pair."""
    return lambda results: _median(
        of(pair.during) - of(pair.alone) for pair in results.applications if pair.situation == situation.name
    )


def _worst(of: Callable[[Beside], float]) -> Callable[[Results], float | None]:
    return lambda results: max(map(of, results.applications), default=None)


def _in_the_stall(of: Callable[[Stall], float]) -> Callable[[Results], float | None]:
    return lambda results: max((of(pair.stall) for pair in results.applications if pair.stall), default=None)


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return Spread.of(found).median if found else None


_FELT_FIGURES: dict[str, Callable[[Felt], float]] = {
    "p99.9": lambda felt: felt.p999_ms,
    "longest UPDATE": lambda felt: felt.longest_ms,
}
_APPLICATION = (
    Target(
        f"application's p99 beside a run, {APART.name}, vs alone",
        2,
        TIMES,
        _times_alone(lambda felt: felt.p99_ms),
        at_least=False,
    ),
    Target(
        f"application's longest UPDATE beside a run, {APART.name}, more than alone",
        20,
        "ms",
        _felt_more(APART, lambda felt: felt.longest_ms),
        at_least=False,
    ),
    Target(
        "rows a second meanwhile", 2_000, "", lambda results: _median(pair.rows_per_second for pair in _apart(results))
    ),
    *(
        Target(
            f"application's {figure} beside a run, more than alone: {situation.name}", 50, "ms", find, at_least=False
        )
        for situation in SITUATIONS
        for figure, find in ((name, _felt_more(situation, of)) for name, of in _FELT_FIGURES.items())
    ),
    Target(
        "deadlocks that hit the application, in the worst run",
        0,
        "",
        _worst(lambda pair: pair.during.deadlocks),
        at_least=False,
    ),
    Target(
        "writes of the application that were lost, in the worst run",
        0,
        "",
        _worst(lambda pair: pair.during.lost),
        at_least=False,
    ),
    Target("rows left that nobody held, by the worst run", 0, "", _worst(lambda pair: pair.left), at_least=False),
    Target("flips while the ledger stalls", 0, "", _in_the_stall(lambda stall: stall.flipped), at_least=False),
    Target(
        "locks held while the ledger stalls", 0, "s", _in_the_stall(lambda stall: stall.locked_seconds), at_least=False
    ),
)
TARGETS = (
    Target("end to end vs s5cmd + UPDATE, rclone, -w, 20 000", 2.3, TIMES, _times(BY_ROWS, SMALL)),
    Target("end to end vs s5cmd + UPDATE, rclone, -w, 200 000", 2.6, TIMES, _times(BY_ROWS, LARGE)),
    Target("end to end vs the boto3 script, rclone, -w, 20 000", 12, TIMES, _times(SCRIPT, SMALL)),
    Target("share of the server's ceiling, rclone", 80, "%", _ceiling_share("rclone")),
    Target("share of the server's ceiling, Ceph RGW", 90, "%", _ceiling_share("ceph")),
    Target("streamed to SeaweedFS vs rclone copy + UPDATE", 1.9, TIMES, _times(RCLONE, SMALL, TO_SEAWEED)),
    Target("streamed to Ceph RGW vs rclone copy + UPDATE", 1.7, TIMES, _times(RCLONE, SMALL, TO_CEPH)),
    Target("share of bare GETs and PUTs, to SeaweedFS", 85, "%", _ceiling_share(TO_SEAWEED, PAIRS)),
    Target("share of bare GETs and PUTs, to Ceph RGW", 85, "%", _ceiling_share(TO_CEPH, PAIRS)),
    Target("streamed behind 20 ms vs rclone copy + UPDATE", 5, TIMES, _times(RCLONE, SMALL, FAR_AWAY)),
    Target("64 objects of 64 MiB vs rclone copy + UPDATE", 1, TIMES, _times(RCLONE, LARGE_COUNT, LARGE_OBJECTS)),
    Target("most memory with these: STREAM_MEMORY and 100 MB", 228, "MB", _streaming_peak_mb, at_least=False),
    Target("client CPU a migrated row, plain", 50, "µs", _cost(lambda cost: cost.cpu_us_per_row), at_least=False),
    Target(
        "client CPU a migrated row, TLS", 75, "µs", _cost(lambda cost: cost.cpu_us_per_row, tls=True), at_least=False
    ),
    Target("S3 requests an object, -w", 1.002, "", _cost(lambda cost: cost.requests_per_object), at_least=False),
    Target(
        "S3 requests an object, conditional copy",
        1.002,
        "",
        _cost(lambda cost: cost.requests_per_object, how="-y"),
        at_least=False,
    ),
    Target("client CPU a row, a URL vs a classic one", 1.3, TIMES, _times_classic(URL), at_least=False),
    Target("client CPU a row, jsonb vs a classic one", 2, TIMES, _times_classic(JSONB), at_least=False),
    Target("first flip of 1 000 000 rows, after work began", 0.5, "s", _first_flip, at_least=False),
    Target("peak memory at 1 000 000 rows", 120, "MB", _peak_mb(LARGEST), at_least=False),
    Target("its growth from 100 000 rows", 5, "%", _growth_percent, at_least=False),
    Target("own pace behind 50 ms vs best fixed concurrency", 90, "%", _own_pace_percent),
    Target("used of a store that refuses what is too much", 90, "%", _used_percent),
    Target("refused by it, after 10 s", 2, "%", _refused_percent, at_least=False),
    Target("pace in each turn of 10, 200, 10 ms vs best fixed concurrency", 90, "%", _changing_percent),
    Target("used of prefixes with limits of their own", 90, "%", _least_of_bound_percent),
    Target(
        "listing CPU a key, boto3 vs ours",
        8,
        TIMES,
        lambda results: _median(each.cpu_ratio for each in results.listings),
    ),
    Target(
        "listing behind 50 ms, 8 ranges vs one",
        6,
        TIMES,
        lambda results: _median(each.ranges_ratio for each in results.listings),
    ),
    *_APPLICATION,
    Target("slower for limits that hold nothing back", 2, "%", _slower_for_limits_percent, at_least=False),
    Target("slower for metrics and events", 1, "%", _slower_for_listeners_percent, at_least=False),
    Target("rollback by two processes vs one, 50 ms away", 1.5, TIMES, _rollback_gain),
)

SCALE_TARGETS = (
    Target("2 processes vs one, 50 ms, 16 connections each", 1.8, TIMES, _gain(TWO, LATENCY_MS)),
    Target("4 processes vs one, 50 ms, 16 connections each", 3.4, TIMES, _gain(FOUR, LATENCY_MS)),
    Target("2 Dask workers vs one process, the same", 1.8, TIMES, _gain(TWO_DASK, LATENCY_MS)),
    Target("2 processes vs one, on a fast store", 1, TIMES, _gain(TWO, 0)),
)
