"""The figures that targets are about, as they are picked from the results. None is what was not measured. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.contestants import customary, generator, pairs, rclone, s5cmd, tool
from benchmarks.measurements.application import APART
from benchmarks.measurements.pace import COMPARED_LATENCY_MS
from benchmarks.measurements.paired import times_bare
from benchmarks.measurements.scale import ONE, TWO
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


def times_of(peer: str, rows: int, store: str = "rclone") -> Callable[[Results], float | None]:
    """Tell how many times a peer's rate the tool's is, on rclone's server or another store."""

    def find(results: Results) -> float | None:
        ratios = results.times(TOOL, peer, store, rows)
        return ratios.median if ratios else None

    return find


def times_fastest(peers: Sequence[str], rows: int, store: str = "rclone") -> Callable[[Results], float | None]:
    """Tell how many times the rate of the fastest of some peers the tool's is."""
    return lambda results: min(
        (found for peer in peers if (found := times_of(peer, rows, store)(results)) is not None), default=None
    )


def ceiling_share(store: str, ceiling: str = CEILING) -> Callable[[Results], float | None]:
    """Tell the tool's rate in percent of the ceiling's, with the largest table that both were measured on."""

    def find(results: Results) -> float | None:
        for rows in reversed(results.sizes(store)):
            shares = results.times(TOOL, ceiling, store, rows)
            if shares is not None:
                return 100 * shares.median
        return None

    return find


def of_costs(
    of: Callable[[Cost], float], *, how: str = "-yw", tls: bool = False, most_rows: int = LARGE
) -> Callable[[Results], float | None]:
    """Take a figure of the runs on the responder with the largest table of at most so many rows."""

    def find(results: Results) -> float | None:
        costs = [cost for cost in results.costs if cost.how == how and cost.tls == tls and cost.rows <= most_rows]
        rows = max((cost.rows for cost in costs), default=0)
        return median_of(of(cost) for cost in costs if cost.rows == rows)

    return find


def requests_more(how: str) -> Callable[[Results], float | None]:
    """Tell how many requests each object takes, without those of a start, which are as many for any table."""

    def find(results: Results) -> float | None:
        few, many = (
            median_of(sum(cost.requests.values()) for cost in plain_costs(results, how) if cost.rows == rows)
            for rows in (SMALL, LARGE)
        )
        return (many - few) / (LARGE - SMALL) if few and many else None

    return find


def times_overwriting(results: Results) -> float | None:
    """Tell how many times the CPU of a row with ``-w`` one takes that is copied on a condition, round by round."""
    both = ([cost.cpu_us_per_row for cost in plain_costs(results, how) if cost.rows == LARGE] for how in ("-y", "-yw"))
    return median_of(guarded / overwriting for guarded, overwriting in zip(*both, strict=False))


def plain_costs(results: Results, how: str) -> list[Cost]:
    """Return the costs of runs with these flags, without TLS."""
    return [cost for cost in results.costs if cost.how == how and not cost.tls]


def times_smaller(of: Callable[[Cost], float]) -> Callable[[Results], float | None]:
    """Tell how many times a figure of a million rows that of ten million is."""

    def find(results: Results) -> float | None:
        few, many = (median_of(of(cost) for cost in results.growth if cost.rows == rows) for rows in (LARGEST, HUGE))
        return many / few if few and many else None

    return find


def times_classic(form: Form) -> Callable[[Results], float | None]:
    """Tell how many times the client's CPU for a classic row one of another form takes."""

    def find(results: Results) -> float | None:
        ratios = results.times_classic(form.name, lambda cost: cost.cpu_us_per_row)
        return ratios.median if ratios else None

    return find


def peak_mb(rows: int) -> Callable[[Results], float | None]:
    """Take the peak memory of runs over so many rows."""
    return lambda results: median_of(
        cost.peak_kib * 1024 / 1e6 for cost in results.costs if cost.rows == rows and cost.how == "-yw" and not cost.tls
    )


def streaming_peak_mb(results: Results) -> float | None:
    """Tell the most memory that the tool took while it streamed large objects, in any turn."""
    turns = results.turns_of(TOOL, LARGE_OBJECTS, LARGE_COUNT)
    return max((turn.peak_kib * 1024 / 1e6 for turn in turns), default=None)


