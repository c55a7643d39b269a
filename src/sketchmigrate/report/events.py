"""What goes on in a run as events, each a JSON object: ``docs/events.schema.json`` describes them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sketchmigrate.core.keys import stored_key
from sketchmigrate.core.outcome import WORDS_NEEDING_A_PERSON, outcome_word
from sketchmigrate.report.limits import limit_name
from sketchmigrate.report.run_status import figures_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sketchmigrate.core.outcome import Result
    from sketchmigrate.core.sample import Sample
    from sketchmigrate.report.progress import Figures

Event = dict[str, Any]

BEGAN, CHANGED, ENDED = "began", "changed", "ended"


def at_text(at: float) -> str:
    """Write a Unix time in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def progress_event(sample: Sample, figures: Figures, *, is_back: bool) -> Event:
    """Say how far a run is, with all that is sampled of it."""
    sampled = sample.as_json()
    del sampled["at"]
    return {"event": "progress", **figures_json(figures, is_back=is_back), "sample": sampled}


def entry_event(result: Result, source: str, *, is_back: bool) -> Event:
    """Say what became of one row."""
    return {"event": "entry", **_about(result, source, is_back=is_back)}


def problem_event(result: Result, source: str, *, is_back: bool) -> Event:
    """Say of one row that it needs a person."""
    return {"event": "problem", **_about(result, source, is_back=is_back)}


def is_problem(result: Result) -> bool:
    """Whether a row needs a person."""
    return result.outcome.needs_a_person or result.possibly_overwritten


def _about(result: Result, source: str, *, is_back: bool) -> Event:
    reason, move = result.reason, result.move
    return {
        "source": source,
        "key": stored_key(result.reference.key),
        "path": result.reference.path,
        "new_path": None if move is None else move.new_path,
        "outcome": outcome_word(result.outcome.value, is_back=is_back),
        "copied": result.copied,
        "reason": str(reason or ""),
        "kind": reason.kind.value if reason else "",
        "code": reason.code if reason else "",
        "status": reason.status if reason else 0,
        "hint": reason.hint if reason else "",
    }


def order_event(by: str, order: str) -> Event:
    """Say what somebody has ordered."""
    return {"event": "order", "by": by, "order": order}


def finished_event(exit_code: int, noted: Mapping[str, Any]) -> Event:
    """Say how a run ended, as far as that is ``noted``."""
    outcomes: Mapping[str, int] | None = noted.get("outcomes")
    overwritten: int = noted.get("possibly_overwritten", 0)
    return {
        "event": "finished",
        "exit_code": exit_code,
        "error": noted.get("error"),
        "outcomes": None if outcomes is None else dict(outcomes),
        "possibly_overwritten": overwritten,
        "needs_a_person": overwritten + sum((outcomes or {}).get(word, 0) for word in WORDS_NEEDING_A_PERSON),
        "elapsed_seconds": noted.get("elapsed_seconds"),
    }


class _State(NamedTuple):
    limit: str = ""
    is_stopped: bool = False
    waits_for: str = ""
    stands_still: str = ""


class Changes:
    """Tells what has begun, changed and ended since the last look: limits, waits, standstills."""

    def __init__(self) -> None:
        self._before = _State()

    def look(self, figures: Figures) -> Iterator[Event]:
        """Yield an event for each change. A text that only has other figures is none."""
        limit = limit_name(figures.limited_by)
        now = _State(limit, figures.is_stopped and bool(limit), figures.note, figures.standstill)
        before, self._before = self._before, now
        yield from _of_limit(before, now, figures.limited_by)
        for name, was, is_now in (
            ("wait", before.waits_for, now.waits_for),
            ("stalled", before.stands_still, now.stands_still),
        ):
            if bool(was) != bool(is_now):
                yield {"event": name, "change": BEGAN if is_now else ENDED, "text": is_now or was}


def _of_limit(before: _State, now: _State, text: str) -> Iterator[Event]:
    if before.limit and before.limit != now.limit:
        yield {"event": "limit", "change": ENDED, "limit": before.limit, "text": "", "is_stopped": False}
    if now.limit and (before.limit, before.is_stopped) != (now.limit, now.is_stopped):
        change = CHANGED if before.limit == now.limit else BEGAN
        yield {"event": "limit", "change": change, "limit": now.limit, "text": text, "is_stopped": now.is_stopped}
