"""The reports as plain text for 80 columns, and the same as values for ``--json``. Pure."""

from __future__ import annotations

import math
import signal
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.filesize import decimal

from sketchmigrate.core.appearance import examples
from sketchmigrate.core.keys import key_text, stored_key
from sketchmigrate.core.outcome import Outcome
from sketchmigrate.core.plural import counted
from sketchmigrate.core.reason import POSSIBLY_OVERWRITTEN, ReasonKind
from sketchmigrate.core.rule import SideName
from sketchmigrate.report.failures import failed_steps
from sketchmigrate.report.progress import duration
from sketchmigrate.report.recognition import (
    RIGHT_PLACE,
    nothing_in_legacy,
    nothing_recognised,
    other_rows,
    source_unrecognised,
)
from sketchmigrate.report.sources import beginnings, places, table_of, title_of
from sketchmigrate.report.text import printable
from sketchmigrate.settings.sources import routes_of, sources_of

if TYPE_CHECKING:
    from sketchmigrate.core.outcome import Problem, ProblemGroup, Summary, Tally
    from sketchmigrate.core.status import Status
    from sketchmigrate.settings import Settings

OUTCOME_MEANINGS = {
    Outcome.MIGRATED: "object in production, row points at it",
    Outcome.ALREADY: "the row pointed at production already",
    Outcome.SUPERSEDED: "the application changed or deleted the row meanwhile",
    Outcome.MISSING: "there is no legacy object",
    Outcome.CONFLICT: "production holds something else under the new key",
    Outcome.FAILED: "for the reason given",
}

OUTCOME_STEPS = {
    Outcome.MISSING: "Put the object in its place in the legacy bucket, or mend the row.",
    Outcome.CONFLICT: "Compare both objects; with -w the legacy one replaces the other.",
}
"""What to do about all that has an outcome."""

_SHORT_SECONDS = 60

PRODUCTION = SideName.PRODUCTION


def status_report(status: Status, settings: Settings) -> str:
    """Say how far the migration is: objects and rows by side, and the part that is done; of each source where several.

    ``settings`` are those of the status.
    """
    sources, routes = sources_of(settings), routes_of(settings)
    objects = (
        ("legacy", status.legacy_objects, status.legacy_bytes, status.legacy_places, SideName.LEGACY),
        ("production", status.production_objects, status.production_bytes, status.production_places, PRODUCTION),
    )
    by_key = all(source.is_of_keys for source in sources)
    begin = "begin with {}" if by_key else "name what begins with {}"
    rows = (
        ("legacy", status.legacy_rows, begin.format(beginnings(routes, SideName.LEGACY))),
        ("production", status.production_rows, begin.format(beginnings(routes, PRODUCTION))),
        ("neither", status.other_rows, "anything else, NULL and empty ones included"),
        ("all", status.total_rows, ""),
    )
    numbers = [number for _, number, *_ in (*objects, *rows)]
    width = max(len(f"{number:,}") for number in numbers)
    lines = ["Objects"]
    for side, count, size, held, name in objects:
        where = f"in {len(held)} places" if len(held) > 1 else printable(places(routes, name))
        lines.append(f"  {side:<12}{count:>{width},}  {decimal(size):>10}  {where}")
        if len(held) > 1:
            lines += [
                f"  {'':<12}{each.objects:>{width},}  {decimal(each.size_bytes):>10}  {printable(each.place)}"
                for each in held
            ]
    lines += ["", printable(title_of(sources))]
    lines += [f"  {side:<12}{count:>{width},}  {printable(meaning)}".rstrip() for side, count, meaning in rows]
    if len(status.sources) > 1:
        counts = [
            (each.name, (each.legacy_rows, each.production_rows, each.other_rows, each.total_rows))
            for each in status.sources
        ]
        lines += ["", *table_of([name for name, *_ in rows], counts)]
    named, refused = status.naming_legacy, status.refused
    about = "  if legacy is the right place" if status.is_nothing_in_legacy else ""
    if refused or (named and len(status.others) < status.other_paths):
        about = "  at most"
    lines += ["", f"Done          {_percent(status.percent_done):>{width}}{about}"]
    if status.is_nothing_recognised:
        lines += ["", f"Nothing recognised: {nothing_recognised(sources, routes, status.others)}"]
    elif status.is_nothing_in_legacy:
        lines += ["", f"Nothing in legacy: {nothing_in_legacy(sources, routes, status.other_paths, status.others)}"]
    else:
        of_those = f"of {counted(len(status.others), 'row')} on neither side that were looked at"
        if named:
            lines += ["", f"{len(named):,} {of_those} name a legacy object in another way:", other_rows(named)]
        if refused:
            lines += ["", f"{len(refused):,} {of_those} may name a legacy object that is refused:", other_rows(refused)]
        if unknown := [each.name for each in status.sources if each.is_unrecognised]:
            lines += ["", f"Note: {source_unrecognised(unknown)}"]
    return "\n".join(lines)


def tech_status(status: Status) -> str:
    """Return the status as one line for programs."""
    counts = (
        status.legacy_objects,
        status.production_objects,
        status.legacy_rows,
        status.production_rows,
        status.total_rows,
    )
    return "tech_status " + ",".join(str(count) for count in counts)


