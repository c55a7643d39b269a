"""How a run stands, for ``ctl`` and the log: as values, and in words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sketchmigrate.core.outcome import outcome_word
from sketchmigrate.report.progress import duration, line
from sketchmigrate.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sketchmigrate.core.outcome import Tally
    from sketchmigrate.report.progress import Figures


def outcomes_of(tally: Tally, *, is_back: bool = False) -> dict[str, int]:
    """Return counts by outcome. In a rollback (``is_back``) the rows that were set are ``restored``."""
    counts = tally.by_outcome().items()
    return {outcome_word(outcome.value, is_back=is_back): count for outcome, count in counts}


def figures_json(figures: Figures, *, is_back: bool = False) -> dict[str, object]:
    """Return what is known of a run's progress; null is what nobody knows. ``is_back``: it is a rollback."""
    rate, left = figures.rows_per_second, figures.seconds_left
    return {
        "rows_done": figures.rows_done,
        "total_rows": figures.total_rows if figures.knows_total else None,
        "rows_per_second": None if rate is None else round(rate, 1),
        "seconds_left": None if left is None else round(left, 1),
        "streamed_bytes": figures.streamed_bytes,
        "outcomes": outcomes_of(figures.tally, is_back=is_back),
        "limit": figures.limited_by,
        "waits_for": figures.note or figures.standstill,
        "follows": figures.follows,
        "line": line(figures),
    }


def status_text(status: Mapping[str, Any]) -> str:
    """Say how a run stands, in a few lines."""
    outcomes = ", ".join(f"{count:,} {word}" for word, count in status["outcomes"].items() if count)
    facts = {
        "Run": f"{status['run']}, {status['command']}, process {status['pid']}",
        "State": f"{status['state']}, {duration(status['seconds'])} after its start",
        "Paused": f"by {status['paused_by']}" if status["paused_by"] else "",
        "Progress": status["line"],
        "Outcomes": outcomes,
        "Changed": ", ".join(status["changes"]),
        "Can be set": ", ".join(f"{name}={_shown(value)}" for name, value in status["settings"].items()),
    }
    return "\n".join(f"{title:<12}{printable(fact)}" for title, fact in facts.items() if fact)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return ("no", "yes")[value]
    return f"{value:.15g}" if isinstance(value, float) else str(value)
