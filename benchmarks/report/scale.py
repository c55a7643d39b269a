"""What several processes gain and cost, as a page of its own. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.report.tables import made_by, target_table, way_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.results import Results
    from benchmarks.targets import Verdict

_EXPLANATION = (
    "One responder, one PostgreSQL and all processes share the machine. Ways take turns; medians, with the least and"
    " the most in brackets. Behind a latency each process has 16 connections (`MAX_CONCURRENCY` is 16 times the number"
    " of processes), so that one can move 320 rows a second; without one it finds its own number. *Whole* is from the"
    " start of the first process to its end, *at work* from the first line of its log, which the start of further"
    " processes follows. The targets are for the whole. [README.md](README.md#how-it-is-measured) has the rest."
)


def scale_document(results: Results, verdicts: Sequence[Verdict]) -> str:
    """Return the page."""
    sections = [
        "# Several processes",
        made_by(results, "this page and `scale.json`"),
        _EXPLANATION,
        "## Targets",
        target_table(verdicts),
    ]
    for latency_ms in dict.fromkeys(run.latency_ms for run in results.shared):
        title = f"## Behind {latency_ms} ms" if latency_ms else "## On a store that answers at once"
        sections += [title, way_table([run for run in results.shared if run.latency_ms == latency_ms])]
    return "\n\n".join(sections) + "\n"
