"""The targets: ratios within one execution, on two cores with the servers on the same machine. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import calibration
from benchmarks.contestants import customary, generator, pairs, rclone, s5cmd, tool
from benchmarks.measurements.application import APART, SITUATIONS
from benchmarks.measurements.looks import STATUS, VERIFY
from benchmarks.measurements.pace import COMPARED_LATENCY_MS
from benchmarks.measurements.paired import times_bare
from benchmarks.measurements.scale import FOUR, LATENCY_MS, ONE, TWO, TWO_DASK
from benchmarks.measurements.shapes import JSONB, URL
from benchmarks.measurements.start import EMPTY_RUN, PRINTING
from benchmarks.spread import Spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.application import Felt
    from benchmarks.measurements.application import Beside, Situation, Stall
    from benchmarks.measurements.cost import Cost
    from benchmarks.measurements.looks import Look
    from benchmarks.measurements.scale import Way
    from benchmarks.measurements.shapes import Form
    from benchmarks.results import Results

TOOL, CEILING = tool.OVERWRITING.name, generator.BareCopies().name
BY_ROWS, SCRIPT = s5cmd.ByRows().name, customary.Customary().name
BY_PATTERN = s5cmd.ByPattern().name
S5CMD = (BY_ROWS, BY_PATTERN)
FAR, FRESH = "responder", "rclone, fresh"
PUTTING = ("-y", "--no-clobber", "conditional-put")
RCLONE, PAIRS = rclone.Rclone().name, pairs.BarePairs().name
TO_SEAWEED, TO_CEPH = "rclone to seaweed", "rclone to ceph"
FAR_AWAY, LARGE_OBJECTS = "responder to responder", "rclone to seaweed, large objects"
LARGE_COUNT = 64
TIMES = "times"
SMALL, LARGE, LARGEST, HUGE = 20_000, 200_000, 1_000_000, 10_000_000
LOOKED_AT = 10_000_000


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the table. ``find`` returns the measured value, None where that was not measured."""

    what: str
    limit: float
    unit: str
    find: Callable[[Results], float | None]
    at_least: bool = True

    @property
    def is_of_one_machine(self) -> bool:
        """Whether it holds on a machine like that on which it was set, and is no ratio."""
        return self.limit > 0 and self.unit in {"µs", "s", "MB"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target, what was measured, and whether that meets it; ``met`` is None where that is not judged."""

    what: str
    wanted: str
    measured: str
    met: bool | None


def judge(results: Results, targets: Sequence[Target] | None = None) -> list[Verdict]:
    """Hold the results against targets: without any, against all but those of ``--scale``."""
    is_alike = not results.loop_ns or calibration.is_alike(results.loop_ns)
    asked = TARGETS if targets is None else targets
    return [_verdict(each, each.find(results), judged=is_alike or not each.is_of_one_machine) for each in asked]


def _verdict(target: Target, value: float | None, *, judged: bool) -> Verdict:
    wanted = f"{'≥' if target.at_least else '≤'} {target.limit:g} {target.unit}".rstrip()
    if value is None:
        return Verdict(target.what, wanted, "not measured", None)
    measured = f"{value:.5g} {target.unit}".rstrip()
    if not judged:
        return Verdict(target.what, wanted, f"{measured}, on a machine of another speed", None)
    met = value >= target.limit if target.at_least else value <= target.limit
    return Verdict(target.what, wanted, measured, met)


def _times(peer: str, rows: int, store: str = "rclone") -> Callable[[Results], float | None]:
    """Tell how many times a peer's rate the tool's is, on rclone's server or another store."""

    def find(results: Results) -> float | None:
        ratios = results.times(TOOL, peer, store, rows)
        return ratios.median if ratios else None

    return find


def _times_fastest(peers: Sequence[str], rows: int, store: str = "rclone") -> Callable[[Results], float | None]:
    """Tell how many times the rate of the fastest of some peers the tool's is."""
    return lambda results: min(
        (found for peer in peers if (found := _times(peer, rows, store)(results)) is not None), default=None
    )


def _ceiling_share(store: str, ceiling: str = CEILING) -> Callable[[Results], float | None]:
    """Tell the tool's rate in percent of the ceiling's, with the largest table that both were measured on."""

    def find(results: Results) -> float | None:
        for rows in reversed(results.sizes(store)):
            shares = results.times(TOOL, ceiling, store, rows)
            if shares is not None:
                return 100 * shares.median
        return None

    return find


def _cost(
    of: Callable[[Cost], float], *, how: str = "-yw", tls: bool = False, most_rows: int = LARGE
) -> Callable[[Results], float | None]:
    """Take a figure of the runs on the responder with the largest table of at most so many rows."""

    def find(results: Results) -> float | None:
        costs = [cost for cost in results.costs if cost.how == how and cost.tls == tls and cost.rows <= most_rows]
        rows = max((cost.rows for cost in costs), default=0)
        return _median(of(cost) for cost in costs if cost.rows == rows)

    return find


def _times_overwriting(results: Results) -> float | None:
    """Tell how many times the CPU of a row with ``-w`` one takes that is copied on a condition, round by round."""
    both = ([cost.cpu_us_per_row for cost in _plain(results, how) if cost.rows == LARGE] for how in ("-y", "-yw"))
    return _median(guarded / overwriting for guarded, overwriting in zip(*both, strict=False))


def _plain(results: Results, how: str) -> list[Cost]:
    return [cost for cost in results.costs if cost.how == how and not cost.tls]


def _larger(of: Callable[[Cost], float]) -> Callable[[Results], float | None]:
    """Tell how many times a figure of a million rows that of ten million is."""

    def find(results: Results) -> float | None:
        few, many = (
            _median(of(cost) for cost in _plain(results, "-yw") if cost.rows == rows) for rows in (LARGEST, HUGE)
        )
        return many / few if few and many else None

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


def _look(command: str, of: Callable[[Look], float]) -> Callable[[Results], float | None]:
    """Take a figure of a command that looks at as many rows as the targets are for."""
    return lambda results: _median(
        of(look) for look in results.looks if look.command == command and look.rows == LOOKED_AT
    )


def _first_flip(results: Results) -> float | None:
    first = [flip for flip in results.first_flips if flip.rows == LARGEST and not flip.finished]
    return _median(flip.since_work_seconds for flip in first)


def _resumed(results: Results) -> float | None:
    return _median(flip.since_work_seconds for flip in results.first_flips if flip.finished)


def _passed_millions(results: Results) -> float | None:
    return _median(each.per_second / 1e6 for each in results.passed)


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


def _share_of_two_cores(results: Results) -> float | None:
    """Tell the rate of two processes at work, in percent of what two cores allow by the CPU that a row takes in all."""
    return _median(
        100 * run.working_rows_per_second * run.all_cpu_us_per_row / 2e6 for run in results.shared_by(TWO, 0)
    )


def _rollback_gain(results: Results) -> float | None:
    """Tell how many times as fast as one process two set rows back, whole processes compared, pair by pair."""
    one, two = ([run for run in results.rollbacks if run.way == way.name] for way in (ONE, TWO))
    return _median(ours.rows_per_second / alone.rows_per_second for ours, alone in zip(two, one, strict=False))


def _start_seconds(whats: Iterable[str]) -> Callable[[Results], float | None]:
    """Tell the CPU time of the dearest of some ways to start the tool."""

    def find(results: Results) -> float | None:
        medians = (_median(each.cpu_seconds for each in results.starts if each.what == what) for what in whats)
        return max((median for median in medians if median is not None), default=None)

    return find


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
    Target("vs the fastest s5cmd + UPDATE, rclone, -w, 20 000", 2.6, TIMES, _times_fastest(S5CMD, SMALL)),
    Target("vs the fastest s5cmd + UPDATE, rclone, -w, 200 000", 2.8, TIMES, _times_fastest(S5CMD, LARGE)),
    Target("vs the fastest s5cmd + UPDATE, behind 20 ms", 4, TIMES, _times_fastest(S5CMD, SMALL, FAR)),
    Target("vs the boto3 script, behind 20 ms", 25, TIMES, _times(SCRIPT, SMALL, FAR)),
    Target("share of the server's ceiling, rclone, 200 000", 80, "%", _ceiling_share(FRESH)),
    Target("share of the server's ceiling, Ceph RGW", 92, "%", _ceiling_share("ceph")),
    Target("share of the server's ceiling, SeaweedFS", 92, "%", _ceiling_share("seaweed")),
    Target("streamed to SeaweedFS vs rclone copy + UPDATE", 1.9, TIMES, _times(RCLONE, SMALL, TO_SEAWEED)),
    Target("streamed to Ceph RGW vs rclone copy + UPDATE", 1.7, TIMES, _times(RCLONE, SMALL, TO_CEPH)),
    Target("share of bare GETs and PUTs, to SeaweedFS", 85, "%", _ceiling_share(TO_SEAWEED, PAIRS)),
    Target("share of bare GETs and PUTs, to Ceph RGW", 85, "%", _ceiling_share(TO_CEPH, PAIRS)),
    Target("streamed behind 20 ms vs rclone copy + UPDATE", 5, TIMES, _times(RCLONE, SMALL, FAR_AWAY)),
    Target("64 objects of 64 MiB vs rclone copy + UPDATE", 1, TIMES, _times(RCLONE, LARGE_COUNT, LARGE_OBJECTS)),
    Target("most memory with these: STREAM_MEMORY and 100 MB", 228, "MB", _streaming_peak_mb, at_least=False),
    Target("client CPU a migrated row, plain", 35, "µs", _cost(lambda cost: cost.cpu_us_per_row), at_least=False),
    Target(
        "client CPU a migrated row, TLS", 50, "µs", _cost(lambda cost: cost.cpu_us_per_row, tls=True), at_least=False
    ),
    Target("CPU a row, conditional copy vs -w", 1.05, TIMES, _times_overwriting, at_least=False),
    Target(
        "client CPU a row, conditional put of 2 KiB",
        110,
        "µs",
        _cost(lambda cost: cost.cpu_us_per_row, how=" ".join(PUTTING)),
        at_least=False,
    ),
    Target(
        "peak memory, 10 000 000 rows vs 1 000 000", 1.03, TIMES, _larger(lambda cost: cost.peak_kib), at_least=False
    ),
    Target("rows a second, the same", 0.95, TIMES, _larger(lambda cost: cost.rows / cost.seconds)),
    Target(
        "ledger a row, paths of 25 characters", 110, "B", _cost(lambda cost: cost.ledger_bytes_per_row), at_least=False
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
    Target("first new flip of a resumed run, 9 of 10 done, after work began", 1, "s", _resumed, at_least=False),
    Target("passing finished rows, of 10 000 000", 3, "million/s", _passed_millions),
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
    Target(f"verify of {LOOKED_AT:,} references", 150, "s", _look(VERIFY, lambda look: look.seconds), at_least=False),
    Target("its memory, all processes", 600, "MB", _look(VERIFY, lambda look: look.memory_bytes / 1e6), at_least=False),
    Target("its disk in RUN_DIR", 1200, "MB", _look(VERIFY, lambda look: look.disk_bytes / 1e6), at_least=False),
    Target(f"status of {LOOKED_AT:,} rows", 30, "s", _look(STATUS, lambda look: look.seconds), at_least=False),
    Target("its memory, all processes", 150, "MB", _look(STATUS, lambda look: look.memory_bytes / 1e6), at_least=False),
    *_APPLICATION,
    Target("slower for limits that hold nothing back", 2, "%", _slower_for_limits_percent, at_least=False),
    Target("slower for metrics and events", 1, "%", _slower_for_listeners_percent, at_least=False),
    Target("rollback by two processes vs one, 50 ms away", 1.5, TIMES, _rollback_gain),
    Target("CPU of what only prints: -h, --version", 0.12, "s", _start_seconds(tuple(PRINTING)), at_least=False),
    Target("CPU of a run over an empty table", 0.35, "s", _start_seconds((EMPTY_RUN,)), at_least=False),
)

SCALE_TARGETS = (
    Target("2 processes vs one, 50 ms, 16 connections each", 1.8, TIMES, _gain(TWO, LATENCY_MS)),
    Target("4 processes vs one, 50 ms, 16 connections each", 3.4, TIMES, _gain(FOUR, LATENCY_MS)),
    Target("2 Dask workers vs one process, the same", 1.8, TIMES, _gain(TWO_DASK, LATENCY_MS)),
    Target("2 processes vs one, on a fast store", 1, TIMES, _gain(TWO, 0)),
    Target("share of what two cores allow, 2 processes, fast store", 90, "%", _share_of_two_cores),
)