def summary(summary: Summary) -> str:
    """Say what a run did, what needs a person, where it is all written down, and what to do next."""
    parts = [
        _headline(summary),
        _outcomes(summary),
        of_sources(summary),
        _problems(summary),
        _written_down(summary),
        _next_step(summary),
    ]
    return "\n\n".join(part for part in parts if part)


def _headline(summary: Summary) -> str:
    if summary.stopped_by_signal is not None:
        return f"Stopped by {signal_name(summary.stopped_by_signal)}. What was in flight has been finished."
    if summary.ended_by_error:
        early = "Ended early by an error (below). What was done until then stays done."
        return "Finished, but rows may be hidden (below)." if summary.rows_hidden else early
    if summary.dry_run:
        return "Dry run: nothing was changed."
    if summary.tally.needing_a_person:
        return f"Finished, but {counted(summary.tally.needing_a_person, 'entry needs', 'entries need')} a person."
    if summary.rows_left:
        return "Finished what was asked for; legacy rows are left."
    return "All migrated." if summary.tally.scanned else "There was nothing to migrate."


def _outcomes(summary: Summary) -> str:
    tally = summary.tally
    counts = {**{outcome.value: count for outcome, count in tally.by_outcome().items()}, "scanned": tally.scanned}
    width = max(len(f"{number:,}") for number in (*counts.values(), tally.objects_copied))
    meanings = {outcome.value: meaning for outcome, meaning in OUTCOME_MEANINGS.items()}
    if summary.dry_run:
        meanings["migrated"] = "would be migrated: row set, object copied or there"
    lines = [f"  {word:<12}{number:>{width},}  {meanings[word]}" for word, number in counts.items() if word in meanings]
    passes = counted(summary.passes, "pass", "passes")
    pace = f"{elapsed(summary.elapsed_seconds)}, {summary.rows_per_second:,.0f} rows/s"
    lines += [f"  {'':<12}{'-' * width}", f"  {'scanned':<12}{tally.scanned:>{width},}  in {passes}, {pace}"]
    if tally.possibly_overwritten:
        lines.append(f"  {POSSIBLY_OVERWRITTEN}: {tally.possibly_overwritten:,} of the application's objects")
    if number := archived(summary):
        lines.append(f"  {'archived':<12}{number:>{width},}  of the failed: their objects have to be restored first")
    if summary.dry_run:
        lines.append(f"  {'to copy':<12}{tally.objects_copied:>{width},}  objects, {decimal(tally.bytes_copied)}")
    else:
        about = "" if tally.bytes_are_exact else "about " if tally.sampled_objects else "at least "
        lines.append(f"  {'copied':<12}{tally.objects_copied:>{width},}  objects, {about}{decimal(tally.bytes_copied)}")
    return "\n".join(lines)


def of_sources(summary: Summary, *, migrated: str = Outcome.MIGRATED.value) -> str:
    """Say what each source has to the outcomes, a line each; nothing where there is but one.

    ``migrated`` is how the outcome of that name is called.
    """
    if len(summary.sources) <= 1:
        return ""
    width = max(len(printable(name)) for name, _ in summary.sources)
    lines = []
    for name, tally in summary.sources:
        words = {outcome: outcome.value for outcome in Outcome} | {Outcome.MIGRATED: migrated}
        counts = [f"{count:,} {words[outcome]}" for outcome, count in tally.by_outcome().items() if count]
        lines.append(f"  {printable(name):<{width}}  {', '.join(counts) or 'nothing to do'}")
    return "\n".join(("By source:", *lines))


def source_json(name: str, tally: Tally) -> dict[str, object]:
    """Return the outcomes of one source for ``--json``."""
    counts = {outcome.value: count for outcome, count in tally.by_outcome().items()}
    return {"name": name, "outcomes": counts, "scanned": tally.scanned, "references_moved": tally.references_moved}


def _problems(summary: Summary) -> str:
    total, shown = summary.tally.needing_a_person, summary.problems
    if not shown:
        return ""
    title = (
        "These need a person:" if len(shown) >= total else f"These need a person (the first {len(shown)} of {total:,}):"
    )
    return "\n".join((title, *(problem_lines(summary, problem) for problem in shown)))


def problem_lines(summary: Summary, problem: Problem) -> str:
    """Two lines, so that a long path and a long reason both stay readable, and whole for copying."""
    result = problem.result
    of = f"{printable(summary.source_of(problem))}  " if len(summary.sources) > 1 else ""
    key, path = printable(key_text(result.reference.key)), printable(result.reference.path)
    reason = printable(str(result.reason or "")) or OUTCOME_MEANINGS[result.outcome]
    return f"  {result.outcome:<9} {of}{key}  {path}\n            {reason}"


def _written_down(summary: Summary) -> str:
    is_listed = summary.tally.needing_a_person and summary.problems_file
    lines = [f"Problems:  {printable(summary.problems_file)}"] if is_listed else []
    return "\n".join((*lines, f"Log:       {printable(summary.log_file)}"))


