"""The figures as tables of Markdown. Pure."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from benchmarks import calibration
from benchmarks.arguments import MEASUREMENTS
from benchmarks.figures import FAR, FAR_AWAY, FRESH, LARGE_OBJECTS, TO_CEPH, TO_SEAWEED, TOOL
from benchmarks.measurements.paired import times_bare
from benchmarks.measurements.shapes import FORMS
from benchmarks.spread import Spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from benchmarks.application import Felt
    from benchmarks.contestants.contest import Turn
    from benchmarks.measurements.application import Beside
    from benchmarks.measurements.cost import Cost
    from benchmarks.measurements.paired import Paired
    from benchmarks.measurements.scale import Shared
    from benchmarks.results import Results
    from benchmarks.targets import Verdict

T = TypeVar("T")
K = TypeVar("K")

_EXPLANATION = (
    "Servers, database and client share the machine. Medians, with the least and the most in brackets; how many times"
    " as fast the tool is, is the median of the rounds' own ratios. Ratios hold elsewhere, figures do not. What each"
    " measurement is, and is not: [README.md](README.md#how-it-is-measured)."
)
LOOP = (
    "Targets in µs, s, MB or rows a second hold where a turn of a bare loop takes what it took on their machine"
    f" ({calibration.RECORDED_NS:.1f} ns), within a tenth; elsewhere figures are shown and not judged."
)
ALONE = "alone"
FEW_A_SECOND = 100
"""Fewer are told with digits behind the point."""

STORES = {
    "rclone": "rclone serve s3, in memory",
    FRESH: "rclone serve s3, a fresh one for each turn",
    FAR: "a responder, 20 ms away",
    "seaweed": "SeaweedFS",
    "ceph": "Ceph RGW, in memory",
    TO_SEAWEED: "from rclone serve s3 to SeaweedFS, streamed",
    TO_CEPH: "from rclone serve s3 to Ceph RGW, streamed",
    FAR_AWAY: "between two responders, 20 ms away, streamed",
    LARGE_OBJECTS: "64 MiB each, from rclone serve s3 to SeaweedFS, streamed",
}


def made_by(results: Results, files: str) -> str:
    """Say how a page came about, and where: a line for each machine."""
    lines = []
    done = [each for each in results.executions if each.measured]
    for (machine, loop_ns), executions in groupby(done, lambda each: (each.machine, each.loop_ns)):
        on = ", ".join(f"{name} {value}" for name, value in machine.items())
        fast = f"; a turn of a bare loop takes {loop_ns:.1f} ns" if loop_ns else ""
        made = "; ".join(f"`{each.command}`: {', '.join(each.measured)}" for each in executions)
        lines.append(f"- {on}{fast}. {made}.")
    return f"`scripts/bench` writes {files}. It was measured on:\n\n" + "\n".join(lines)


def _left(results: Results) -> list[str]:
    """Name what is not measured yet, where an execution was interrupted."""
    left = [f"`{name}`" for name in MEASUREMENTS if name not in results.measured]
    return [f"Not measured yet: {', '.join(left)}. `scripts/bench --resume` goes on with them."] if left else []


def document(results: Results, verdicts: Sequence[Verdict]) -> str:
    """Return the whole page."""
    sections = [
        "# Figures",
        made_by(results, "this page, `figures.json` and the chart"),
        *_left(results),
        _EXPLANATION,
        "## Targets",
        target_table(verdicts),
        LOOP,
        *_end_to_end(results),
        *_section("## What a row costs the client", cost_table(results.costs)),
        *_section("## What a row of a larger table costs", cost_table(results.growth)),
        *_section("## What a row of another shape costs", shape_table(results)),
        *_section("## The first flip", first_flip_table(results)),
        *_section("## Finished rows that are passed", passed_table(results)),
        *_section("## The pace it finds by itself", pace_table(results)),
        *_section("## The pace where the store changes, 10, 200 and 10 ms away", changing_table(results)),
        *_section("## The pace where prefixes have limits of their own", prefix_table(results)),
        *_section("## Listings", listing_table(results)),
        *_section("## Looking at all of it", look_table(results)),
        *_section("## Parts", micro_table(results)),
        *_section("## What an application feels of a run", application_table(results)),
        *_section("## What limits cost that hold nothing back", governor_table(results)),
        *_section("## What metrics and events cost", observed_table(results)),
        *_section("## Rollback by several processes, 50 ms away", way_table(results.rollbacks)),
        *_section("## What a start costs", start_table(results)),
    ]
    return "\n\n".join(sections) + "\n"


def target_table(verdicts: Sequence[Verdict]) -> str:
    """Return every target with what was measured."""
    marks = {True: "met", False: "**missed**", None: "-"}
    rows = ((each.what, each.wanted, each.measured, marks[each.met]) for each in verdicts)
    return table(("what", "target", "measured", ""), rows)


def turn_table(results: Results, store: str) -> str:
    """Return what everyone did on one store."""
    head = ("rows", "who", "at once", "rows/s", "the tool is", "CPU a row, µs", "peak, MB", "lost")
    return table(head, _turn_rows(results, store))


def cost_table(costs: Sequence[Cost]) -> str:
    """Return what the tool used on the responder."""
    head = (
        "flags",
        "TLS",
        "rows",
        "rows/s",
        "CPU a row, µs",
        "requests an object",
        "sent a row, bytes",
        "ledger a row, bytes",
        "peak, MB",
        "responder, cores",
    )
    groups = grouped(costs, lambda cost: (cost.how, cost.tls, cost.rows))
    rows = (
        (
            f"`{how}`",
            "yes" if tls else "no",
            f"{count:,}",
            spread([cost.rows / cost.seconds for cost in group]),
            spread([cost.cpu_us_per_row for cost in group], 1),
            f"{Spread.of(cost.requests_per_object for cost in group).median:.4f} ({_kinds(group[0].requests)})",
            f"{Spread.of(cost.received_bytes / cost.rows for cost in group).median:.0f}",
            spread([cost.ledger_bytes_per_row for cost in group], 1),
            spread([megabytes(cost.peak_kib) for cost in group]),
            f"{Spread.of(cost.server_share for cost in group).median:.2f}",
        )
        for (how, tls, count), group in groups
    )
    return table(head, rows)


def shape_table(results: Results) -> str:
    """Return what rows of each form cost the client and the database, and how many times that of the classic ones."""
    head = ("shape", "rows", "rows/s", "CPU a row, µs", "times the classic", "PostgreSQL's, µs", "times the classic")
    return table(head, _shape_rows(results))


def _shape_rows(results: Results) -> Iterator[Sequence[str]]:
    groups = dict(grouped(results.shapes, lambda cost: cost.form))
    for form in FORMS:
        if costs := groups.get(form.name):
            yield (
                form.name,
                f"{costs[0].rows:,}",
                spread([cost.rows / cost.seconds for cost in costs]),
                spread([cost.cpu_us_per_row for cost in costs], 1),
                _times(results.times_classic(form.name, lambda cost: cost.cpu_us_per_row)),
                spread([cost.server_cpu_us_per_row for cost in costs], 1),
                _times(results.times_classic(form.name, lambda cost: cost.server_cpu_us_per_row)),
            )


def _times(ratios: Spread | None) -> str:
    return spread(ratios, 2) if ratios else ""


def first_flip_table(results: Results) -> str:
    """Return how long the first flip took."""
    rows = (
        (
            f"{count:,}",
            f"{finished:,}",
            spread([flip.since_work_seconds for flip in flips], 2),
            spread([flip.since_exec_seconds for flip in flips], 2),
        )
        for (count, finished), flips in grouped(results.first_flips, lambda flip: (flip.rows, flip.finished))
    )
    return table(("rows", "done before", "s after work began", "s after the process was started"), rows)


def passed_table(results: Results) -> str:
    """Return how fast finished rows are passed."""
    rows = (
        (f"{count:,}", spread([each.seconds for each in passed], 2), spread([each.per_second for each in passed]))
        for count, passed in grouped(results.passed, lambda each: each.rows)
    )
    return table(("rows", "s more than over an empty table", "rows/s"), rows)


def pace_table(results: Results) -> str:
    """Return the tool's pace after its first ten seconds."""
    head = ("latency, ms", "TLS", "allowed a second", "at once", "answered a second", "refused, %", "responder, cores")
    groups = grouped(results.paces, lambda pace: (pace.latency_ms, pace.tls, pace.allowed, pace.concurrency))
    rows = (
        (
            f"{latency_ms}",
            "yes" if tls else "no",
            f"{allowed:,.0f}" if allowed else "any",
            f"fixed {concurrency}" if concurrency else "its own choice",
            spread([pace.per_second for pace in paces]),
            spread([100 * pace.refused_share for pace in paces], 2),
            f"{Spread.of(pace.server_share for pace in paces).median:.2f}",
        )
        for (latency_ms, tls, allowed, concurrency), paces in groups
    )
    return table(head, rows)


