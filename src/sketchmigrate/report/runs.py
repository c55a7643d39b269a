"""Runs of the past and of this moment as text for a person, and as values for ``--json``. Pure."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sketchmigrate.core.exit_codes import signal_of
from sketchmigrate.core.outcome import outcome_word
from sketchmigrate.report.progress import duration
from sketchmigrate.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sketchmigrate.ledger.overview import RunOverview

_HEAD = ("run", "state", "command", "began (UTC)", "took", "rows", "rows/s", "by", "version", "outcome")
_TO_THE_RIGHT = {"took", "rows", "rows/s"}
_NOT_KNOWN = "-"


def runs_text(runs: Sequence[RunOverview]) -> str:
    """Return a table with a line for each run."""
    if not runs:
        return "No run is on record."
    lines = [_HEAD, *map(_line, runs)]
    widths = [max(len(line[at]) for line in lines) for at, _ in enumerate(_HEAD)]
    return "\n".join(
        "  ".join(
            f"{cell:>{width}}" if title in _TO_THE_RIGHT else f"{cell:<{width}}"
            for cell, width, title in zip(line, widths, _HEAD, strict=True)
        ).rstrip()
        for line in lines
    )


def _line(run: RunOverview) -> tuple[str, ...]:
    account, rate = run.account, run.rows_per_second
    return (
        printable(run.name),
        run.state,
        printable(run.command) or _NOT_KNOWN,
        _time(run.began_at),
        _NOT_KNOWN if run.seconds is None else duration(run.seconds),
        _rows(run) or _NOT_KNOWN,
        _NOT_KNOWN if rate is None else f"{rate:,.0f}",
        _NOT_KNOWN if account is None else printable(f"{account.user}@{account.host}"),
        printable(run.version) or _NOT_KNOWN,
        _outcome(run),
    )


def _rows(run: RunOverview) -> str:
    """Say how many rows it took up, or at most: a flip is on record before it is made."""
    if run.rows is None:
        return ""
    return f"{'≤ ' if run.is_upper_bound else ''}{run.rows:,}"


def _told(run: RunOverview, counts: Mapping[str, int]) -> str:
    """Say counts in a line, those of a dry run as such."""
    told = ", ".join(f"{count:,} {printable(word)}" for word, count in counts.items())
    return f"dry run: {told}" if told and run.about.get("dry_run") == "true" else told


def _outcome(run: RunOverview) -> str:
    """Say in a line what a run came to."""
    counts = _counts(run)
    parts = [f"exit {run.exit_code}"] if run.exit_code is not None else []
    parts += filter(None, [_told(run, {word: count for word, count in counts.items() if count})])
    parts += [printable(run.error)] if run.error else []
    parts += [f"not read: {printable(run.unread)}"] if run.unread else []
    return ", ".join(parts) or _NOT_KNOWN


def _counts(run: RunOverview) -> dict[str, int]:
    """Return the outcomes by the words of the run's own report: what a rollback has done is to restore."""
    is_back = run.command == "rollback"
    return {outcome_word(word, is_back=is_back): count for word, count in run.outcomes.items()}


def run_text(run: RunOverview, changed: Mapping[str, Any]) -> str:
    """Say all that is known of one run. ``changed`` are its settings other than the defaults."""
    account, about, rate = run.account, run.about, run.rows_per_second
    legacy, production = run.places
    facts = {
        "Run": run.name,
        "State": _state(run),
        "Typed": "" if account is None else f"sketch-migrate {shlex.join(account.typed)}",
        "Command": "" if account is not None else run.command or "not on record, as of an earlier version",
        "By": "" if account is None else f"{account.user} on {account.host}, process {account.pid}",
        "Version": run.version or "not on record",
        "Began": f"{_time(run.began_at)} UTC",
        "Took": "" if run.seconds is None else duration(run.seconds),
        "About": f"{about['table']}, {legacy} to {production}" if "table" in about else "",
        "Rows": _rows(run) + ("" if rate is None else f", {rate:,.0f} rows/s"),
        "Outcomes": _told(run, _counts(run)),
        "Way back": ""
        if run.rollback_seconds is None
        else f"{duration(run.rollback_seconds)} at most, at its own rate: a rollback copies nothing",
        "Limited by": about.get("limited_by", ""),
        "Error": run.error,
        "Ledger": run.ledger,
        "Not read": run.unread,
        "Directory": "" if run.directory is None else str(run.directory),
    }
    lines = [f"{title:<12}{printable(fact)}" for title, fact in facts.items() if fact]
    if account is not None:
        lines += ["", "Settings other than the defaults" if changed else "All settings are the defaults."]
        lines += [f"  {printable(name)} = {printable(repr(value))}" for name, value in changed.items()]
    return "\n".join(lines)


def _state(run: RunOverview) -> str:
    if run.exit_code is None:
        return run.state
    number = signal_of(run.exit_code)
    return f"{run.state}, exit {run.exit_code}" + ("" if number is None else f" (signal {number})")


def _time(unix_time: float | None) -> str:
    return _NOT_KNOWN if unix_time is None else datetime.fromtimestamp(unix_time, UTC).strftime("%Y-%m-%d %H:%M:%S")


def run_json(run: RunOverview) -> dict[str, object]:
    """Return what is known of a run; null is what is not on record."""
    account, rate = run.account, run.rows_per_second
    legacy, production = run.places
    return {
        "run": run.name,
        "directory": None if run.directory is None else str(run.directory),
        "state": run.state,
        "command": run.command or None,
        "typed": None if account is None else list(account.typed),
        "version": run.version or None,
        "host": None if account is None else account.host,
        "user": None if account is None else account.user,
        "pid": None if account is None else account.pid,
        "began_at": _utc(run.began_at),
        "seconds": None if run.seconds is None else round(run.seconds, 3),
        "rows": run.rows,
        "rows_per_second": None if rate is None else round(rate, 1),
        "rollback_seconds": None if run.rollback_seconds is None else round(run.rollback_seconds, 3),
        "exit_code": run.exit_code,
        "error": run.error or None,
        "outcomes": _counts(run),
        "table": run.about.get("table") or None,
        "legacy": legacy or None,
        "production": production or None,
        "limited_by": run.about.get("limited_by") or None,
        "ledger": run.ledger or None,
        "unread": run.unread or None,
    }


def _utc(unix_time: float | None) -> str | None:
    if unix_time is None:
        return None
    return datetime.fromtimestamp(unix_time, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
