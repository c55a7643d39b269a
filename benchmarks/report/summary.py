"""What other pages show of the figures: a short table in each, between two marks. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.report.tables import grouped, sides, spread, table
from benchmarks.spread import Spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.results import Results

BEGIN, END = "<!-- scripts/bench: begin -->", "<!-- scripts/bench: end -->"
_STORE = "rclone"


def summary(results: Results) -> str:
    """Return the table of everyone's rows a second with each size of the table, and of the CPU time a row."""
    sizes = results.sizes(_STORE)
    head = ("", *(f"rows/s, {rows:,} rows" for rows in sizes), "client CPU a row, µs")
    return table(head, _rows(results, sizes))


def felt_summary(results: Results) -> str:
    """Return the table of what an application feels, alone and beside a run: the medians."""
    head = ("an UPDATE of the application takes, ms", "", "p50", "p95", "p99", "longest")
    return table(head, _felt_rows(results))


def _felt_rows(results: Results) -> Iterator[Sequence[str]]:
    for situation, pairs in grouped(results.applications, lambda pair: pair.situation):
        for who, felt in sides(pairs):
            latencies = zip(*((each.p50_ms, each.p95_ms, each.p99_ms, each.longest_ms) for each in felt), strict=True)
            yield (situation, who, *(f"{Spread.of(values).median:,.1f}" for values in latencies))


def between_marks(text: str, block: str) -> str:
    """Return the text with what is between the marks replaced. Raises ``ValueError`` where there are none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = f"there are no marks {BEGIN} … {END}"
        raise ValueError(message)
    return f"{before}{begin}\n{block}\n{end}{after}"


def _rows(results: Results, sizes: Sequence[int]) -> Iterator[Sequence[str]]:
    for who in dict.fromkeys(turn.contestant for turn in results.turns if turn.store == _STORE):
        turns = [results.turns_of(who, _STORE, rows) for rows in sizes]
        rates = [spread([turn.rows_per_second for turn in each]) if each else "" for each in turns]
        first = next(each for each in turns if each)
        lost = sum(turn.lost for each in turns for turn in each if not turn.was_ended)
        name = f"{who} (lost {lost:,})" if lost else who
        yield (name, *rates, f"{spread([turn.cpu_us_per_row for turn in first])}")