def changing_table(results: Results) -> str:
    """Return the pace in each turn of a store whose latency changes."""
    head = ("at once", "near, a second", "far, a second", "near again, a second")
    rows = (
        (
            f"fixed {concurrency}" if concurrency else "its own choice",
            *(spread(turn) for turn in zip(*(each.per_second for each in group), strict=True)),
        )
        for concurrency, group in grouped(results.changing, lambda each: each.concurrency)
    )
    return table(head, rows)


def prefix_table(results: Results) -> str:
    """Return the pace on a store that limits prefixes."""
    head = ("prefixes", "allowed a second", "answered a second", "refused, %")
    rows = (
        (
            name,
            f"{paces[0].bound:,}",
            spread([pace.per_second for pace in paces]),
            spread([100 * pace.refused_share for pace in paces], 2),
        )
        for name, paces in grouped(results.prefixes, lambda pace: pace.split)
    )
    return table(head, rows)


def listing_table(results: Results) -> str:
    """Return what listings cost, and what they gain by ranges."""
    listings = results.listings
    if not listings:
        return ""
    latency_ms = listings[0].latency_ms
    rows = (
        (
            "CPU a key, µs",
            spread([each.cpu_us_per_key for each in listings], 2),
            f"boto3: {spread([each.boto3_cpu_us_per_key for each in listings], 1)}",
            spread([each.cpu_ratio for each in listings], 1),
        ),
        (
            f"keys/s behind {latency_ms} ms, in 8 ranges",
            spread([each.eight_ranges_keys_per_second for each in listings]),
            f"one range: {spread([each.one_range_keys_per_second for each in listings])}",
            spread([each.ranges_ratio for each in listings], 1),
        ),
    )
    return table(("what", "ours", "beside", "times"), rows)


