"""The report of a rollback, as text for 80 columns and as values for ``--json``. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sketchmigrate.core.outcome import Outcome
from sketchmigrate.core.plural import counted
from sketchmigrate.report.failures import failed_steps
from sketchmigrate.report.tables import (
    elapsed,
    group_json,
    of_sources,
    problem_json,
    problem_lines,
    signal_name,
)
from sketchmigrate.report.text import printable

if TYPE_CHECKING:
    from sketchmigrate.core.outcome import Summary, Tally

LISTED = (Outcome.SUPERSEDED, Outcome.MISSING, Outcome.FAILED)
"""What a person may want to look at. What the application changed since is listed, but it is no failure: it stays."""

BACK_WORDS = {
    Outcome.MIGRATED: ("restored", "the row points at the legacy object again"),
    Outcome.ALREADY: ("already", "the row pointed there already"),
    Outcome.SUPERSEDED: ("superseded", "left: the application changed or deleted the row since"),
    Outcome.MISSING: ("missing", "left: the legacy object is not there any more"),
    Outcome.FAILED: ("failed", "for the reason given"),
}


def rollback_summary(summary: Summary) -> str:
    """Say what went back, what did not and why, where it is all written down, and what to do next."""
    parts = [
        _headline(summary),
        _outcomes(summary),
        of_sources(summary, migrated="restored"),
        _problems(summary),
        _written_down(summary),
        _next_step(summary),
    ]
    return "\n\n".join(part for part in parts if part)


def rollback_json(summary: Summary) -> dict[str, object]:
    """Return the summary for ``--json``."""
    counts = summary.tally.by_outcome()
    return {
        "outcomes": {word: counts[outcome] for outcome, (word, _) in BACK_WORDS.items()},
        "scanned": summary.tally.scanned,
        "elapsed_seconds": round(summary.elapsed_seconds, 3),
        "rows_per_second": round(summary.rows_per_second, 1),
        "dry_run": summary.dry_run,
        "rows_left": summary.rows_left,
        "stopped_by_signal": summary.stopped_by_signal,
        "problems": [problem_json(summary, problem) for problem in summary.problems],
        "problems_file": summary.problems_file,
        "log_file": summary.log_file,
        "exit_code": summary.exit_code,
        "problem_groups": [group_json(group) for group in summary.groups],
        "sources": [_source_json(*each) for each in summary.sources],
    }


def _source_json(name: str, tally: Tally) -> dict[str, object]:
    counts = tally.by_outcome()
    outcomes = {word: counts[outcome] for outcome, (word, _) in BACK_WORDS.items()}
    return {"name": name, "outcomes": outcomes, "scanned": tally.scanned}


def listed(summary: Summary) -> int:
    """Return how many entries the list of problems has."""
    counts = summary.tally.by_outcome()
    return sum(counts[outcome] for outcome in LISTED)


def _headline(summary: Summary) -> str:
    tally = summary.tally
    if summary.stopped_by_signal is not None:
        return f"Stopped by {signal_name(summary.stopped_by_signal)}. What was in flight has been finished."
    if summary.ended_by_error:
        early = "Ended early by an error (below). What was done until then stays done."
        return "Finished, but rows may be hidden (below)." if summary.rows_hidden else early
    if summary.dry_run:
        return "Dry run: nothing was changed."
    if tally.needing_a_person:
        return f"Finished, but {counted(tally.needing_a_person, 'row needs', 'rows need')} a person."
    if summary.rows_left:
        return "Finished what was asked for; rows are left to set back."
    but = ", but for the rows that the application changed since" if tally.superseded else ""
    return f"All set back{but}." if tally.scanned else "There was nothing to set back."


def _outcomes(summary: Summary) -> str:
    counts = summary.tally.by_outcome()
    width = max(len(f"{number:,}") for number in (*counts.values(), summary.tally.scanned))
    lines = []
    for outcome, (word, meaning) in BACK_WORDS.items():
        would = "would be set back" if summary.dry_run and outcome is Outcome.MIGRATED else meaning
        lines.append(f"  {word:<12}{counts[outcome]:>{width},}  {would}")
    pace = f"in {elapsed(summary.elapsed_seconds)}, {summary.rows_per_second:,.0f} flips/s"
    lines += [f"  {'':<12}{'-' * width}", f"  {'flips':<12}{summary.tally.scanned:>{width},}  {pace}"]
    return "\n".join(lines)


def _problems(summary: Summary) -> str:
    total, shown = listed(summary), summary.problems
    if not shown:
        return ""
    title = "These were left:" if len(shown) >= total else f"These were left (the first {len(shown)} of {total:,}):"
    return "\n".join((title, *(problem_lines(summary, problem) for problem in shown)))


def _written_down(summary: Summary) -> str:
    lines = [f"Left:      {printable(summary.problems_file)}"] if summary.problems_file else []
    return "\n".join((*lines, f"Log:       {printable(summary.log_file)}"))


def _next_step(summary: Summary) -> str:
    steps: list[str] = []
    if summary.stopped_by_signal is not None or summary.ended_by_error:
        mend = "Mend what the error names, then run" if summary.ended_by_error else "Run"
        steps.append(f"{mend} the same command again: it goes on where this one stopped.")
    elif summary.dry_run:
        left = " Rows are left by that, as they are by -l." if summary.rows_left else ""
        steps.append(f"Run it without -d to do this.{left}")
    elif summary.rows_left:
        steps.append("Run it again for the rows that are left (without -l: all of them).")
    if summary.tally.missing:
        steps.append("missing: put the object back in its place in the legacy bucket, and run it again.")
    steps += failed_steps(summary.groups, summary.tally.failed, remove="remove the reason, and run it again.")
    if not steps:
        steps.append("Nothing to do. The copies in production are all still there: nothing was deleted.")
    return "Next:\n" + "\n".join(f"  {step}" for step in steps)