def _next_step(summary: Summary) -> str:
    tally = summary.tally
    steps: list[str] = []
    if summary.stopped_by_signal is not None:
        steps.append("Run the same command again: it goes on where this run stopped.")
    elif summary.ended_by_error:
        steps.append("Mend what the error names, then run the same command again: it goes on where this run stopped.")
    elif summary.dry_run:
        left = " Rows are left by that, as they are by -l." if summary.rows_left else ""
        steps.append(f"Run it without -d to do this.{left}")
    elif summary.rows_left:
        steps.append("Run it again for the rows that are left (without -l: all of them).")
    steps += [
        f"{outcome}: {step[0].lower()}{step[1:]}"
        for outcome, step in OUTCOME_STEPS.items()
        if tally.by_outcome()[outcome]
    ]
    steps += failed_steps(summary.groups, tally.failed, remove="remove the reason.")
    if tally.possibly_overwritten:
        steps.append("possibly overwritten: restore the version that is named, or let the application store it again.")
    if tally.needing_a_person and not summary.dry_run:
        steps.append("Then run the same command again: only what is left is tried.")
    if summary.nothing_in_legacy:
        steps = [f"{RIGHT_PLACE} No object and no row is there."]
    if not steps:
        steps.append("Nothing to do. The legacy objects are all still there: nothing was deleted.")
    return "Next:\n" + "\n".join(f"  {step}" for step in steps)


def status_json(status: Status) -> dict[str, object]:
    """Return the status for ``--json``: sizes in bytes, percent from 0 to 100."""
    return {
        "legacy": {
            "objects": status.legacy_objects,
            "bytes": status.legacy_bytes,
            "rows": status.legacy_rows,
        },
        "production": {
            "objects": status.production_objects,
            "bytes": status.production_bytes,
            "rows": status.production_rows,
        },
        "other_rows": status.other_rows,
        "total_rows": status.total_rows,
        "percent_done": status.percent_done,
        "recognition": {
            "nothing_recognised": status.is_nothing_recognised,
            "nothing_in_legacy": status.is_nothing_in_legacy,
            "looked_at": len(status.others),
            "naming_a_legacy_object": len(status.naming_legacy),
            "examples": [asdict(row) for row in examples(status.others)],
            "refused": len(status.refused),
        },
        "sources": [
            {
                "source": each.name,
                "legacy_rows": each.legacy_rows,
                "production_rows": each.production_rows,
                "other_rows": each.other_rows,
                "total_rows": each.total_rows,
            }
            for each in status.sources
        ],
    }


def summary_json(summary: Summary) -> dict[str, object]:
    """Return the summary for ``--json``; a key that JSON has no type for (uuid) is text."""
    tally = summary.tally
    return {
        "outcomes": {outcome.value: count for outcome, count in tally.by_outcome().items()},
        "scanned": tally.scanned,
        "possibly_overwritten": tally.possibly_overwritten,
        "objects_copied": tally.objects_copied,
        "bytes_copied": tally.bytes_copied,
        "bytes_are_exact": tally.bytes_are_exact,
        "elapsed_seconds": round(summary.elapsed_seconds, 3),
        "rows_per_second": round(summary.rows_per_second, 1),
        "passes": summary.passes,
        "nothing_in_legacy": summary.nothing_in_legacy,
        "dry_run": summary.dry_run,
        "rows_left": summary.rows_left,
        "stopped_by_signal": summary.stopped_by_signal,
        "problems": [problem_json(summary, problem) for problem in summary.problems],
        "problems_file": summary.problems_file,
        "log_file": summary.log_file,
        "exit_code": summary.exit_code,
        "problem_groups": [group_json(group) for group in summary.groups],
        "references_moved": tally.references_moved,
        "sources": [source_json(*each) for each in summary.sources],
        "archived": archived(summary),
    }


def archived(summary: Summary) -> int:
    """Return how many references failed as their object has to be restored from an archive first."""
    return sum(group.references for group in summary.groups if group.kind is ReasonKind.ARCHIVED)


def group_json(group: ProblemGroup) -> dict[str, object]:
    """Return the number of entries with one reason for ``--json``."""
    return {**group._asdict(), "outcome": group.outcome.value, "kind": group.kind.value if group.kind else ""}


def problem_json(summary: Summary, problem: Problem) -> dict[str, object]:
    """Return one entry for ``--json``."""
    result = problem.result
    reason = result.reason
    return {
        "key": stored_key(result.reference.key),
        "path": result.reference.path,
        "outcome": result.outcome.value,
        "reason": str(reason or ""),
        "kind": reason.kind.value if reason else "",
        "code": reason.code if reason else "",
        "status": reason.status if reason else 0,
        "hint": reason.hint if reason else "",
        "source": summary.source_of(problem),
    }


def _percent(percent: float) -> str:
    """Round down: 100 % is only what is wholly done."""
    return f"{math.floor(percent * 10) / 10:.1f} %"


def elapsed(seconds: float) -> str:
    """Write a duration, to the tenth where it is short."""
    return f"{seconds:.1f} s" if seconds < _SHORT_SECONDS else duration(seconds)


def signal_name(number: int) -> str:
    """Name a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