def look_table(results: Results) -> str:
    """Return what ``verify`` and ``status`` took."""
    head = (
        "command",
        "rows",
        "objects a side",
        "s",
        "CPU, s",
        "largest process, MB",
        "all processes, MB",
        "RUN_DIR, MB",
        "PostgreSQL's CPU, s",
        "lister's CPU, s",
    )
    rows = (
        (
            f"`{each.command}`",
            f"{each.rows:,}",
            f"{each.objects:,}",
            f"{each.seconds:.0f}",
            f"{each.cpu_seconds:.0f}",
            f"{megabytes(each.peak_kib):.0f}",
            f"{each.memory_bytes / 1e6:.0f}",
            f"{each.disk_bytes / 1e6:,.0f}",
            f"{each.database_cpu_seconds:.1f}",
            f"{each.lister_cpu_seconds:.1f}",
        )
        for each in results.looks
    )
    return table(head, rows)


def micro_table(results: Results) -> str:
    """Return the micro-benchmarks."""
    rows = ((each.name, f"{each.median_us:.2f}", f"{each.least_us:.2f}") for each in results.micros)
    return table(("one operation", "median, µs", "least, µs"), rows)


def application_table(results: Results) -> str:
    """Return how long the UPDATEs of an application took, alone and beside a run, and what else came of that."""
    head = ("", "", "p50, ms", "p95", "p99", "p99.9", "longest", "deadlocks", "lost writes", "free rows left")
    return table(head, _application_rows(results))


def _application_rows(results: Results) -> Iterator[Sequence[str]]:
    for situation, pairs in grouped(results.applications, lambda pair: pair.situation):
        for who, felt in sides(pairs):
            yield (
                situation,
                who,
                spread([each.p50_ms for each in felt], 1),
                spread([each.p95_ms for each in felt], 1),
                spread([each.p99_ms for each in felt], 1),
                spread([each.p999_ms for each in felt]),
                spread([each.longest_ms for each in felt]),
                f"{sum(each.deadlocks for each in felt)}",
                f"{sum(each.lost for each in felt)} of {sum(each.writes for each in felt):,}",
                "" if who == ALONE else spread([pair.left for pair in pairs]),
            )


def sides(pairs: Sequence[Beside]) -> Iterator[tuple[str, list[Felt]]]:
    """Part what was felt alone from what was felt beside a run."""
    yield ALONE, [pair.alone for pair in pairs]
    yield "beside a run", [pair.during for pair in pairs]


def governor_table(results: Results) -> str:
    """Return what runs with limits that hold nothing back took, and what those without any did."""
    return _paired_table("limits", "those of every day", results.governed)


def observed_table(results: Results) -> str:
    """Return what runs took of which others are told, and what those did of which nobody is."""
    return _paired_table("metrics and events", "all", results.observed)


