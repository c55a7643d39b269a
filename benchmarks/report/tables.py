"""The figures as tables of Markdown. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from benchmarks.measurements.shapes import FORMS
from benchmarks.spread import Spread
from benchmarks.targets import TO_CEPH, TO_SEAWEED, TOOL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from benchmarks.application import Felt
    from benchmarks.contestants.contest import Turn
    from benchmarks.measurements.application import Beside
    from benchmarks.results import Results
    from benchmarks.targets import Verdict

T = TypeVar("T")
K = TypeVar("K")

_EXPLANATION = (
    "Servers, database and client share the machine. Medians, with the least and the most in brackets; how many times"
    " as fast the tool is, is the median of the rounds' own ratios. Ratios hold elsewhere, figures do not. What each"
    " measurement is, and is not: [README.md](README.md#how-it-is-measured)."
)
ALONE = "alone"
STORES = {
    "rclone": "rclone serve s3, in memory",
    "ceph": "Ceph RGW, in memory",
    TO_SEAWEED: "from rclone serve s3 to SeaweedFS, streamed",
    TO_CEPH: "from rclone serve s3 to Ceph RGW, streamed",
}


def made_by(results: Results, command: str, files: str) -> str:
    """Say how a page came about, and where."""
    machine = ", ".join(f"{name} {value}" for name, value in results.machine.items())
    return f"Made by `{command}`, which writes {files}. Measured on: {machine}."


def document(results: Results, verdicts: Sequence[Verdict], command: str) -> str:
    """Return the whole page."""
    sections = [
        "# Figures",
        made_by(results, command, "this page, `figures.json` and the chart"),
        _EXPLANATION,
        "## Targets",
        target_table(verdicts),
        *_end_to_end(results),
        *_section("## What a row costs the client", cost_table(results)),
        *_section("## What a row of another shape costs", shape_table(results)),
        *_section("## The first flip", first_flip_table(results)),
        *_section("## The pace it finds by itself", pace_table(results)),
        *_section("## Listings", listing_table(results)),
        *_section("## Parts", micro_table(results)),
        *_section("## What an application feels of a run", application_table(results)),
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


def cost_table(results: Results) -> str:
    """Return what the tool used on the responder."""
    head = (
        "flags",
        "TLS",
        "rows",
        "rows/s",
        "CPU a row, µs",
        "requests an object",
        "sent a row, bytes",
        "peak, MB",
        "responder, cores",
    )
    groups = grouped(results.costs, lambda cost: (cost.how, cost.tls, cost.rows))
    rows = (
        (
            f"`{how}`",
            "yes" if tls else "no",
            f"{count:,}",
            spread([cost.rows / cost.seconds for cost in costs]),
            spread([cost.cpu_us_per_row for cost in costs], 1),
            f"{Spread.of(cost.requests_per_object for cost in costs).median:.4f} ({_kinds(costs[0].requests)})",
            f"{Spread.of(cost.received_bytes / cost.rows for cost in costs).median:.0f}",
            spread([megabytes(cost.peak_kib) for cost in costs]),
            f"{Spread.of(cost.server_share for cost in costs).median:.2f}",
        )
        for (how, tls, count), costs in groups
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
            spread([flip.since_work_seconds for flip in flips], 2),
            spread([flip.since_exec_seconds for flip in flips], 2),
        )
        for count, flips in grouped(results.first_flips, lambda flip: flip.rows)
    )
    return table(("rows", "s after work began", "s after the process was started"), rows)


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
        yield (
            f"{rows:,}",
            who,
            str(mine[0].parallelism or "own choice"),
            spread([turn.rows_per_second for turn in mine]),
            f"{times.median:.2f} ×" if times else "",  # noqa: RUF001 # times
            spread([turn.cpu_us_per_row for turn in mine]),
            spread([megabytes(turn.peak_kib) for turn in mine]) if mine[0].peak_kib else "",
            _lost(mine),
        )


def _lost(turns: Sequence[Turn]) -> str:
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
