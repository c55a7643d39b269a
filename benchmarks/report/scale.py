"""What several processes gain and cost, as a page of its own. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.report.tables import made_by, megabytes, spread, table, target_table
from benchmarks.spread import Spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.measurements.scale import Shared
    from benchmarks.results import Results
    from benchmarks.targets import Verdict

_EXPLANATION = (
    "One responder, one PostgreSQL and all processes share the machine. Ways take turns; medians, with the least and"
    " the most in brackets. Behind a latency each process has 16 connections (`MAX_CONCURRENCY` is 16 times the number"
    " of processes), so that one can move 320 rows a second; without one it finds its own number. *Whole* is from the"
    " start of the first process to its end, *at work* from the first line of its log, which the start of further"
    " processes follows. The targets are for the whole. [README.md](README.md#how-it-is-measured) has the rest."
)


def scale_document(results: Results, verdicts: Sequence[Verdict], command: str) -> str:
    """Return the page."""
    sections = [
        "# Several processes",
        made_by(results, command, "this page and `scale.json`"),
        _EXPLANATION,
        "## Targets",
        target_table(verdicts),
    ]
    for latency_ms in dict.fromkeys(run.latency_ms for run in results.shared):
        title = f"## Behind {latency_ms} ms" if latency_ms else "## On a store that answers at once"
        sections += [title, way_table([run for run in results.shared if run.latency_ms == latency_ms])]
    return "\n\n".join(sections) + "\n"


def way_table(runs: Sequence[Shared]) -> str:
    """Return what each way of sharing did, beside the first one."""
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
    return table(head, _rows(runs))


def _rows(runs: Sequence[Shared]) -> Iterator[Sequence[str]]:
    first = [run for run in runs if run.way == runs[0].way]
    whole, work = (Spread.of(rates).median for rates in _rates(first))
    for way in dict.fromkeys(run.way for run in runs):
        mine = [run for run in runs if run.way == way]
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