def _paired_table(what: str, called: str, all_runs: Sequence[Paired]) -> str:
    head = (what, "rows", "rows/s", "times", "CPU a row, µs", "times")
    rows = (
        (
            called if has_it else "none",
            f"{runs[0].rows:,}",
            spread([run.rows_per_second for run in runs]),
            _times(times_bare(all_runs, lambda run: run.rows_per_second)) if has_it else "",
            spread([run.cpu_us_per_row for run in runs], 1),
            _times(times_bare(all_runs, lambda run: run.cpu_us_per_row)) if has_it else "",
        )
        for has_it, runs in sorted(grouped(all_runs, lambda run: not run.is_bare))
    )
    return table(head, rows)


def start_table(results: Results) -> str:
    """Return the CPU time of the tool's starts."""
    groups = grouped(results.starts, lambda start: start.what)
    return table(("", "CPU, s"), ((what, spread([each.cpu_seconds for each in starts], 3)) for what, starts in groups))


def way_table(runs: Sequence[Shared]) -> str:
    """Return what each way of sharing did, beside the first one."""
    if not runs:
        return ""
    head = (
        "",
        "rows",
        "rows/s, whole",
        "times",
        "rows/s, at work",
        "times",
        "CPU a row, µs",
        "largest process, MB",
        "responder, cores",
    )
    return table(head, _way_rows(runs))


def _way_rows(runs: Sequence[Shared]) -> Iterator[Sequence[str]]:
    first = [run for run in runs if run.way == runs[0].way]
    whole, work = (Spread.of(rates).median for rates in _rates(first))
    for way, mine in grouped(runs, lambda run: run.way):
        rates, work_rates = _rates(mine)
        yield (
            way,
            f"{mine[0].rows:,}",
            spread(rates),
            f"{Spread.of(rates).median / whole:.2f}",
            spread(work_rates),
            f"{Spread.of(work_rates).median / work:.2f}",
            spread([run.cpu_us_per_row for run in mine]),
            spread([megabytes(run.peak_kib) for run in mine]),
            f"{Spread.of(run.server_share for run in mine).median:.2f}",
        )


def _rates(runs: Sequence[Shared]) -> tuple[list[float], list[float]]:
    return [run.rows_per_second for run in runs], [run.working_rows_per_second for run in runs]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; empty where it has no rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *lines])


def spread(values: Sequence[float] | Spread, digits: int = 0) -> str:
    """Write a median, and what it lies between where there are several values."""
    found = values if isinstance(values, Spread) else Spread.of(values)
    if found.count == 1:
        return f"{found.median:,.{digits}f}"
    return f"{found.median:,.{digits}f} ({found.least:,.{digits}f}–{found.most:,.{digits}f})"  # noqa: RUF001 # a range


def megabytes(kib: float) -> float:
    """Return KiB as MB."""
    return kib * 1024 / 1e6


def _end_to_end(results: Results) -> Iterator[str]:
    for store, name in STORES.items():
        yield from _section(f"## End to end: {name}", turn_table(results, store))
        if store == "rclone" and results.sizes(store):
            yield "![Rows a second and CPU time a row](end-to-end.svg)"


def _turn_rows(results: Results, store: str) -> Iterator[Sequence[str]]:
    turns = [turn for turn in results.turns if turn.store == store]
    for (rows, who), mine in grouped(turns, lambda turn: (turn.rows, turn.contestant)):
        times = results.times(TOOL, who, store, rows)
        rates = [turn.rows_per_second for turn in mine]
        yield (
            f"{rows:,}",
            who,
            str(mine[0].parallelism or "own choice"),
            spread(rates, digits=0 if max(rates) >= FEW_A_SECOND else 2),
            f"{times.median:.2f} ×" if times else "",  # noqa: RUF001 # times
            spread([turn.cpu_us_per_row for turn in mine]),
            spread([megabytes(turn.peak_kib) for turn in mine]) if mine[0].peak_kib else "",
            _lost(mine),
        )


def _lost(turns: Sequence[Turn]) -> str:
    if any(turn.was_ended for turn in turns):
        return f"ended after {turns[0].seconds:.0f} s"
    return ", ".join(f"{turn.lost:,}" for turn in turns) if any(turn.lost for turn in turns) else "0"


def _kinds(requests: object) -> str:
    assert isinstance(requests, dict)
    return ", ".join(f"{kind} {count:,}" for kind, count in sorted(requests.items(), key=lambda pair: -pair[1])[:2])


def _section(title: str, body: str) -> list[str]:
    return [title, body] if body else []


def grouped(values: Iterable[T], key: Callable[[T], K]) -> Iterator[tuple[K, list[T]]]:
    """Bring together what has the same key, in the order in which the keys come first."""
    groups: dict[K, list[T]] = {}
    for value in values:
        groups.setdefault(key(value), []).append(value)
    return iter(groups.items())