def growth_percent(results: Results) -> float | None:
    """Tell by how much the peak memory of a million rows is more than that of a tenth."""
    few, many = peak_mb(LARGEST // 10)(results), peak_mb(LARGEST)(results)
    return 100 * (many / few - 1) if few and many else None


def of_looks(command: str, of: Callable[[Look], float]) -> Callable[[Results], float | None]:
    """Take a figure of a command that looks at as many rows as the targets are for."""
    return lambda results: median_of(
        of(look) for look in results.looks if look.command == command and look.rows == LOOKED_AT
    )


def first_flip_seconds(results: Results) -> float | None:
    """Tell how long the first flip of a large table took, since work began."""
    first = [flip for flip in results.first_flips if flip.rows == LARGEST and not flip.finished]
    return median_of(flip.since_work_seconds for flip in first)


def resumed_seconds(results: Results) -> float | None:
    """Tell the same of a run that goes on behind finished rows."""
    return median_of(flip.since_work_seconds for flip in results.first_flips if flip.finished)


def passed_millions(results: Results) -> float | None:
    """Tell how many millions of finished rows are passed in a second."""
    return median_of(each.per_second / 1e6 for each in results.passed)


def own_pace_percent(results: Results) -> float | None:
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


def used_percent(results: Results) -> float | None:
    """Tell what was used of a store that allows so many requests a second."""
    return median_of(100 * pace.per_second / pace.allowed for pace in results.paces if pace.allowed)


def refused_percent(results: Results) -> float | None:
    """Tell what share of its requests it refused."""
    return median_of(100 * pace.refused_share for pace in results.paces if pace.allowed)


def changing_percent(results: Results) -> float | None:
    """Tell the own pace in percent of the best fixed concurrency's, round by round, in the worst turn of the store."""
    own = [each.per_second for each in results.changing if not each.concurrency]
    fixed: dict[int, list[tuple[float, ...]]] = {}
    for each in results.changing:
        if each.concurrency:
            fixed.setdefault(each.concurrency, []).append(each.per_second)
    shares = (
        median_of(100 * mine[turn] / theirs[turn] for mine, theirs in zip(own, rounds, strict=False))
        for rounds in fixed.values()
        for turn in range(len(rounds[0]))
    )
    return min((share for share in shares if share is not None), default=None)


def least_of_bound_percent(results: Results) -> float | None:
    """Tell what was used of what prefixes with limits of their own allow, in the worst order of rows."""
    return min((100 * pace.per_second / pace.bound for pace in results.prefixes), default=None)


def gain_of(way: Way, latency_ms: int) -> Callable[[Results], float | None]:
    """Tell how many times as fast as one process others are, whole processes compared."""

    def find(results: Results) -> float | None:
        ours, one = (
            median_of(run.rows_per_second for run in results.shared_by(each, latency_ms)) for each in (way, ONE)
        )
        return ours / one if ours and one else None

    return find


def times_alone(of: Callable[[Felt], float]) -> Callable[[Results], float | None]:
    """Tell how many times a figure of an application alone it is beside a run, each on its core, pair by pair."""
    return lambda results: median_of(of(pair.during) / of(pair.alone) for pair in pairs_apart(results))


def pairs_apart(results: Results) -> list[Beside]:
    """Return the pairs of an application alone and beside a run, each on a core of its own."""
    return [pair for pair in results.applications if pair.situation == APART.name]


def slower_for_limits_percent(results: Results) -> float | None:
    """Tell how much slower a run with limits that hold nothing back is than one without, pair by pair."""
    times = times_bare(results.governed, lambda run: run.rows_per_second)
    return 100 * (1 - times.median) if times else None


def slower_for_listeners_percent(results: Results) -> float | None:
    """Tell how much slower a run of which others are told is than one of which nobody is, pair by pair."""
    times = times_bare(results.observed, lambda run: run.rows_per_second)
    return 100 * (1 - times.median) if times else None


def share_of_two_cores(results: Results) -> float | None:
    """Tell the rate of two processes at work, in percent of what two cores allow by the CPU that a row takes in all."""
    return median_of(
        100 * run.working_rows_per_second * run.all_cpu_us_per_row / 2e6 for run in results.shared_by(TWO, 0)
    )


def rollback_gain(results: Results) -> float | None:
    """Tell how many times as fast as one process two set rows back, whole processes compared, pair by pair."""
    one, two = ([run for run in results.rollbacks if run.way == way.name] for way in (ONE, TWO))
    return median_of(ours.rows_per_second / alone.rows_per_second for ours, alone in zip(two, one, strict=False))


def start_seconds(whats: Iterable[str]) -> Callable[[Results], float | None]:
    """Tell the CPU time of the dearest of some ways to start the tool."""

    def find(results: Results) -> float | None:
        medians = (median_of(each.cpu_seconds for each in results.starts if each.what == what) for what in whats)
        return max((median for median in medians if median is not None), default=None)

    return find


def felt_more(situation: Situation, of: Callable[[Felt], float]) -> Callable[[Results], float | None]:
    """Tell by how much a figure of an application is more beside a run than alone, pair by pair."""
    return lambda results: median_of(
        of(pair.during) - of(pair.alone) for pair in results.applications if pair.situation == situation.name
    )


def in_the_worst(of: Callable[[Beside], float]) -> Callable[[Results], float | None]:
    """Take the largest figure of all pairs."""
    return lambda results: max(map(of, results.applications), default=None)


def in_the_stall(of: Callable[[Stall], float]) -> Callable[[Results], float | None]:
    """Take the largest figure of what was seen while the ledger stalled."""
    return lambda results: max((of(pair.stall) for pair in results.applications if pair.stall), default=None)


def median_of(values: Iterable[float]) -> float | None:
    """Return the median; None of nothing."""
    found = list(values)
    return Spread.of(found).median if found else None
